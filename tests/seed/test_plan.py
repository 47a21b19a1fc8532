"""The demo's past as a plan: it looks like students, and never contradicts itself."""

import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import islice, pairwise
from zoneinfo import ZoneInfo

import pytest

from demo.seed.calendar import TIMEZONE, calendar_around
from demo.seed.habits import Ending, Limits, PlannedMachine, assistant, plan, student, warned_at
from demo.seed.names import invent

NOW = datetime(2026, 11, 23, 14, tzinfo=UTC)
CALENDAR = calendar_around(NOW.date())
USD_HOUR = {"homework": 0.53, "homework-plus": 0.81, "project": 1.01, "project-large": 1.87}


@pytest.fixture(scope="module")
def past() -> list[PlannedMachine]:
    rng = random.Random(157)
    crowd = [student(rng, key) for key in range(100)]
    return plan(rng, crowd, CALENDAR.work, Limits(270, USD_HOUR, 4), TIMEZONE, NOW)


def test_whatever_day_it_is_the_course_is_in_its_eighth_homework() -> None:
    for day in range(800):
        today = date(2025, 12, 1) + timedelta(days=day)
        calendar = calendar_around(today)
        hw8 = next(work for work in calendar.work if work.name.startswith("HW8"))
        assert hw8.handed_out_on <= today < hw8.due_on
        assert calendar.starts_on < today < calendar.ends_on
        assert calendar.starts_on.weekday() == date(2019, 1, 22).weekday()


def test_names_are_many_scripts_and_every_login_is_a_plain_address() -> None:
    crowd = list(islice(invent(random.Random(1), set()), 300))
    assert len({p.name for p in crowd}) == len({p.email for p in crowd}) == 300
    assert all(p.email.isascii() and p.email.partition("@")[0].replace(".", "").isalpha() for p in crowd)
    assert all(len(p.email.partition(".")[0]) > 1 for p in crowd)
    assert sum(not p.name.isascii() for p in crowd) > 60


def test_nobody_is_at_two_machines_at_once_and_nothing_lies_in_the_future(past: list[PlannedMachine]) -> None:
    by_person: dict[int, list] = {}
    for machine in past:
        by_person.setdefault(machine.person, []).extend(machine.runs)
        assert machine.runs[-1].ended_at <= machine.deleted_at <= NOW
    for runs in by_person.values():
        runs.sort(key=lambda run: run.asked_at)
        assert all(a.ended_at < b.asked_at for a, b in pairwise(runs))
        assert all(run.asked_at < run.started_at < run.ready_at < run.last_active_at <= run.ended_at for run in runs)


def test_nobody_spends_more_than_is_allowed(past: list[PlannedMachine]) -> None:
    spent: Counter[int] = Counter()
    for machine in past:
        hours = sum((run.ended_at - run.started_at).total_seconds() for run in machine.runs) / 3600
        spent[machine.person] += hours * USD_HOUR[machine.preset]
    assert max(spent.values()) < 270
    assert len(spent) == 100


def test_people_work_at_night_and_before_deadlines(past: list[PlannedMachine]) -> None:
    hours = Counter(r.asked_at.astimezone(ZoneInfo(TIMEZONE)).hour for m in past for r in m.runs)
    assert sum(hours[h] for h in (20, 21, 22, 23)) > 3 * sum(hours[h] for h in (4, 5, 6, 7))
    hw7 = next(work for work in CALENDAR.work if work.name.startswith("HW7"))
    days = Counter(r.asked_at.date() for m in past if m.work == hw7.name for r in m.runs)
    last, first = hw7.due_on - timedelta(days=1), hw7.handed_out_on
    assert days[last] + days[hw7.due_on] > 3 * (days[first] + days[first + timedelta(days=1)])


def test_a_good_part_is_forgotten_and_each_of_those_was_warned(past: list[PlannedMachine]) -> None:
    runs = [run for machine in past for run in machine.runs]
    by_guard = [run for run in runs if run.ending is not Ending.BY_HAND]
    assert 0.2 < len(by_guard) / len(runs) < 0.5
    for run in by_guard:
        warned = warned_at(run)
        assert warned is not None
        assert run.last_active_at < warned <= run.ended_at - timedelta(minutes=10)


def test_assistants_hardly_use_anything() -> None:
    machines = plan(random.Random(1), [assistant(1)], CALENDAR.work, Limits(270, USD_HOUR, 4), TIMEZONE, NOW)
    assert 0 < sum(len(machine.runs) for machine in machines) < 25
