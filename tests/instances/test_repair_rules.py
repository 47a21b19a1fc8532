"""What the repair decides, row by row against what the cloud says. Pure: no database, no cloud, no clock."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cloud.base import CloudState, MachineView
from instances.repair import CALL_SECONDS, Do, Intent, Row, Why, decide_repair
from instances.states import State

NOW = datetime(2019, 3, 5, 12, tzinfo=UTC)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


GUARD = NOW + timedelta(hours=4)
ROW = Row(State.RUNNING, ago(600), "i-1", guard_until=GUARD, guard_wanted=GUARD, last_run_began=ago(600))
VIEW = MachineView("i-1", "m1", "m1-1", CloudState.RUNNING, "g4dn.xlarge", "a", "ami", "10.0.0.1", ago(600), None)


def view(state: CloudState, **changes: object) -> MachineView:
    return replace(VIEW, state=state, **changes)


def row(state: State, **changes: object) -> Row:
    return replace(ROW, state=state, **changes)


def dos(found: Row, seen: MachineView | None) -> list[Do]:
    return [intent.do for intent in decide_repair(found, seen, NOW)]


@pytest.mark.parametrize(
    ("found", "seen"),
    [
        (ROW, VIEW),
        (row(State.STOPPED), view(CloudState.STOPPED, ended_at=ago(60))),
        (row(State.STOPPING, state_since=ago(60)), view(CloudState.STOPPING)),
        (row(State.TERMINATING), view(CloudState.SHUTTING_DOWN)),
        (row(State.LAUNCHING, last_run_began=None), view(CloudState.PENDING)),
        (Row(State.REQUESTED, ago(1)), None),
        (Row(State.LAUNCHING, ago(5), asked_at=ago(5), calling_until=NOW + timedelta(seconds=85)), None),
    ],
)
def test_nothing_is_done_about_what_is_as_it_should_be(found: Row, seen: MachineView | None) -> None:
    assert dos(found, seen) == []


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Row(State.REQUESTED, ago(30)), [Do.LAUNCH]),  # its message was lost
        (Row(State.LAUNCHING, ago(30)), [Do.LAUNCH]),  # died before it asked
        (Row(State.LAUNCHING, ago(100), asked_at=ago(100), calling_until=ago(100 - CALL_SECONDS)), [Do.LAUNCH]),
        (Row(State.LAUNCHING, ago(901), asked_at=ago(60)), [Do.REQUEST_STOP]),
        (Row(State.STOPPING, ago(30)), [Do.FAILED]),  # AWS was never asked
        (Row(State.STOPPING, ago(30), asked_at=ago(40)), []),  # it may still show up
        (Row(State.STOPPING, ago(310), asked_at=ago(320)), [Do.NEVER_WAS]),
        (Row(State.TERMINATING, ago(310), asked_at=ago(320)), [Do.NEVER_WAS]),
    ],
)
def test_rows_without_a_machine(found: Row, expected: list[Do]) -> None:
    assert dos(found, None) == expected


def test_a_machine_whose_answer_was_lost_is_adopted_also_when_it_is_to_stop() -> None:
    for state in (State.LAUNCHING, State.STOPPING, State.TERMINATING):
        assert dos(Row(state, ago(5), asked_at=ago(5)), VIEW) == [Do.ADOPT]


def test_absence_is_remembered_first_and_believed_after_five_minutes() -> None:
    assert dos(ROW, None) == [Do.ABSENT]
    assert dos(replace(ROW, absent_since=ago(299)), None) == []
    assert dos(replace(ROW, absent_since=ago(300)), None) == [Do.GONE]


def test_a_machine_that_reports_is_not_gone_however_long_it_is_not_listed() -> None:
    assert dos(replace(ROW, absent_since=ago(3000), last_report_at=ago(20)), None) == []


@pytest.mark.parametrize("state", [State.STOPPING, State.STOPPED, State.TERMINATING, State.LAUNCHING])
def test_every_state_with_a_machine_notices_its_absence(state: State) -> None:
    assert dos(row(state), None) == [Do.ABSENT]


def test_launching_becomes_running_only_by_a_run_that_is_not_in_the_books() -> None:
    assert dos(row(State.LAUNCHING, last_run_began=None), VIEW) == [Do.RUNS]
    assert dos(row(State.LAUNCHING, last_run_began=ago(9000)), VIEW) == [Do.RUNS]
    assert dos(row(State.LAUNCHING, last_run_began=VIEW.launched_at), VIEW) == []  # an old answer


def test_a_stopped_machine_that_is_to_run_is_started_again_but_not_in_the_middle_of_a_call() -> None:
    was = view(CloudState.STOPPED, ended_at=ago(300))
    waiting = row(State.LAUNCHING, state_since=ago(60))
    assert dos(waiting, was) == [Do.START]
    assert dos(replace(waiting, asked_at=ago(5)), was) == []
    assert dos(replace(waiting, asked_at=ago(50), calling_until=NOW + timedelta(seconds=40)), was) == []
    assert dos(replace(waiting, asked_at=ago(50), state_since=ago(901)), was) == [Do.REQUEST_STOP]


@pytest.mark.parametrize(
    ("reason", "ended", "why"),
    [
        ("Client.InstanceInitiatedShutdown: Instance initiated shutdown", ago(30), Why.FROM_INSIDE),
        ("Client.UserInitiatedShutdown: User initiated shutdown", GUARD, Why.LEASE_TIMER),
        ("Server.SpotInstanceTermination", ago(30), Why.AWS),
    ],
)
def test_a_running_machine_that_ended_is_closed_with_an_honest_reason(reason: str, ended: datetime, why: Why) -> None:
    gone = view(CloudState.STOPPED, state_reason=reason, ended_at=ended)
    assert decide_repair(ROW, gone, NOW) == [Intent(Do.STOPPED, why, ended)]
    gone = view(CloudState.TERMINATED, state_reason=reason, ended_at=ended)
    assert decide_repair(ROW, gone, NOW) == [Intent(Do.TERMINATED, why, ended)]


def test_what_stops_by_itself_is_verified_like_any_stop() -> None:
    assert dos(ROW, view(CloudState.STOPPING)) == [Do.ENDING]


@pytest.mark.parametrize("state", [State.RUNNING, State.STOPPING])
def test_an_answer_older_than_the_run_changes_nothing(state: State) -> None:
    """Started again a moment ago; the cloud still tells of the stop before."""
    assert dos(row(state, last_run_began=ago(30)), view(CloudState.STOPPED, ended_at=ago(90))) == []


@pytest.mark.parametrize("state", [State.RUNNING, State.STOPPING, State.STOPPED, State.TERMINATING])
@pytest.mark.parametrize("seen", [CloudState.STOPPED, CloudState.STOPPING, CloudState.RUNNING])
def test_an_answer_about_an_earlier_run_changes_nothing_also_if_it_tells_no_end(state: State, seen: CloudState) -> None:
    """A power-off from inside tells no moment."""
    now_on = row(state, last_run_began=ago(30))
    assert dos(now_on, view(seen, state_reason="Client.InstanceInitiatedShutdown")) == []
    assert dos(now_on, view(CloudState.STOPPED, launched_at=ago(30))) != [] or state is State.STOPPED


def test_a_stop_right_after_a_start_waits_until_a_look_can_show_it() -> None:
    old, new = view(CloudState.STOPPED), view(CloudState.STOPPED, launched_at=ago(4), ended_at=ago(1))
    ended = row(State.STOPPING, asked_at=ago(19))
    assert dos(ended, old) == []
    assert dos(ended, new) == [Do.STOPPED]
    assert dos(replace(ended, asked_at=ago(20)), old) == [Do.STOPPED]
    assert dos(replace(ended, asked_at=None), old) == [Do.STOPPED]
    assert dos(replace(ended, last_run_began=ago(4)), new) == [Do.STOPPED]  # seen to run in between


def test_a_stop_is_said_again_while_the_machine_is_alive() -> None:
    assert dos(row(State.STOPPING, state_since=ago(30)), VIEW) == [Do.STOP]
    assert dos(row(State.STOPPING, state_since=ago(30)), view(CloudState.PENDING)) == [Do.STOP]


def test_a_stop_waits_for_the_start_that_is_being_asked_for_before_it_frees_the_money() -> None:
    """Else the call comes through after the look, and runs what nothing is held for any more."""
    stopped = view(CloudState.STOPPED, ended_at=ago(500))
    assert dos(row(State.STOPPING, calling_until=ago(-30)), stopped) == []
    assert dos(row(State.STOPPING, calling_until=ago(-30)), VIEW) == [Do.STOP]
    assert dos(row(State.STOPPING, calling_until=ago(1)), stopped) == [Do.STOPPED]
    assert dos(row(State.STOPPING), stopped) == [Do.STOPPED]


def test_a_stop_that_lasts_is_forced_then_a_person_is_called_once() -> None:
    slow = view(CloudState.STOPPING)
    assert dos(row(State.STOPPING, state_since=ago(599)), slow) == []
    assert dos(row(State.STOPPING, state_since=ago(600)), slow) == [Do.STOP]
    assert dos(row(State.STOPPING, state_since=ago(900)), slow) == [Do.STOP, Do.CALL_PERSON]
    assert dos(row(State.STOPPING, state_since=ago(900), person_called=True), slow) == [Do.STOP]


@pytest.mark.parametrize("state", list(CloudState))
def test_a_deletion_is_said_again_until_the_machine_is_going(state: CloudState) -> None:
    done = {CloudState.SHUTTING_DOWN: [], CloudState.TERMINATED: [Do.TERMINATED]}
    done[CloudState.STOPPED] = [Do.OFF, Do.TERMINATE]
    assert dos(row(State.TERMINATING, state_since=ago(30)), view(state)) == done.get(state, [Do.TERMINATE])


@pytest.mark.parametrize(("state", "said"), [(State.STOPPING, Do.STOP), (State.TERMINATING, Do.TERMINATE)])
def test_what_is_to_end_and_was_never_seen_to_run_is_counted_from_the_first_look(state: State, said: Do) -> None:
    asked = row(state, state_since=ago(30), last_run_began=None)
    assert dos(asked, view(CloudState.RUNNING)) == [Do.RUNS_ON, said]
    assert dos(asked, view(CloudState.STOPPING))[0] == Do.RUNS_ON
    assert dos(asked, view(CloudState.PENDING)) == [said]
    assert dos(replace(asked, last_run_began=VIEW.launched_at), view(CloudState.RUNNING)) == [said]


def test_what_runs_although_it_was_stopped_is_stopped_and_its_run_is_booked() -> None:
    again = ago(50)
    assert dos(row(State.STOPPED), view(CloudState.RUNNING, launched_at=again)) == [Do.STOP_AGAIN]
    ended = view(CloudState.STOPPED, launched_at=again, ended_at=ago(10))
    assert decide_repair(row(State.STOPPED), ended, NOW) == [Intent(Do.BOOK, at=ago(10))]


def test_awss_timer_follows_the_lease_and_without_it_nothing_runs_long() -> None:
    moved = replace(ROW, guard_wanted=GUARD + timedelta(hours=2))
    assert dos(moved, VIEW) == [Do.GUARD]
    bare = replace(ROW, guard_until=None)
    assert dos(bare, view(CloudState.RUNNING, launched_at=ago(179))) == [Do.GUARD]
    assert dos(bare, view(CloudState.RUNNING, launched_at=ago(180))) == [Do.GUARD, Do.REQUEST_STOP]


def test_a_machine_that_died_while_pending_never_ran_unless_somebody_ended_it() -> None:
    new = row(State.LAUNCHING, last_run_began=None)
    assert dos(new, view(CloudState.TERMINATED, state_reason="Server.InternalError: on launch")) == [Do.FAILED]
    ended = view(CloudState.TERMINATED, state_reason="Client.UserInitiatedShutdown: User initiated shutdown")
    assert dos(new, ended) == [Do.TERMINATED]
