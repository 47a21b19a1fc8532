"""Freeing what was held too much asks no budget: one that was overrun meanwhile would stop what is under way."""

from instances import services, snapshots
from instances.disk_rules import Standing
from instances.models import DiskSnapshot, Instance
from spend.checks import check_books
from spend.models import Hold
from spend.services import budget_of, post
from tests.instances.conftest import Stage, fresh
from tests.spend.conftest import dollars


def overrun(stage: Stage) -> None:
    """As a bill may do that came late: as much more than is left as what is under way has held."""
    mine = budget_of(stage.cast.student)
    above = mine.parent.parent
    post(mine, "bill", [dollars(min(mine.left_usd, above.left_usd) + mine.held_usd)], stage.now)
    assert budget_of(stage.cast.student).overrun_usd > 0


def test_a_launch_under_way_runs_and_is_let_in(stage: Stage) -> None:
    row = stage.click_launch()
    overrun(stage)
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(3)
    row = fresh(row)
    assert row.state == "running"
    assert row.guard_until
    assert row.notebook_ready_at
    assert check_books() == []


def test_a_copy_under_way_is_kept_and_its_machine_deleted(stage: Stage) -> None:
    row = stage.running()
    one = snapshots.request_archive(row, why=DiskSnapshot.Why.KEPT, who=row.owner.user, now=stage.now)
    whole = Hold.objects.get(key=one.key).amount_usd
    overrun(stage)
    services.stop([row.pk], cloud=stage.cloud, now=stage.now)
    stage.wait(5)
    assert DiskSnapshot.objects.get().standing == Standing.KEPT
    assert Hold.objects.get(key=one.key).amount_usd < whole / 3
    assert Instance.objects.get().state == "terminated"
    assert check_books() == []
