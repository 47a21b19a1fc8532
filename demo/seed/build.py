"""The demo course with its whole past, built once. Chance is seeded, so it is the same course on every computer."""

import random
from datetime import datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db import transaction

from cloud.prices import price_of
from courses.models import Course, Enrollment
from demo.seed import campus, desk, habits, homework, ledger, office, past, stock, treasury
from demo.seed.calendar import TIMEZONE, Calendar, calendar_around
from demo.seed.course import SLUG, Roster, enroll_everybody, make_course
from demo.seed.story import LEASE
from instances.books import address_usd_hour
from instances.egress import count_data_out
from instances.launch_rules import start_of
from instances.models import Preset
from instances.sweeps.counting import counting
from spend.models import Budget, Level

_SEED = 157
# Of each person's 300 USD the past leaves enough for disks and for a visitor's afternoon.
_AT_MOST_USD = 270.0


@transaction.atomic
def seed(now: datetime) -> Decimal | None:
    """Build the course around `now`; returns what its past cost in USD, or None when the course exists already.

    All or nothing: a first start that was interrupted leaves no half course behind.
    """
    if Course.objects.filter(slug=SLUG).exists():
        return None
    rng = random.Random(_SEED)
    calendar = calendar_around(now.astimezone(ZoneInfo(TIMEZONE)).date())
    first_day = start_of(calendar.starts_on, TIMEZONE) + timedelta(hours=9)
    course = make_course(calendar)
    roster = enroll_everybody(rng, course)
    desk.set_up_policy(roster, calendar)
    presets = desk.offer_presets(course)
    homework.link_the_homework(roster, presets["homework"], first_day)
    desk.open_the_budgets(roster, first_day)
    stock.fill_the_stock(rng, roster, calendar, first_day, now)
    office.open_the_office(roster, now)
    campus.settle_the_campus(roster, now)
    people = _crowd(roster)
    plan = _plan(rng, people, roster, presets, calendar, now)
    ledger.keep_the_books(course, past.live(rng, course, people, presets, plan))
    counting(now)
    count_data_out(now, now - first_day)
    treasury.fill_the_treasury(roster, calendar, now)
    return Budget.objects.get(course=course, level=Level.COURSE).spent_usd


def _crowd(roster: Roster) -> dict[int, Enrollment]:
    return {line.pk: line for line in [*roster.students, *roster.assistants]}


def _plan(
    rng: random.Random,
    people: dict[int, Enrollment],
    roster: Roster,
    presets: dict[str, Preset],
    calendar: Calendar,
    now: datetime,
) -> list[habits.PlannedMachine]:
    first, *others = roster.students
    crowd = [
        habits.main_character(first.pk),
        *(habits.student(rng, line.pk) for line in others),
        *(habits.assistant(line.pk) for line in roster.assistants),
    ]
    limits = habits.Limits(
        person_usd=_AT_MOST_USD,
        usd_hour={slug: _usd_hour(preset) for slug, preset in presets.items()},
        held_hours=LEASE.total_seconds() / 3600,
    )
    # Nothing runs at the start, and the last machine was deleted a little while ago.
    return habits.plan(rng, crowd, calendar.work, limits, TIMEZONE, now - timedelta(minutes=10))


def _usd_hour(preset: Preset) -> float:
    """The dearest that a launch may become, as the portal holds for it."""
    prices = [price_of(kind) or Decimal(0) for kind in preset.instance_types]
    return float(max(prices) + address_usd_hour())
