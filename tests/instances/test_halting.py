"""The kill switch: all off and nothing launched until it is undone, whatever runs beside it; undo restarts the set."""

from datetime import timedelta
from decimal import Decimal
from functools import partial
from time import sleep

import pytest

from courses.models import User
from instances import halting, requesting, services
from instances.halting import HaltRefused, enforce, halt, lift, restart_due
from instances.halts import Halt, HaltedMachine
from instances.models import Instance
from instances.refusals import LaunchRefused
from instances.states import LIVE, State
from instances.stopping import stop
from instances.sweeps import halts
from spend.services import budget_of, set_amount
from tests.instances.conftest import Stage, check_books, events, fresh
from tests.race import race


def boss(stage: Stage) -> User:
    assert stage.cast.instructor.user
    return stage.cast.instructor.user


def pull(stage: Stage, *, reach: str = "all", everywhere: bool = False) -> Halt:
    course = None if everywhere else stage.cast.course
    row = halt(course, reach=reach, why="the bill", who=boss(stage), now=stage.now)
    stop(enforce(row, who=boss(stage), now=stage.now), cloud=stage.cloud, now=stage.now)
    return row


@pytest.mark.parametrize("everywhere", [False, True])
def test_it_stops_everything_and_nothing_is_launched_or_started(stage: Stage, everywhere: bool) -> None:
    running = stage.running()
    stopped = stage.stop(stage.running(stage.cast.other_student))
    stage.wait(3)
    asked = stage.click_launch(stage.cast.ta)
    pull(stage, everywhere=everywhere)
    stage.wait(3)
    assert stage.alive() == []
    assert fresh(asked).state == State.TERMINATED
    with pytest.raises(LaunchRefused, match=r"Ines Structor has stopped all machines of this .*: the bill"):
        stage.click_launch(stage.cast.instructor)
    with pytest.raises(LaunchRefused, match="the bill"):
        services.request_start(stopped, who=stopped.owner.user, now=stage.now)
    assert "the bill" in fresh(running).reason
    assert events(running, "moved")[-2].mail_to == "ada@demo.edu"
    assert Instance.objects.filter(state__in=LIVE).count() == 0
    check_books()


def test_of_another_course_nothing_is_touched(stage: Stage) -> None:
    row = stage.running()
    halt(stage.cast.other_course, reach="all", why="there", who=boss(stage), now=stage.now)
    stage.wait(3)
    halts(stage.cloud, stage.now)
    assert fresh(row).state == State.RUNNING
    stage.click_launch(stage.cast.other_student)


def test_idle_ones_only_leaves_those_in_use_alone_and_lets_nobody_launch(stage: Stage) -> None:
    used, idle = stage.running(), stage.running(stage.cast.other_student)
    stage.active.add(used.slug)
    stage.wait(25)
    pull(stage, reach="idle")
    stage.wait(2)
    halts(stage.cloud, stage.now)
    assert (fresh(used).state, fresh(idle).state) == (State.RUNNING, State.STOPPED)
    with pytest.raises(LaunchRefused):
        stage.click_launch(stage.cast.ta)


def test_it_is_pulled_once(stage: Stage) -> None:
    pull(stage)
    with pytest.raises(HaltRefused, match="already"):
        pull(stage)


def test_undo_starts_the_same_machines_and_no_other(stage: Stage) -> None:
    on = [stage.running(), stage.running(stage.cast.other_student)]
    off = stage.stop(stage.running(stage.cast.ta))
    stage.wait(3)
    row = pull(stage)
    stage.wait(3)
    assert lift(row, restart=True, who=boss(stage), now=stage.now)
    assert not lift(row, restart=False, who=boss(stage), now=stage.now)
    halts(stage.cloud, stage.now)
    stage.wait(2)
    assert [fresh(machine).state for machine in (*on, off)] == [State.RUNNING, State.RUNNING, State.STOPPED]
    halts(stage.cloud, stage.now)
    assert [fresh(machine).run_number for machine in on] == [2, 2]
    check_books()


def test_undo_without_restart_starts_nothing(stage: Stage) -> None:
    stage.running()
    row = pull(stage)
    stage.wait(3)
    lift(row, restart=False, who=boss(stage), now=stage.now)
    halts(stage.cloud, stage.now)
    stage.wait(2)
    assert stage.alive() == []
    stage.click_launch(stage.cast.ta)


def test_a_machine_that_is_still_stopping_starts_later_and_one_without_money_says_why(stage: Stage) -> None:
    rich, poor = stage.running(), stage.running(stage.cast.other_student)
    row = pull(stage)
    lift(row, restart=True, who=boss(stage), now=stage.now)
    assert restart_due(stage.now) == []
    budget = budget_of(stage.cast.other_student)
    stage.wait(3)
    budget.refresh_from_db()
    set_amount(budget, budget.spent_usd + budget.held_usd, why="poor", who=None, now=stage.now)
    halts(stage.cloud, stage.now)
    stage.wait(2)
    assert (fresh(rich).state, fresh(poor).state) == (State.RUNNING, State.STOPPED)
    assert "cannot pay" in HaltedMachine.objects.get(instance=poor).problem
    check_books()


