"""What is next for one machine when its course closes, and whether its archive may be trusted. Pure, level-triggered.

Nothing is deleted that was not archived at rest and seen complete at the provider within the last minutes.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cloud.disks import SnapshotState, SnapshotView
from instances.disk_rules import IN_MOTION, Standing
from instances.states import ENDED, State

RETRY = timedelta(hours=1)  # after a refusal: of the provider, or of the budget
TRUSTED = timedelta(minutes=10)  # so long a look at the provider allows the disk to be deleted
_ON = frozenset({State.REQUESTED, State.LAUNCHING, State.RUNNING})
_UNDER_WAY = IN_MOTION - {Standing.DELETING}


class Step(StrEnum):
    STOP = "stop"
    WAIT = "wait"  # something is under way; look again
    ARCHIVE = "archive"  # ask for a copy of the disk
    VERIFY = "verify"  # the row says that it is complete: ask the provider
    DELETE = "delete"  # machine and disk
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Archive:
    """The newest archive of this machine's disk."""

    standing: Standing
    wanted_at: datetime
    verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Machine:
    """What a decision needs of its row. Times are UTC."""

    state: State
    since: datetime  # in this state
    leaving_at: datetime | None = None  # it saves until then
    packs_until: datetime | None = None  # its student's files are being packed: paid until then, beyond the course
    archive: Archive | None = None
    is_copied: bool = False  # any copy of its disk is under way: there is one at a time


def next_step(machine: Machine, now: datetime) -> Step:
    if machine.state in ENDED:
        return Step.DONE
    if machine.state in _ON:
        ends = (machine.leaving_at, machine.packs_until)
        return Step.WAIT if any(at is not None and at > now for at in ends) else Step.STOP
    if machine.state is not State.STOPPED or machine.is_copied:
        return Step.WAIT
    return _at_rest(machine, machine.archive, now)


def _at_rest(machine: Machine, archive: Archive | None, now: datetime) -> Step:
    # One that was asked for before the machine was last at rest shows another disk.
    if (
        archive is None
        or archive.wanted_at < machine.since
        or archive.standing in (Standing.DELETED, Standing.DELETING, Standing.LOST)
    ):
        return Step.ARCHIVE
    if archive.standing is Standing.FAILED:
        return Step.ARCHIVE if now - archive.wanted_at >= RETRY else Step.WAIT
    if archive.standing is not Standing.KEPT:
        return Step.WAIT
    fresh = archive.verified_at is not None and now - archive.verified_at < TRUSTED
    return Step.DELETE if fresh else Step.VERIFY


class Fault(StrEnum):
    MISSING = "missing"
    OTHER = "other"  # it carries another key: not the one that was asked for
    INCOMPLETE = "incomplete"
    TOO_SMALL = "too-small"  # it shows less than the machine's whole disk


def fault_of(view: SnapshotView | None, *, key: str, disk_gb: int) -> Fault | None:
    """Why the archive of a disk of `disk_gb` must not be trusted, as the provider tells it now; None: it may be."""
    if view is None:
        return Fault.MISSING
    if view.key != key:
        return Fault.OTHER
    if view.state is not SnapshotState.COMPLETED:
        return Fault.INCOMPLETE
    return Fault.TOO_SMALL if view.disk_gb < disk_gb else None


class CopyStep(StrEnum):
    LEAVE = "leave"
    KEEP = "keep"  # hold for it up to the day on which it goes
    DELETE = "delete"


def next_for_copy(
    standing: Standing, keep_until: datetime | None, until: datetime, now: datetime, *, is_superseded: bool
) -> CopyStep:
    """`until`: what its owner was told. `is_superseded`: made by the night, of a disk that has been archived since."""
    if standing not in (Standing.KEPT, Standing.PENDING, Standing.WANTED):
        return CopyStep.LEAVE
    if is_superseded and standing is Standing.KEPT:
        return CopyStep.DELETE
    if keep_until is None or keep_until < until:  # never shorter than it was told
        return CopyStep.KEEP
    return CopyStep.DELETE if standing is Standing.KEPT and keep_until <= now else CopyStep.LEAVE
