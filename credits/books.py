"""The books of a course's codes: of what came in, how much is where. In number and USD; one grouped query.

Every code is in exactly one column, so the columns always sum to what came in; that they also agree with what
happened, row by row, is asked in `checks.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from django.db.models import Case, CharField, Count, Exists, OuterRef, QuerySet, Value, When

from courses.models import Course
from credits.models import CodeBatch, CreditCode, FailedReport, Purpose

Status = CreditCode.Status


class Place(StrEnum):
    """Where a code is. In the order of the page."""

    FREE = "free"  # can be claimed, now or once it opens
    RESERVED = "reserved"  # prizes and reserve not given yet
    CLAIMED = "claimed"  # somebody's, nothing heard
    REDEEMED = "redeemed"  # its holder said that AWS took it
    FAILED = "failed"  # its holder said that AWS did not
    QUARANTINED = "quarantined"
    REVOKED = "revoked"
    COURSE = "course"  # in the course's own account
    EXPIRED = "expired"  # never given out in time


@dataclass(frozen=True, slots=True)
class BatchLine:
    """One batch. `count[place]` codes are there, each worth `batch.value_usd`."""

    batch: CodeBatch
    count: dict[Place, int] = field(default_factory=dict)

    @property
    def bought(self) -> int:
        return sum(self.count.values())

    @property
    def bought_usd(self) -> Decimal:
        return self.bought * self.batch.value_usd

    def usd(self, place: Place) -> Decimal:
        return self.count.get(place, 0) * self.batch.value_usd


@dataclass(frozen=True, slots=True)
class Books:
    lines: Sequence[BatchLine]

    @property
    def bought(self) -> int:
        return sum(line.bought for line in self.lines)

    @property
    def bought_usd(self) -> Decimal:
        return sum((line.bought_usd for line in self.lines), Decimal(0))

    def count(self, place: Place) -> int:
        return sum(line.count.get(place, 0) for line in self.lines)

    def usd(self, place: Place) -> Decimal:
        return sum((line.usd(place) for line in self.lines), Decimal(0))


def books(course: Course, today: date) -> Books:
    """Every batch of the course, oldest first, empty ones too. Two queries. `today` in UTC: dates of AWS are."""
    counts = counted(CreditCode.objects.filter(batch__course=course), today)
    batches = CodeBatch.objects.filter(course=course).order_by("created_at", "pk")
    return Books([BatchLine(batch, counts.get(batch.pk, {})) for batch in batches])


def counted(codes: QuerySet[CreditCode], today: date) -> dict[int, dict[Place, int]]:
    """By batch id and place. One query."""
    rows = codes.order_by().annotate(place=_place(today)).values_list("batch", "place").annotate(Count("pk"))
    found: dict[int, dict[Place, int]] = {}
    for batch, place, number in rows:
        found.setdefault(batch, {})[Place(place)] = number
    return found


def _place(today: date) -> Case:
    unsolved = FailedReport.objects.filter(
        code=OuterRef("pk"), status__in=(FailedReport.Status.OPEN, FailedReport.Status.ANSWERED)
    )
    return Case(
        When(status=Status.AVAILABLE, batch__redeem_by__lt=today, then=Value(Place.EXPIRED.value)),
        When(
            status=Status.AVAILABLE,
            batch__purpose__in=(Purpose.PRIZE, Purpose.RESERVE),
            then=Value(Place.RESERVED.value),
        ),
        When(status=Status.AVAILABLE, then=Value(Place.FREE.value)),
        When(Exists(unsolved), status=Status.CLAIMED, then=Value(Place.FAILED.value)),
        # The others are called alike in both.
        default="status",
        output_field=CharField(),
    )
