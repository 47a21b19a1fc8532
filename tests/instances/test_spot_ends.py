"""A Spot request lasts: until it is cancelled, AWS makes the next machine of each that ends. Nobody asked for that."""

from collections.abc import Callable

import pytest

from cloud.base import LaunchSpec, Transient
from cloud.fake_machine import FakeMachine
from instances import services
from instances.models import Instance, Preset, StrayMachine
from tests.instances.conftest import Stage, check_books, compute_seconds, fresh


@pytest.fixture
def spot(stage: Stage) -> Stage:
    Preset.objects.filter(pk=stage.preset.pk).update(market=Preset.Market.SPOT)
    stage.preset.refresh_from_db()
    stage.cloud.boot_seconds = 20
    return stage


def made(stage: Stage) -> list[FakeMachine]:
    return list(stage.cloud.machines.values())


def billed(stage: Stage) -> float:
    """Seconds, by AWS's minimum of a minute for each start."""
    return sum(max(s.seconds(stage.now), 60) for machine in made(stage) for s in machine.stretches)


def in_the_console(stage: Stage, row: Instance) -> None:
    stage.cloud.terminate([row.cloud_id])


def by_its_hardware(stage: Stage, row: Instance) -> None:
    stage.cloud.kill(row.cloud_id)


@pytest.mark.parametrize("delete", [in_the_console, by_its_hardware])
@pytest.mark.parametrize("stops_slowly", [0, 150])
def test_deleted_by_others_it_is_replaced_once_and_that_one_is_ended_at_the_next_look(
    spot: Stage, delete: Callable[[Stage, Instance], None], stops_slowly: int
) -> None:
    row = spot.launch()
    spot.wait(2)
    spot.cloud.stop_seconds = stops_slowly
    delete(spot, fresh(row))
    assert len(spot.alive()) == 1
    spot.later(60)
    spot.repair()
    spot.wait(60)
    assert (len(made(spot)), spot.kept()) == (2, [])
    assert fresh(row).state == "terminated"
    assert billed(spot) - compute_seconds(row) <= 120
    check_books()


def test_one_that_carries_no_mark_of_ours_is_the_last(spot: Stage) -> None:
    """The portal may not touch it; staff see it among the machines that are not ours."""
    row = spot.launch()
    spot.wait(2)
    spot.cloud.marks_replacements = False
    in_the_console(spot, row)
    spot.wait(2)
    [other] = spot.cloud._of_others()
    spot.cloud.terminate([other.cloud_id])
    spot.wait(60)
    assert (len(made(spot)), spot.kept()) == (2, [])


def test_while_its_request_cannot_be_ended_the_next_one_is_not_and_then_it_is(spot: Stage) -> None:
    row = spot.launch()
    spot.wait(2)
    in_the_console(spot, row)
    spot.cloud.break_before("cancel_spot", Transient("throttled"), times=3)
    spot.wait(2)
    assert (len(made(spot)), len(spot.alive())) == (2, 1)
    spot.wait(10)
    assert (len(made(spot)), spot.kept()) == (2, [])


def test_called_off_and_listed_late_it_is_ended_for_good(spot: Stage) -> None:
    spot.cloud.hidden_seconds = 400
    row = spot.click_launch()
    spot.cloud.break_after("run", Transient("lost"))
    services.launch(row.pk, cloud=spot.cloud, now=spot.now)
    services.request_terminate(fresh(row), who=row.owner.user, now=spot.now)
    spot.wait(60)
    assert (len(made(spot)), spot.kept()) == (1, [])
    assert billed(spot) <= 420


def test_an_answer_that_comes_too_late_is_ended_for_good_though_its_request_could_not_be_at_once(spot: Stage) -> None:
    row = spot.click_launch()

    def failed(_spec: LaunchSpec) -> None:
        Instance.objects.filter(pk=row.pk).update(state="failed")

    spot.cloud.on_call("run", failed)
    spot.cloud.break_before("cancel_spot", Transient("throttled"))
    services.launch(row.pk, cloud=spot.cloud, now=spot.now)
    assert len(spot.alive()) == 1
    spot.wait(60)
    assert (len(made(spot)), spot.kept()) == (1, [])


def test_failed_at_boot_it_is_replaced_once(spot: Stage) -> None:
    row = spot.launch()
    spot.cloud.kill(row.cloud_id)
    spot.cloud._machines[row.cloud_id].state_reason = "Server.InternalError: Internal error on launch"
    spot.wait(60)
    assert fresh(row).state == "failed"
    assert (len(made(spot)), spot.kept()) == (2, [])
    check_books()


def test_the_request_of_a_machine_that_is_kept_is_never_ended(spot: Stage) -> None:
    """Without it AWS deletes a machine that it took back, and one that runs cannot be stopped any more."""
    row = spot.launch()
    spot.wait(2)
    spot.cloud.reclaim(row.cloud_id)
    spot.wait(2)
    assert fresh(row).state == "stopped"
    stray = spot.cloud.run(LaunchSpec("elsewhere", "unknown", "g4dn.xlarge", "us-east-1a", "ami", 8, "", {}, "0.5"))
    spot.wait(5)
    assert StrayMachine.objects.get().cloud_id == stray.cloud_id
    assert {machine.state for machine in made(spot)} == {"stopped"}
    assert spot.cloud.cancelled_requests == set()
