"""What to do about one machine, from what its row and the cloud say now. Pure, and level-triggered: it never looks at
what was done before, only at what is so. Whoever acts on it may die at any line; the next round decides the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cloud.base import CloudState, MachineView
from instances.states import State

CALL_SECONDS = 90  # longer than a launch call may take: its process is dead
REPEAT_SECONDS = 20  # a stop is not said again sooner
MESSAGE_SECONDS = 10  # a request older than this has lost its message
PATIENCE_SECONDS = 900  # of a launch without any clear answer
VISIBLE_SECONDS = 300  # until then a new machine may not be listed, and an absent one may come back
FORCE_SECONDS = 600  # of stopping, after which it is forced
PERSON_SECONDS = 900  # of stopping, after which a person is called
GUARD_SECONDS = 180  # a machine runs no longer without AWS's own timer

ALIVE = frozenset({CloudState.PENDING, CloudState.RUNNING})
GONE = (CloudState.SHUTTING_DOWN, CloudState.TERMINATED)
_ASKED_TO_END = (State.STOPPING, State.TERMINATING)
_TICK = timedelta(seconds=1)  # the cloud tells whole seconds


class Do(StrEnum):
    LAUNCH = "launch"  # ask the question of this attempt (again)
    START = "start"
    STOP = "stop"  # say stop (again)
    TERMINATE = "terminate"
    ADOPT = "adopt"  # the machine exists, its answer was lost
    GUARD = "guard"  # set or move AWS's own timer
    RUNS = "runs"  # LAUNCHING is RUNNING
    RUNS_ON = "runs-on"  # it is to end, and nobody saw yet that it runs: what it costs begins
    OFF = "off"  # it is to be deleted, and is stopped already: no second more is paid for
    ENDING = "ending"  # somebody or something stops it: RUNNING is STOPPING
    STOPPED = "stopped"  # close the books, keep the disk
    TERMINATED = "terminated"  # close all books
    FAILED = "failed"  # there never was a machine
    REQUEST_STOP = "request-stop"
    STOP_AGAIN = "stop-again"  # runs although it was stopped
    BOOK = "book"  # it ran unseen: write the run down
    ABSENT = "absent"  # not listed: remember since when
    GONE = "gone"  # not listed for too long: ask once more, then close all books
    NEVER_WAS = "never-was"  # the same for a machine that nobody ever saw
    CALL_PERSON = "call-person"


class Why(StrEnum):
    NONE = ""
    FROM_INSIDE = "from-inside"  # poweroff in the machine: its own watch, its timer, or a person
    LEASE_TIMER = "lease-timer"  # AWS's own timer
    AWS = "aws"  # AWS itself, or somebody with the account's console
    NO_ANSWER = "no-answer"
    UNGUARDED = "unguarded"
    NOT_STOPPING = "not-stopping"


@dataclass(frozen=True, slots=True)
class Row:
    """What a decision needs of the row. Times are UTC."""

    state: State
    state_since: datetime
    cloud_id: str = ""
    asked_at: datetime | None = None
    calling_until: datetime | None = None
    absent_since: datetime | None = None
    last_report_at: datetime | None = None
    guard_until: datetime | None = None
    guard_wanted: datetime | None = None
    last_run_began: datetime | None = None  # of the last run in the books, open or closed
    person_called: bool = False
    queued: bool = False


@dataclass(frozen=True, slots=True)
class Intent:
    do: Do
    why: Why = Why.NONE
    at: datetime | None = None  # when it ended, where that is known


def decide_repair(row: Row, view: MachineView | None, now: datetime) -> list[Intent]:
    """What to do now, in order. `view` is None when a describe that worked did not list the machine."""
    if not row.cloud_id:
        return list(_without_machine(row, view, now))
    if view is None:
        return list(_absent(row, now))
    # A power-off from inside tells no moment: then only its beginning shows that it was another run.
    if row.last_run_began and min(view.launched_at, view.ended_at or view.launched_at) < row.last_run_began:
        return []  # the answer is older than the last run
    return list(_STATES[row.state](row, view, now))


def why_ended(view: MachineView, guard_until: datetime | None) -> Why:
    """Why a machine ended that the portal did not stop."""
    if "InstanceInitiated" in view.state_reason:
        return Why.FROM_INSIDE
    if guard_until and view.ended_at and view.ended_at >= guard_until - _TICK:
        return Why.LEASE_TIMER
    return Why.AWS


def known_by(asked_at: datetime, stopped_at: datetime) -> datetime:
    """When a machine that AWS made of a question without an answer must have been listed. UTC."""
    return max(asked_at, stopped_at) + timedelta(seconds=VISIBLE_SECONDS)


def is_new_run(row: Row, view: MachineView) -> bool:
    """Whether the cloud speaks of a run that is not in the books; else its answer may be old."""
    return row.last_run_began is None or view.launched_at > row.last_run_began


def _older(moment: datetime | None, seconds: int, now: datetime) -> bool:
    return moment is not None and now - moment >= timedelta(seconds=seconds)


def _without_machine(row: Row, view: MachineView | None, now: datetime) -> Iterator[Intent]:
    if view is not None:
        yield Intent(Do.ADOPT)
    elif row.calling_until and row.calling_until > now:
        return  # somebody is asking
    elif row.state in _ASKED_TO_END:
        yield from _ended_unborn(row, now)
    elif row.state is State.LAUNCHING and row.asked_at and _older(row.state_since, PATIENCE_SECONDS, now):
        yield Intent(Do.REQUEST_STOP, Why.NO_ANSWER)
    elif row.state is State.REQUESTED and row.queued:
        return  # its turn comes
    elif row.state is State.LAUNCHING or _older(row.state_since, MESSAGE_SECONDS, now):
        yield Intent(Do.LAUNCH)


def _ended_unborn(row: Row, now: datetime) -> Iterator[Intent]:
    """Stopped before AWS's answer was known: it may still have a machine for us."""
    if row.asked_at is None:
        yield Intent(Do.FAILED)
    elif now >= known_by(row.asked_at, row.state_since):
        yield Intent(Do.NEVER_WAS)


