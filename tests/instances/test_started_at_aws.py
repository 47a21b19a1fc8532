"""Somebody starts a machine of ours in AWS's console, and it ends there or here: what it ran is booked once."""

from datetime import timedelta

import pytest

from cloud.base import Transient
from instances import services
from instances.models import Instance, Run
from instances.sweeps import mending, repairing
from tests.instances.conftest import Stage, check_books, compute_seconds, fresh


def stopped_after(stage: Stage, minutes: float) -> Instance:
    row = stage.running()
    stage.wait(minutes)
    services.request_stop(fresh(row), reason="enough", who=None, now=stage.now)
    assert stage.wait(5, until=lambda: fresh(row).state == "stopped")
    stage.wait(2)
    return fresh(row)


def test_and_its_student_deletes_it_before_it_was_seen_to_run(stage: Stage) -> None:
    row = stopped_after(stage, 10)
    before = compute_seconds(row)
    stage.cloud.boot_seconds = 45
    stage.cloud.start([row.cloud_id])
    services.request_terminate(row, who=None, now=stage.now)
    stage.wait(3)
    assert fresh(row).state == "terminated"
    assert [run.number for run in row.runs.order_by("number")] == [1, 2]
    assert 0 < compute_seconds(row) - before <= 3 * 60
    check_books()


def test_and_deletes_it_there_between_two_looks(stage: Stage) -> None:
    row = stopped_after(stage, 10)
    before = compute_seconds(row)
    stage.cloud.start([row.cloud_id])
    stage.later(1800)
    stage.cloud.terminate([row.cloud_id])
    stage.wait(2)
    assert fresh(row).state == "terminated"
    assert compute_seconds(row) - before == 1800
    check_books()


def test_a_machine_that_hangs_while_it_stops_and_is_deleted_then_is_paid_for_until_it_was_seen_to_stop(
    stage: Stage,
) -> None:
    stage.cloud.stop_seconds = 3600
    row = stage.running()
    stage.wait(20)
    stage.cloud.power_off(row.cloud_id)
    stage.wait(1)
    seen = stage.now
    stage.wait(14)
    stage.cloud.stop_seconds = 0  # a deletion is heard at once
    services.request_terminate(fresh(row), who=None, now=stage.now)
    assert stage.wait(5, until=lambda: fresh(row).state == "terminated")
    assert Run.objects.get(instance=row).ended_at == seen
    assert fresh(row).disk_until > seen + timedelta(minutes=13)


def test_a_machine_that_was_stopped_long_before_its_deletion_came_through_is_paid_for_until_it_was_stopped(
    stage: Stage,
) -> None:
    row = stage.running()
    stage.wait(20)
    services.request_stop(fresh(row), reason="enough", who=None, now=stage.now)
    services.stop([row.pk], cloud=stage.cloud, now=stage.now)
    services.request_terminate(fresh(row), who=None, now=stage.now)
    stopped = stage.now
    stage.later(5 * 3600)
    assert stage.wait(5, until=lambda: fresh(row).state == "terminated")
    assert Run.objects.get(instance=row).ended_at == stopped


def test_deleted_in_its_launch_stopped_by_awss_timer_and_forgotten_it_is_paid_for_until_the_timer(stage: Stage) -> None:
    row = stage.launch()
    services.request_terminate(fresh(row), who=None, now=stage.now)  # and its message is lost
    timer = fresh(row).guard_until
    stage.later(5 * 3600)
    stage.cloud.break_before("terminate", Transient("connection closed"), times=1)
    stage.repair()
    assert (fresh(row).state, Run.objects.get(instance=row).stopping_at) == ("terminating", timer)
    stage.cloud.terminate([row.cloud_id])
    Instance.objects.filter(pk=row.pk).update(last_report_at=stage.now)  # whatever says so: it was seen to be off
    stage.later(3 * 3600)
    assert stage.wait(10, until=lambda: fresh(row).state == "terminated")
    assert Run.objects.get(instance=row).ended_at == timer
    check_books(metered=False)


def test_a_look_that_takes_minutes_takes_no_minute_of_work_for_none(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.cloud.stop_seconds = 600
    row = stage.running()
    stage.wait(20)
    stage.cloud.power_off(row.cloud_id)
    monkeypatch.setattr(repairing, "running_clock", lambda now: lambda: now + timedelta(seconds=100))
    stage.repair()
    assert Run.objects.get(instance=row).stopping_at == stage.now + timedelta(seconds=100)


def test_late_launches_come_last_in_a_round_and_leave_time_for_other_rounds(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = stage.running()
    stage.preset.per_person = 5
    stage.preset.save()
    late = [stage.click_launch(stage.cast.student) for _n in range(2)]
    late.append(stage.click_launch(stage.cast.other_student))
    services.request_stop(fresh(ended), reason="enough", who=None, now=stage.now)
    stage.later(30)
    monkeypatch.setattr(mending, "ASKING_SECONDS", 0)
    said: list[str] = []
    for op in ("stop", "run"):
        stage.cloud.on_call(op, lambda *_args, op=op: said.append(op))
    stage.repair()
    assert said == ["stop", "run"]
    assert [fresh(row).state for row in late] == ["launching", "requested", "requested"]
    for _round in late:
        stage.later(60)
        stage.repair()
    assert {fresh(row).state for row in late} == {"running"}
