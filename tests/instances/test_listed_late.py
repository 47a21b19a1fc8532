"""AWS lists a machine minutes after it made it: what becomes of one whose answer was lost, and whose row went on."""

import pytest

from cloud.base import NoCapacity, Transient
from instances import services, sweeps
from instances.models import Instance
from tests.instances.conftest import Stage, check_books, compute_seconds, fresh
from tests.instances.test_single_faults import Died


def launched_and_died(stage: Stage) -> Instance:
    """AWS has the machine; the process that asked for it never heard so."""
    row = stage.click_launch()
    stage.cloud.break_after("run", Died())
    with pytest.raises(Died):
        services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    return row


def call_off(stage: Stage, row: Instance, wish: str) -> None:
    who = row.owner.user
    if wish == "stop":
        services.request_stop(fresh(row), reason="enough", who=who, now=stage.now)
    else:
        services.request_terminate(fresh(row), who=who, now=stage.now)


def test_a_machine_of_an_earlier_question_is_ended_though_its_row_waits_in_the_queue(stage: Stage) -> None:
    """Asked again, AWS said no, which it should not have; hours later it may say yes to a later question."""
    stage.cloud.hidden_seconds = 150
    row = stage.click_launch()
    stage.cloud.break_after("run", Transient("lost"))
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    stage.cloud.break_before("run", NoCapacity("none", code="InsufficientInstanceCapacity"), times=None)
    stage.wait(5)
    assert (fresh(row).state, fresh(row).attempt > 1) == ("requested", True)
    assert stage.kept() == []
    stage.cloud.heal()
    stage.cloud.hidden_seconds = 0
    sweeps.queue(stage.cloud, stage.now)
    stage.sweep()
    assert fresh(row).state == "running"
    assert len(stage.kept()) == 1


def test_while_it_is_being_asked_for_it_is_no_double(stage: Stage) -> None:
    """A later question than the first, and its answer lost as well."""
    stage.cloud.fill(zone="us-east-1a")
    row = stage.click_launch()
    stage.cloud.break_after("run", Transient("lost"), when=lambda spec: spec.zone == "us-east-1b")
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    [machine] = stage.alive()
    stage.wait(2)
    assert (fresh(row).state, fresh(row).cloud_id) == ("running", machine.cloud_id)


@pytest.mark.parametrize("wish", ["stop", "delete"])
def test_found_after_its_owner_called_it_off_it_is_ended_in_the_same_round(stage: Stage, wish: str) -> None:
    stage.cloud.hidden_seconds = 30
    row = stage.click_launch()
    stage.cloud.break_after("run", Transient("lost"))
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    call_off(stage, row, wish)
    stage.later(60)
    stage.repair()
    assert stage.alive() == []
    stage.wait(2)
    assert fresh(row).state == ("stopped" if wish == "stop" else "terminated")
    assert compute_seconds(row) == 60
    check_books(metered=wish != "stop")


@pytest.mark.parametrize("wish", ["stop", "delete"])
def test_found_after_hours_it_is_paid_to_its_end_for_no_timer_stood(stage: Stage, wish: str) -> None:
    row = launched_and_died(stage)
    call_off(stage, row, wish)
    stage.later(5 * 3600)
    stage.repair()
    assert stage.alive() == []
    stage.wait(2)
    assert compute_seconds(row) == 5 * 3600
    check_books(metered=False)


def test_found_after_its_lease_it_is_paid_to_the_end_that_its_late_timer_makes(stage: Stage) -> None:
    row = launched_and_died(stage)
    stage.later(5 * 3600)
    stage.repair()
    services.request_terminate(fresh(row), who=row.owner.user, now=stage.now)
    stage.wait(3)
    [machine] = stage.cloud.machines.values()
    assert compute_seconds(row) == sum(stretch.seconds(stage.now) for stretch in machine.stretches) >= 5 * 3600
    check_books(metered=False)
