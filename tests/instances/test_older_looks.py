"""A look takes time, and may show what was before: nothing is done about a row that has changed meanwhile, and nothing
is believed that is older than what is known."""

from datetime import timedelta

import pytest

from cloud.base import MachineView, Transient
from instances import guard, services, starting
from instances.models import Instance, Run
from instances.states import State
from instances.sweeps.repairing import _note_sightings
from spend.models import Hold
from tests.instances.conftest import HOUR, Stage, check_books, compute_seconds, events, fresh

QUICK = 5


@pytest.fixture
def stopped(stage: Stage) -> Instance:
    row = stage.running()
    stage.active.add(row.slug)
    stage.wait(5)
    stage.stop(row)
    stage.wait(3)
    assert fresh(row).state == State.STOPPED
    return fresh(row)


def start(stage: Stage, row: Instance) -> None:
    services.request_start(fresh(row), who=row.owner.user, now=stage.now)
    services.start(row.pk, cloud=stage.cloud, now=stage.now)


def repair_seeing(stage: Stage, views: list[MachineView], monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as lagging:
        lagging.setattr(stage.cloud, "describe_all", lambda: views)
        stage.repair()


def is_held_for(row: Instance) -> bool:
    return Hold.objects.filter(key=fresh(row).run_hold_key, closed_at=None).exists()


# ------------------------------------------------------------------ the row changed during the look
@pytest.mark.parametrize("boot", [0, 45])
def test_a_start_clicked_while_a_round_looks_is_not_stopped_again(stage: Stage, stopped: Instance, boot: int) -> None:
    stage.cloud.boot_seconds = boot
    clicks = [1]
    stage.cloud.on_call("describe_all", lambda: clicks and clicks.pop() and start(stage, stopped))
    stage.later(60)
    stage.repair()
    stage.wait(6)
    assert (fresh(stopped).state, len(stage.alive())) == (State.RUNNING, 1)
    assert events(stopped, "trouble") == []
    check_books()


def test_control_what_runs_although_it_is_stopped_here_is_stopped_and_told(stage: Stage, stopped: Instance) -> None:
    stage.cloud.start([stopped.cloud_id])
    stage.wait(1)
    assert stage.alive() == []
    assert len(events(stopped, "trouble")) == 1


def test_a_timer_set_during_the_look_is_neither_moved_back_nor_a_reason_to_stop(stage: Stage) -> None:
    row = stage.running()
    later = fresh(row).lease_until + timedelta(hours=1)
    Instance.objects.filter(pk=row.pk).update(guard_until=None)
    stage.later(200)

    def renewed_meanwhile() -> None:
        Instance.objects.filter(pk=row.pk).update(lease_until=later)
        assert guard.arm(fresh(row), cloud=stage.cloud, now=stage.now)

    times = [1]
    stage.cloud.on_call("describe_all", lambda: times and times.pop() and renewed_meanwhile())
    stage.repair()
    found = fresh(row)
    assert (found.state, found.guard_until) == (State.RUNNING, guard.wanted(found))
    assert stage.machine(row).stops_at == found.guard_until


def test_a_start_asked_again_during_the_look_is_not_given_up_in_the_same_round(stage: Stage, stopped: Instance) -> None:
    stage.cloud.break_before("start", Transient("throttled"))
    start(stage, stopped)
    stage.later(901)
    times = [1]

    def asked_again() -> None:
        if times and times.pop():
            services.start(stopped.pk, cloud=stage.cloud, now=stage.now)

    stage.cloud.on_call("describe_all", asked_again, after=True)
    stage.repair()
    assert (fresh(stopped).state, len(stage.alive())) == (State.LAUNCHING, 1)
    stage.wait(2)
    assert fresh(stopped).state == State.RUNNING


def test_nobody_is_called_about_a_machine_that_stopped_during_the_look(stage: Stage) -> None:
    row = stage.running()
    stage.cloud.stop_seconds = 950
    stage.stop(row)
    for _minute in range(14):
        stage.later(60)
        stage.repair()
    times = [1]

    def seen_by_another_round() -> None:
        if times and times.pop():
            stage.later(40)
            stage.repair()

    stage.later(80)
    stage.cloud.on_call("describe_all", seen_by_another_round, after=True)
    stage.repair()
    assert fresh(row).state == State.STOPPED
    assert events(row, "trouble") == []


# ------------------------------------------------------------------ the look is older than what is known
def test_a_look_at_the_power_off_before_does_not_end_the_run_that_is_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = stage.running()
    stage.active.add(row.slug)
    stage.wait(5)
    stage.cloud.power_off(row.cloud_id)  # AWS tells no moment of it
    stage.wait(2)
    off = stage.cloud.describe_all()
    start(stage, row)
    stage.later(QUICK)
    stage.repair()
    assert fresh(row).state == State.RUNNING
    stage.later(QUICK)
    repair_seeing(stage, off, monkeypatch)
    assert (fresh(row).state, len(stage.alive())) == (State.RUNNING, 1)
    stage.wait(6)
    assert fresh(row).state == State.RUNNING
    check_books()


def test_a_stop_clicked_right_after_a_start_waits_until_the_look_can_show_that_start(
    stage: Stage, stopped: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = compute_seconds(stopped)
    stage.cloud.boot_seconds = 30
    off = stage.cloud.describe_all()
    start(stage, stopped)
    stage.stop(stopped)
    stage.later(3)
    repair_seeing(stage, off, monkeypatch)
    assert (fresh(stopped).state, is_held_for(stopped)) == (State.STOPPING, True)
    stage.wait(6)
    assert (fresh(stopped).state, stage.alive(), is_held_for(stopped)) == (State.STOPPED, [], False)
    assert events(stopped, "trouble") == []
    ran = stage.machine(stopped).stretches[-1].seconds(stage.now)
    assert ran <= compute_seconds(stopped) - before <= ran + 60
    check_books()


def test_a_start_that_came_late_in_its_turn_is_waited_for_from_when_it_was_said(
    stage: Stage, stopped: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AWS's timer is set first, which may take longer than a look is doubted."""
    monkeypatch.setattr(starting, "running_clock", lambda _now: lambda: stage.now)
    stage.cloud.boot_seconds = 30
    off = stage.cloud.describe_all()
    times = [1]
    stage.cloud.on_call("schedule_stop", lambda *_a: times and times.pop() and stage.later(50))
    start(stage, stopped)
    stage.stop(stopped)
    stage.later(3)
    repair_seeing(stage, off, monkeypatch)
    assert (fresh(stopped).state, is_held_for(stopped)) == (State.STOPPING, True)


def test_a_slow_round_does_not_take_back_what_a_later_one_saw_stop(stage: Stage) -> None:
    stage.cloud.stop_seconds = 90
    row = stage.running()
    stage.active.add(row.slug)
    stage.wait(5)
    slow_now, slow_rows, slow_views = stage.now, [fresh(row)], stage.cloud.describe_all()
    stage.later(3)
    stage.cloud.power_off(row.cloud_id)
    stage.later(2)
    _note_sightings([fresh(row)], stage.cloud.describe_all(), stage.now, looked_at=stage.now)
    _note_sightings(slow_rows, slow_views, slow_now + timedelta(seconds=1), looked_at=stage.now)
    assert Run.objects.get(instance=row).stopping_at == stage.now
    stage.later(5 * HOUR)  # AWS cannot be read
    stage.wait(3)
    assert fresh(row).state == State.STOPPED
    assert compute_seconds(row) == 305
    check_books()


def test_seen_to_run_later_it_did_not_stop(stage: Stage) -> None:
    row = stage.running()
    run = Run.objects.filter(instance=row)
    run.update(stopping_at=stage.now + timedelta(seconds=1))
    stage.later(60)
    stage.repair()
    assert run.get().stopping_at is None
