"""Where a course's money went in some days: by day, week, work, purpose and preset, from one small query.

By person and team it is another query, of totals when the days are the whole course. Reads sums, never charges.
"""

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from enum import StrEnum
from statistics import median
from typing import Any, TypeVar

from django.db.models import QuerySet, Sum, Value
from django.utils.translation import gettext_lazy as _

from courses.models import Course, Enrollment
from spend.metering import rounded
from spend.periods import Period, week_of
from spend.totals import ChargeKind, CourseDay, DailySpend, PersonTotal

ZERO = Decimal(0)
K = TypeVar("K", bound=Hashable)
# Spending so many times the median of all who spent, and at least so much, is worth a question.
UNUSUAL_TIMES, UNUSUAL_USD = 3, Decimal(10)


class Purpose(StrEnum):
    """What the money was for. In the order in which charts stack them."""

    USE = "use"
    IDLE = "idle"
    DISK = "disk"
    SNAPSHOT = "snapshot"
    ADDRESS = "address"
    CORRECTION = "correction"


PURPOSE_WORDS = {
    Purpose.USE: _("Machines in use"),
    Purpose.IDLE: _("Machines idle"),
    Purpose.DISK: _("Disks"),
    Purpose.SNAPSHOT: _("Snapshots"),
    Purpose.ADDRESS: _("Addresses"),
    Purpose.CORRECTION: _("Corrections"),
}


