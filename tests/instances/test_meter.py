"""What the meter books of a machine: idle seconds with each hour, and Spot's prices as they were in force."""

from datetime import timedelta
from decimal import Decimal

import pytest

from instances.books import price_in_force
from instances.idle_hours import with_idle_time
from instances.models import Instance
from instances.sweeps import meter
from spend.models import Charge, DailySpend
from tests.instances.conftest import Stage, check_books, fresh


def charges(row: Instance, kind: str = "compute") -> list[Charge]:
    return list(Charge.objects.filter(key__startswith=f"machine/{row.slug}/run/", kind=kind).order_by("hour"))


def test_an_hour_is_booked_with_its_idle_seconds_and_the_day_sums_them(stage: Stage) -> None:
    row = stage.running()
    stage.active.add(row.slug)
    stage.wait(10)
    began = stage.now
    stage.active.clear()
    stage.wait(20)
    idle = with_idle_time({}, 1, began, stage.now)
    Instance.objects.filter(pk=row.pk).update(idle_hours=idle)
    stage.active.add(row.slug)
    stage.wait(45)
    [booked] = [one for one in charges(row) if one.idle_seconds]
    assert booked.idle_seconds == 1200
    day = DailySpend.objects.get(enrollment=row.owner, kind="compute")
    assert day.idle_seconds == 1200
    assert abs(day.idle_usd - Decimal("0.526") * 1200 / 3600) < Decimal("0.000002")
    assert all(one.idle_seconds == 0 for one in charges(row, "address"))
    check_books()


def test_spot_costs_what_was_in_force_and_the_hold_always_covers_it(stage: Stage) -> None:
    row = stage.running()
    run = row.runs.get()
    assert price_in_force(run, Decimal("0.2"), since=run.started_at)
    assert not price_in_force(run, Decimal("0.2"), since=run.started_at)
    stage.active.add(row.slug)
    stage.wait(20)
    assert price_in_force(run, Decimal("0.3"), since=run.started_at + timedelta(minutes=15))
    stage.wait(10)
    stage.stop(fresh(row))
    stage.wait(2)
    run.refresh_from_db()
    assert run.settled_at
    assert run.ended_at
    seconds = -((run.started_at - run.ended_at) // timedelta(seconds=1))
    expected = (Decimal("0.2") * 900 + Decimal("0.3") * (seconds - 900)) / 3600
    assert sum(one.amount_usd for one in charges(row)) == expected.quantize(Decimal("0.000001"))
    check_books()


def test_a_price_above_what_is_held_or_for_posted_hours_is_refused(stage: Stage) -> None:
    row = stage.running()
    run = row.runs.get()
    with pytest.raises(ValueError, match="more than"):
        price_in_force(run, Decimal(5), since=stage.now)
    stage.active.add(row.slug)
    stage.wait(70)
    meter(stage.now)
    with pytest.raises(ValueError, match="are posted"):
        price_in_force(run, Decimal("0.1"), since=run.started_at)
