"""Who waits for a machine, in which order, for what, how long it may take. Pure.

Fair means: nobody is asked for at AWS while somebody who came earlier waits for the same. The same is a type while AWS
has none, all types of a quota while the quota is full, and everything while the account may launch nothing. Spot and on
demand are never the same: each has machines and quotas of its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cloud.quotas import quota_of
from instances.launch_rules import Candidate

LONGEST = timedelta(hours=12)  # after that nobody sits before the page any more, and a machine would run for nobody
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=1), timedelta(minutes=5)
_EVERYTHING = "*"
FEWEST = 3  # so many others must have waited before anything is said about how long it takes


class WaitsFor(StrEnum):
    CAPACITY = "capacity"  # AWS has no free machine
    QUOTA = "quota"  # the account runs as much as AWS allows
    ACCOUNT = "account"  # AWS lets the account launch nothing


@dataclass(frozen=True, slots=True)
class Waiting:
    key: int
    types: frozenset[str]
    waits_for: WaitsFor
    spot: bool


Lanes = frozenset[str]


def lanes(one: Waiting) -> Lanes:
    """What nobody behind this one may be asked for."""
    if one.waits_for is WaitsFor.ACCOUNT:
        return frozenset({_EVERYTHING})
    if one.waits_for is WaitsFor.QUOTA:
        return frozenset(_quota(name, one.spot) for name in one.types)
    return frozenset(_kind(name, one.spot) for name in one.types)


def open_to(wanted: Iterable[Candidate], blocked: Lanes, *, spot: bool) -> list[Candidate]:
    """The candidates that nobody ahead waits for, in their order. `spot`: the market of who wants them."""
    return [one for one in wanted if not _touches(one.instance_type, spot, blocked)]


def ahead_of(me: Waiting, waiting: Sequence[Waiting]) -> int:
    """How many of `waiting`, in order, come before me and wait for something that I could have."""
    count = 0
    for one in waiting:
        if one.key == me.key:
            return count
        count += any(_touches(name, me.spot, lanes(one)) for name in me.types)
    return count


def next_try(tries: int, waits_for: WaitsFor, now: datetime) -> datetime:
    """`tries`: how often AWS said no, this time included. A full quota is one cheap question: asked every minute."""
    if waits_for is WaitsFor.QUOTA:
        return now + _FIRST_PAUSE
    if waits_for is WaitsFor.ACCOUNT:
        return now + _LONGEST_PAUSE
    return now + min(_FIRST_PAUSE * 2 ** min(max(0, tries - 1), 8), _LONGEST_PAUSE)


def _touches(instance_type: str, spot: bool, blocked: Lanes) -> bool:
    return bool(blocked & {_kind(instance_type, spot), _quota(instance_type, spot), _EVERYTHING})


def _kind(instance_type: str, spot: bool) -> str:
    return f"spot {instance_type}" if spot else instance_type


def _quota(instance_type: str, spot: bool) -> str:
    found = quota_of(instance_type, spot=spot)
    return f"quota {found.code if found else _kind(instance_type, spot)}"


# ------------------------------------------------------------------ how long
@dataclass(frozen=True, slots=True)
class Past:
    """One who waited lately. `waited` is None for who left, or was never served."""

    waited: timedelta | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Not a promise: what happened to others who waited lately."""

    others: int
    served: int
    half_within: timedelta
    most_within: timedelta  # nine of ten of the served


def estimate(past: Sequence[Past]) -> Estimate | None:
    """None: too few have waited, or nobody was served; then there is nothing honest to say."""
    served = sorted(one.waited for one in past if one.waited is not None)
    if len(past) < FEWEST or not served:
        return None
    return Estimate(len(past), len(served), served[(len(served) - 1) // 2], served[-(-len(served) * 9 // 10) - 1])
