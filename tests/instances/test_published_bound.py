"""The published bound against what then happens: nobody comes near any more, and the portal dies at some moment."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from instances import bounds, drilling, services, sweeps
from instances.models import Instance, Preset
from instances.states import State
from tests.instances.conftest import Stage, fresh


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
