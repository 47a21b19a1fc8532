"""The lease round reads no row about which there is nothing to do, and passes by none about which there is."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances.models import Instance, Policy
from instances.sweeps import idling, leasing
from tests.instances.conftest import NOON, Stage, events, fresh

LEASES = (600, 1200, 4 * 3600, 24 * 3600)
WARNINGS = (60, 600, 3600, 40_000)


@pytest.mark.parametrize("warn", WARNINGS)
@pytest.mark.parametrize("whole", LEASES)
def test_whoever_is_to_be_renewed_is_among_those_read(stage: Stage, whole: int, warn: int) -> None:
    row = stage.running()
    Policy.objects.create(course=stage.cast.course, warn_seconds=warn, quiet_seconds=warn + 60)
    lead = leasing.lead_of(whole, warn)
    found = {}
    for name, left in (("at", lead), ("before", whole * leasing.LONGEST_LEAD + 1)):
        Instance.objects.filter(pk=row.pk).update(lease_seconds=whole, lease_until=NOON + timedelta(seconds=left))
        found[name] = Instance.objects.filter(leasing._due(NOON)).exists()
    assert found == {"at": True, "before": whole * leasing.LONGEST_LEAD < 600}


def test_who_was_told_to_save_is_stopped_on_time_however_long_the_lease(stage: Stage) -> None:
    row = stage.running()
    Instance.objects.filter(pk=row.pk).update(leaving_at=stage.now, leaving={"reason": "Stopped by its owner"})
    stage.sweep()
    assert fresh(row).state in ("stopping", "stopped")
    assert events(row, "moved")[-1].reason


def test_the_glance_at_a_machine_holds_all_that_a_decision_reads(stage: Stage) -> None:
    row = stage.running()
    [glanced] = idling._glanced(Instance.objects.filter(pk=row.pk))
    with CaptureQueriesContext(connection) as asked:
        decision = idling.decision_for(glanced, stage.now)
    assert not asked.captured_queries
    [whole] = idling.judged(Instance.objects.filter(pk=row.pk))
    assert decision == idling.decision_for(whole, stage.now)
