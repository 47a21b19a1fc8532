"""A hundred clicks, or an AWS that answers slowly, do not keep the guard's rounds waiting."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from instances import services
from instances.models import Instance, SweepBeat
from instances.states import State
from portal.celery import CLICKS, ROUNDS, app
from tests.instances.conftest import Stage
from tests.instances.workers import Farm, farm
from tests.simulated_aws import SimulatedAws, aws_credentials, sim, simulated_aws, until

__all__ = ["aws_credentials", "sim", "simulated_aws"]
LAUNCHES = 8


def test_all_that_the_beat_asks_for_and_each_look_for_who_waits_is_a_round() -> None:
    asked = {name: app.amqp.router.route(entry["options"], entry["task"]) for name, entry in beat_table().items()}
    assert {route["queue"].name for route in asked.values()} == {ROUNDS}
    assert app.amqp.router.route({}, "instances.tasks.follow")["queue"].name == ROUNDS


@pytest.mark.parametrize("task", ["launch", "start", "stop", "terminate", "restart"])
def test_what_is_clicked_is_none(task: str) -> None:
    assert app.amqp.router.route({}, f"instances.tasks.{task}")["queue"].name == CLICKS


def test_no_message_reaches_both_queues() -> None:
    ways = {(queue.exchange.name, queue.routing_key) for queue in app.amqp.queues.values()}
    assert ways == {(CLICKS, CLICKS), (ROUNDS, ROUNDS)}


def beat_table() -> dict:
    app.finalize()
    return dict(app.conf.beat_schedule)


@pytest.fixture
def worker(sim: SimulatedAws, stage: Stage, tmp_path: Path) -> Iterator[Farm]:
    today = timezone.now().date()
    stage.cast.course.starts_on, stage.cast.course.ends_on = today - timedelta(days=1), today + timedelta(days=30)
    stage.cast.course.save()
    stage.preset.image_id, stage.preset.per_person = sim.network["image_id"], LAUNCHES
    stage.preset.save()
    with farm(sim, tmp_path) as found:
        found.hire(concurrency=1)
        sim.change(latency_ms=400)
        yield found
    sim.change(latency_ms=0)


@pytest.mark.postgres
@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("apart", [True, False], ids=["apart", "control"])
def test_a_round_is_done_while_launches_still_wait_for_the_only_process(
    stage: Stage, worker: Farm, apart: bool
) -> None:
    student, now = stage.cast.student, timezone.now()
    rows = [services.request_launch(student, stage.preset, who=None, now=now) for _n in range(LAUNCHES)]
    for row in rows:
        worker.send("launch", row.pk)
    worker.send("sweep_lease", queue=worker.rounds if apart else worker.name)
    until(SweepBeat.objects.filter(name="lease").exists, 60)
    left = Instance.objects.filter(state=State.REQUESTED).count()
    assert left >= LAUNCHES - 3 if apart else left == 0  # no process has taken more than one ahead
