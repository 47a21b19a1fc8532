"""When a disk is copied, when it is archived, and what to do about a snapshot that was begun. Pure, level-triggered."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo

from cloud.disks import SnapshotState, SnapshotView

NIGHT_HOUR = 3  # local time; a day's work is over by then
VISIBLE_SECONDS = 300  # until then a new snapshot may not be listed, and a missed one may come back
LOOK_SECONDS = 3600  # those that only lie there are looked at so often
T = TypeVar("T")


class Standing(StrEnum):
    """What is known of a snapshot; the whole of its life."""

    WANTED = "wanted"  # row and hold exist; AWS was not asked yet, or its answer was lost
    PENDING = "pending"  # AWS makes it
    KEPT = "kept"
    DELETING = "deleting"  # not done until AWS says so
    DELETED = "deleted"
    FAILED = "failed"
    LOST = "lost"  # it lies in an account that nobody can enter any more: neither charged nor ever deleted


IN_MOTION = frozenset({Standing.WANTED, Standing.PENDING, Standing.DELETING})
COSTS = frozenset({Standing.PENDING, Standing.KEPT, Standing.DELETING})


class Do(StrEnum):
    TAKE = "take"  # ask AWS (again)
    ADOPT = "adopt"  # it exists, its answer was lost
    KEEP = "keep"  # PENDING is KEPT
    FAIL = "fail"
    DELETE = "delete"
    VANISHED = "vanished"  # not listed for too long: to be asked for by its id


@dataclass(frozen=True, slots=True)
class Row:
    """What a decision needs of a snapshot's row. Times are UTC."""

    standing: Standing
    asked_at: datetime | None
    calling_until: datetime | None
    absent_since: datetime | None  # the first look that did not list it


def decide_snapshot(row: Row, view: SnapshotView | None, now: datetime) -> Do | None:
    """`view` is None when a look that worked did not list it."""
    match row.standing:
        case Standing.WANTED:
            return _wanted(row, view, now)
        case Standing.PENDING | Standing.KEPT:
            return _made(row, view, now)
        case Standing.DELETING:
            return Do.DELETE
    return None


def _wanted(row: Row, view: SnapshotView | None, now: datetime) -> Do | None:
    if view is not None:
        return Do.ADOPT
    if row.calling_until and row.calling_until > now:
        return None  # somebody is asking
    # AWS has no token for this: asked again too early, there would be two.
    return Do.TAKE if row.asked_at is None or _older(row.asked_at, VISIBLE_SECONDS, now) else None


def _made(row: Row, view: SnapshotView | None, now: datetime) -> Do | None:
    if view is None:
        return Do.VANISHED if row.absent_since and _older(row.absent_since, VISIBLE_SECONDS, now) else None
    if row.standing is Standing.KEPT:
        return None
    if view.state is SnapshotState.ERROR:
        return Do.FAIL
    return Do.KEEP if view.state is SnapshotState.COMPLETED else None


def _older(moment: datetime, seconds: int, now: datetime) -> bool:
    return now - moment >= timedelta(seconds=seconds)


# ------------------------------------------------------------------ the course's policy
def night_before(now: datetime, timezone: str) -> datetime:
    """The last time that it was NIGHT_HOUR there, UTC."""
    local = now.astimezone(ZoneInfo(timezone))
    night = local.replace(hour=NIGHT_HOUR, minute=0, second=0, microsecond=0)
    return (night if night <= local else night - timedelta(days=1)).astimezone(now.tzinfo)


def nightly_due(last_try: datetime | None, changed_at: datetime | None, night: datetime) -> bool:
    """Once a night, and only of a disk that changed since its last copy. `changed_at`: the machine was last on."""
    if changed_at is None or (last_try is not None and last_try >= night):
        return False
    return last_try is None or changed_at > last_try


def surplus(oldest_first: Sequence[T], keep: int) -> Sequence[T]:
    """Those that are one too many."""
    return oldest_first[: max(0, len(oldest_first) - keep)]


class Archive(StrEnum):
    NO = "no"
    WARN = "warn"
    NOW = "now"


def decide_archive(
    stopped_since: datetime, warned_at: datetime | None, after: timedelta, warn: timedelta, now: datetime
) -> Archive:
    """Nobody's disk is archived unwarned, nor earlier than the warning said; a start since then takes it back."""
    if warned_at is None or warned_at < stopped_since:
        return Archive.WARN if now - stopped_since >= after - warn else Archive.NO
    return Archive.NOW if now - warned_at >= warn and now - stopped_since >= after else Archive.NO
