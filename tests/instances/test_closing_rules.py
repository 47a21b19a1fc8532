"""What is next for a machine when its course closes: every case a row. Nothing unproved is ever deleted."""

from datetime import UTC, datetime, timedelta

import pytest

from cloud.disks import SnapshotState, SnapshotView
from instances.closing_rules import (
    RETRY,
    TRUSTED,
    Archive,
    CopyStep,
    Fault,
    Machine,
    Step,
    fault_of,
    next_for_copy,
    next_step,
)
from instances.disk_rules import Standing
from instances.states import ENDED, State

NOW = datetime(2019, 5, 18, 7, tzinfo=UTC)
REST = NOW - timedelta(hours=2)  # at rest since
MINUTE = timedelta(minutes=1)


def archive(standing: Standing, wanted: datetime = REST, verified: datetime | None = None) -> Archive:
    return Archive(standing, wanted, verified)


def at_rest(one: Archive | None = None, *, is_copied: bool = False) -> Machine:
    return Machine(State.STOPPED, REST, archive=one, is_copied=is_copied)


CASES = {
    "waits in the queue": (Machine(State.REQUESTED, REST), Step.STOP),
    "is being launched": (Machine(State.LAUNCHING, REST), Step.STOP),
    "runs": (Machine(State.RUNNING, REST), Step.STOP),
    "saves before its stop": (Machine(State.RUNNING, REST, NOW + MINUTE), Step.WAIT),
    "packs its student's files": (Machine(State.RUNNING, REST, packs_until=NOW + MINUTE), Step.WAIT),
    "had its time to pack": (Machine(State.RUNNING, REST, packs_until=NOW), Step.STOP),
    "had its time to save": (Machine(State.RUNNING, REST, NOW), Step.STOP),
    "stops": (Machine(State.STOPPING, REST), Step.WAIT),
    "is being deleted": (Machine(State.TERMINATING, REST), Step.WAIT),
    "is gone": (Machine(State.TERMINATED, REST), Step.DONE),
    "never was": (Machine(State.FAILED, REST), Step.DONE),
    "at rest, no archive": (at_rest(), Step.ARCHIVE),
    "another copy is under way": (at_rest(is_copied=True), Step.WAIT),
    "archive asked for": (at_rest(archive(Standing.WANTED), is_copied=True), Step.WAIT),
    "archive pending": (at_rest(archive(Standing.PENDING), is_copied=True), Step.WAIT),
    "archive failed just now": (at_rest(archive(Standing.FAILED, NOW - RETRY + MINUTE)), Step.WAIT),
    "archive failed an hour ago": (at_rest(archive(Standing.FAILED, NOW - RETRY)), Step.ARCHIVE),
    "archive deleted by its owner": (at_rest(archive(Standing.DELETED)), Step.ARCHIVE),
    "archive being deleted by its owner": (at_rest(archive(Standing.DELETING)), Step.ARCHIVE),
    "archive of before the last run": (at_rest(archive(Standing.KEPT, REST - MINUTE, NOW)), Step.ARCHIVE),
    "said to be complete": (at_rest(archive(Standing.KEPT)), Step.VERIFY),
    "proved too long ago": (at_rest(archive(Standing.KEPT, REST, NOW - TRUSTED)), Step.VERIFY),
    "proved just now": (at_rest(archive(Standing.KEPT, REST, NOW - MINUTE)), Step.DELETE),
    "proved, but another copy is under way": (at_rest(archive(Standing.KEPT, REST, NOW), is_copied=True), Step.WAIT),
}


@pytest.mark.parametrize("name", CASES)
def test_next(name: str) -> None:
    machine, expected = CASES[name]
    assert next_step(machine, NOW) is expected


def test_of_all_combinations_only_a_fresh_proof_of_the_disk_at_rest_deletes() -> None:
    moments = (None, NOW - TRUSTED, NOW)
    deleting = [
        (state, one)
        for state in State
        for one in (Archive(s, w, v) for s in Standing for w in (REST - MINUTE, REST) for v in moments)
        if next_step(Machine(state, REST, archive=one), NOW) is Step.DELETE
    ]
    assert deleting == [(State.STOPPED, Archive(Standing.KEPT, REST, NOW))]
    assert all(next_step(Machine(state, REST), NOW) is Step.DONE for state in ENDED)


def view(**other: object) -> SnapshotView:
    told: dict[str, object] = {"state": SnapshotState.COMPLETED, "disk_gb": 64, "key": "s1", "stored_bytes": None}
    return SnapshotView(snapshot_id="snap-1", started_at=NOW, **{**told, **other})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("told", "fault"),
    [
        (view(), None),
        (view(disk_gb=65), None),
        (None, Fault.MISSING),
        (view(key="s2"), Fault.OTHER),
        (view(key=""), Fault.OTHER),
        (view(state=SnapshotState.PENDING), Fault.INCOMPLETE),
        (view(state=SnapshotState.ERROR), Fault.INCOMPLETE),
        (view(disk_gb=63), Fault.TOO_SMALL),
    ],
)
def test_what_is_no_archive(told: SnapshotView | None, fault: Fault | None) -> None:
    assert fault_of(told, key="s1", disk_gb=64) is fault


PAST, UNTIL = NOW - MINUTE, NOW + timedelta(days=30)


@pytest.mark.parametrize(
    ("standing", "keep_until", "until", "superseded", "expected"),
    [
        (Standing.KEPT, None, UNTIL, False, CopyStep.KEEP),
        (Standing.PENDING, None, UNTIL, False, CopyStep.KEEP),
        (Standing.KEPT, UNTIL, UNTIL, False, CopyStep.LEAVE),
        (Standing.KEPT, PAST, UNTIL, False, CopyStep.KEEP),  # the time was made longer
        (Standing.KEPT, UNTIL, PAST, False, CopyStep.LEAVE),  # never shorter than told
        (Standing.KEPT, PAST, PAST, False, CopyStep.DELETE),
        (Standing.PENDING, PAST, PAST, False, CopyStep.LEAVE),
        (Standing.DELETING, PAST, PAST, False, CopyStep.LEAVE),
        (Standing.DELETED, PAST, PAST, True, CopyStep.LEAVE),
        (Standing.KEPT, None, UNTIL, True, CopyStep.DELETE),
        (Standing.PENDING, None, UNTIL, True, CopyStep.KEEP),
    ],
)
def test_copies(
    standing: Standing, keep_until: datetime | None, until: datetime, superseded: bool, expected: CopyStep
) -> None:
    assert next_for_copy(standing, keep_until, until, NOW, is_superseded=superseded) is expected
