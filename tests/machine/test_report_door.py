"""The door that agents report at: what is absurd is refused by name, and what a machine needs alone is answered."""

import json
from dataclasses import asdict, replace
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from instances.facts import limits_for
from instances.models import Instance, InstanceEvent, Policy
from instances.policy_rules import Night, Rules, to_json
from instances.reports import InvalidReport, answer, parse, take_report
from instances.states import State
from tests.machine.conftest import SECRET, at, policy_for
from tests.machine.report_story import Story, story

__all__ = ["story"]


GOOD = {
    "boot_id": "b", "uptime_s": 60, "gpu_busy_s": 0, "cpu_s": 1, "io_bytes": 1, "net_rx_bytes": 1,
    "human_age_s": None, "kernels_busy": 0, "agent_version": "1",
}  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("uptime_s", -1), ("uptime_s", "60"), ("uptime_s", None), ("uptime_s", True), ("uptime_s", 1e10),
        ("cpu_s", float("nan")), ("cpu_s", float("inf")), ("io_bytes", 10**30), ("net_rx_bytes", [1]),
        ("human_age_s", -5), ("kernels_busy", 99_999), ("boot_id", ""), ("boot_id", "x" * 65), ("boot_id", 7),
        ("boot_id", "a\x00b"), ("agent_version", None), ("gpu_busy_s", "N/A"),
    ],
)  # fmt: skip
def test_an_absurd_field_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InvalidReport, match=field):
        parse(json.dumps({**GOOD, field: value}).encode())


@pytest.mark.parametrize("field", sorted(GOOD))
def test_no_field_may_be_missing(field: str) -> None:
    with pytest.raises(InvalidReport, match=field):
        parse(json.dumps({k: v for k, v in GOOD.items() if k != field}).encode())


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"\xff\xfe", b'"x"', b"9" * 5000])
def test_what_is_not_a_report_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidReport):
        parse(body)


def test_fields_of_newer_agents_are_left_alone() -> None:
    assert parse(json.dumps({**GOOD, "fan_speed": 3}).encode()).uptime_s == 60


# ------------------------------------------------------------------ the door
@pytest.fixture
def post(client, machine: Instance):
    def send(body: object = GOOD, *, slug: str = machine.slug, secret: str = SECRET, scheme: str = "Bearer"):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Authorization": f"{scheme} {slug}:{secret}"}
        return client.post("/agent/report", data, content_type="application/json", headers=headers)

    return send


def test_a_report_is_taken_and_answered_with_all_that_a_machine_needs_alone(post, machine: Instance) -> None:
    policy_for(machine.course, quiet_seconds=90, warn_seconds=30, report_seconds=5)
    Instance.objects.update(lease_until=timezone.now() + timedelta(seconds=500))
    said = post().json()
    machine.refresh_from_db()
    assert machine.last_report["uptime_s"] == 60
    assert 490 <= said["lease_seconds_left"] <= 500
    assert said["limits"] == {"quiet": 90, "warn": 30, "blind": 900, "hung": 3600, "boot": 900, "unattended": None}
    assert (said["report_seconds"], said["kept_seconds_left"], said["notice"]) == (5, 0, "")


def test_a_lease_that_is_over_is_told_as_negative_so_that_reporting_cannot_extend_it(machine: Instance) -> None:
    machine.lease_until = at(0)
    assert answer(machine, now=at(30))["lease_seconds_left"] == -30
    machine.lease_until = None
    assert answer(machine, now=at(30))["lease_seconds_left"] is None


def test_what_the_gateway_saw_of_a_person_stands_and_reaches_the_machine(story: Story) -> None:
    """Its note falls between the reading of the row for a report and the writing of that report."""
    story.minute()
    report = replace(story.report, uptime_s=120)
    Instance.objects.update(last_active_at=at(119), last_human_at=at(119))
    take_report(story.machine, report, now=at(120))
    row = Instance.objects.get()
    assert (row.last_active_at, row.last_report_at) == (at(119), at(60))
    take_report(row, replace(report, uptime_s=180), now=at(180))
    assert (row.last_active_at, row.last_report_at) == (at(119), at(180))
    assert answer(row, now=at(180))["human_seconds_ago"] == 61


def test_who_keeps_it_on_while_a_report_is_taken_was_there_all_the_same(story: Story) -> None:
    story.minute()
    report = replace(story.report, uptime_s=120)
    Instance.objects.update(last_human_at=at(119))
    take_report(story.machine, report, now=at(120))
    assert Instance.objects.get().last_human_at == at(119)


