"""A process that slept in its turn is dead for the others: when it wakes, it makes no machine run."""

from collections.abc import Callable
from typing import Any

import pytest

from instances import calling, launching, services, starting
from instances.models import Instance
from instances.repair import CALL_SECONDS, VISIBLE_SECONDS
from instances.states import State
from spend.models import Hold
from tests.instances.conftest import Stage, fresh


@pytest.fixture
def stopped(stage: Stage) -> Instance:
    row = stage.stop(stage.running())
    assert stage.wait(10, until=lambda: fresh(row).state == State.STOPPED)
    return services.request_start(fresh(row), who=None, now=stage.now)


@pytest.fixture(autouse=True)
def _clock_of_the_stage(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (launching, starting):
        monkeypatch.setattr(module, "running_clock", lambda _now: lambda: stage.now)


def sleeps_in(act: Callable[..., Any], stage: Stage, row: Instance, seconds: int) -> Callable[..., Any]:
    """`act`, after which the process sleeps. Meanwhile its owner stops the machine and the portal closes its books."""

    def slow(*args: Any, **more: Any) -> Any:
        found = act(*args, **more)
        services.request_stop(fresh(row), reason="changed my mind", who=None, now=stage.now)
        stage.later(seconds)
        stage.repair()
        return found

    return slow


def start_asleep(stage: Stage, row: Instance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starting, "fit", sleeps_in(starting.fit, stage, row, CALL_SECONDS + 1))
    services.start(row.pk, cloud=stage.cloud, now=stage.now)


def is_held_for(row: Instance) -> bool:
    return Hold.objects.filter(key=fresh(row).run_hold_key, closed_at=None).exists()


def test_a_start_that_comes_too_late_is_not_said(
    stage: Stage, stopped: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    start_asleep(stage, stopped, monkeypatch)
    assert (fresh(stopped).state, is_held_for(stopped), stage.alive()) == (State.STOPPED, False, [])


def test_control_a_start_said_late_runs_without_money(
    stage: Stage, stopped: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starting, "still_ours", lambda *_args: True)
    start_asleep(stage, stopped, monkeypatch)
    assert (is_held_for(stopped), len(stage.alive())) == (False, 1)


@pytest.mark.parametrize("guarded", [True, False], ids=["guarded", "control"])
def test_a_launch_that_comes_too_late_is_not_said(stage: Stage, monkeypatch: pytest.MonkeyPatch, guarded: bool) -> None:
    row = stage.click_launch()
    monkeypatch.setattr(launching, "spec_of", sleeps_in(launching.spec_of, stage, row, VISIBLE_SECONDS + 1))
    if not guarded:
        monkeypatch.setattr(launching, "still_ours", lambda *_args: True)
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    assert (fresh(row).state, is_held_for(row)) == (State.FAILED, False)
    assert stage.cloud.count("run") == (0 if guarded else 1)


def test_a_slow_answer_before_the_call_costs_no_turn(stage: Stage, stopped: Instance) -> None:
    machine = fresh(stopped)
    assert calling.claim_call(machine, stage.now)
    stage.later(CALL_SECONDS - 1)
    assert calling.still_ours(machine, stage.now)
    assert not calling.claim_call(fresh(stopped), stage.now)
    stage.later(CALL_SECONDS - 1)
    assert not calling.claim_call(fresh(stopped), stage.now)


def test_who_lost_the_turn_does_not_end_the_turn_of_another(stage: Stage, stopped: Instance) -> None:
    sleeper, other = fresh(stopped), fresh(stopped)
    assert calling.claim_call(sleeper, stage.now)
    stage.later(CALL_SECONDS)
    assert calling.claim_call(other, stage.now)
    assert not calling.still_ours(sleeper, stage.now)
    calling.end_call(sleeper)
    assert fresh(stopped).calling_until == other.calling_until
