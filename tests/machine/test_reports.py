"""Counters become facts, however the reports arrive: lost, doubled, late, from a restarted machine, or absurd."""

import json
import random
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from instances.facts import facts_of, limits_of
from instances.idle import Verdict, decide
from instances.idle_hours import idle_in_run, with_idle_time
from instances.models import Instance, InstanceEvent, Policy
from instances.reports import InvalidReport, Report, answer, parse, take_report
from instances.states import State
from tests.machine.conftest import SECRET, at, policy_for

BOOT = Report("boot-1", 0, 0, 0, 0, 0, None, 0, "1")


@dataclass
class Story:
    """A machine that reports each minute; its counters are kept here as the agent keeps them."""

    machine: Instance
    now: float = 0.0
    report: Report = BOOT

    def minute(self, seconds: float = 60, *, lost: bool = False, **more: float) -> Report:
        self.now += seconds
        grown = {name: getattr(self.report, name) + value for name, value in more.items()}
        self.report = replace(self.report, uptime_s=self.report.uptime_s + seconds, **grown)
        if not lost:
            self.send(self.report)
        return self.report

    def send(self, report: Report) -> None:
        take_report(self.machine, report, now=at(self.now))
        self.machine = Instance.objects.get(pk=self.machine.pk)

    @property
    def active(self) -> float | None:
        last = self.machine.last_active_at
        return None if last is None else (last - at(0)).total_seconds()

    @property
    def seen(self) -> float | None:
        last = self.machine.last_report_at
        return None if last is None else (last - at(0)).total_seconds()


@pytest.fixture
def story(machine: Instance) -> Story:
    return Story(machine)


@pytest.mark.parametrize(
    ("used", "is_work"),
    [
        ({"gpu_busy_s": 1}, True),
        ({"cpu_s": 6}, True),
        ({"cpu_s": 5.9}, False),
        ({"io_bytes": 20e6}, True),
        ({"io_bytes": 19e6}, False),
        ({"net_rx_bytes": 20e6}, True),
        ({"net_rx_bytes": 19e6, "cpu_s": 5, "io_bytes": 1e6}, False),
    ],
)
def test_a_minute_is_work_above_its_floors(story: Story, used: dict, is_work: bool) -> None:
    story.minute()
    story.minute(**used)
    assert (story.active == 120) is is_work
    assert story.seen == 120


def test_short_reports_are_judged_by_their_share_of_a_minute(story: Story) -> None:
    story.minute(5)
    story.minute(5, cpu_s=0.55)
    assert story.active == 10
    story.minute(5, cpu_s=0.4)
    assert story.active == 10


def test_too_short_a_look_is_gathered_into_the_next_one(story: Story) -> None:
    """Ten looks of half a second: each alone would be under any floor, together they are work."""
    story.minute(60)
    for _n in range(10):
        story.minute(0.5, cpu_s=0.06)
    assert story.active is not None
    assert story.seen == 65


def test_lost_reports_lose_no_work(story: Story) -> None:
    story.minute()
    for _n in range(7):
        story.minute(lost=True, gpu_busy_s=3)
    story.minute()
    assert story.active == story.now


def test_a_doubled_report_counts_once_and_is_no_sign_of_life(story: Story) -> None:
    story.minute()
    report = story.minute(cpu_s=30)
    story.now += 400
    story.send(report)
    assert (story.active, story.seen) == (120, 120)


def test_a_late_report_changes_nothing(story: Story) -> None:
    story.minute()
    late = story.minute(lost=True, cpu_s=1)
    story.minute(cpu_s=1)
    story.now += 1
    story.send(late)
    assert story.seen == 180
    assert story.machine.last_report["uptime_s"] == 180


def test_any_order_and_any_doubling_gives_the_same_last_activity(story: Story) -> None:
    chance = random.Random(7)
    story.minute()
    worked_until = None
    for n in range(40):
        report = story.minute(lost=chance.random() < 0.5, gpu_busy_s=2 if n < 20 else 0)
        if chance.random() < 0.5:
            story.send(report)
        worked_until = story.now if n < 20 else worked_until
    assert worked_until <= story.active <= worked_until + 10 * 60  # noticed at the latest with the next one that came


def test_a_reboot_begins_anew_and_an_old_boot_cannot_come_back(story: Story) -> None:
    story.minute()
    old = story.minute(cpu_s=500)
    story.report = replace(BOOT, boot_id="boot-2")
    story.minute()
    assert story.active == 120
    story.minute(cpu_s=30)
    assert story.active == 240
    story.send(replace(old, uptime_s=9999, cpu_s=9999))
    assert (story.active, story.machine.last_report["boot_id"]) == (240, "boot-2")


def test_a_restarted_agent_counts_from_zero_without_looking_busy(story: Story) -> None:
    story.minute()
    story.minute(cpu_s=500)
    story.report = replace(story.report, cpu_s=0)
    story.minute(cpu_s=1)
    assert story.active == 120
    story.minute(cpu_s=500)
    story.report = replace(story.report, cpu_s=0)
    story.minute(cpu_s=30)  # less than before, and work all the same
    assert story.active == 300


def test_a_person_counts_at_the_moment_of_the_input(story: Story) -> None:
    story.minute(600)
    story.report = replace(story.report, human_age_s=200)
    story.minute()
    assert story.active == 660 - 200


