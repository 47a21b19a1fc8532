"""What a person does while a round, a report or another editor is at it: the click counts. Each with its control."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db.models import Manager
from django.utils import timezone

from courses.models import Course
from instances import awaiting, policy_edits, reports, services, sweeps
from instances.models import Instance, Policy, PolicyEdit
from instances.policy_edits import PolicyChanged, change_policy
from instances.policy_rules import Rules, to_json
from instances.reports import parse
from instances.states import State
from instances.sweeps import idling, leasing
from tests.conftest import Cast
from tests.instances.conftest import HOUR, Stage, fresh
from tests.race import Outcome, race

DOINGS = [{"id": "p:1:1", "name": "train.py", "busy": True, "cpu": 90, "gpu": True}]


# ------------------------------------------------------------------ two editors of one policy
def edit(course: Course, minutes: int, seen: dict[str, Any]) -> None:
    rules = Rules(limits=replace(Rules().limits, quiet=60.0 * minutes))
    change_policy(course, rules, seen=seen, to_running=True, why="race", who=None, now=timezone.now())


def edits(cast: Cast) -> list[Outcome]:
    Policy.objects.create(course=cast.course)
    seen = to_json(Policy.objects.get(course=cast.course).rules)
    return race([partial(edit, cast.course, minutes, seen) for minutes in (40, 50, 60, 70)])


def slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = policy_edits._on

    def on(*args: Any, **more: Any) -> list[int]:
        time.sleep(0.3)
        return plain(*args, **more)

    monkeypatch.setattr(policy_edits, "_on", on)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_of_four_who_edit_the_policy_that_they_saw_one_wins_and_the_others_hear_of_it(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly(monkeypatch)
    found = edits(cast)
    assert sorted(outcome.ok for outcome in found) == [False, False, False, True]
    assert all(isinstance(outcome.error, PolicyChanged) for outcome in found if not outcome.ok)
    [row] = PolicyEdit.objects.all()
    assert row.after == to_json(Policy.objects.get(course=cast.course).rules)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_each_thinks_that_it_won(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    slowly(monkeypatch)
    monkeypatch.setattr(Manager, "select_for_update", lambda self: self.all(), raising=False)
    assert sum(outcome.ok for outcome in edits(cast)) > 1


# ------------------------------------------------------------------ "stop when this ends"
def says_done(row: Instance) -> Callable[[], None]:
    """Its report, as a process that has read the row just before."""
    told = (
        b'{"boot_id":"b","uptime_s":600,"gpu_busy_s":1,"cpu_s":1,"io_bytes":0,"net_rx_bytes":0,"human_age_s":null,'
        b'"kernels_busy":0,"agent_version":"2","done":{"task":"p:1:1","age_s":1}}'
    )
    read = Instance.objects.select_related("course__machine_policy").get(pk=row.pk)
    return lambda: reports.take_report(read, parse(told), now=timezone.now())


@pytest.fixture
def waits(stage: Stage) -> Instance:
    row = stage.running()
    Instance.objects.filter(pk=row.pk).update(last_report={"doings": DOINGS, "boot_id": "b", "uptime_s": 1.0})
    awaiting.await_end(fresh(row), "p:1:1", who=row.owner.user, now=stage.now)
    return fresh(row)


def test_who_waits_for_nothing_any_more_is_not_stopped_by_a_report_on_its_way(waits: Instance, stage: Stage) -> None:
    report = says_done(waits)
    awaiting.await_end(fresh(waits), "", who=waits.owner.user, now=stage.now)
    report()
    assert fresh(waits).done_at is None


def test_control_a_report_that_nobody_took_back_ends_it(waits: Instance) -> None:
    says_done(waits)()
    assert fresh(waits).done_at is not None


# ------------------------------------------------------------------ a click while a round is at it
def keep(row: Instance, stage: Stage) -> None:
    services.keep_alive(fresh(row), hours=2, who=row.owner.user, now=stage.now)


def clicks_between(monkeypatch: pytest.MonkeyPatch, where: Any, verb: str, click: Callable[[], None]) -> None:
    """After the round has read and judged, before it acts."""
    plain, done = getattr(where, verb), []

    def first_the_click(*args: Any, **more: Any) -> Any:
        if not done:
            done.append(1)
            click()
        return plain(*args, **more)

    monkeypatch.setattr(where, verb, first_the_click)


@pytest.mark.parametrize("guarded", [True, False], ids=["", "control"])
def test_who_keeps_a_machine_while_the_idle_round_stops_it_has_kept_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, guarded: bool
) -> None:
    row = stage.running()
    stage.wait(29)
    stage.later(120)
    stage.agents_report()
    clicks_between(monkeypatch, idling, "for_each_together", lambda: keep(row, stage))
    if not guarded:
        monkeypatch.setattr(idling, "USED", ())
    sweeps.idle(stage.cloud, stage.now)
    assert fresh(row).state == (State.RUNNING if guarded else State.STOPPING)


def test_who_takes_back_what_it_waits_for_while_the_round_stops_it_goes_on(
    waits: Instance, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    Instance.objects.filter(pk=waits.pk).update(done_at=stage.now)
    stage.later(5)
    back = partial(awaiting.await_end, fresh(waits), "", who=waits.owner.user, now=stage.now)
    clicks_between(monkeypatch, idling, "for_each_together", back)
    sweeps.idle(stage.cloud, stage.now)
    assert fresh(waits).state == State.RUNNING


def test_who_keeps_a_machine_while_the_lease_round_ends_it_has_kept_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = stage.running()
    stage.later(4 * HOUR + 1)
    clicks_between(monkeypatch, leasing, "_over_words", lambda: keep(row, stage))
    sweeps.lease(stage.cloud, stage.now)
    row = fresh(row)
    assert row.state == State.RUNNING
    assert row.lease_until >= stage.now + timedelta(hours=2)
