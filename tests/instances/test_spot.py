"""Spot: held for at the price on demand, charged at Spot's own, stopped with its disk when AWS takes it back."""

from datetime import timedelta
from decimal import Decimal

import pytest

from cloud.base import Transient
from instances import services, sweeps
from instances.models import Instance, Preset, Run
from spend.models import Charge, Hold
from tests.instances.conftest import HOUR, Stage, check_books, fresh


@pytest.fixture
def spot(stage: Stage) -> Stage:
    Preset.objects.filter(pk=stage.preset.pk).update(market=Preset.Market.SPOT)
    stage.preset.refresh_from_db()
    return stage


def prices(stage: Stage, row: Instance, *told: tuple[float, str]) -> None:
    """(hours after now, USD an hour)."""
    where = (row.instance_type, row.zone)
    known = stage.cloud.catalog.spot.setdefault(where, [])
    known += [(stage.now + timedelta(hours=after), Decimal(usd)) for after, usd in told]


def compute_usd(row: Instance) -> Decimal:
    found = Charge.objects.filter(kind="compute", key__startswith=f"machine/{row.slug}/run/")
    return sum((one.amount_usd for one in found), Decimal(0))


def delete(stage: Stage, row: Instance) -> None:
    services.request_terminate(fresh(row), who=None, now=stage.now)
    services.terminate([row.pk], cloud=stage.cloud, now=stage.now)


def test_aws_is_asked_for_spot_at_the_price_on_demand_at_most_and_that_is_what_is_held(spot: Stage) -> None:
    row = spot.running()
    assert spot.machine(row).spec.spot_usd_hour == "0.526000"
    assert row.spot_request == spot.machine(row).spot_request
    hold = Hold.objects.get(key=row.run_hold_key)
    assert abs(hold.amount_usd - Decimal("0.531") * (4 * HOUR + 300) / 3600) < Decimal("0.001")


def test_a_preset_on_demand_asks_for_no_spot(stage: Stage) -> None:
    assert stage.machine(stage.running()).spec.spot_usd_hour == ""


def test_it_is_charged_at_the_prices_in_force_from_its_first_second(spot: Stage) -> None:
    row = spot.launch()
    prices(spot, row, (-24, "0.2"), (1, "0.3"))
    spot.reporting.add(row.slug)
    spot.active.add(row.slug)
    spot.wait(120)
    spot.stop(row)
    spot.wait(3)
    run = Run.objects.get(instance=row)
    hours = Decimal((run.ended_at - run.started_at).total_seconds()) / 3600
    assert abs(compute_usd(row) - (Decimal("0.2") + Decimal("0.3") * (hours - 1))) < Decimal("0.01")
    check_books()


def test_while_aws_tells_no_price_nothing_breaks_and_more_than_the_hold_is_never_charged(spot: Stage) -> None:
    row = spot.running()
    prices(spot, row, (-24, "9.0"))
    spot.cloud.break_before("spot_prices", Transient("throttled"), times=3)
    spot.active.add(row.slug)
    spot.wait(90)
    delete(spot, row)
    spot.wait(3)
    assert compute_usd(row) <= Decimal("0.526") * Decimal("1.6")
    check_books()


def test_deleting_it_ends_its_request_first_so_that_aws_makes_no_other(spot: Stage) -> None:
    row = spot.running()
    delete(spot, row)
    spot.wait(3)
    assert spot.kept() == []


def test_while_the_request_cannot_be_ended_it_is_not_deleted_and_then_it_is(spot: Stage) -> None:
    row = spot.running()
    spot.cloud.break_before("cancel_spot", Transient("throttled"), times=2)
    delete(spot, row)
    assert len(spot.kept()) == 1
    spot.wait(5)
    assert fresh(row).state == "terminated"
    assert spot.kept() == []


def test_without_that_rule_aws_would_have_made_another(spot: Stage) -> None:
    row = spot.running()
    spot.cloud.terminate([row.cloud_id])
    assert len(spot.kept()) == 1


def test_taken_back_it_is_stopped_with_its_disk_and_the_student_reads_what_to_do(spot: Stage) -> None:
    row = spot.running()
    spot.cloud.reclaim(row.cloud_id)
    spot.wait(2)
    row = fresh(row)
    assert row.state == "stopped"
    assert "AWS took this Spot machine back. Its disk is kept" in row.reason
    assert not Run.objects.filter(instance=row, ended_at=None).exists()
    check_books()


def test_a_run_that_nobody_saw_is_charged_at_spots_price_too(spot: Stage) -> None:
    """AWS itself starts a machine that it took back; it ran and ended between two looks."""
    row = spot.launch()
    prices(spot, row, (-24, "0.16"))
    spot.reporting.add(row.slug)
    spot.wait(5)
    spot.cloud.reclaim(row.cloud_id)
    spot.wait(3)
    before = compute_usd(row)
    machine = spot.machine(row)
    machine.reclaimed = False
    machine.start(spot.now)
    spot.later(59)
    spot.cloud.stop([row.cloud_id])
    spot.repair()
    sweeps.meter(spot.now)  # comes before Spot's round
    spot.wait(3)
    assert Run.objects.filter(instance=row).count() == 2
    assert abs(compute_usd(row) - before - Decimal("0.16") / 60) < Decimal("0.0001")
    check_books()
