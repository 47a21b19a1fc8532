"""The sums of `totals.py` counted anew from the charges: for books that were written in bulk, as the demo's are."""

from datetime import UTC
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import BigIntegerField, F, Sum
from django.db.models.functions import Cast, Round, TruncDate

from courses.models import Course
from spend.corrections import count_correction
from spend.models import Charge, Correction
from spend.totals import CourseDay, DailySpend, PersonTotal

_CHUNK = 2000
_BY: dict[type[Any], tuple[str, ...]] = {
    DailySpend: ("enrollment_id", "team_id", "day", "kind"),
    CourseDay: ("day", "kind", "group"),
    PersonTotal: ("enrollment_id", "team_id", "kind"),
}


def rebuild_totals(course: Course) -> None:
    """One transaction. Nothing may be posted to the course meanwhile."""
    with transaction.atomic():
        for model, by in _BY.items():
            model.objects.filter(course=course).delete()
            rows = (model(course=course, **found) for found in sums_by(course, *by))
            model.objects.bulk_create(rows, batch_size=_CHUNK)
        for one in Correction.objects.filter(course=course).select_related("enrollment"):
            count_correction(one)


def sums_by(course: Course | None, *by: str) -> list[dict[str, Any]]:
    """Charges summed by these fields, in whole microdollars: SQLite adds decimals as binary fractions."""
    charges = Charge.objects.all() if course is None else Charge.objects.filter(course=course)
    if "day" in by:
        charges = charges.annotate(day=TruncDate("hour", tzinfo=UTC))
    found = (
        charges.order_by()
        .values(*by)
        .annotate(
            sum_seconds=Sum("seconds"),
            sum_idle=Sum("idle_seconds"),
            micros=Sum(_micros("amount_usd")),
            idle_micros=Sum(_micros("idle_usd")),
        )
    )
    return [_fields(row) for row in found]


def _micros(field: str) -> Cast:
    return Cast(Round(F(field) * 1_000_000), BigIntegerField())


def _fields(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "seconds": row.pop("sum_seconds"),
        "idle_seconds": row.pop("sum_idle"),
        "amount_usd": Decimal(row.pop("micros")).scaleb(-6),
        "idle_usd": Decimal(row.pop("idle_micros")).scaleb(-6),
        **row,
    }
