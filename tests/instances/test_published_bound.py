"""The published bound against what then happens: nobody comes near any more, and the portal dies at some moment."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses.models import Course
from instances import books, bounds, drilling, halting, moving_on, services, sweeps
from instances.disk_rules import Standing
from instances.halts import Halt, HaltedMachine
from instances.models import DiskSnapshot, Instance, Policy, Preset, Run
from instances.states import State
from instances.stopping import stop
from tests.instances.conftest import Stage, fresh

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def run_usd(stage: Stage) -> Decimal:
    """What all machines have cost at AWS, disks apart, by AWS's own clock."""
    rows = Instance.objects.exclude(cloud_id="")
    return sum((row.usd_hour * Decimal(stage.cloud.ran_seconds(row.cloud_id)) / 3600 for row in rows), Decimal(0))


def last_off(stage: Stage) -> datetime:
    ends = [stretch.end for machine in stage.cloud.machines.values() for stretch in machine.stretches]
    assert None not in ends, "one still runs"
    return max(ends)


def short_leases(stage: Stage, seconds: int) -> None:
    """So short that a machine that was in use a moment ago is renewed before it counts as unused."""
    Preset.objects.update(lease_seconds=seconds, per_person=5)
    stage.preset.refresh_from_db()


def forget_everything(stage: Stage, *, portal_for: float, then_minutes: float) -> None:
    stage.active.clear()
    end = stage.now + timedelta(minutes=portal_for)
    while stage.now < end:
        stage.later(60)
        stage.agents_report()
        stage.repair()
        sweeps.idle(stage.cloud, stage.now)
        sweeps.lease(stage.cloud, stage.now)
        sweeps.queue(stage.cloud, stage.now)
        sweeps.drills(stage.cloud, stage.now)
        sweeps.disks(stage.cloud, stage.now)
    stage.later(then_minutes * 60)  # only AWS lives


def in_use(stage: Stage, lease_minutes: int) -> None:
    """One machine was used just now, a cell hangs on another, a third is on its way; half a lease is nearly over."""
    rows = [stage.running(), stage.running(stage.cast.other_student)]
    stage.active.update(row.slug for row in rows)
    stage.wait(lease_minutes / 2 - 1, step=lease_minutes / 2 - 1)
    Instance.objects.filter(pk=rows[0].pk).update(hung_since=stage.now)
    assert stage.launch(stage.cast.ta).state == State.LAUNCHING


def clear(stage: Stage) -> None:
    stage.repair()
    for row in Instance.objects.filter(state=State.STOPPED):
        services.request_terminate(row, who=None, now=stage.now)
    stage.wait(2)


@pytest.mark.parametrize("lease_minutes", [15, 240])
def test_no_more_is_spent_and_nothing_runs_longer_than_was_published(stage: Stage, lease_minutes: int) -> None:
    short_leases(stage, lease_minutes * 60)
    for portal_for in (0, 9, 36):
        in_use(stage, lease_minutes)
        published, spent = bounds.bound(stage.cast.course, stage.now), run_usd(stage)
        assert published.at
        forget_everything(stage, portal_for=portal_for, then_minutes=12 * 60)
        assert last_off(stage) <= published.at, portal_for
        assert run_usd(stage) - spent <= published.usd, portal_for
        clear(stage)