def _absent(row: Row, now: datetime) -> Iterator[Intent]:
    """A machine that is not listed is unknown, not gone: describes lag behind, and may miss one."""
    if row.absent_since is None:
        yield Intent(Do.ABSENT)
    elif row.last_report_at and row.last_report_at > row.absent_since:
        return  # it talks to us
    elif _older(row.absent_since, VISIBLE_SECONDS, now):
        yield Intent(Do.GONE)


def _launching(row: Row, view: MachineView, now: datetime) -> Iterator[Intent]:
    new = is_new_run(row, view)
    if view.state is CloudState.TERMINATED:
        ran = new and ("Initiated" in view.state_reason or "initiated" in view.state_reason)
        yield Intent(Do.TERMINATED if ran or row.last_run_began else Do.FAILED, Why.AWS, view.ended_at)
    elif view.state is CloudState.RUNNING and new:
        yield Intent(Do.RUNS)
        yield from _guarding(row, view, now)
    elif view.state is CloudState.STOPPED and new:
        yield Intent(Do.STOPPED, why_ended(view, row.guard_until), view.ended_at)
    elif view.state is CloudState.PENDING and new:
        yield from _guarding(row, view, now)
    elif row.calling_until is None or row.calling_until <= now:
        yield from _not_started_yet(row, view, now)


def _not_started_yet(row: Row, view: MachineView, now: datetime) -> Iterator[Intent]:
    if view.state is not CloudState.STOPPED:
        return  # what is listed is of the last run, or on its way
    if row.asked_at and _older(row.state_since, PATIENCE_SECONDS, now):
        yield Intent(Do.REQUEST_STOP, Why.NO_ANSWER)
    elif row.asked_at is None or _older(row.asked_at, REPEAT_SECONDS, now):
        yield Intent(Do.START)


