"""A stop that was told stands: no end of a night or a crunch week, no edit and no silence brings it forward."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.core import mail

from instances import services
from instances.ends import stops_at
from instances.idle import Limits
from instances.models import Instance, Policy
from instances.policy_edits import change_policy
from instances.policy_rules import Night, Rules, Window, to_json
from instances.reports import answer
from tests.instances.conftest import Stage, events, fresh

MORNING = datetime(2019, 3, 6, 7, tzinfo=UTC)
NIGHT = Night(begins=23 * 60, ends=7 * 60, quiet=3600, answer=3600)
CRUNCH = Window("Crunch week", MORNING - timedelta(days=2), MORNING, quiet=2 * 3600, warn=3600)
LONG = Limits(quiet=2 * 3600, warn=3600)


def follow_at_once(stage: Stage, rules: Rules) -> None:
    course = type(stage.cast.course).objects.get(pk=stage.cast.course.pk)
    seen = to_json(Policy.of(course).rules)
    change_policy(course, rules, seen=seen, to_running=True, why="term", who=None, now=stage.now)


def warned_in(stage: Stage, rules: Rules, *, unused_for: float) -> tuple[Instance, datetime]:
    """A machine that is warned at 06:45 or a little before; when it stops, as its student was told."""
    follow_at_once(stage, rules)
    stage.now = MORNING - timedelta(minutes=20 + unused_for)
    row = stage.running()
    stage.active.add(row.slug)
    stage.wait(4)
    stage.active.clear()
    assert stage.wait(unused_for, until=lambda: bool(events(row, "warned")))
    told = datetime.fromtimestamp(events(row, "warned")[0].facts["stops_at"], UTC)
    assert stage.now < MORNING < told - timedelta(minutes=20)
    assert f"{told:%H:%M}" in mail.outbox[-1].body
    return fresh(row), told


def nothing(_stage: Stage) -> None: ...


def shorten(stage: Stage) -> None:
    follow_at_once(stage, Rules())


@pytest.mark.parametrize(
    ("rules", "unused_for", "happens"),
    [
        (Rules(night=NIGHT), 32, nothing),
        (Rules(windows=(CRUNCH,)), 62, nothing),
        (Rules(limits=LONG), 62, shorten),
    ],
    ids=["the night ends", "crunch week ends", "an edit is followed at once"],
)
def test_shorter_limits_do_not_bring_a_told_stop_forward(
    stage: Stage, rules: Rules, unused_for: float, happens: Callable[[Stage], None]
) -> None:
    row, told = warned_in(stage, rules, unused_for=unused_for)
    happens(stage)
    stage.wait((MORNING - stage.now).total_seconds() / 60 + 5)
    row = fresh(row)
    assert row.state == "running"
    assert stops_at(row, stage.now) == told
    said = answer(row, now=stage.now)
    assert said["stop_seconds_left"] == said["warned_seconds_left"] == (told - stage.now).total_seconds()
    assert stage.wait(120, until=lambda: fresh(row).state != "running")
    assert told <= stage.now <= told + timedelta(minutes=2)
    assert len(events(row, "warned")) == 1


def test_a_machine_that_falls_silent_after_its_warning_is_not_stopped_before_what_it_was_told(stage: Stage) -> None:
    row, told = warned_in(stage, Rules(night=NIGHT), unused_for=32)
    stage.wait((MORNING - stage.now).total_seconds() / 60)
    stage.reporting.clear()
    assert stage.wait(120, until=lambda: fresh(row).state != "running")
    assert told <= stage.now <= told + timedelta(minutes=2)
    assert [event.facts["cause"] for event in events(row, "warned")] == ["quiet", "blind"]
    assert not events(row, "warning_over")  # nobody saw it used


def test_a_report_missed_or_two_do_not_call_off_a_warning_and_mail_it_anew(stage: Stage) -> None:
    row, told = warned_in(stage, Rules(night=NIGHT), unused_for=32)
    stage.reporting.clear()
    stage.wait(7)
    stage.reporting.add(row.slug)
    stage.wait(5)
    assert not events(row, "warning_over")
    assert len(events(row, "warned")) == 1
    assert stops_at(fresh(row), stage.now) == told


def test_who_uses_it_again_starts_all_over_under_the_limits_of_the_day(stage: Stage) -> None:
    row, told = warned_in(stage, Rules(night=NIGHT), unused_for=32)
    stage.active.add(row.slug)
    stage.wait(1)
    stage.active.clear()
    used, row = stage.now, fresh(row)
    assert (row.warned_at, row.warned_until) == (None, None)
    assert stage.wait(60, until=lambda: fresh(row).state != "running")
    assert stage.now < told
    assert used + timedelta(minutes=30) <= stage.now <= used + timedelta(minutes=33)


def test_keeping_it_on_takes_the_told_stop_back(stage: Stage) -> None:
    row, _told = warned_in(stage, Rules(night=replace(NIGHT, answer=3000)), unused_for=32)
    services.keep_alive(row, hours=1, who=row.owner.user, now=stage.now)
    assert (fresh(row).warned_at, fresh(row).warned_until) == (None, None)
