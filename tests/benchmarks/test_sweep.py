"""A round of the sweeps asks AWS no more often than it must, and writes only about machines that change."""

import secrets
from datetime import UTC, datetime

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext

from benchmarks import crowd_rows
from benchmarks.endpoint import Endpoint
from benchmarks.sweep import Stage, bare_sweep, minimum, one_round, product_sweeps
from instances.models import Instance, InstanceEvent
from instances.states import State
from tests.simulated_aws import SimulatedAws

MACHINES = 50


@pytest.fixture
def stage(db: None, sim: SimulatedAws) -> Stage:
    endpoint = Endpoint(sim.url, f"bench-{secrets.token_hex(4)}", True)
    endpoint.launch(MACHINES)
    crowd_rows.seed(endpoint.cloud_ids, datetime.now(UTC))
    return Stage(endpoint)


@pytest.mark.parametrize(
    ("machines", "to_stop", "bad", "calls"),
    [(100, 10, 0, 2), (1000, 100, 0, 2), (10_000, 1000, 0, 20), (1001, 101, 5, 9), (100, 0, 0, 1)],
)
def test_the_minimum(machines: int, to_stop: int, bad: int, calls: int) -> None:
    assert minimum(machines, to_stop, bad) == calls


def test_a_round_makes_as_few_calls_as_can_be_and_stops_what_the_bare_one_stops(stage: Stage) -> None:
    found = one_round(stage, product_sweeps)
    assert found.calls == {"DescribeInstances": 1, "StopInstances": 1}
    assert found.calls.total() == minimum(MACHINES, 5)
    assert Instance.objects.filter(state=State.STOPPING).count() == 5
    assert InstanceEvent.objects.count() == len(mail.outbox) == 5
    assert one_round(stage, bare_sweep).calls == found.calls


def test_a_bad_id_costs_one_call_and_keeps_no_other_machine_running(stage: Stage) -> None:
    assert one_round(stage, product_sweeps, bad=1).calls.total() == minimum(MACHINES, 5, bad=1)
    stage.forget(stage.idle[:1])
    assert one_round(stage, product_sweeps, bad=3).calls.total() == minimum(MACHINES - 1, 4, bad=3)


def test_a_throttled_batch_is_said_again_and_not_divided(stage: Stage) -> None:
    stage.reset()
    stage.endpoint.fault("StopInstances", "RequestLimitExceeded", times=1)
    assert one_round(stage, product_sweeps).calls == {"DescribeInstances": 1, "StopInstances": 2}


def test_a_round_in_which_nothing_changes_asks_the_database_as_often_for_ten_machines_as_for_fifty(
    stage: Stage,
) -> None:
    stage.idle = []
    many = queries_of_a_round(stage)
    stage.endpoint.terminate(stage.endpoint.cloud_ids[10:])
    stage.forget(stage.endpoint.cloud_ids[10:])
    assert Instance.objects.count() == 10
    assert len(queries_of_a_round(stage)) == len(many)
    assert not [sql for sql in many if sql.startswith("INSERT")]


def queries_of_a_round(stage: Stage) -> list[str]:
    stage.reset()
    for _name, step in product_sweeps(stage):  # the first round writes each sweep's first beat
        step()
    with CaptureQueriesContext(
        connection,
    ) as captured:
        for _name, step in product_sweeps(stage):
            step()
    return [query["sql"] for query in captured.captured_queries]


def test_a_round_that_stops_nothing_is_no_measurement(stage: Stage) -> None:
    with pytest.raises(SystemExit, match="5 machines still run"):
        one_round(stage, lambda _stage: [("nothing", lambda: None)])
