"""Do the books add up? Compares every running total with the rows that it sums. Reads only; repairs nothing."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal
from typing import Any

from django.db import connection, transaction
from django.db.models import BigIntegerField, F, QuerySet, Sum
from django.db.models.functions import Cast, Round, TruncDate

from courses.models import Course
from spend.models import (
    ZERO,
    Budget,
    Charge,
    ChargeKind,
    Correction,
    CourseDay,
    DailySpend,
    Hold,
    MoneyMove,
    PersonTotal,
)

Sums = dict[Any, Decimal]


@dataclass(frozen=True, slots=True)
class Difference:
    """A total that is not the sum of its rows. USD."""

    what: str
    expected_usd: Decimal  # by the rows
    found_usd: Decimal  # in the total

    def __str__(self) -> str:
        return f"{self.what}: the rows say {self.expected_usd} USD, the total says {self.found_usd} USD"


def check_books(course: Course | None = None) -> list[Difference]:
    """Every difference, of one course (without its sponsor, whom others share) or of all. Empty: the books add up."""
    with _one_moment():
        budgets = list(_of(Budget.objects.all(), course).order_by("-level", "pk"))
        return [*_budget_differences(budgets, course), *_closed_but_holding(course), *_total_differences(course)]


@contextmanager
def _one_moment() -> Iterator[None]:
    """All queries see the same moment: between two of them a charge may be posted, and that is no difference."""
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def _of(rows: QuerySet[Any], course: Course | None, field: str = "course") -> QuerySet[Any]:
    return rows if course is None else rows.filter(**{field: course})


def _sums(rows: QuerySet[Any], *by: str, field: str = "amount_usd") -> Sums:
    """Exact sums by one or more fields: in whole microdollars, because SQLite adds decimals as binary fractions."""
    micros = Cast(Round(F(field) * 1_000_000), BigIntegerField())
    found = rows.order_by().values_list(*by).annotate(total=Sum(micros))
    return {key[0] if len(key) == 1 else tuple(key): Decimal(total).scaleb(-6) for *key, total in found}


def _budget_differences(budgets: list[Budget], course: Course | None) -> Iterator[Difference]:
    moves = _of(MoneyMove.objects.all(), course, "budget__course")
    granted = _sums(moves.filter(kind=MoneyMove.Kind.GRANT), "budget")
    overrun = _sums(moves.filter(kind=MoneyMove.Kind.OVERRUN), "budget")
    charged = _sums(_of(Charge.objects.all(), course), "budget")
    corrected = _sums(_of(Correction.objects.all(), course), "budget")
    # What was spent by somebody who has moved on stays with the team that spent it.
    carried = _sums(moves.filter(kind=MoneyMove.Kind.CARRY), "budget")
    spent = _with_all_below(budgets, _added(_added(charged, corrected), carried))
    held = _with_all_below(budgets, _sums(_of(Hold.objects.filter(closed_at=None), course, "budget__course"), "budget"))
    for b in budgets:
        yield from _difference(f"amount of {b.level} {b.name}", granted.get(b.pk, ZERO), b.amount_usd)
        yield from _difference(f"overrun of {b.level} {b.name}", overrun.get(b.pk, ZERO), b.overrun_usd)
        yield from _difference(f"spent of {b.level} {b.name}", spent[b.pk], b.spent_usd)
        yield from _difference(f"held of {b.level} {b.name}", held[b.pk], b.held_usd)


def _with_all_below(budgets: list[Budget], own: Sums) -> Sums:
    """Own sums and those of all budgets below; `budgets` come lowest level first."""
    totals: Sums = defaultdict(lambda: ZERO, own)
    for budget in budgets:
        if budget.parent_id is not None:
            totals[budget.parent_id] += totals[budget.pk]
    return totals


def _added(some: Sums, more: Sums) -> Sums:
    return {key: some.get(key, ZERO) + more.get(key, ZERO) for key in some.keys() | more.keys()}


def _closed_but_holding(course: Course | None) -> Iterator[Difference]:
    for found in _of(Hold.objects.exclude(closed_at=None).exclude(amount_usd=0), course, "budget__course"):
        yield Difference(f"closed hold {found.key}", ZERO, found.amount_usd)


def _total_differences(course: Course | None) -> Iterator[Difference]:
    """Of the three tables that pages read: by person and day, by course and day, by person."""
    charges = _of(Charge.objects.annotate(day=TruncDate("hour", tzinfo=UTC)), course)
    every = _of(Correction.objects.all(), course)
    known = every.exclude(enrollment=None)
    for model, corrections, what, by in (
        (DailySpend, known, _DAILY, ("team", "enrollment", "day", "kind")),
        (CourseDay, every, _COURSE_DAY, ("group", "day", "kind", "course")),
        (PersonTotal, known, _PERSON, ("team", "enrollment", "kind")),
    ):
        totals = _of(model.objects.all(), course)  # type: ignore[attr-defined]
        yield from _table_differences(charges, _correction_sums(corrections, by), totals, what, by)


_DAILY = "%(kind)s of enrollment %(enrollment)s on %(day)s"
_COURSE_DAY = "%(kind)s of %(group)s in course %(course)s on %(day)s"
_PERSON = "%(kind)s of enrollment %(enrollment)s altogether"


def _correction_sums(corrections: QuerySet[Any], by: tuple[str, ...]) -> Sums:
    """Under their own kind, and in no group of resources."""
    constant = {"kind": ChargeKind.CORRECTION.value, "group": ""}
    found = _sums(corrections, *(name for name in by if name not in constant))
    sums: Sums = {}
    for key, usd in found.items():
        rest = iter(key if isinstance(key, tuple) else (key,))
        sums[tuple(constant[name] if name in constant else next(rest) for name in by)] = usd
    return sums


def _table_differences(
    charges: QuerySet[Any], corrected: Sums, totals: QuerySet[Any], what: str, by: tuple[str, ...]
) -> Iterator[Difference]:
    for part, field in (("", "amount_usd"), ("idle ", "idle_usd")):
        expected, found = _sums(charges, *by, field=field), _sums(totals, *by, field=field)
        expected = _added(expected, {} if part else corrected)
        for key in sorted(expected.keys() | found.keys(), key=str):
            words = part + what % dict(zip(by, key, strict=True))
            yield from _difference(words, expected.get(key, ZERO), found.get(key, ZERO))


def _difference(what: str, expected: Decimal, found: Decimal) -> Iterator[Difference]:
    if expected != found:
        yield Difference(what, expected, found)