def _running(row: Row, view: MachineView, now: datetime) -> Iterator[Intent]:
    if view.state in ALIVE:
        yield from _guarding(row, view, now)
        return
    why = why_ended(view, row.guard_until)
    match view.state:
        case CloudState.STOPPING:
            yield Intent(Do.ENDING, why)
        case CloudState.STOPPED:
            yield Intent(Do.STOPPED, why, view.ended_at)
        case CloudState.TERMINATED:
            yield Intent(Do.TERMINATED, why, view.ended_at)


def _stopping(row: Row, view: MachineView, now: datetime) -> Iterator[Intent]:
    if view.state is CloudState.STOPPED:
        if not _may_be_starting(row, view, now):
            yield Intent(Do.STOPPED, at=view.ended_at)
    elif view.state is CloudState.TERMINATED:
        yield Intent(Do.TERMINATED, Why.AWS, view.ended_at)
    else:
        yield from _runs_on(row, view)
        if view.state in ALIVE or _older(row.state_since, FORCE_SECONDS, now):
            yield Intent(Do.STOP)
        yield from _person(row, now)


def _may_be_starting(row: Row, view: MachineView, now: datetime) -> bool:
    """Stopped while somebody was asking for its start: that call may still come through, or has, and the look does not
    show it yet. What then runs is to be held for."""
    if row.calling_until and row.calling_until > now:
        return True
    if row.asked_at is None or _older(row.asked_at, REPEAT_SECONDS, now) or is_new_run(row, view):
        return False
    return _older(view.launched_at, REPEAT_SECONDS, row.asked_at)  # not the run that was asked for


def _stopped(row: Row, view: MachineView, now: datetime) -> Iterator[Intent]:
    if view.state is CloudState.TERMINATED:
        yield Intent(Do.TERMINATED, Why.AWS, view.ended_at)
    elif view.state in ALIVE:
        yield Intent(Do.STOP_AGAIN)
    elif view.state is CloudState.STOPPED and is_new_run(row, view):
        yield Intent(Do.BOOK, at=view.ended_at)


def _terminating(row: Row, view: MachineView, now: datetime) -> Iterator[Intent]:
    if view.state is CloudState.TERMINATED:
        yield Intent(Do.TERMINATED, at=view.ended_at)
    elif view.state is not CloudState.SHUTTING_DOWN:
        yield from _runs_on(row, view)
        if view.state is CloudState.STOPPED:
            yield Intent(Do.OFF, at=view.ended_at)
        yield Intent(Do.TERMINATE)
        yield from _person(row, now)


def _runs_on(row: Row, view: MachineView) -> Iterator[Intent]:
    """AWS forgets a deleted machine within the hour: who looks only afterwards finds nothing to count."""
    ran = view.state in (CloudState.RUNNING, CloudState.STOPPING, CloudState.STOPPED)
    if ran and is_new_run(row, view):
        yield Intent(Do.RUNS_ON)


def _guarding(row: Row, view: MachineView, now: datetime) -> Iterator[Intent]:
    """AWS's timer stands where the lease says, or the machine does not run long."""
    if row.guard_until is None and _older(view.launched_at, GUARD_SECONDS, now):
        yield Intent(Do.GUARD)
        yield Intent(Do.REQUEST_STOP, Why.UNGUARDED)
    elif row.guard_until != row.guard_wanted:
        yield Intent(Do.GUARD)


def _person(row: Row, now: datetime) -> Iterator[Intent]:
    if not row.person_called and _older(row.state_since, PERSON_SECONDS, now):
        yield Intent(Do.CALL_PERSON, Why.NOT_STOPPING)


_STATES = {
    State.LAUNCHING: _launching,
    State.RUNNING: _running,
    State.STOPPING: _stopping,
    State.STOPPED: _stopped,
    State.TERMINATING: _terminating,
}
