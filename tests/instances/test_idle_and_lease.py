"""Unused machines go out, used ones stay on, and nothing runs beyond what is paid for. In virtual time."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.core import mail

from cloud.base import Refused, Transient
from instances import services, sweeps
from instances.models import Instance, Policy, Run
from instances.refusals import KeepRefused
from instances.sweeps import idling
from spend.models import Budget, Level
from spend.services import budget_of, set_amount
from tests.instances.conftest import HOUR, NOON, Stage, check_books, compute_seconds, events, fresh, held, path


def used_until_now(stage: Stage, minutes: float = 45) -> Instance:
    row = stage.running()
    stage.active.add(row.slug)
    stage.wait(minutes)
    stage.active.clear()
    return fresh(row)


def test_a_forgotten_machine_is_warned_then_stopped_within_the_bound(stage: Stage) -> None:
    row = used_until_now(stage)
    last_used = stage.now
    assert stage.wait(25, until=lambda: bool(events(row, "warned")))
    assert stage.now - last_used == timedelta(minutes=20)
    [letter] = mail.outbox
    assert letter.to == [row.owner.email]
    assert "12:45" in letter.body  # the last use, in the course's own time
    assert stage.wait(25, until=lambda: fresh(row).state == "stopped")
    assert stage.now - last_used <= timedelta(minutes=32.5)
    assert stage.cloud.ran_seconds(row.cloud_id) <= 45 * 60 + 31 * 60
    assert fresh(row).reason.startswith("Stopped: Nothing has used this machine since")
    stage.wait(1)
    assert compute_seconds(row) == stage.cloud.ran_seconds(row.cloud_id)
    check_books()


def test_using_it_again_clears_the_warning_and_says_so(stage: Stage) -> None:
    row = used_until_now(stage)
    assert stage.wait(25, until=lambda: bool(events(row, "warned")))
    stage.active.add(row.slug)
    stage.wait(1)
    stage.active.clear()
    assert fresh(row).warned_at is None
    assert len(events(row, "warning_over")) == 1
    stage.wait(15)
    assert fresh(row).state == "running"
    assert stage.wait(30, until=lambda: fresh(row).state == "stopped")
    assert len(events(row, "warned")) == 2  # never stopped on the old warning


def test_training_overnight_with_no_browser_open_is_kept_and_paid_lease_by_lease(stage: Stage) -> None:
    row = stage.running()
    stage.active.add(row.slug)
    stage.wait(13 * 60, step=10)
    row = fresh(row)
    assert row.state == "running"
    assert len(events(row, "renewed")) == 6  # a lease of four hours, renewed at its half
    assert not events(row, "warned")
    assert stage.machine(row).stops_at == row.guard_until > stage.now
    assert held(row) >= row.usd_hour * Decimal((row.lease_until - stage.now).total_seconds()) / 3600
    check_books()


def test_keep_holds_an_unused_machine_for_so_long_and_no_longer(stage: Stage) -> None:
    row = used_until_now(stage)
    until = services.keep_alive(row, hours=6, who=row.owner.user, now=stage.now)
    assert until == stage.now + timedelta(hours=6)
    assert fresh(row).lease_until == until
    stage.wait(6 * 60 - 10, step=10)
    assert fresh(row).state == "running"
    assert stage.wait(45, until=lambda: fresh(row).state == "stopped")
    assert events(row, "warned")
    check_books()


def test_keeping_moves_awss_timer_too(stage: Stage) -> None:
    row = used_until_now(stage)
    services.keep_alive(row, hours=6, who=row.owner.user, now=stage.now)
    stage.repair()
    row = fresh(row)
    assert stage.machine(row).stops_at == row.lease_until + timedelta(seconds=150)


def test_keeping_for_less_than_the_lease_shortens_nothing(stage: Stage) -> None:
    row = used_until_now(stage, 1)
    before = fresh(row).lease_until
    services.keep_alive(row, hours=1, who=row.owner.user, now=stage.now)
    assert fresh(row).lease_until == before


def test_keeping_longer_than_the_policy_allows_is_refused(stage: Stage) -> None:
    row = used_until_now(stage, 1)
    with pytest.raises(KeepRefused, match="12 hours at most"):
        services.keep_alive(row, hours=13, who=row.owner.user, now=stage.now)


def test_keeping_that_the_budget_cannot_pay_for_tells_the_last_affordable_minute(stage: Stage) -> None:
    row = used_until_now(stage, 1)
    _leave(stage, row, Decimal("1.00"))
    with pytest.raises(KeepRefused) as refused:
        services.keep_alive(row, hours=12, who=row.owner.user, now=stage.now)
    until = refused.value.affordable_until
    assert until is not None
    assert f"until {until:%H:%M}" in str(refused.value)
    before = fresh(row).lease_until
    hours = (until - stage.now).total_seconds() / HOUR
    assert services.keep_alive(row, hours=hours, who=row.owner.user, now=stage.now) == until
    assert fresh(row).lease_until == until > before
    check_books()


def test_a_machine_in_use_whose_budget_ends_is_told_the_minute_once_and_stops_then(stage: Stage) -> None:
    row = stage.running()
    stage.active.add(row.slug)
    _leave(stage, row, Decimal("0.10"))
    stage.wait(3 * 60, step=10)
    [told] = events(row, "money")
    assert "stops at 16:00 UTC" in told.reason
    assert "Your own budget cannot pay" in told.reason
    assert [m.to for m in mail.outbox] == [[row.owner.email]]
    assert stage.wait(90, until=lambda: fresh(row).state == "stopped")
    assert fresh(row).reason == "Stopped: the budget cannot pay for this machine any longer."
    assert stage.now - NOON <= timedelta(hours=4, minutes=2)
    stage.wait(2)
    check_books()


def test_a_machine_that_is_being_warned_at_half_its_lease_gets_no_more(stage: Stage) -> None:
    row = used_until_now(stage, 95)
    assert stage.wait(45, until=lambda: fresh(row).state == "stopped")
    assert events(row, "warned")
    assert not events(row, "renewed")


def test_a_machine_that_only_boots_gets_no_longer_lease(stage: Stage) -> None:
    stage.preset.lease_seconds = 1200
    stage.preset.save()
    row = stage.launch()
    stage.wait(14)
    assert fresh(row).state == "running"
    assert not events(row, "renewed")


def test_more_budget_in_time_renews_it_after_all(stage: Stage) -> None:
    row = stage.running()
    stage.active.add(row.slug)
    _leave(stage, row, Decimal("0.10"))
    stage.wait(3 * 60, step=10)
    _leave(stage, row, Decimal("20"))
    stage.wait(3 * 60, step=10)
    assert fresh(row).state == "running"
    assert fresh(row).unfunded_at is None


def test_no_lease_goes_beyond_the_course_and_its_student_hears_in_time(stage: Stage) -> None:
    stage.cast.course.ends_on = NOON.date()
    stage.cast.course.save()
    stage.later(9 * HOUR)
    row = stage.running()
    stage.active.add(row.slug)
    stage.wait(5 * 60, step=10)
    assert fresh(row).state == "stopped"
    assert fresh(row).reason == "Stopped: the course is over."
    [told] = events(row, "money")
    assert "The course ends then" in told.reason
    assert mail.outbox[0].subject == "Your machine cannot be extended: Homework: T4 16 GB"  # there is money left
    run = row.runs.get()
    assert run.ended_at <= NOON + timedelta(hours=12, minutes=1)


def test_power_off_from_inside_closes_the_books_within_one_round(stage: Stage) -> None:
    row = stage.running()
    stage.later(17 * 60 + 23)
    stage.cloud.power_off(row.cloud_id)
    stage.later(37)
    stage.sweep()
    row = fresh(row)
    assert row.state == "stopped"
    assert "switched itself off" in row.reason
    # AWS does not tell when: up to the round that saw it, and never less than it ran.
    assert 17 * 60 + 23 <= compute_seconds(row) <= 18 * 60
    check_books()


def test_a_machine_that_takes_minutes_to_stop_is_paid_for_until_it_was_first_seen_to_stop(stage: Stage) -> None:
    stage.cloud.stop_seconds = 170
    row = stage.running()
    stage.wait(20)
    stage.cloud.power_off(row.cloud_id)
    switched_off = stage.now
    stage.wait(1)
    seen = stage.now
    assert stage.wait(5, until=lambda: fresh(row).state == "stopped")
    stage.wait(2)
    assert switched_off < Run.objects.get(instance=row).ended_at <= seen
    assert compute_seconds(row) == (seen - Run.objects.get(instance=row).started_at).total_seconds()
    check_books()


def test_the_portal_dies_awss_timer_stops_the_machine_and_the_books_are_right_afterwards(stage: Stage) -> None:
    row = stage.running()
    stage.active.add(row.slug)
    stage.later(20 * HOUR)  # no sweep at all
    assert not stage.alive()
    stage.sweep()
    row = fresh(row)
    assert row.state == "stopped"
    assert "AWS's own timer" in row.reason
    assert compute_seconds(row) == stage.cloud.ran_seconds(row.cloud_id) == 4 * HOUR + 150
    check_books()


def test_the_portal_is_dead_for_an_hour_and_nobody_is_stopped_unwarned_when_it_is_back(stage: Stage) -> None:
    row = stage.running()
    stage.active.add(row.slug)
    stage.wait(10)
    stage.later(HOUR)
    sweeps.idle(stage.cloud, stage.now)  # before the first report is in
    assert fresh(row).state == "running"
    assert events(row, "warned")
    stage.wait(30)
    assert fresh(row).state == "running"
    assert events(row, "warning_over")


def test_a_silent_machine_is_warned_and_stopped_within_its_bound(stage: Stage) -> None:
    row = stage.running()
    stage.active.add(row.slug)
    stage.wait(10)
    stage.reporting.clear()
    silent = stage.now
    assert stage.wait(60, until=lambda: fresh(row).state == "stopped")
    assert stage.cloud.runs(row.cloud_id)[0].end - silent <= timedelta(minutes=26.5)
    assert events(row, "warned")
    assert "heard nothing" in fresh(row).reason


def test_a_machine_that_is_never_opened_is_stopped_too(stage: Stage) -> None:
    row = stage.launch()
    assert stage.wait(60, until=lambda: fresh(row).state == "stopped")
    assert events(row, "warned")


@pytest.mark.parametrize("field", ["last_active_at", "kept_until"])
def test_who_comes_back_while_the_round_decides_is_not_stopped(
    stage: Stage, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = stage.running()
    ago = stage.now - timedelta(minutes=29)
    Instance.objects.update(last_active_at=ago, warned_at=ago + timedelta(minutes=19))
    Run.objects.update(started_at=ago)
    words = idling.words_for

    def meanwhile(machine: Instance, *more: Any) -> str:
        Instance.objects.filter(pk=machine.pk).update(**{field: stage.now + timedelta(seconds=60)})
        return words(machine, *more)

    stage.later(60)
    stage.agents_report()
    with monkeypatch.context() as patch:
        patch.setattr(idling, "words_for", meanwhile)
        sweeps.idle(stage.cloud, stage.now)
    assert fresh(row).state == "running"
    assert stage.cloud.count("stop") == 0
    Instance.objects.update(last_active_at=ago, kept_until=None)
    sweeps.idle(stage.cloud, stage.now)  # the control: had nobody come
    assert fresh(row).state == "stopping"


def test_a_machine_started_on_a_saturday_night_is_stopped_that_night(stage: Stage) -> None:
    """A level, not an edge: no hour of a week has to come first."""
    stage.now = datetime(2019, 3, 9, 23, 50, tzinfo=UTC)
    row = stage.running()
    began = stage.now
    assert stage.wait(33, until=lambda: fresh(row).state == "stopping")
    assert stage.now - began <= timedelta(minutes=32.5)


def test_two_sweeps_at_once_make_one_stop_one_event_and_one_mail(stage: Stage) -> None:
    row = used_until_now(stage)
    stage.wait(29)
    stage.later(60)
    stage.agents_report()
    twice: list[int] = []

    def meanwhile(*_args: object) -> None:
        if not twice:
            twice.append(1)
            sweeps.idle(stage.cloud, stage.now)
            stage.repair()

    stage.cloud.on_call("stop", meanwhile)
    sweeps.idle(stage.cloud, stage.now)
    assert twice
    stage.sweep()
    assert path(row)[-2:] == ["stopping", "stopped"]
    assert path(row).count("stopping") == 1
    assert stage.cloud.count("stop") == 1
    assert len([m for m in mail.outbox if "has stopped" in m.subject]) == 1


def test_a_stop_that_aws_does_not_take_is_said_again_until_it_stops(stage: Stage) -> None:
    row = used_until_now(stage)
    stage.cloud.break_before("stop", Transient("busy"), times=3)
    assert stage.wait(40, until=lambda: fresh(row).state == "stopped")
    assert stage.cloud.count("stop") == 4
    assert fresh(row).stop_tries == 4


def test_a_stop_that_lasts_is_forced_and_then_a_person_is_called_once(stage: Stage) -> None:
    row = stage.running()
    stage.cloud.refuse("stop", row.cloud_id, Refused("not allowed", code="UnauthorizedOperation"))
    forced = []
    stage.cloud.on_call("stop", lambda *args: forced.append(stage.now))
    stage.stop(row)
    stage.wait(20)
    [trouble] = events(row, "trouble")
    assert trouble.at == NOON + timedelta(minutes=15)
    assert "per minute" in trouble.reason
    assert [m.to for m in mail.outbox] == [[stage.cast.instructor.email]]
    assert len(forced) >= 15
    stage.cloud.refuse("stop", row.cloud_id, None)
    stage.wait(2)
    assert fresh(row).state == "stopped"
    assert compute_seconds(row) == stage.cloud.ran_seconds(row.cloud_id)


def test_force_is_used_after_ten_minutes_and_not_before(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    row = stage.running()
    said = []
    plain = stage.cloud.stop

    def stop(ids, *, force=False):  # type: ignore[no-untyped-def]
        said.extend((stage.now - NOON, force) for _id in ids)
        return plain([], force=force) if not force else plain(ids, force=True)

    monkeypatch.setattr(stage.cloud, "stop", stop)
    stage.stop(row)
    assert stage.wait(20, until=lambda: fresh(row).state == "stopped")
    assert all(not force for when, force in said if when < timedelta(minutes=10))
    assert said[-1] == (timedelta(minutes=10), True)


def test_started_by_hand_at_aws_after_a_stop_it_is_stopped_again_and_paid_for(stage: Stage) -> None:
    row = stage.stop(stage.running())
    stage.wait(5)
    stage.cloud.start([row.cloud_id])
    stage.later(40)
    stage.sweep()
    stage.wait(2)
    row = fresh(row)
    assert row.state == "stopped"
    assert not stage.alive()
    assert len(events(row, "trouble")) == 1
    assert compute_seconds(row) == 60 + 60 == 60 + max(60, 40)  # the minimum of each start
    assert row.runs.count() == 2
    check_books()


def test_the_idle_policy_of_the_course_decides(stage: Stage) -> None:
    Policy.objects.create(course=stage.cast.course, quiet_seconds=300, warn_seconds=120)
    row = used_until_now(stage, 10)
    last_used = stage.now
    assert stage.wait(10, until=lambda: fresh(row).state == "stopped")
    assert stage.now - last_used <= timedelta(minutes=7)


def _leave(stage: Stage, row: Instance, usd: Decimal) -> None:
    """The owner's own budget gets so much left."""
    budget = Budget.objects.get(pk=budget_of(row.owner).pk)
    assert budget.level == Level.PERSON
    set_amount(budget, budget.spent_usd + budget.held_usd + usd, why="test", who=None, now=stage.now)