def test_control_what_is_held_now_alone_would_be_too_little(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without what the portal may renew by itself the promise would be broken."""
    monkeypatch.setattr(bounds._Lease, "latest", lambda lease, *_when: lease.until)
    short_leases(stage, 15 * 60)
    in_use(stage, 15)
    published = bounds.bound(stage.cast.course, stage.now)
    forget_everything(stage, portal_for=36, then_minutes=12 * 60)
    assert published.at
    assert last_off(stage) > published.at


def test_who_waits_in_the_queue_is_counted_though_the_machine_comes_hours_later(stage: Stage) -> None:
    stage.cloud.fill()
    row = stage.launch()
    assert row.queued_at
    published = bounds.bound(stage.cast.course, stage.now)
    stage.later(11 * 3600)
    stage.cloud.empty()
    forget_everything(stage, portal_for=20, then_minutes=12 * 60)
    assert fresh(row).cloud_id
    assert published.at
    assert last_off(stage) <= published.at
    assert run_usd(stage) <= published.usd


def test_a_fire_drill_goes_on_by_itself_and_is_counted_whole(stage: Stage) -> None:
    staff = stage.cast.instructor
    drill = drilling.start(staff, stage.preset, who=staff.user, now=stage.now)
    stage.reporting.add(drill.instance.slug)
    published = bounds.bound(stage.cast.course, stage.now)
    forget_everything(stage, portal_for=45, then_minutes=60)
    assert fresh(drill.instance).run_number == 4
    assert published.at
    assert last_off(stage) <= published.at
    assert run_usd(stage) <= published.usd


def test_what_is_unused_and_far_from_its_renewal_adds_nothing_to_what_is_held(stage: Stage) -> None:
    row = stage.running()
    published = bounds.bound(stage.cast.course, stage.now)
    assert row.lease_until
    assert published.at == row.lease_until + timedelta(seconds=300)
    held = row.usd_hour * Decimal((row.lease_until - stage.now).total_seconds() + 300) / 3600
    assert published.usd == pytest.approx(held, abs=Decimal("0.001"))


def test_many_renewals_may_each_come_a_round_later_than_they_could(stage: Stage) -> None:
    """A long quiet time and short leases: the minutes that the rounds come late add up, and then the portal dies."""
    row = left_now(stage, lease_left=20)
    rules(stage, quiet_seconds=4 * 3600)
    Instance.objects.filter(pk=row.pk).update(lease_seconds=25 * 60)
    published, renewed = bounds.bound(stage.cast.course, stage.now), fresh(row).lease_until
    until = stage.now + 231 * MINUTE
    stage.later(20)
    while stage.now < until:
        stage.agents_report()
        sweeps.lease(stage.cloud, stage.now)
        renewed = max(renewed, fresh(row).lease_until)
        stage.active.clear()
        stage.later(60)
    assert published.at
    assert renewed + timedelta(seconds=150 + 60) <= published.at  # AWS's own timer, and what it may be late


# ------------------------------------------------------------------ limits that change before the end
def rules(stage: Stage, **values: Any) -> None:
    Policy.objects.update_or_create(course=stage.cast.course, defaults=values)


def night(stage: Stage, *, begins_in: int, quiet: int, answer: int = 30, hours: int = 8) -> dict[str, Any]:
    """Minutes and hours; the course's clock is UTC."""
    begins = stage.now.hour * 60 + stage.now.minute + begins_in
    return {"begins": begins % 1440, "ends": (begins + hours * 60) % 1440, "quiet": quiet * 60, "answer": answer * 60}


def window(stage: Stage, *, begins_in: int, hours: int = 48, **minutes: int) -> dict[str, Any]:
    starts_at = stage.now + begins_in * MINUTE
    limits = {name: value * 60 for name, value in minutes.items()}
    told = {"starts_at": starts_at.isoformat(), "ends_at": (starts_at + hours * HOUR).isoformat()}
    return {"name": "crunch week", "quiet": None, "warn": None, "hung": None, **told, **limits}


def left_now(stage: Stage, *, lease_left: int) -> Instance:
    """A machine that was in use until now, and is held for, for so many minutes more; its leases are of an hour."""
    short_leases(stage, 3600)
    row = stage.running()
    stage.active.add(row.slug)
    stage.agents_report()
    until = stage.now + lease_left * MINUTE
    Instance.objects.filter(pk=row.pk).update(lease_until=until)
    run = Run.objects.get(instance=row)
    books.trim_hold(run, until, now=stage.now)
    books.hold_until(run, until, who=None, now=stage.now)
    return fresh(row)


def holds(stage: Stage, *, portal_for: float) -> datetime:
    """What is published now is what then happens, at most; returns when the last machine was off."""
    published, spent = bounds.bound(stage.cast.course, stage.now), run_usd(stage)
    assert published.at
    forget_everything(stage, portal_for=portal_for, then_minutes=24 * 60)
    assert last_off(stage) <= published.at
    assert run_usd(stage) - spent <= published.usd
    return last_off(stage)


def test_a_night_that_begins_before_the_end_and_lets_machines_rest_longer_is_counted(stage: Stage) -> None:
    left_now(stage, lease_left=40)
    rules(stage, night=night(stage, begins_in=10, quiet=120))
    now = stage.now
    assert holds(stage, portal_for=75) > now + 2 * HOUR


@pytest.mark.parametrize("limits", [{"quiet": 150}, {"hung": 100}])
def test_a_dated_window_that_begins_before_the_end_is_counted(stage: Stage, limits: dict[str, int]) -> None:
    """Also its longer patience with a cell that hangs."""
    row = left_now(stage, lease_left=40)
    Instance.objects.filter(pk=row.pk).update(hung_since=stage.now if "hung" in limits else None)
    rules(stage, windows=[window(stage, begins_in=10, **limits)])
    now = stage.now
    assert holds(stage, portal_for=105 if "hung" in limits else 45) > now + 100 * MINUTE


def test_a_window_that_only_what_begins_before_it_brings_into_reach_is_counted_too(stage: Stage) -> None:
    """The second begins before an end that only the first one makes so late."""
    left_now(stage, lease_left=40)
    first = window(stage, begins_in=10, hours=1, quiet=100)
    rules(stage, windows=[first, window(stage, begins_in=70, quiet=200)])
    now = stage.now
    assert holds(stage, portal_for=105) > now + 160 * MINUTE


def test_at_night_an_answer_that_may_take_longer_than_half_the_quiet_time_is_waited_for(stage: Stage) -> None:
    left_now(stage, lease_left=80)
    rules(stage, night=night(stage, begins_in=-60, quiet=60, answer=60))
    now = stage.now
    assert holds(stage, portal_for=40) > now + 88 * MINUTE


def test_who_is_in_the_queue_may_get_a_machine_as_late_as_at_night(stage: Stage) -> None:
    short_leases(stage, 3600)
    stage.cloud.fill()
    row = stage.launch()
    rules(stage, night=night(stage, begins_in=11 * 60, quiet=120))
    published = bounds.bound(stage.cast.course, stage.now)
    stage.later(11.9 * 3600)
    stage.cloud.empty()
    stage.reporting.add(row.slug)
    forget_everything(stage, portal_for=70, then_minutes=12 * 60)
    assert published.at
    assert last_off(stage) <= published.at
    assert run_usd(stage) <= published.usd


def test_a_machine_that_kept_the_rules_of_before_is_judged_by_those(stage: Stage) -> None:
    row = left_now(stage, lease_left=40)
    before = bounds.bound(stage.cast.course, stage.now)
    Instance.objects.filter(pk=row.pk).update(own_rules={})
    rules(stage, night=night(stage, begins_in=10, quiet=120))
    assert bounds.bound(stage.cast.course, stage.now) != before
    Instance.objects.filter(pk=row.pk).update(own_rules={"limits": {"quiet": 1800}})
    assert bounds.bound(stage.cast.course, stage.now) == before


def test_a_night_or_a_window_that_cannot_keep_a_machine_on_changes_nothing(stage: Stage) -> None:
    """It begins after the end, or long after what was left alone now counts as unused by its limits, too."""
    left_now(stage, lease_left=200)
    before = bounds.bound(stage.cast.course, stage.now)
    after_the_end = window(stage, begins_in=201, quiet=480)
    too_short = night(stage, begins_in=150, quiet=120, answer=30)
    for limits in ({"windows": [after_the_end]}, {"windows": [], "night": too_short}):
        rules(stage, **limits)
        assert bounds.bound(stage.cast.course, stage.now) == before, limits


# ------------------------------------------------------------------ going on elsewhere
def elsewhere(stage: Stage) -> Preset:
    same = {"course": stage.cast.course, "image_id": stage.preset.image_id}
    wanted = {"instance_types": ["g5.xlarge"], "ceiling_usd_hour": Decimal("1.2"), "disk_gb": 96}
    return Preset.objects.create(slug="elsewhere", name="Elsewhere", lease_seconds=3600, **same, **wanted)


def going_on(stage: Stage) -> Instance:
    """Stopped; its disk is being copied, which takes an hour, and then it goes on as another machine."""
    row = stage.running()
    stage.stop(row)
    stage.wait(2)
    stage.cloud.disks.snapshot_seconds = 3600
    moving_on.request_move_on(fresh(row), elsewhere(stage), who=row.owner.user, now=stage.now)
    return fresh(row)


def test_what_goes_on_elsewhere_by_itself_is_counted_before_it_runs(stage: Stage) -> None:
    row = going_on(stage)
    disks = bounds.bound(stage.cast.course, stage.now).disks_usd
    holds(stage, portal_for=75)
    new = Instance.objects.exclude(pk=row.pk).get()
    assert (fresh(row).state, bool(new.cloud_id), new.disk_gb) == (State.TERMINATED, True, 96)
    sweeps.meter(stage.now)  # the old disk is gone, and held for no longer
    assert bounds.bound(stage.cast.course, stage.now).disks_usd <= disks


def test_a_copy_that_takes_half_a_day_launches_nothing_by_itself_any_more(stage: Stage) -> None:
    """Nobody sits before the page any more: a machine would run for nobody, at a time that no bound could tell."""
    row = going_on(stage)
    stage.cloud.disks.snapshot_seconds = 13 * 3600
    stage.wait(12 * 60, step=60)
    assert bounds.bound(stage.cast.course, stage.now).at is None
    stage.wait(4 * 60, step=10)
    copy = DiskSnapshot.objects.get(instance=row)
    assert (copy.standing, copy.go_on_as, Instance.objects.count()) == (Standing.KEPT, None, 1)


# ------------------------------------------------------------------ a kill switch that was undone
def pulled(stage: Stage, course: Course | None) -> Halt:
    who = stage.cast.instructor.user
    assert who
    row = halting.halt(course, reach="all", why="the bill", who=who, now=stage.now)
    stop(halting.enforce(row, who=who, now=stage.now), cloud=stage.cloud, now=stage.now)
    return row


def lift(stage: Stage, row: Halt, *, restart: bool = True) -> None:
    assert stage.cast.instructor.user
    assert halting.lift(row, restart=restart, who=stage.cast.instructor.user, now=stage.now)


def undone(stage: Stage) -> list[Instance]:
    """Two machines that are to run again, of which neither has been asked yet."""
    short_leases(stage, 25 * 60)
    rows = [stage.running(), stage.running(stage.cast.other_student)]
    row = pulled(stage, stage.cast.course)
    stage.wait(3)
    lift(stage, row)
    return rows


def go_on_with_the_halts(stage: Stage, minutes: float) -> None:
    for _minute in range(int(minutes)):
        stage.later(60)
        sweeps.halts(stage.cloud, stage.now)
        stage.repair()


def test_what_the_undo_of_a_kill_switch_starts_again_is_counted_before_it_runs(stage: Stage) -> None:
    rows = undone(stage)
    assert stage.alive() == []
    published, spent = bounds.bound(stage.cast.course, stage.now), run_usd(stage)
    assert published.at
    go_on_with_the_halts(stage, 2)
    assert len(stage.alive()) == len(rows)
    forget_everything(stage, portal_for=45, then_minutes=12 * 60)
    assert last_off(stage) <= published.at
    assert 0 < run_usd(stage) - spent <= published.usd
    assert bounds.bound(stage.cast.course, stage.now).at is None


@pytest.mark.parametrize("kept_off_for", [50, 59])
def test_so_is_what_another_halt_keeps_off_meanwhile(stage: Stage, kept_off_for: int) -> None:
    """It may be lifted up to the last minute in which that still starts anything."""
    short_leases(stage, 25 * 60)
    rows = [stage.running(), stage.running(stage.cast.other_student)]
    stage.reporting.clear()
    first, above = pulled(stage, stage.cast.course), pulled(stage, None)
    lift(stage, first)
    published, spent = bounds.bound(stage.cast.course, stage.now), run_usd(stage)
    assert published.at
    go_on_with_the_halts(stage, kept_off_for - 1)
    assert stage.alive() == []
    lift(stage, above, restart=False)
    go_on_with_the_halts(stage, 1)
    assert len(stage.alive()) == len(rows)
    forget_everything(stage, portal_for=45, then_minutes=12 * 60)
    assert last_off(stage) <= published.at
    assert run_usd(stage) - spent <= published.usd


def test_an_hour_after_the_undo_nothing_is_counted_and_nothing_starts(stage: Stage) -> None:
    undone(stage)
    pulled(stage, None)
    assert bounds.bound(stage.cast.course, stage.now).at
    assert bounds.bound(stage.cast.other_course, stage.now).at is None
    stage.later(3600)
    assert bounds.bound(stage.cast.course, stage.now).at is None
    go_on_with_the_halts(stage, 2)
    assert stage.alive() == []


def test_one_that_is_undone_without_a_restart_adds_nothing(stage: Stage) -> None:
    stage.running()
    row = pulled(stage, stage.cast.course)
    stage.wait(3)
    lift(stage, row, restart=False)
    assert bounds.bound(stage.cast.course, stage.now).at is None


def test_a_machine_that_two_halts_stopped_is_counted_once(stage: Stage) -> None:
    [row, _other] = undone(stage)
    once = bounds.bound(stage.cast.course, stage.now)
    above = pulled(stage, None)
    HaltedMachine.objects.create(halt=above, instance=row, at=stage.now)
    lift(stage, above)
    assert bounds.bound(stage.cast.course, stage.now) == once


def test_the_bound_asks_as_often_for_one_restart_as_for_many(stage: Stage) -> None:
    rules(stage, night=night(stage, begins_in=10, quiet=120))
    undone(stage)
    last = HaltedMachine.objects.latest("pk")
    HaltedMachine.objects.filter(pk=last.pk).update(done_at=stage.now)
    with CaptureQueriesContext(connection) as one:
        bounds.bound(stage.cast.course, stage.now)
    HaltedMachine.objects.filter(pk=last.pk).update(done_at=None)
    with CaptureQueriesContext(connection) as two:
        bounds.bound(stage.cast.course, stage.now)
    assert len(two) == len(one)


def test_the_bound_asks_as_often_for_one_copy_or_machine_as_for_many(stage: Stage) -> None:
    rules(stage, night=night(stage, begins_in=10, quiet=120), windows=[window(stage, begins_in=99, quiet=200)])
    row = going_on(stage)
    stage.running(stage.cast.other_student)

    def asked() -> int:
        with CaptureQueriesContext(connection) as found:
            bounds.bound(stage.cast.course, stage.now)
        return len(found)

    once = asked()
    for who in (stage.cast.ta, stage.cast.instructor):
        stage.running(who)
        copy = DiskSnapshot.objects.filter(instance=row).latest("pk")
        copy.pk, copy.slug, copy.owner, copy.standing = None, f"s{who.pk}", who, Standing.KEPT
        copy.save()
    assert asked() == once
