"""A machine that boots again, and one that becomes bigger on the same disk."""

from decimal import Decimal

import pytest

from cloud.base import NotOffered, Refused, Transient
from instances import services
from instances.models import Instance, Preset, Run
from instances.refusals import LaunchRefused
from instances.report_form import Done, Report
from instances.reports import take_report
from instances.resizing import request_resize
from instances.restarting import request_restart, restart
from spend.models import Budget, Hold
from spend.services import BudgetRefused
from tests.instances.conftest import HOUR, Stage, check_books, events, fresh


def click(stage: Stage, row: Instance) -> bool:
    return request_restart(fresh(row), who=row.owner.user, now=stage.now)


def test_a_restart_is_asked_for_once_and_ends_no_run(stage: Stage) -> None:
    row = stage.running()
    assert click(stage, row)
    assert not click(stage, row)
    restart([row.pk], cloud=stage.cloud, now=stage.now)
    restart([row.pk], cloud=stage.cloud, now=stage.now)
    assert len(stage.machine(row).restarts) == 1
    assert fresh(row).notebook_ready_at is None
    stage.wait(3)
    assert fresh(row).notebook_ready_at
    assert Run.objects.filter(instance=row).count() == 1
    assert fresh(row).state == "running"


def test_a_lost_message_is_made_good_by_the_next_round(stage: Stage) -> None:
    row = stage.running()
    click(stage, row)
    stage.wait(2)
    assert len(stage.machine(row).restarts) == 1


@pytest.mark.parametrize("after", [False, True])
def test_an_unclear_answer_is_never_followed_by_a_second_reboot(stage: Stage, after: bool) -> None:
    row = stage.running()
    click(stage, row)
    (stage.cloud.break_after if after else stage.cloud.break_before)("restart", Transient("no answer"))
    restart([row.pk], cloud=stage.cloud, now=stage.now)
    stage.wait(5)
    assert len(stage.machine(row).restarts) == (1 if after else 0)
    assert "Ask again" in events(row, "refused")[-1].reason
    assert click(stage, row)


def waiting(row: Instance, task: str, **more: object) -> None:
    wait = {"task": task, "name": "python3 (4711)", "since": "2019-03-05T12:00:00+00:00"}
    Instance.objects.filter(pk=row.pk).update(awaited=wait, **more)


def test_a_restart_takes_back_stop_when_this_ends_and_says_so(stage: Stage) -> None:
    """What it waited for ends with the boot: a minute after it the machine was off again, under who restarted it."""
    row = stage.running()
    waiting(row, "p:4711:99")
    click(stage, row)
    restart([row.pk], cloud=stage.cloud, now=stage.now)
    assert (fresh(row).awaited, fresh(row).done_at) == ({}, None)
    stage.later(60)
    report = Report("after", 50.0, 0, 0, 0, 0, None, 0, "4", done=Done("p:4711:99", 5.0))
    take_report(fresh(row), report, now=stage.now)
    stage.sweep()
    assert fresh(row).state == "running"
    assert [e.reason for e in events(row, "awaited")] == ["Waits for nothing any more: it restarts"]


def test_an_end_that_was_told_just_before_the_restart_stops_nothing_after_it(stage: Stage) -> None:
    row = stage.running()
    waiting(row, "p:4711:99", done_at=stage.now)
    click(stage, row)
    restart([row.pk], cloud=stage.cloud, now=stage.now)
    stage.wait(2)
    assert fresh(row).state == "running"


def test_a_machine_that_only_packs_its_files_is_still_stopped_when_they_are_packed(stage: Stage) -> None:
    """That end outlives a boot: its agent goes on packing."""
    row = stage.running()
    waiting(row, "home")
    click(stage, row)
    restart([row.pk], cloud=stage.cloud, now=stage.now)
    assert fresh(row).awaited["task"] == "home"
    assert not events(row, "awaited")


def test_a_restart_without_a_wait_says_nothing_of_waiting(stage: Stage) -> None:
    row = stage.running()
    click(stage, row)
    restart([row.pk], cloud=stage.cloud, now=stage.now)
    assert not events(row, "awaited")


def test_what_does_not_run_is_not_restarted(stage: Stage) -> None:
    row = stage.stop(stage.running())
    stage.wait(1)
    assert not click(stage, row)