def test_what_was_deleted_meanwhile_is_not_started_and_is_told(stage: Stage) -> None:
    machine = stage.running()
    row = pull(stage)
    stage.wait(3)
    services.request_terminate(fresh(machine), who=machine.owner.user, now=stage.now)
    lift(row, restart=True, who=boss(stage), now=stage.now)
    assert restart_due(stage.now) == []
    assert "launch it again" in HaltedMachine.objects.get().problem


def test_while_the_installation_is_halted_undoing_a_course_starts_nothing_yet(stage: Stage) -> None:
    machine = stage.running()
    row = pull(stage)
    stage.wait(3)
    above = halt(None, reach="all", why="above", who=boss(stage), now=stage.now)
    lift(row, restart=True, who=boss(stage), now=stage.now)
    assert restart_due(stage.now) == []
    lift(above, restart=False, who=boss(stage), now=stage.now)
    assert restart_due(stage.now) == [machine.pk]


def test_what_died_half_way_is_finished_by_the_round(stage: Stage) -> None:
    stage.running()
    halt(stage.cast.course, reach="all", why="died", who=boss(stage), now=stage.now)
    halts(stage.cloud, stage.now)
    stage.wait(3)
    assert stage.alive() == []
    assert HaltedMachine.objects.count() == 1


# ------------------------------------------------------------------ beside launches
def launch_beside(stage: Stage, n: int) -> str:
    owner = (stage.cast.student, stage.cast.other_student, stage.cast.ta, stage.cast.instructor)[n]
    sleep(n * 0.02)
    return str(stage.click_launch(owner).slug)


def halt_beside(stage: Stage) -> int:
    sleep(0.03)
    row = halt(stage.cast.course, reach="all", why="race", who=boss(stage), now=stage.now)
    return len(enforce(row, who=boss(stage), now=stage.now))


def all_at_once(stage: Stage) -> int:
    """How many machines are still wanted after a halt that ran beside four launches."""
    for n in range(4):
        owner = (stage.cast.student, stage.cast.other_student, stage.cast.ta, stage.cast.instructor)[n]
        set_amount(budget_of(owner), Decimal(100), why="room", who=None, now=stage.now)
    race([*(partial(launch_beside, stage, n) for n in range(4)), partial(halt_beside, stage)])
    return Instance.objects.filter(state__in=halting.STOPPABLE).count()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_no_launch_slips_past_the_switch(stage: Stage) -> None:
    assert all_at_once(stage) == 0


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_control_a_launch_that_looks_before_it_is_safe_slips_past(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if the halt were looked at before the money is locked: what is decided then is old when it is written."""
    real = requesting.books.hold_new_machine

    def late(*args: object, **kwargs: object) -> None:
        sleep(3)  # long enough for a halt on a busy computer
        real(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(requesting.books, "hold_new_machine", late)
    monkeypatch.setattr(requesting, "refuse_if_halted", lambda _course: None)
    monkeypatch.setattr(halting, "wait_for_launches", lambda _course: None)
    assert all_at_once(stage) > 0


def test_after_an_hour_a_machine_that_never_stopped_is_given_up(stage: Stage) -> None:
    stage.running()
    row = pull(stage)
    lift(row, restart=True, who=boss(stage), now=stage.now)
    assert restart_due(stage.now + timedelta(minutes=59)) == []
    assert HaltedMachine.objects.filter(done_at=None).count() == 1
    restart_due(stage.now + timedelta(minutes=61))
    assert "within an hour" in HaltedMachine.objects.get().problem


@pytest.mark.parametrize("everywhere", [True, False])
def test_what_another_halt_keeps_off_for_an_hour_is_not_started_by_itself_any_more(
    stage: Stage, everywhere: bool
) -> None:
    """Whoever lifts that one, hours later and without a restart, means none; nobody sits before these machines."""
    machine = stage.running()
    first = pull(stage)
    stage.wait(3)
    lift(first, restart=True, who=boss(stage), now=stage.now)
    course = None if everywhere else stage.cast.course
    second = halt(course, reach="all", why="again", who=boss(stage), now=stage.now)
    stage.later(59 * 60)
    assert restart_due(stage.now) == []
    assert HaltedMachine.objects.get().done_at is None
    stage.later(60)
    assert restart_due(stage.now) == []
    assert "within an hour" in HaltedMachine.objects.get().problem
    lift(second, restart=False, who=boss(stage), now=stage.now)
    assert restart_due(stage.now) == []
    assert fresh(machine).state == State.STOPPED
    services.request_start(fresh(machine), who=machine.owner.user, now=stage.now)  # its owner may


def test_a_portal_that_comes_back_hours_after_the_undo_starts_nothing(stage: Stage) -> None:
    stage.running()
    row = pull(stage)
    stage.wait(3)
    lift(row, restart=True, who=boss(stage), now=stage.now)
    assert restart_due(stage.now + timedelta(hours=5)) == []
    assert "within an hour" in HaltedMachine.objects.get().problem
