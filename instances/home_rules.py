"""A student's files on their way to a download: what is next, and what may be said of it. Pure, level-triggered."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cloud.files import LEAST_PART, MOST_PARTS
from instances.states import ENDED, State

LONGEST = timedelta(hours=6)  # from the click to the last part: so long at most it keeps its machine on
ORPHAN = timedelta(minutes=15)  # an upload that no row knows after so long is nobody's
PUTTING_TOGETHER = timedelta(minutes=30)  # S3 takes minutes for thousands of parts
# A download may move a whole archive out of AWS, a packing sends one in: both cost, and neither is in a budget.
LATELY, MOST_LINKS = timedelta(days=30), 20  # of one person
A_DAY, MOST_A_DAY = timedelta(days=1), 5  # of one machine
MOST_UNSAID = 200  # parts that were signed, and of which the machine has not said that they arrived
SPARE_BYTES = 4 * 2**20  # a part ends with a whole block, not at the very byte
_MIB, _GIB = 2**20, 2**30

# What can be had again, or is of no use elsewhere. With a slash: at that place of the home directory; else anywhere.
LEFT_OUT = (
    "/.cache",
    "/.conda/pkgs",
    "/.lamplighter",
    "/.local/share/Trash",
    "/.local/share/jupyter/runtime",
    "/.npm",
    "/.nv",
    "/miniconda3/pkgs",
    ".ipynb_checkpoints",
    "__pycache__",
)


class Standing(StrEnum):
    """What its owner reads."""

    WAITING = "waiting"  # for the machine
    PACKING = "packing"
    CHECKING = "checking"
    READY = "ready"
    FAILED = "failed"
    OVER = "over"


class Step(StrEnum):
    NONE = "none"
    BEGIN = "begin"  # ask the bucket for an upload
    COMPLETE = "complete"  # put it together and look at it
    GONE = "gone"  # its machine is: give it up
    LATE = "late"
    CLEAR = "clear"  # nothing of it may stay in the bucket


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one row. Times are UTC."""

    asked_at: datetime
    machine: State
    began_at: datetime | None = None
    packed_at: datetime | None = None
    ready_at: datetime | None = None
    expires_at: datetime | None = None
    failed_at: datetime | None = None
    cleared_at: datetime | None = None
    sent_bytes: int = 0


def standing_of(facts: Facts, now: datetime) -> Standing:
    if facts.failed_at is not None:
        return Standing.FAILED
    if facts.ready_at is not None:
        over = facts.cleared_at is not None or (facts.expires_at is not None and facts.expires_at <= now)
        return Standing.OVER if over else Standing.READY
    if facts.packed_at is not None:
        return Standing.CHECKING
    return Standing.PACKING if facts.sent_bytes else Standing.WAITING


def next_step(facts: Facts, now: datetime) -> Step:
    standing = standing_of(facts, now)
    if standing in (Standing.FAILED, Standing.OVER):
        return Step.NONE if facts.cleared_at is not None else Step.CLEAR
    if standing is Standing.READY:
        return Step.NONE
    if standing is Standing.CHECKING:
        return Step.COMPLETE
    if facts.machine in ENDED:
        return Step.GONE
    if now - facts.asked_at >= LONGEST:
        return Step.LATE
    return Step.BEGIN if facts.began_at is None else Step.NONE


def part_bytes(disk_gb: int) -> int:
    """Large enough that a full disk, which does not get smaller, fits into what S3 takes; with a tenth to spare."""
    fits = disk_gb * _GIB * 11 // 10 // MOST_PARTS
    return max(16 * _MIB, LEAST_PART, -(-fits // _MIB) * _MIB)


def most_bytes(disk_gb: int) -> int:
    """No honest archive of this disk is larger."""
    return disk_gb * _GIB * 11 // 10