def test_nobody_was_there_before_the_machine(story: Story) -> None:
    story.now = 1000
    story.report = replace(story.report, human_age_s=90_000)
    story.minute()
    assert story.active == 1000


def test_busy_without_use_hangs_and_counts_up_to_its_cap(story: Story) -> None:
    story.minute()
    story.report = replace(story.report, kernels_busy=1)
    story.minute()
    assert story.machine.hung_since == at(120)
    for _n in range(30):
        story.minute()
    assert story.machine.hung_since == at(120)
    story.report = replace(story.report, kernels_busy=0)
    story.minute()
    assert story.machine.hung_since is None
    assert story.active == story.now


def test_what_hung_for_days_counts_as_its_cap_only(story: Story) -> None:
    story.report = replace(story.report, kernels_busy=1)
    for _n in range(90):
        story.minute()
    story.report = replace(story.report, kernels_busy=0)
    story.minute()
    assert story.active == 60 + 3600


def test_a_gpu_that_cannot_be_read_is_neither_idle_nor_busy(story: Story) -> None:
    story.minute(gpu_busy_s=5)
    before = story.report.gpu_busy_s
    story.report = replace(story.report, gpu_busy_s=None)
    story.minute()
    story.minute()
    assert (story.active, story.seen) == (60, 60)
    story.report = replace(story.report, gpu_busy_s=before + 40)
    story.minute()
    assert (story.active, story.seen) == (240, 240)


def test_a_clock_that_was_set_back_leaves_nothing_in_the_future(story: Story) -> None:
    story.now = 100_000
    story.minute(cpu_s=30)
    story.now = 50_000
    story.minute()
    assert story.active <= story.now
    assert story.seen == story.now


def test_one_report_is_one_update(story: Story) -> None:
    story.minute()
    machine = Instance.objects.select_related("course__machine_policy").get(pk=story.machine.pk)
    with CaptureQueriesContext(
        connection,
    ) as queries:
        take_report(machine, replace(story.report, uptime_s=120), now=at(120))
    assert [q["sql"].split()[0] for q in queries if "SAVEPOINT" not in q["sql"]] == ["UPDATE"]


def test_two_reports_at_once_lose_nothing(story: Story) -> None:
    """Both were read from the same row; only one is written, and the next report tells what the other knew."""
    story.minute()
    one, other = (Instance.objects.get(pk=story.machine.pk) for _n in range(2))
    working = replace(story.report, uptime_s=90, cpu_s=20)
    take_report(one, replace(story.report, uptime_s=89), now=at(89))
    take_report(other, working, now=at(90))
    story.machine.refresh_from_db()
    assert story.machine.last_report["uptime_s"] == 89
    story.report, story.now = working, 90
    story.minute()
    assert story.active == 150


def test_a_used_machine_is_kept_and_a_quiet_one_stopped_through_the_row(story: Story) -> None:
    policy = policy_for(story.machine.course)
    running_since = at(0)
    for _n in range(60):
        story.minute(gpu_busy_s=1)

    def verdict() -> Verdict:
        return decide(facts_of(story.machine, running_since), limits_of(policy), at(story.now).timestamp()).verdict

    assert verdict() is Verdict.KEEP
    for _n in range(21):
        story.minute()
    assert verdict() is Verdict.WARN
    Instance.objects.update(warned_at=at(story.now))
    for _n in range(10):
        story.minute()
    assert verdict() is Verdict.STOP


# ------------------------------------------------------------------ absurd input
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


# ------------------------------------------------------------------ idle time
def idle_of(story: Story) -> int:
    return sum(story.machine.idle_hours.values())


def test_time_that_reports_prove_unused_is_idle_and_all_other_time_is_not(story: Story) -> None:
    story.minute(cpu_s=30)
    assert idle_of(story) == 0
    story.minute()
    story.minute()
    assert idle_of(story) == 120
    story.minute(gpu_busy_s=20)
    assert idle_of(story) == 120
    for _n in range(30):  # silence: nobody knows
        story.minute(lost=True)
    assert idle_of(story) == 120


def test_a_report_after_silence_tells_of_all_of_it(story: Story) -> None:
    """Its counters go on from the last one that came: nothing was used meanwhile."""
    story.minute()
    for _n in range(9):
        story.minute(lost=True)
    story.minute()
    assert idle_of(story) == 600


def test_a_doubled_report_is_idle_once(story: Story) -> None:
    story.minute()
    same = story.minute()
    story.send(same)
    assert idle_of(story) == 60


def test_a_cell_that_runs_without_using_anything_is_in_doubt_and_not_idle(story: Story) -> None:
    story.minute()
    story.minute(kernels_busy=1)
    assert idle_of(story) == 0


def test_idle_time_is_cut_at_the_hour_and_kept_apart_by_run(story: Story) -> None:
    since = at(0).replace(minute=59, second=0)
    hours = with_idle_time({}, 1, since, since + timedelta(minutes=3))
    hours = with_idle_time(hours, 2, since + timedelta(minutes=3), since + timedelta(minutes=4))
    first = since.replace(minute=0)
    assert idle_in_run(hours, 1) == {first: 60, first + timedelta(hours=1): 120}
    assert idle_in_run(hours, 2) == {first + timedelta(hours=1): 60}
    assert with_idle_time(hours, 3, None, since + timedelta(days=4)) == {}
