"""A click on "stop" lets the machine save first, within its limit and by the portal's clock; evidence goes in time."""

import json
from datetime import datetime, timedelta

import pytest
from django.test import Client
from django.utils import timezone

from credits.vault import unseal
from instances import services, sweeps
from instances.models import Instance, InstanceEvent, Run
from instances.states import State
from instances.trace_purge import purge_traces
from tests.instances.conftest import Stage, events, fresh
from tests.pages.conftest import heard_of, signed_in


def report(row: Instance, uptime: float, saved: int | None = None) -> dict:
    """As its agent: what the portal answers."""
    told = {
        "boot_id": "b1", "uptime_s": uptime, "gpu_busy_s": 0, "cpu_s": 0, "io_bytes": 0, "net_rx_bytes": 0,
        "human_age_s": None, "kernels_busy": 0, "agent_version": "2",
        "saved": None if saved is None else {"n": saved, "exit": 0, "seconds": 3, "age_s": 0},
    }  # fmt: skip
    secret = unseal(Instance.objects.get(pk=row.pk).agent_secret)
    head = {"HTTP_AUTHORIZATION": f"Bearer {row.slug}:{secret}"}
    answer = Client().post("/agent/report", json.dumps(told), content_type="application/json", **head)
    assert answer.status_code == 200, answer.content
    found: dict = answer.json()
    return found


@pytest.fixture
def row(today: Stage) -> Instance:
    found = today.running()
    heard_of(found)
    report(found, 300)
    return found


def click(row: Instance, who: object = None) -> str:
    page = signed_in(who or row.owner.user).post(f"/machines/{row.slug}/stop", follow=True)  # type: ignore[arg-type]
    return page.content.decode()


def test_a_click_saves_first_and_stops_as_soon_as_it_is_saved(row: Instance) -> None:
    assert "saves first and stops by" in click(row)
    assert fresh(row).state == State.RUNNING
    told = report(row, 330)
    assert told["save"]["now"] is True
    assert 0 < told["stop_seconds_left"] <= 60 + 15 + 60 + 10
    told = report(row, 350, saved=1)
    row = fresh(row)
    assert (row.state, row.reason) == (State.STOPPING, "Stopped by its owner")
    moved = events(row, "moved")[-1]
    assert moved.who == row.owner.user
    assert InstanceEvent.objects.filter(instance=row, kind="saved").exists()


def test_a_second_click_stops_at_once(row: Instance) -> None:
    click(row)
    assert "Saving, then it stops" in signed_in(row.owner.user).get(f"/machines/{row.slug}/").content.decode()
    click(row)
    assert fresh(row).state == State.STOPPING


@pytest.mark.parametrize("lie", ["silent", "never done"])
def test_a_machine_that_never_says_saved_is_stopped_by_the_clock(today: Stage, row: Instance, lie: str) -> None:
    click(row, today.cast.ta.user)
    until = fresh(row).leaving_at
    assert until
    if lie == "never done":
        report(row, 340)
    now = timezone.now()
    assert until <= now + timedelta(seconds=145)
    sweeps.lease(today.cloud, until - timedelta(seconds=1))
    assert fresh(row).state == State.RUNNING
    sweeps.lease(today.cloud, until)
    assert (fresh(row).state, fresh(row).reason) == (State.STOPPING, "Stopped by the course staff")
    assert events(row, "moved")[-1].mail_to == row.owner.email


def test_an_old_save_is_not_taken_for_this_one(row: Instance) -> None:
    report(row, 310, saved=1)
    click(row)
    Instance.objects.filter(pk=row.pk).update(leaving={**fresh(row).leaving, "since": _in_a_minute().isoformat()})
    report(row, 340, saved=1)
    assert fresh(row).state == State.RUNNING


def _in_a_minute() -> datetime:
    return timezone.now() + timedelta(minutes=1)


def test_keeping_takes_the_click_back_and_where_no_agent_reports_it_stops_at_once(today: Stage, row: Instance) -> None:
    click(row)
    services.keep_alive(fresh(row), hours=1, who=row.owner.user, now=timezone.now())
    assert fresh(row).leaving_at is None
    assert report(row, 400)["stop_seconds_left"] is None
    silent = today.running(today.cast.other_student)
    click(silent)
    assert fresh(silent).state == State.STOPPING


def test_nobody_else_takes_a_stop_back_neither_its_student_by_hammering_keep_nor_a_link(
    today: Stage, row: Instance
) -> None:
    now = timezone.now()
    click(row, today.cast.ta.user)
    for by_link in (False, True):
        with pytest.raises(services.KeepRefused, match="Somebody else has stopped"):
            services.keep_alive(fresh(row), hours=1, who=row.owner.user, now=now, by_link=by_link)
    until = fresh(row).leaving_at
    assert until
    sweeps.lease(today.cloud, until)
    assert fresh(row).state == State.STOPPING


@pytest.mark.parametrize("version", ["²", "9" * 4000, "-1", "", "two"])
def test_a_forged_version_of_the_agent_keeps_nobody_from_stopping_the_machine(row: Instance, version: str) -> None:
    Instance.objects.filter(pk=row.pk).update(last_report={**fresh(row).last_report, "agent_version": version})
    click(row)
    assert fresh(row).state == State.STOPPING


def test_traces_and_reports_go_after_their_time_and_nothing_else_does(today: Stage, row: Instance) -> None:
    now = timezone.now()
    Run.objects.filter(instance=row).update(trace=[[0, 60, "g"]], ended_at=now - timedelta(days=181))
    assert purge_traces(now, 180) == 1
    assert fresh(row).last_report  # it runs
    today.stop(row)
    Instance.objects.filter(pk=row.pk).update(state=State.STOPPED, state_since=now - timedelta(days=181))
    assert purge_traces(now, 182) == 0
    assert purge_traces(now, 180) == 1
    assert (fresh(row).last_report, purge_traces(now, 180)) == ({}, 0)
    assert Run.objects.get(instance=row).ended_at
