"""A guard's light stands on a stop that this guard made: never on a power-off that was none of its turns."""

from datetime import timedelta

import pytest

from instances.drill_records import GuardProof
from instances.models import Instance
from tests.instances.conftest import Stage, fresh


def powered_off(stage: Stage, **facts: object) -> list[str]:
    """From inside, 31 minutes after its last use."""
    row = stage.running()
    stage.wait(5)
    since = stage.now
    stage.now = since + timedelta(minutes=31)
    seen = stage.now - timedelta(seconds=40)
    now = {"seen_at": seen, "last_report_at": seen, "last_active_at": since, **facts}
    Instance.objects.filter(pk=row.pk).update(**now)
    stage.cloud.power_off(row.cloud_id)
    stage.later(20)
    stage.repair()
    assert fresh(row).state == "stopped"
    return list(GuardProof.objects.values_list("guard", flat=True))


def test_unused_for_the_quiet_time_it_was_its_watch(stage: Stage) -> None:
    assert powered_off(stage) == ["watch"]


@pytest.mark.parametrize("fact", ["kept_until", "hung_since"])
def test_a_kept_or_hanging_machine_was_switched_off_by_a_person(stage: Stage, fact: str) -> None:
    at = {"kept_until": stage.now + timedelta(hours=8), "hung_since": stage.now + timedelta(minutes=10)}[fact]
    assert powered_off(stage, **{fact: at}) == []
