"""What is alarming, and whom it concerns. Pure: facts in, alarms out; no database, no clock, no words.

Rules look at levels: an alarm is told as long as what raised it is so. Firing once per crossing is `alarming.py`'s.
`open_keys` are the alarms that stand: some rules let go later than they take hold, so that a figure at the edge does
not ring all day.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from statistics import median
from typing import Any

NOTE, WARNING, GRAVE = 1, 2, 3
LEAST_USD = Decimal(1)  # what is less interests nobody
LEAST_PEOPLE = 5  # a median of fewer tells nothing
RATE_DAYS = 7  # of which the forecast takes the mean
_FORECAST_FROM = Decimal("0.2")  # of the amount: before, a single evening decides
_LET_GO = Decimal("0.8")  # of what it takes to ring


class Who(StrEnum):
    """A kind of people. A room is a chat of the course: nothing about a single person goes there."""

    STUDENT = "student"
    TEAM = "team"
    TA = "ta"
    INSTRUCTOR = "instructor"
    SPONSOR = "sponsor"
    ROOM = "room"


@dataclass(frozen=True, slots=True)
class Limits:
    """The course's wishes: see `AlertPolicy`."""

    percents: Sequence[int] = (50, 80, 100)
    forecast_days: int = 7
    pace_factor: Decimal = Decimal(2)
    median_factor: Decimal = Decimal(5)
    idle_usd: Decimal = Decimal(5)
    disk_days: int = 14
    credit_days: int = 21


@dataclass(frozen=True, slots=True)
class BudgetFacts:
    """One budget. `used_usd` is spent and used but not booked yet; `rate_usd_day` the mean of the last RATE_DAYS."""

    pk: int
    level: str  # "sponsor", "course", "team", "person"
    name: str
    amount_usd: Decimal
    used_usd: Decimal
    rate_usd_day: Decimal
    enrollment: int | None = None
    team: int | None = None


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """`today_usd` of this UTC day; `idle_usd` of the last seven days."""

    enrollment: int
    today_usd: Decimal
    idle_usd: Decimal


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """A machine that runs now, and what it costs an hour."""

    key: str
    enrollment: int
    usd_hour: Decimal


@dataclass(frozen=True, slots=True)
class DiskFacts:
    """A disk whose machine has not run since `since`."""

    key: str
    enrollment: int
    since: datetime
    usd_month: Decimal


@dataclass(frozen=True, slots=True)
class CreditFacts:
    key: str
    name: str
    left_usd: Decimal
    ends_on: date


@dataclass(frozen=True, slots=True)
class CourseFacts:
    today: date  # UTC
    ends_on: date
    planned_today_usd: Decimal  # by the plan; 0: none
    budgets: Sequence[BudgetFacts] = ()
    people: Sequence[PersonFacts] = ()
    machines: Sequence[MachineFacts] = ()
    disks: Sequence[DiskFacts] = ()
    credits: Sequence[CreditFacts] = ()


@dataclass(frozen=True, slots=True)
class Raised:
    """One alarm that is so now. `facts` are plain values for the words; a silent one is not told by itself."""

    key: str
    kind: str
    gravity: int
    audience: frozenset[Who]
    facts: Mapping[str, Any] = field(default_factory=dict)
    enrollment: int | None = None
    team: int | None = None
    is_silent: bool = False


def alarms(facts: CourseFacts, limits: Limits, open_keys: Collection[str] = ()) -> list[Raised]:
    """Everything that is alarming now."""
    return [
        *(raised for one in facts.budgets for raised in thresholds(one, limits)),
        *(raised for one in facts.budgets for raised in forecast(one, facts, limits, open_keys)),
        *pace(facts, limits),
        *unusual(facts, limits),
        *dear_machines(facts, limits),
        *idle_money(facts, limits, open_keys),
        *disks(facts, limits),
        *expiring(facts, limits),
    ]


