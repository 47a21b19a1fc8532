"""Real workers are killed with SIGKILL in the middle of a launch and of a stop, at each of their calls to AWS.

Their messages are lost with them, as they are in practice for the next hour. The rounds find the rows.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from django.db.models import F
from django.utils import timezone

from instances import services, sweeps
from instances.models import Instance
from instances.repair import CALL_SECONDS
from tests.instances.conftest import Stage, check_books, compute_seconds, fresh, held
from tests.instances.workers import Farm, farm
from tests.simulated_aws import SimulatedAws, aws_credentials, sim, simulated_aws, until

__all__ = ["aws_credentials", "sim", "simulated_aws"]
pytestmark = [
    pytest.mark.postgres,
    pytest.mark.redis,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.django_db(transaction=True),
]
# When the workers die: as soon as the message is sent, or as soon as AWS was asked this (and before it has answered).
LAUNCH_CALLS = ("", "DescribeInstanceTypeOfferings", "RunInstances", "CreateSchedule")
STOP_CALLS = ("", "StopInstances")


@pytest.fixture
def workers(sim: SimulatedAws, stage: Stage, tmp_path: Path) -> Iterator[Farm]:
    today = timezone.now().date()
    stage.cast.course.starts_on, stage.cast.course.ends_on = today - timedelta(days=1), today + timedelta(days=30)
    stage.cast.course.save()
    stage.preset.image_id = sim.network["image_id"]
    stage.preset.save()
    sim.change(latency_ms=300)  # so that there is a middle of a call
    with farm(sim, tmp_path) as found:
        yield found
    sim.change(latency_ms=0)


def test_launches(stage: Stage, workers: Farm) -> None:
    for call in LAUNCH_CALLS:
        workers.hire(concurrency=1)
        row = services.request_launch(stage.cast.student, stage.preset, who=stage.cast.student.user, now=timezone.now())
        send_and_kill(workers, call, "launch", row.pk)
        mend(workers, row, "running")
        assert [m["state"] for m in machines_of(row, workers)] == ["running"], call
        end(workers, row)
        assert_books(row, workers)


def test_stops(stage: Stage, workers: Farm) -> None:
    for call in STOP_CALLS:
        row = launched(stage, workers)
        workers.hire(concurrency=1)
        services.request_stop(fresh(row), reason="enough", who=None, now=timezone.now())
        send_and_kill(workers, call, "stop", [row.pk])
        mend(workers, row, "stopped")
        assert [m["state"] for m in machines_of(row, workers)] == ["stopped"], call
        assert_books(row, workers)
        end(workers, row)


def launched(stage: Stage, workers: Farm) -> Instance:
    row = services.request_launch(stage.cast.student, stage.preset, who=None, now=timezone.now())
    services.launch(row.pk, cloud=workers.cloud, now=timezone.now())
    mend(workers, row, "running")
    return row


def send_and_kill(workers: Farm, call: str, task: str, *args: object) -> None:
    before = workers.sim.calls().get(call, 0)  # ahead of the message: a worker may ask before we look
    workers.send(task, *args)
    if call:
        until(lambda: workers.sim.calls().get(call, 0) > before, 30)
    workers.kill()
    workers.forget_messages()


def mend(workers: Farm, row: Instance, state: str) -> None:
    """The rounds of the next minutes; claims and messages of the dead have run out by then."""
    gone = timedelta(seconds=CALL_SECONDS + 1)
    found = Instance.objects.filter(pk=row.pk)
    found.filter(calling_until__isnull=False).update(calling_until=F("calling_until") - gone)
    found.update(state_since=F("state_since") - gone, stop_asked_at=None)

    def round_and_look() -> bool:
        sweeps.repair(workers.cloud, timezone.now(), probe=lambda places: [True] * len(places))
        return fresh(row).state == state

    until(round_and_look, 30)


def end(workers: Farm, row: Instance) -> None:
    services.request_terminate(fresh(row), who=None, now=timezone.now())
    services.terminate([row.pk], cloud=workers.cloud, now=timezone.now())
    mend(workers, row, "terminated")


def machines_of(row: Instance, workers: Farm) -> list[dict[str, object]]:
    return [m for m in workers.machines() if str(m["token"]).startswith(f"{row.slug}-")]


def assert_books(row: Instance, workers: Farm) -> None:
    """The seconds that it ran, counted as AWS counts: whole seconds from its launch, a minute at least."""
    sweeps.meter(timezone.now())
    run = row.runs.get()
    [machine] = machines_of(row, workers)
    first, last = machine["stretches"][0]  # type: ignore[index]
    assert abs(run.started_at - moment(first)) <= timedelta(seconds=2)
    assert run.ended_at is not None
    assert abs(run.ended_at - moment(last)) <= timedelta(seconds=1)
    assert compute_seconds(row) == max(60, int((run.ended_at - run.started_at).total_seconds()))
    assert (held(row) > 0) == (fresh(row).state == "stopped")  # its disk
    check_books()


def moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, timezone.now().tzinfo)
