"""When an account may be given up as lost, and up to which second its machines are counted. Pure."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

LOST_AFTER = timedelta(days=7)  # shut for so long: an owner who mends the role within a week loses nothing
LOOKED_WITHIN = timedelta(minutes=15)  # "shut" is what the newest look says, and not one of a worker that is dead


class Not(StrEnum):
    """Why it may not be given up now."""

    OPEN = "open"
    BLIND = "blind"  # the portal has not looked lately, or does not see AWS itself
    EARLY = "early"


@dataclass(frozen=True, slots=True)
class Shut:
    """Times are UTC. `looked_at`: the last round of linked accounts; `aws_seen_at`: AWS last answered at all."""

    since: datetime | None
    looked_at: datetime | None
    aws_seen_at: datetime | None


def lost_from(since: datetime) -> datetime:
    """The first moment at which it may be given up."""
    return since + LOST_AFTER


def why_not(shut: Shut, now: datetime) -> Not | None:
    """None: it may be given up as lost."""
    if shut.since is None:
        return Not.OPEN
    if any(at is None or now - at > LOOKED_WITHIN for at in (shut.looked_at, shut.aws_seen_at)):
        return Not.BLIND
    return Not.EARLY if now < lost_from(shut.since) else None


def counted_until(
    began: datetime, seen_at: datetime | None, reported_at: datetime | None, paid_until: datetime | None
) -> datetime:
    """When the open run of a machine ends that is not to be seen any more: the last second it was seen alive.

    AWS's word counts whole. What only its agent reported counts up to `paid_until`: nobody could stop it there, and
    nothing is held for more.
    """
    last = max(began, seen_at or began)
    if reported_at is None:
        return last
    return max(last, reported_at if paid_until is None else min(reported_at, paid_until))