def thresholds(one: BudgetFacts, limits: Limits) -> Iterator[Raised]:
    """Each percentage that is reached; of several only the highest is told."""
    if one.amount_usd <= 0:
        return
    reached = sorted(p for p in limits.percents if one.used_usd * 100 >= one.amount_usd * p)
    for percent in reached:
        grave = percent >= 100 and one.level in ("course", "sponsor")
        yield Raised(
            key=f"budget/{one.pk}/{percent}",
            kind="threshold",
            gravity=GRAVE if grave else (WARNING if percent >= 80 else NOTE),
            audience=_OF_LEVEL[one.level],
            facts={
                "level": one.level,
                "name": one.name,
                "percent": percent,
                "used_usd": str(one.used_usd),
                "amount_usd": str(one.amount_usd),
            },
            enrollment=one.enrollment,
            team=one.team,
            is_silent=percent != reached[-1],
        )


def forecast(one: BudgetFacts, facts: CourseFacts, limits: Limits, open_keys: Collection[str] = ()) -> Iterator[Raised]:
    """At this rate it is gone so many days before the course ends."""
    key = f"forecast/{one.pk}"
    left = one.amount_usd - one.used_usd
    if one.rate_usd_day <= 0 or left <= 0 or one.used_usd < one.amount_usd * _FORECAST_FROM:
        return
    gone_on = gone_by(left, one.rate_usd_day, facts.today)
    early = (facts.ends_on - gone_on).days
    if early < (1 if key in open_keys else max(1, limits.forecast_days)):
        return
    yield Raised(
        key=key,
        kind="forecast",
        gravity=WARNING if one.level in ("course", "sponsor") else NOTE,
        audience=_OF_LEVEL[one.level],
        facts={
            "level": one.level,
            "name": one.name,
            "gone_on": gone_on.isoformat(),
            "days_early": early,
            "rate_usd": str(one.rate_usd_day),
        },
        enrollment=one.enrollment,
        team=one.team,
    )


def gone_by(left_usd: Decimal, rate_usd_day: Decimal, today: date) -> date:
    """The day on which nothing is left at this rate; far away at most, so that it stays a date."""
    return today + timedelta(days=min(3650, int(left_usd / rate_usd_day)))


def pace(facts: CourseFacts, limits: Limits) -> Iterator[Raised]:
    """Today's spend against what the plan has for a day. Each day is an alarm of its own."""
    today = sum((one.today_usd for one in facts.people), Decimal(0))
    if facts.planned_today_usd <= 0 or today < LEAST_USD or today < facts.planned_today_usd * limits.pace_factor:
        return
    yield Raised(
        key=f"pace/{facts.today}",
        kind="pace",
        gravity=GRAVE if today >= facts.planned_today_usd * limits.pace_factor * 2 else WARNING,
        audience=frozenset({Who.TA, Who.INSTRUCTOR, Who.ROOM}),
        facts={"today_usd": str(today), "planned_usd": str(facts.planned_today_usd)},
    )


def unusual(facts: CourseFacts, limits: Limits) -> Iterator[Raised]:
    """Who spends many times today's median. For staff alone: it may be a thesis, or a forgotten loop."""
    spent = [one.today_usd for one in facts.people if one.today_usd > 0]
    if len(spent) < LEAST_PEOPLE:
        return
    middle = median(spent)
    for one in facts.people:
        if one.today_usd >= LEAST_USD and one.today_usd > middle * limits.median_factor:
            yield Raised(
                key=f"unusual/{facts.today}/{one.enrollment}",
                kind="unusual",
                gravity=WARNING,
                audience=frozenset({Who.TA, Who.INSTRUCTOR}),
                facts={"today_usd": str(one.today_usd), "median_usd": str(middle)},
                enrollment=one.enrollment,
            )


