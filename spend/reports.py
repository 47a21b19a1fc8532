"""Figures and tables about a course's money, for pages. Reads running totals and sums, never charges.

What open runs cost so far but is not posted yet (*accrued*) comes in as plain values from whoever knows machines:
it counts as spent here, and is taken out of what is held for those runs; `left` does not change by it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet, Sum

from courses.models import Course, Enrollment
from spend.budget import BudgetLine, tightest
from spend.metering import rounded
from spend.models import ZERO, Budget, ChargeKind, CourseDay, DailySpend, Level, PersonTotal

Accrued = Mapping[int, Decimal]  # by enrollment id, USD
NOTHING: Accrued = {}


@dataclass(frozen=True, slots=True)
class Figures:
    """One budget as a page shows it: total = spent + held + left, unless it was overrun. USD."""

    total_usd: Decimal
    spent_usd: Decimal
    held_usd: Decimal
    left_usd: Decimal
    as_of: datetime


@dataclass(frozen=True, slots=True)
class Day:
    """What one UTC day cost, by kind. USD."""

    day: date
    compute_usd: Decimal
    disk_usd: Decimal  # with snapshots
    address_usd: Decimal
    correction_usd: Decimal = ZERO

    @property
    def total_usd(self) -> Decimal:
        return self.compute_usd + self.disk_usd + self.address_usd + self.correction_usd


@dataclass(frozen=True, slots=True)
class Line:
    """One person. `left_usd` is of the person's own budget; `share` is of all that the course spent (0–1)."""

    enrollment: Enrollment
    team: str
    compute_usd: Decimal  # with all that is accrued: its kinds are told apart when it is posted
    disk_usd: Decimal  # with snapshots
    address_usd: Decimal
    correction_usd: Decimal
    held_usd: Decimal
    left_usd: Decimal
    share: Decimal

    @property
    def spent_usd(self) -> Decimal:
        return self.compute_usd + self.disk_usd + self.address_usd + self.correction_usd


@dataclass(frozen=True, slots=True)
class OwnMoney:
    """What one person may still use: the own budget and those above it, the nearest first."""

    path: Sequence[BudgetLine]
    own: Figures

    @property
    def tightest(self) -> BudgetLine:
        """The budget that will refuse first: its `left_usd` is what the person really has left."""
        return tightest(self.path)


def figures(course: Course, *, now: datetime, accrued: Accrued = NOTHING) -> Figures:
    """The course's budget. All 0 while it has none: then nothing can be spent either."""
    budget = Budget.objects.filter(course=course, level=Level.COURSE).first()
    return _figures(budget, sum(accrued.values(), ZERO), now)


def own_money(enrollment: Enrollment, *, now: datetime, accrued_usd: Decimal = ZERO) -> OwnMoney | None:
    """The person's own figures and path; None without a budget. One query."""
    parents = "parent__parent__parent"
    budget = Budget.objects.select_related(parents).filter(enrollment=enrollment).first()
    if budget is None:
        return None
    return OwnMoney([line_of(b) for b in _upwards(budget)], _figures(budget, accrued_usd, now))


def spend_by_day(course: Course, first: date, last: date, *, enrollment: Enrollment | None = None) -> list[Day]:
    """Every day from `first` to `last`, both included, those without any spend too. Posted charges only."""
    rows: QuerySet[Any] = CourseDay.objects.filter(course=course)
    if enrollment is not None:
        rows = DailySpend.objects.filter(enrollment=enrollment)
    found = rows.filter(day__range=(first, last)).values_list("day", "kind")
    sums = {(day, kind): rounded(amount) for day, kind, amount in found.annotate(Sum("amount_usd")).order_by()}
    days = (first + timedelta(days=n) for n in range((last - first).days + 1))
    return [Day(day, *_by_kind({kind: sums.get((day, kind), ZERO) for kind in ChargeKind})) for day in days]


def by_person(course: Course, *, accrued: Accrued = NOTHING) -> list[Line]:
    """Everyone who has a budget or has cost anything, who dropped out too; the most spent first. Two queries."""
    spent = _spent_by_person(course)
    people = (
        course.enrollments.filter(Q(budget__isnull=False) | Q(pk__in=[pk for pk, _kind in spent]))
        .select_related("team", "budget")
        .order_by("name", "pk")
    )
    whole = sum(spent.values(), ZERO) + sum(accrued.values(), ZERO)
    lines = [_person(e, spent, accrued.get(e.pk, ZERO), whole) for e in people]
    return sorted(lines, key=lambda line: -line.spent_usd)


def _by_kind(amounts: Mapping[ChargeKind, Decimal]) -> tuple[Decimal, Decimal, Decimal, Decimal]:
    """Machines, disks with snapshots, addresses, corrections."""
    disks = amounts[ChargeKind.DISK] + amounts[ChargeKind.SNAPSHOT]
    return amounts[ChargeKind.COMPUTE], disks, amounts[ChargeKind.ADDRESS], amounts[ChargeKind.CORRECTION]


def line_of(budget: Budget) -> BudgetLine:
    return BudgetLine(budget.level, budget.name, budget.amount_usd, budget.spent_usd, budget.held_usd)


def _upwards(budget: Budget) -> Iterator[Budget]:
    here: Budget | None = budget
    while here is not None:
        yield here
        here = here.parent


def _figures(budget: Budget | None, accrued_usd: Decimal, now: datetime) -> Figures:
    if budget is None:
        return Figures(ZERO, ZERO, ZERO, ZERO, now)
    spent, held = rounded(budget.spent_usd + accrued_usd), _held(budget, accrued_usd)
    return Figures(budget.amount_usd, spent, held, max(ZERO, budget.amount_usd - spent - held), now)


def _held(budget: Budget, accrued_usd: Decimal) -> Decimal:
    return rounded(max(ZERO, budget.held_usd - accrued_usd))


def _spent_by_person(course: Course) -> dict[tuple[int, str], Decimal]:
    rows = PersonTotal.objects.filter(course=course).values_list("enrollment", "kind")
    return {(pk, kind): rounded(amount) for pk, kind, amount in rows.annotate(Sum("amount_usd")).order_by()}


def _person(
    enrollment: Enrollment, spent: Mapping[tuple[int, str], Decimal], accrued_usd: Decimal, whole_usd: Decimal
) -> Line:
    budget: Budget | None = getattr(enrollment, "budget", None)
    kinds = {kind: spent.get((enrollment.pk, kind), ZERO) for kind in ChargeKind}
    compute, disk, address, correction = _by_kind(kinds)
    total = compute + disk + address + correction + accrued_usd
    return Line(
        enrollment=enrollment,
        team=enrollment.team.name if enrollment.team else "",
        compute_usd=rounded(compute + accrued_usd),
        disk_usd=disk,
        address_usd=address,
        correction_usd=correction,
        held_usd=_held(budget, accrued_usd) if budget else ZERO,
        left_usd=budget.left_usd if budget else ZERO,
        share=total / whole_usd if whole_usd else ZERO,
    )