@dataclass(slots=True)
class Cost:
    """USD by purpose."""

    by: dict[Purpose, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    seconds: int = 0  # of machines running

    def take(self, kind: str, usd: Decimal, idle_usd: Decimal, seconds: int = 0) -> None:
        if kind == ChargeKind.COMPUTE:
            self.by[Purpose.USE] += usd - idle_usd
            self.by[Purpose.IDLE] += idle_usd
            self.seconds += seconds
        else:
            self.by[Purpose(kind)] += usd

    def take_all(self, other: "Cost") -> None:
        for purpose, usd in other.by.items():
            self.by[purpose] += usd
        self.seconds += other.seconds

    @property
    def usd(self) -> Decimal:
        return sum(self.by.values(), ZERO)

    @property
    def idle_usd(self) -> Decimal:
        return self.by.get(Purpose.IDLE, ZERO)

    @property
    def hours(self) -> float:
        return self.seconds / 3600

    @property
    def parts(self) -> list[tuple[Purpose, Decimal]]:
        return [(purpose, self.by.get(purpose, ZERO)) for purpose in Purpose]


@dataclass(frozen=True, slots=True)
class Cell:
    """The smallest piece: a UTC day, a kind and a preset's slug (empty: unknown)."""

    day: date
    kind: str
    group: str
    usd: Decimal
    idle_usd: Decimal
    seconds: int


def cells(course: Course, period: Period) -> list[Cell]:
    """One query, over days × kinds × presets, whatever the course has of people and machines."""
    rows = CourseDay.objects.filter(course=course, day__range=(period.first, period.last))
    values = rows.values_list("day", "kind", "group", "amount_usd", "idle_usd", "seconds").order_by("day")
    return [Cell(*row) for row in values]


def cells_of(courses: Sequence[Course]) -> list[tuple[int, Cell]]:
    """Everything that these courses ever spent, each piece with its course's id. One query."""
    rows = CourseDay.objects.filter(course__in=courses).order_by("course", "day")
    values = rows.values_list("course", "day", "kind", "group", "amount_usd", "idle_usd", "seconds")
    return [(course, Cell(*row)) for course, *row in values]


def together(found: Iterable[Cell], key: Callable[[Cell], K]) -> dict[K, Cost]:
    sums: dict[K, Cost] = defaultdict(Cost)
    for cell in found:
        sums[key(cell)].take(cell.kind, cell.usd, cell.idle_usd, cell.seconds)
    return dict(sums)


def total(found: Iterable[Cell]) -> Cost:
    return together(found, lambda _cell: "").get("", Cost())


def by_day(found: Iterable[Cell], period: Period) -> list[tuple[date, Cost]]:
    """Every day, those without any spend too."""
    sums = together(found, lambda cell: cell.day)
    days = [period.first + timedelta(days=n) for n in range(period.days)]
    return [(day, sums.get(day, Cost())) for day in days]


def by_week(found: Iterable[Cell], period: Period) -> list[tuple[date, Cost]]:
    """Weeks by their Mondays, those without any spend too."""
    sums = together(found, lambda cell: week_of(cell.day))
    monday, weeks = week_of(period.first), []
    while monday <= period.last:
        weeks.append((monday, sums.get(monday, Cost())))
        monday += timedelta(days=7)
    return weeks


def by_preset(found: Iterable[Cell]) -> list[tuple[str, Cost]]:
    """By slug, the dearest first."""
    return _dearest(together(found, lambda cell: cell.group))


def in_window(found: Iterable[Cell], first: date, last: date) -> Cost:
    return total(cell for cell in found if first <= cell.day <= last)


# ------------------------------------------------------------------ people and teams
@dataclass(frozen=True, slots=True)
class PersonCost:
    """`team_id`: where it was spent, which need not be where the person is now."""

    enrollment_id: int
    team_id: int | None
    cost: Cost


def by_person_and_team(course: Course, period: Period, *, only: Mapping[str, Any] | None = None) -> list[PersonCost]:
    """One query: of totals for the whole course, else of the days. `only`: more conditions, as of a filter."""
    rows: QuerySet[Any] = PersonTotal.objects.filter(course=course)
    if not period.is_whole:
        rows = DailySpend.objects.filter(course=course, day__range=(period.first, period.last))
    sums = (
        rows.filter(**(only or {}))
        .values_list("enrollment", "team", "kind")
        .annotate(Sum("amount_usd"), Sum("idle_usd"), Sum("seconds"))
        .order_by()
    )
    found: dict[tuple[int, int | None], Cost] = defaultdict(Cost)
    for person, team, kind, usd, idle_usd, seconds in sums:
        found[person, team].take(kind, rounded(usd), rounded(idle_usd), seconds)
    return [PersonCost(person, team, cost) for (person, team), cost in found.items()]


def by_person(costs: Iterable[PersonCost]) -> list[tuple[int, Cost]]:
    return _dearest(_summed((one.enrollment_id, one.cost) for one in costs))


def by_team(costs: Iterable[PersonCost]) -> list[tuple[int | None, Cost]]:
    return _dearest(_summed((one.team_id, one.cost) for one in costs))


def unusual(people: Sequence[tuple[int, Cost]]) -> list[tuple[int, Cost, float]]:
    """Who spent far more than the others, and how many times the median of those who spent. A question, no verdict."""
    spent = [cost.usd for _person, cost in people if cost.usd > 0]
    if len(spent) < 5:
        return []
    middle = median(spent)
    return [
        (person, cost, float(cost.usd / middle))
        for person, cost in people
        if cost.usd >= UNUSUAL_USD and cost.usd > UNUSUAL_TIMES * middle
    ]


def own_days(enrollment: Enrollment, period: Period) -> list[tuple[date, Cost]]:
    """One person's days, those without any spend too. One query."""
    rows = DailySpend.objects.filter(enrollment=enrollment, day__range=(period.first, period.last))
    found = [Cell(*row) for row in rows.values_list("day", "kind", Value(""), "amount_usd", "idle_usd", "seconds")]
    return by_day(found, period)


def _summed(pairs: Iterable[tuple[K, Cost]]) -> dict[K, Cost]:
    sums: dict[K, Cost] = defaultdict(Cost)
    for key, cost in pairs:
        sums[key].take_all(cost)
    return dict(sums)


def _dearest(sums: Mapping[K, Cost]) -> list[tuple[K, Cost]]:
    return sorted(sums.items(), key=lambda pair: -pair[1].usd)
