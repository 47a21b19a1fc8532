"""Why a machine was stopped, and what another policy would have done: on pages, from what its reports told."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from instances.models import Instance, InstanceEvent, Run
from instances.report_form import Report
from instances.reports import take_report
from instances.states import State
from tests.conftest import Cast
from tests.instances.conftest import Stage, events, fresh
from tests.pages.conftest import signed_in


def stopped_by_rule(today: Stage, row: Instance) -> Instance:
    """As the idle round leaves it, and AWS after it."""
    today.reporting.clear()
    long_ago = today.now - timedelta(hours=2)
    Run.objects.filter(instance=row).update(started_at=long_ago - timedelta(hours=1))
    used = {"last_active_at": long_ago, "last_report_at": today.now}
    Instance.objects.filter(pk=row.pk).update(warned_at=today.now - timedelta(minutes=11), **used)
    for _round in range(2):
        today.later(60)
        Instance.objects.filter(pk=row.pk).update(last_report_at=today.now)
        today.sweep()
    found = fresh(row)
    assert found.state == State.STOPPED, found.reason
    return found


def page_of(row: Instance, who: object) -> str:
    return signed_in(who).get(reverse("machine", args=[row.slug])).content.decode()  # type: ignore[arg-type]


@pytest.fixture
def used(today: Stage) -> Instance:
    """Running since two hours ago; its GPU worked in the first."""
    row = today.running()
    trace = [[0, 3600, "gp"], [3600, 7200, ""]]
    Instance.objects.filter(pk=row.pk).update(state_since=today.now - timedelta(hours=2), trace=trace)
    return fresh(row)


def test_a_report_is_remembered_as_what_was_in_use(today: Stage) -> None:
    row = today.running()
    since = timezone.now() - timedelta(minutes=10)
    Instance.objects.filter(pk=row.pk).update(state_since=since, last_report={}, last_report_at=None)
    for minute, gpu in ((1, 50), (2, 99), (3, 99)):
        row = Instance.objects.select_related("course").get(pk=row.pk)
        counters = {"gpu_busy_s": gpu, "cpu_s": 0.0, "io_bytes": 0.0, "net_rx_bytes": 0.0, "human_age_s": None}
        report = Report("boot", 60.0 * minute, **counters, kernels_busy=0, agent_version="1")
        take_report(row, report, now=since + timedelta(minutes=minute))
    assert fresh(row).trace == [[0, 120, "g"], [120, 180, ""]]


def test_the_page_shows_what_used_a_machine_and_what_would_keep_it(used: Instance, cast: Cast) -> None:
    text = page_of(used, cast.student.user)
    assert '<svg class="strip"' in text
    assert "What used it" in text
    assert "An open tab does not count" in text
    assert "It was the wrong call" not in text


def test_the_trace_of_a_run_is_kept_when_it_ends_and_the_next_run_begins_a_new_one(
    today: Stage, used: Instance
) -> None:
    row = today.stop(used)
    today.later(60)
    today.sweep()
    assert Run.objects.get(instance=row).trace == [[0, 3600, "gp"], [3600, 7200, ""]]


def test_a_student_calls_a_stop_wrong_once_and_staff_read_it_beside_the_reason(
    today: Stage, used: Instance, cast: Cast
) -> None:
    row = stopped_by_rule(today, used)
    assert "It was the wrong call" in page_of(row, cast.student.user)
    assert "It was the wrong call" not in page_of(row, cast.ta.user)
    client = signed_in(cast.student.user)
    for _click in range(2):
        client.post(reverse("machine_wrong_call", args=[row.slug]), {"words": "I was reading the <paper>"})
    [said] = events(row, "wrong_call")
    assert said.who == cast.student.user
    text = signed_in(cast.ta.user).get(reverse("what_if", args=["dl19"])).content.decode()
    assert "I was reading the &lt;paper&gt;" in text
    assert said.facts["stop"] in text.replace("&#x27;", "'")


def test_a_stop_that_a_person_made_cannot_be_called_wrong(today: Stage, used: Instance, cast: Cast) -> None:
    row = today.stop(used)
    signed_in(cast.student.user).post(reverse("machine_wrong_call", args=[row.slug]), {"words": "no"})
    assert events(row, "wrong_call") == []


def test_what_if_says_what_another_quiet_time_would_have_saved(today: Stage, used: Instance, cast: Cast) -> None:
    began = today.now - timedelta(hours=3)
    lunch = [[0, 3600, "g"], [3600, 3600 + 25 * 60, ""], [3600 + 25 * 60, 7200, "p"]]
    ended = began + timedelta(seconds=7200 + 31 * 60)
    run = Run.objects.filter(instance=used)
    run.update(started_at=began, ended_at=ended, ended_by="sweeps", trace=lunch, price_usd_hour=6)
    facts = {"cause": "quiet", "stops_at": ended.timestamp()}
    at = ended - timedelta(minutes=10)
    InstanceEvent.objects.create(instance=used, kind="warned", reason="unused", facts=facts, at=at)
    answer = signed_in(cast.instructor.user).get(reverse("what_if", args=["dl19"]), {"quiet": "20"})
    text = " ".join(answer.content.decode().split())
    assert "20 instead of 30 minutes:" in text
    assert "$1.10 saved" in text  # 11 minutes at $6.005 an hour
    assert "1 working session interrupted." in text
    dearer = re.findall(r"([^ >]+) more<", text)  # the rows of a longer quiet time than now's
    assert dearer
    assert all(re.fullmatch(r"\$[\d,]+\.\d\d|\d+", amount) for amount in dearer), dearer
    assert re.search(r"\$\d+\.\d\d more<", text)


@pytest.mark.parametrize("typed", ["", "0", "many", "100000"])
def test_a_number_that_makes_no_sense_is_said_beside_the_field(today: Stage, cast: Cast, typed: str) -> None:
    answer = signed_in(cast.ta.user).get(reverse("what_if", args=["dl19"]), {"quiet": typed})
    assert answer.status_code == 422
    assert 'id="id_quiet_error"' in answer.content.decode() or "aria-describedby" in answer.content.decode()


def test_with_no_past_the_page_says_so(today: Stage, cast: Cast) -> None:
    assert "Nothing to replay yet" in signed_in(cast.ta.user).get(reverse("what_if", args=["dl19"])).content.decode()
