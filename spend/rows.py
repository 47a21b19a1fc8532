"""The charges behind a figure, newest first, a page at a time. The work is that of one page, however many there are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

from django.db.models import Q, QuerySet

from courses.models import Course, Enrollment
from spend.breakdown import Purpose
from spend.models import Charge, ChargeKind
from spend.periods import Period

PAGE = 100


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which charges. `team`: 0 is "in no team"; None anywhere: all."""

    period: Period
    purpose: Purpose | None = None
    preset: str | None = None
    team: int | None = None
    person: int | None = None


@dataclass(frozen=True, slots=True)
class RowsPage:
    """`after` is the cursor of the next page; empty: there is none."""

    charges: Sequence[Charge]
    after: str


class BadCursor(ValueError):
    """Not one that a page gave."""


def charges_of(course: Course, wanted: Wanted, after: str = "") -> RowsPage:
    """Raises BadCursor. One query."""
    return _page(_matching(Charge.objects.filter(course=course), wanted), after)


def own_charges(enrollment: Enrollment, wanted: Wanted, after: str = "") -> RowsPage:
    """One person's own. Raises BadCursor. One query."""
    return _page(_matching(Charge.objects.filter(enrollment=enrollment), wanted), after)


def shown_usd(charge: Charge, purpose: Purpose | None) -> Decimal:
    """The part of the charge that was asked for."""
    if purpose is Purpose.IDLE:
        return charge.idle_usd
    return charge.amount_usd - charge.idle_usd if purpose is Purpose.USE else charge.amount_usd


def matching(course: Course, wanted: Wanted) -> QuerySet[Charge]:
    """All of them, in the order of their hours: for files."""
    return _matching(Charge.objects.filter(course=course), wanted).order_by("hour", "pk")


def _matching(charges: QuerySet[Charge], wanted: Wanted) -> QuerySet[Charge]:
    begin = datetime.combine(wanted.period.first, time(), UTC)
    end = datetime.combine(wanted.period.last + timedelta(days=1), time(), UTC)
    found = charges.filter(_purpose(wanted.purpose), hour__gte=begin, hour__lt=end)
    if wanted.preset is not None:
        found = found.filter(group=wanted.preset)
    if wanted.team is not None:
        found = found.filter(team=wanted.team or None)
    if wanted.person is not None:
        found = found.filter(enrollment=wanted.person)
    return found


def _purpose(purpose: Purpose | None) -> Q:
    if purpose is Purpose.IDLE:
        return Q(kind=ChargeKind.COMPUTE, idle_usd__gt=0)
    if purpose is Purpose.USE:
        return Q(kind=ChargeKind.COMPUTE)
    return Q(kind=purpose.value) if purpose else Q()


def _page(charges: QuerySet[Charge], after: str) -> RowsPage:
    if after:
        hour, pk = _cursor(after)
        # The first condition alone lets the index on the hour begin where the page begins.
        charges = charges.filter(Q(hour__lt=hour) | Q(hour=hour, pk__lt=pk), hour__lte=hour)
    rows = list(charges.select_related("enrollment", "team").order_by("-hour", "-pk")[: PAGE + 1])
    last = rows[PAGE - 1] if len(rows) > PAGE else None
    return RowsPage(rows[:PAGE], f"{last.hour.astimezone(UTC):%Y%m%d%H}-{last.pk}" if last else "")


def _cursor(after: str) -> tuple[datetime, int]:
    hour, _dash, pk = after.partition("-")
    try:
        return datetime.strptime(hour, "%Y%m%d%H").replace(tzinfo=UTC), int(pk)
    except ValueError:
        raise BadCursor(after) from None
