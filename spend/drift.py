"""How far our count is from the provider's, for pages. Reads only; a fixed number of queries.

Of a day that both sources tell of, the export counts: it is the finer one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from django.db.models import F, Max, Min, Q, QuerySet, Sum
from django.db.models.functions import Abs

from courses.models import Course
from spend.causes import CENT
from spend.metering import rounded
from spend.models import ZERO, AccountCredit, Cause, Correction, Drift, ProviderDay, Reconciliation, Source


@dataclass(frozen=True, slots=True)
class DriftLine:
    """One day, one machine, or one cause. USD; `drift_usd` above 0: the provider charges more than we counted."""

    what: Any  # date, machine's tag, or Cause
    ours_usd: Decimal
    corrected_usd: Decimal
    provider_usd: Decimal

    @property
    def drift_usd(self) -> Decimal:
        return self.provider_usd - self.ours_usd - self.corrected_usd

    @property
    def share(self) -> Decimal | None:
        """Of our count, 0–1; None when we counted nothing."""
        ours = self.ours_usd + self.corrected_usd
        return self.drift_usd / ours if ours else None


@dataclass(frozen=True, slots=True)
class AccountFigures:
    """The account as the provider tells it, by days: three figures, never one. USD, credits negative."""

    first: date  # of the days that were told of
    last: date
    gross_usd: Decimal  # usage before credits
    credit_usd: Decimal
    refund_usd: Decimal
    as_of: datetime | None
    source: str

    @property
    def out_of_pocket_usd(self) -> Decimal:
        return self.gross_usd + self.credit_usd + self.refund_usd

    @property
    def source_word(self) -> str:
        return str(Source(self.source).label) if self.source else ""


def drifts(course: Course, first: date, last: date) -> QuerySet[Drift]:
    """Of this course, and what no course can be told for. Of a day that both sources tell of: the export."""
    rows = Drift.objects.filter(Q(course=course) | Q(course=None), day__range=(first, last))
    exported = rows.filter(source=Source.EXPORT).values("day")
    return rows.filter(Q(source=Source.EXPORT) | ~Q(day__in=exported))


def by_day(rows: QuerySet[Drift]) -> list[DriftLine]:
    return sorted(_lines(rows, "day"), key=lambda line: line.what)


def by_machine(rows: QuerySet[Drift], number: int = 50) -> list[DriftLine]:
    """The largest first; what agrees is left out."""
    far = (line for line in _lines(rows, "machine") if abs(line.drift_usd) >= CENT)
    return sorted(far, key=lambda line: -abs(line.drift_usd))[:number]


def by_cause(rows: QuerySet[Drift]) -> list[DriftLine]:
    """What is not explained by "none" alone, the largest first."""
    lines = [replace(line, what=Cause(line.what)) for line in _lines(rows.exclude(cause=Cause.NONE), "cause")]
    return sorted(lines, key=lambda line: -abs(line.drift_usd))


def open_differences(rows: QuerySet[Drift], number: int = 50) -> list[Drift]:
    """What may still be booked, the largest first: `LATE` only waits for the provider."""
    gap = F("provider_usd") - F("ours_usd") - F("corrected_usd")
    far = rows.exclude(cause__in=(Cause.NONE, Cause.LATE)).annotate(far=Abs(gap)).filter(far__gte=CENT)
    return list(far.select_related("enrollment").order_by("-far", "day", "pk")[:number])


def corrections(course: Course, first: date, last: date) -> QuerySet[Correction]:
    return Correction.objects.filter(course=course, day__range=(first, last)).select_related("enrollment", "who")


def latest() -> Reconciliation | None:
    """The newest look that brought something."""
    return Reconciliation.objects.filter(problem="").first()


def looks(number: int = 10) -> Sequence[Reconciliation]:
    """The newest looks, those that brought nothing, too."""
    return list(Reconciliation.objects.select_related("who")[:number])


def account_figures(first: date, last: date) -> AccountFigures:
    """Of the whole account: credits are the account's, not a course's. Two queries."""
    rows = ProviderDay.objects.filter(day__range=(first, last))
    exported = rows.filter(source=Source.EXPORT).values("day")
    chosen = rows.filter(Q(source=Source.EXPORT) | ~Q(day__in=exported))
    sums = chosen.aggregate(
        gross=Sum("usage_usd"),
        credit=Sum("credit_usd"),
        refund=Sum("refund_usd"),
        first=Min("day"),
        last=Max("day"),
    )
    newest = rows.order_by("-as_of").values_list("as_of", "source").first()
    return AccountFigures(
        first=sums["first"] or first,
        last=sums["last"] or last,
        gross_usd=rounded(sums["gross"] or ZERO),
        credit_usd=rounded(sums["credit"] or ZERO),
        refund_usd=rounded(sums["refund"] or ZERO),
        as_of=newest[0] if newest else None,
        source=newest[1] if newest else "",
    )


def account_credits() -> list[AccountCredit]:
    """What credit the account has left, the first to end first, as the billing API told it last."""
    return list(AccountCredit.objects.order_by(F("ends_on").asc(nulls_last=True), "credit_id"))


def _lines(rows: QuerySet[Drift], what: str) -> list[DriftLine]:
    sums = rows.order_by().values_list(what).annotate(Sum("ours_usd"), Sum("corrected_usd"), Sum("provider_usd"))
    return [DriftLine(key, *(rounded(amount) for amount in amounts)) for key, *amounts in sums]
