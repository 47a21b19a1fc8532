"""One machine from the click to the deleted disk, with nothing going wrong."""

from decimal import Decimal

from django.db.models import Sum

from instances import services
from instances.books import life_usd
from instances.models import Run, SweepBeat
from spend.models import Charge, Hold
from tests.instances.conftest import HOUR, Stage, check_books, compute_seconds, events, fresh, held, path

MICRO = Decimal("0.000001")


def test_a_click_becomes_a_machine_that_is_paid_for_in_advance(stage: Stage) -> None:
    row = stage.click_launch()
    assert stage.cloud.count() == 0  # a request asks AWS nothing
    g6 = Decimal("0.8048") + Decimal("0.005")  # the dearest that may be used, and its address
    assert 0 <= Hold.objects.get(key=f"machine/{row.slug}/run/1").amount_usd - g6 * (4 * HOUR + 300) / 3600 < MICRO
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    stage.sweep()
    row = fresh(row)
    assert path(row) == ["requested", "launching", "running"]
    assert row.instance_type == "g4dn.xlarge"
    assert row.notebook_ready_at == stage.now
    assert stage.machine(row).stops_at == row.guard_until
    assert row.lease_until < row.guard_until


def test_it_stops_starts_with_its_disk_and_is_deleted_and_the_books_end_with_it(stage: Stage) -> None:
    row = stage.running()
    stage.active.add(row.slug)
    stage.wait(90)
    row = stage.stop(row)
    assert row.state == "stopping"
    stage.wait(30)
    assert fresh(row).state == "stopped"
    assert compute_seconds(row) == 90 * 60
    services.request_start(fresh(row), who=row.owner.user, now=stage.now)
    services.start(row.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(20)
    assert fresh(row).state == "running"
    assert services.request_terminate(fresh(row), who=row.owner.user, now=stage.now)
    services.terminate([row.pk], cloud=stage.cloud, now=stage.now)
    stage.wait(2)
    assert path(row) == [
        "requested", "launching", "running", "stopping", "stopped", "launching", "running", "terminating", "terminated",
    ]  # fmt: skip
    assert stage.kept() == []
    assert compute_seconds(row) == (90 + 20) * 60 == stage.cloud.ran_seconds(row.cloud_id)
    assert Run.objects.filter(instance=row).count() == 2
    [disk] = [sum(c.seconds for c in Charge.objects.filter(key=f"machine/{row.slug}/disk"))]
    assert disk == (90 + 30 + 20) * 60
    assert held(row) == 0
    charged = Charge.objects.filter(key__startswith=f"machine/{row.slug}/").aggregate(usd=Sum("amount_usd"))["usd"]
    stage.later(HOUR)  # nothing is added to what is over
    assert abs(life_usd(fresh(row), stage.now) - charged) < Decimal("0.0001")
    check_books()


def test_once_it_runs_only_its_own_price_is_held(stage: Stage) -> None:
    row = stage.running()
    hold = Hold.objects.get(key=f"machine/{row.slug}/run/1")
    assert 0 <= hold.amount_usd - row.usd_hour * (4 * HOUR + 300) / 3600 < MICRO
    check_books()


def test_the_events_are_the_whole_story(stage: Stage) -> None:
    row = stage.running()
    kinds = [(e.kind, e.new_state, bool(e.who)) for e in events(row)]
    assert kinds == [
        ("moved", "requested", True),
        ("moved", "launching", False),
        ("moved", "running", False),
        ("ready", "", False),
    ]


def test_each_sweep_leaves_its_beat(stage: Stage) -> None:
    stage.running()
    assert dict(SweepBeat.objects.values_list("name", "looked_at")) == {
        "repair": 1, "idle": 1, "lease": 0, "meter": 2, "notices": 0, "disks": 0, "spot": 0,
    }  # fmt: skip


def test_deleted_while_it_was_launched_it_is_counted_although_aws_has_forgotten_it_when_the_portal_is_back(
    stage: Stage,
) -> None:
    row = stage.launch()
    services.request_terminate(fresh(row), who=None, now=stage.now)  # and its message is lost
    stage.later(HOUR)
    stage.sweep()
    assert fresh(row).state == "terminating"
    stage.later(3 * HOUR)  # AWS lists a deleted machine for an hour
    assert stage.wait(10, until=lambda: fresh(row).state == "terminated")
    stage.wait(1)
    assert compute_seconds(row) == HOUR
    check_books()


def test_deleted_before_any_look_saw_it_run_and_forgotten_by_aws_it_is_counted_while_it_was_listed(
    stage: Stage,
) -> None:
    stage.cloud.boot_seconds = 150
    row = stage.launch()
    stage.wait(2)
    stage.later(59)
    services.request_terminate(fresh(row), who=None, now=stage.now)
    services.terminate([row.pk], cloud=stage.cloud, now=stage.now)
    stage.later(6 * HOUR)
    assert stage.wait(10, until=lambda: fresh(row).state == "terminated")
    stage.wait(1)
    assert compute_seconds(row) == 120
    check_books()
