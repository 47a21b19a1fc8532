"""Counters become facts, however the reports arrive: lost, doubled, late, from a restarted machine, or absurd."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances.facts import facts_of, limits_of
from instances.idle import Verdict, decide
from instances.idle_hours import idle_in_run, with_idle_time
from instances.models import Instance
from instances.reports import take_report
from tests.machine.conftest import at, policy_for
from tests.machine.report_story import BOOT, Story, story

__all__ = ["story"]


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