def test_a_keeping_reaches_the_machine(machine: Instance) -> None:
    machine.kept_until = at(3600)
    assert answer(machine, now=at(0))["kept_seconds_left"] == 3600
    assert answer(machine, now=at(4000))["kept_seconds_left"] == 0


def test_a_warned_machine_shows_the_words_of_the_warning(post, machine: Instance) -> None:
    InstanceEvent.objects.create(instance=machine, kind="warned", reason="It stops at 18:40.", at=at(0))
    assert post().json()["notice"] == ""
    Instance.objects.update(warned_at=at(0))
    assert post({**GOOD, "uptime_s": 120}).json()["notice"] == "It stops at 18:40."


def test_a_stranger_gets_404_whatever_is_wrong(post, machine: Instance) -> None:
    assert post(secret="wrong").status_code == 404
    assert post(secret="").status_code == 404
    assert post(slug="m00000000000").status_code == 404
    assert post(slug="").status_code == 404
    assert post(scheme="Basic").status_code == 404
    machine.refresh_from_db()
    assert machine.last_report_at is None


@pytest.mark.parametrize("state", [s for s in State if s not in (State.LAUNCHING, State.RUNNING)])
def test_the_secret_of_a_machine_that_is_not_up_opens_nothing(post, state: State) -> None:
    Instance.objects.update(state=state)
    assert post().status_code == 404


def test_a_bad_report_says_which_field_and_a_big_one_is_not_read(post) -> None:
    bad = post({**GOOD, "cpu_s": -1})
    assert bad.status_code == 400
    assert "cpu_s" in bad.json()["error"]
    assert post(b" " * 5000).status_code == 413


def test_only_posts(client) -> None:
    assert client.get("/agent/report").status_code == 405


def test_no_csrf_cookie_is_asked_for(machine: Instance) -> None:
    strict = Client(enforce_csrf_checks=True)
    headers = {"Authorization": f"Bearer {machine.slug}:{SECRET}"}
    assert (
        strict.post("/agent/report", json.dumps(GOOD), content_type="application/json", headers=headers).status_code
        == 200
    )


def test_without_a_policy_the_defaults_hold(machine: Instance) -> None:
    assert answer(machine, now=at(0))["limits"]["quiet"] == Policy._meta.get_field("quiet_seconds").default


# ------------------------------------------------------------------ "stop when this ends"
def test_the_machine_is_told_what_to_wait_for_and_when_that_was_chosen(machine: Instance) -> None:
    assert (answer(machine, now=at(0))["awaited"], answer(machine, now=at(0))["awaited_since"]) == ("", "")
    machine.awaited = {"task": "gpu", "name": "the GPU", "since": at(0).isoformat()}
    told = answer(machine, now=at(0))
    assert (told["awaited"], told["awaited_since"]) == ("gpu", at(0).isoformat())


@pytest.mark.parametrize(("ago", "counts"), [(50, True), (70, False)], ids=["of this wait", "of the wait before"])
def test_an_end_from_before_the_choice_is_that_of_an_earlier_wait_for_the_same(
    post, machine: Instance, ago: float, counts: bool
) -> None:
    """Its agent still tells the old one: it has not heard of the new choice, or is too old to tell them apart."""
    chosen = timezone.now() - timedelta(seconds=60)
    Instance.objects.update(awaited={"task": "gpu", "name": "the GPU", "since": chosen.isoformat()})
    assert post({**GOOD, "uptime_s": 900, "done": {"task": "gpu", "age_s": ago}}).status_code == 200
    machine.refresh_from_db()
    assert (machine.done_at is not None) is counts


def test_once_somebody_came_back_after_the_end_the_machine_waits_for_nothing(machine: Instance) -> None:
    """An agent that was born before it knew this forgets the end, by which it would power off five minutes later."""
    machine.awaited, machine.done_at = {"task": "gpu", "name": "the GPU", "since": at(0).isoformat()}, at(60)
    machine.last_human_at = at(59)
    assert answer(machine, now=at(90))["awaited"] == "gpu"
    machine.last_human_at = at(80)
    assert (answer(machine, now=at(90))["awaited"], answer(machine, now=at(90))["awaited_since"]) == ("", "")


def test_no_machine_is_told_to_ask_whether_anybody_still_trains(machine: Instance) -> None:
    night = Night(begins=0, ends=23 * 60 + 59, quiet=1200, answer=1200, unattended=3600)
    machine.own_rules = to_json(Rules(night=night))
    assert limits_for(machine, at(0)).unattended == 3600
    assert answer(machine, now=at(0))["limits"] == {**asdict(limits_for(machine, at(0))), "unattended": None}