def dear_machines(facts: CourseFacts, limits: Limits) -> Iterator[Raised]:
    """A machine that burns many times what the others do, before that has become much. As long as it runs."""
    if len(facts.machines) < LEAST_PEOPLE:
        return
    middle = median(one.usd_hour for one in facts.machines)
    for one in facts.machines:
        if one.usd_hour >= LEAST_USD and one.usd_hour > middle * limits.median_factor:
            yield Raised(
                key=f"machine/{one.key}",
                kind="machine",
                gravity=WARNING,
                audience=frozenset({Who.TA, Who.INSTRUCTOR}),
                facts={"usd_hour": str(one.usd_hour), "median_usd": str(middle), "key": one.key},
                enrollment=one.enrollment,
            )


def idle_money(facts: CourseFacts, limits: Limits, open_keys: Collection[str] = ()) -> Iterator[Raised]:
    """Money that machines cost while nobody used them, in the last seven days. A TA hears of it, too, and can help."""
    for one in facts.people:
        key = f"idle/{one.enrollment}"
        least = limits.idle_usd * (_LET_GO if key in open_keys else 1)
        if limits.idle_usd > 0 and one.idle_usd >= least:
            told = {"idle_usd": str(one.idle_usd)}
            yield Raised(key, "idle", NOTE, frozenset({Who.STUDENT, Who.TA}), told, one.enrollment)


def disks(facts: CourseFacts, limits: Limits) -> Iterator[Raised]:
    for one in facts.disks:
        days = (facts.today - one.since.date()).days
        if days >= limits.disk_days:
            told = {"since": one.since.date().isoformat(), "usd_month": str(one.usd_month), "key": one.key}
            yield Raised(f"disk/{one.key}", "disk", NOTE, frozenset({Who.STUDENT, Who.TA}), told, one.enrollment)


def expiring(facts: CourseFacts, limits: Limits) -> Iterator[Raised]:
    for one in facts.credits:
        days = (one.ends_on - facts.today).days
        if one.left_usd >= LEAST_USD and 0 <= days <= limits.credit_days:
            told = {"name": one.name, "left_usd": str(one.left_usd), "ends_on": one.ends_on.isoformat(), "days": days}
            audience = frozenset({Who.INSTRUCTOR, Who.ROOM})
            yield Raised(f"credit/{one.key}", "credit", WARNING, audience, told)


_OF_LEVEL: Mapping[str, frozenset[Who]] = {
    "person": frozenset({Who.STUDENT}),
    "team": frozenset({Who.TEAM, Who.TA}),
    "course": frozenset({Who.TA, Who.INSTRUCTOR, Who.SPONSOR, Who.ROOM}),
    "sponsor": frozenset({Who.INSTRUCTOR, Who.SPONSOR, Who.ROOM}),
}


# ------------------------------------------------------------------ when a message goes
def due_at(now: datetime, local: datetime, *, gravity: int, group_minutes: int, quiet: tuple[int, int]) -> datetime:
    """When an alarm raised now is told: at the end of its period, and not in quiet hours unless it is grave.

    `local` is `now` in the course's zone; `quiet` are hours of the day, from and to; equal ones are none.
    """
    if gravity >= GRAVE:
        return now
    minutes = max(1, group_minutes)
    # Periods are counted from midnight, so that all that happens in one of them comes in one message.
    passed = (local.hour * 60 + local.minute) % minutes
    wait = timedelta(minutes=minutes - passed) - timedelta(seconds=local.second, microseconds=local.microsecond)
    return max(now + wait, now + _quiet_left(local + wait, quiet) + wait)


def _quiet_left(local: datetime, quiet: tuple[int, int]) -> timedelta:
    """How long the quiet hours go on; nothing when it is not quiet."""
    begins, ends = quiet
    inside = begins <= local.hour < ends if begins < ends else (local.hour >= begins or local.hour < ends)
    if begins == ends or not inside:
        return timedelta(0)
    hours = (ends - local.hour) % 24 or 24
    return timedelta(hours=hours) - timedelta(
        minutes=local.minute, seconds=local.second, microseconds=local.microsecond
    )