# ------------------------------------------------------------------ another preset on the same disk
@pytest.fixture
def bigger(stage: Stage) -> Preset:
    return Preset.objects.create(
        course=stage.cast.course, slug="project", name="Project: A10G 24 GB", instance_types=["g5.xlarge"],
        image_id="ami-course", disk_gb=100, lease_seconds=2 * HOUR, ceiling_usd_hour=Decimal("1.20"),
    )  # fmt: skip


def stopped(stage: Stage) -> Instance:
    row = stage.stop(stage.running())
    stage.wait(1)
    return fresh(row)


def start(stage: Stage, row: Instance) -> Instance:
    services.request_start(fresh(row), who=row.owner.user, now=stage.now)
    services.start(row.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(2)
    return fresh(row)


def test_a_stopped_machine_becomes_a_bigger_one_at_the_new_price_on_the_same_disk(stage: Stage, bigger: Preset) -> None:
    row = stopped(stage)
    request_resize(row, bigger, who=row.owner.user, now=stage.now)
    assert stage.cloud.count("change_type") == 0
    row = start(stage, row)
    assert (row.state, row.instance_type, row.preset) == ("running", "g5.xlarge", bigger)
    assert stage.machine(row).instance_type == "g5.xlarge"
    run = Run.objects.get(instance=row, number=2)
    assert run.price_usd_hour == Decimal("1.006")
    hold = Hold.objects.get(key=run.hold_key)
    assert abs(hold.amount_usd - Decimal("1.011") * (2 * HOUR + 300) / 3600) < Decimal("0.001")
    assert row.disk_gb == 64
    stage.stop(row)
    stage.wait(3)
    check_books()


def test_it_is_refused_while_it_runs_above_the_ceiling_and_without_the_money(stage: Stage, bigger: Preset) -> None:
    row = stage.running()
    with pytest.raises(LaunchRefused, match="Stop the machine first"):
        request_resize(row, bigger, who=None, now=stage.now)
    stage.stop(row)
    stage.wait(1)
    Preset.objects.filter(pk=bigger.pk).update(ceiling_usd_hour=Decimal("0.50"))
    with pytest.raises(LaunchRefused, match="has a price"):
        request_resize(row, bigger, who=None, now=stage.now)
    Preset.objects.filter(pk=bigger.pk).update(ceiling_usd_hour=2, lease_seconds=500 * HOUR)
    with pytest.raises(BudgetRefused):
        request_resize(row, bigger, who=None, now=stage.now)
    assert fresh(row).instance_type == "g4dn.xlarge"
    assert Budget.objects.get(enrollment=row.owner).held_usd == Hold.objects.get(key=row.disk_key).amount_usd


@pytest.mark.parametrize("after", [False, True])
def test_a_lost_answer_is_asked_again_before_the_start(stage: Stage, bigger: Preset, after: bool) -> None:
    row = stopped(stage)
    request_resize(row, bigger, who=None, now=stage.now)
    (stage.cloud.break_after if after else stage.cloud.break_before)("change_type", Transient("no answer"))
    row = start(stage, row)
    assert (row.state, stage.machine(row).instance_type) == ("running", "g5.xlarge")


def test_what_aws_refuses_is_taken_back_and_nothing_is_held(stage: Stage, bigger: Preset) -> None:
    row = stopped(stage)
    request_resize(row, bigger, who=None, now=stage.now)
    stage.cloud.break_before("change_type", Refused("no such type", code="InvalidInstanceAttributeValue"))
    row = start(stage, row)
    assert (row.state, row.instance_type, row.preset) == ("stopped", "g4dn.xlarge", stage.preset)
    assert not Hold.objects.filter(key=row.run_hold_key, closed_at=None).exists()
    assert "stays what it was" in events(row, "refused")[-1].reason
    assert start(stage, row).state == "running"
    check_open(row)


def check_open(row: Instance) -> None:
    assert fresh(row).price_usd_hour == Decimal("0.526")


def test_a_zone_without_the_new_type_leaves_it_stopped_with_a_word(stage: Stage, bigger: Preset) -> None:
    row = stopped(stage)
    request_resize(row, bigger, who=None, now=stage.now)
    refusal = NotOffered("g5.xlarge is not supported there", code="Unsupported")
    stage.cloud.refuse("start", row.cloud_id, refusal)
    row = start(stage, row)
    assert row.state == "stopped"
    assert "zone of your disk" in row.reason
