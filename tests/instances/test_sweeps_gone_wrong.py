"""Sweeps that run twice, late, or die in the middle: each looks at what is so, so the next one makes it true."""

from datetime import timedelta

import pytest

from cloud.base import CloudError
from instances import sweeps
from instances.models import Instance, InstanceEvent
from instances.states import State
from instances.sweeps import idling, leasing
from spend.models import Charge
from tests.instances.conftest import Stage, check_books, events, fresh, path


class Died(BaseException):
    """The worker is killed: nothing of ours catches it."""


def both(stage: Stage, minutes: int, *, schedulers: int) -> None:
    """As many schedulers by mistake, each with all its rounds, one behind the other by some seconds."""
    for _n in range(minutes):
        stage.later(60)
        for _scheduler in range(schedulers):
            stage.later(7)
            stage.sweep()
        stage.later(-7 * schedulers)


def story(stage: Stage, schedulers: int) -> tuple[list[str], int, int]:
    row = stage.running()
    stage.active.add(row.slug)
    both(stage, 3, schedulers=schedulers)
    stage.active.clear()
    both(stage, 32, schedulers=schedulers)
    check_books()
    assert fresh(row).state == State.STOPPED
    told = [f"{e.kind}:{e.new_state}" for e in events(row)]
    return told, stage.cloud.count("stop"), Charge.objects.filter(key__contains=row.slug).count()


def test_two_schedulers_by_mistake_tell_stop_and_charge_once(stage: Stage) -> None:
    told, stops, charges = story(stage, schedulers=2)
    assert told.count("warned:") == 1
    assert told.count("moved:stopping") == told.count("moved:stopped") == 1
    assert stops == 1
    keys = Charge.objects.values_list("key", "kind", "hour")
    assert len(set(keys)) == charges + Charge.objects.exclude(key__contains="machine/").count()


@pytest.mark.parametrize("verb", ["_warn", "request_stop"])
def test_an_idle_round_that_dies_among_its_machines_is_finished_by_the_next(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, verb: str
) -> None:
    people = (stage.cast.student, stage.cast.other_student, stage.cast.ta, stage.cast.instructor)
    rows = [stage.running(who) for who in people]
    stage.wait(19 if verb == "_warn" else 29)
    stage.later(120)
    stage.agents_report()
    real, calls = getattr(idling, verb), []

    def dies(*args: object, **more: object) -> object:
        calls.append(args)
        if len(calls) == 3:
            raise Died
        return real(*args, **more)

    monkeypatch.setattr(idling, verb, dies)
    with pytest.raises(Died):
        sweeps.idle(stage.cloud, stage.now)
    monkeypatch.undo()
    stage.wait(12, until=lambda: not Instance.objects.exclude(state=State.STOPPED).exists())
    for row in rows:
        assert len(events(row, "warned")) == 1
        assert path(row)[-2:] == ["stopping", "stopped"]
    check_books()


def test_a_lease_round_that_dies_after_the_hold_and_before_awss_timer_is_mended(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease is longer and paid for; AWS's timer still stands at the old end, and is moved by the next round."""
    row = stage.running()
    stage.active.add(row.slug)
    stage.wait(118, step=59)
    old = fresh(row).guard_until

    def dies(*_args: object, **_more: object) -> bool:
        raise Died

    monkeypatch.setattr(leasing.guard, "arm", dies)
    stage.later(180)
    stage.agents_report()
    with pytest.raises(Died):
        sweeps.lease(stage.cloud, stage.now)
    monkeypatch.undo()
    assert fresh(row).lease_until > old
    assert stage.machine(row).stops_at == old  # never later than what was paid for before
    stage.wait(1)
    assert stage.machine(row).stops_at == fresh(row).guard_until == fresh(row).lease_until + timedelta(seconds=150)
    assert len(events(row, "renewed")) == 1


def test_a_sweep_that_is_a_quarter_of_an_hour_late_stops_nobody_who_came_back_or_was_not_warned(stage: Stage) -> None:
    back, warned, unwarned = (
        stage.running(who) for who in (stage.cast.student, stage.cast.other_student, stage.cast.ta)
    )
    stage.active.add(unwarned.slug)
    stage.wait(8)
    stage.active.clear()
    stage.wait(13)
    assert events(warned, "warned")
    assert not events(unwarned, "warned")
    stage.later(15 * 60)  # no round at all
    stage.active.add(back.slug)
    stage.sweep()
    stage.active.clear()
    assert fresh(back).state == State.RUNNING
    assert fresh(unwarned).state == State.RUNNING
    stage.wait(1)
    assert fresh(warned).state == State.STOPPED
    assert len(events(unwarned, "warned")) == 1
    assert InstanceEvent.objects.filter(new_state=State.STOPPING).count() == 1


def test_awss_timer_goes_along_at_half_of_each_lease_and_a_failed_move_leaves_the_earlier_one(stage: Stage) -> None:
    row = stage.running()
    stage.active.add(row.slug)
    first = fresh(row).guard_until
    stage.wait(119, step=59.5)
    assert stage.machine(row).stops_at == first
    stage.cloud.break_before("schedule_stop", CloudError("no"), times=1)
    stage.wait(2)
    assert fresh(row).lease_until > first
    stage.wait(1)
    assert stage.machine(row).stops_at == fresh(row).guard_until > first
    assert fresh(row).lease_until - stage.now > timedelta(hours=3, minutes=55)
