"""What a piece of course work costs a classmate, typically: a median per milestone, kept so that no page computes it.

Names nobody and is told of no fewer than LEAST people. Days are UTC, windows are the dates that staff gave.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from statistics import median

from django.db import models
from django.db.models import F, Q, Sum

from courses.models import Course, Enrollment, Milestone, Role
from spend.metering import rounded
from spend.totals import DailySpend

LEAST = 5
_LATE = timedelta(days=2)  # charges of the last day are all posted by then


class PriceTag(models.Model):
    """As of the last look. `people` are the students who spent anything between hand-out and due date."""

    milestone = models.OneToOneField(Milestone, models.CASCADE, related_name="price_tag")
    people = models.PositiveIntegerField()
    median_usd = models.DecimalField(max_digits=14, decimal_places=6)
    total_usd = models.DecimalField(max_digits=14, decimal_places=6)  # of these students
    as_of = models.DateTimeField()

    class Meta:
        app_label = "spend"

    def __str__(self) -> str:
        return f"{self.milestone}: {self.median_usd} USD"


@dataclass(frozen=True, slots=True)
class Tagged:
    """One milestone as a student sees it. `median_usd` is None below LEAST people. USD."""

    milestone: Milestone
    own_usd: Decimal
    median_usd: Decimal | None
    people: int
    as_of: datetime | None

    @property
    def times(self) -> float | None:
        """How often the median the own cost is."""
        return float(self.own_usd / self.median_usd) if self.median_usd else None

    @property
    def is_dear(self) -> bool:
        return self.median_usd is not None and self.own_usd > 2 * self.median_usd


def refresh_price_tags(now: datetime) -> int:
    """Count anew what is not final: work that is under way or was due just now. Returns how many tags were set."""
    open_tags = Q(price_tag=None) | Q(price_tag__as_of__date__lte=F("due_on") + _LATE)
    due = Milestone.objects.filter(open_tags, handed_out_on__lte=now.date())
    for milestone in due:
        spent = _spent_between(milestone)
        values = {
            "people": len(spent),
            "median_usd": rounded(median(spent)) if spent else Decimal(0),
            "total_usd": sum(spent, Decimal(0)),
            "as_of": now,
        }
        PriceTag.objects.update_or_create(milestone=milestone, defaults=values)
    return len(due)


def tags_of(enrollment: Enrollment, today: date) -> list[Tagged]:
    """Everything handed out so far, the newest first. Two queries."""
    out = Milestone.objects.filter(course=enrollment.course, handed_out_on__lte=today)
    milestones = list(out.select_related("price_tag").order_by("-due_on", "-pk"))
    days = DailySpend.objects.filter(enrollment=enrollment).values_list("day").annotate(Sum("amount_usd")).order_by()
    spent = dict(days)
    return [_tagged(milestone, spent) for milestone in milestones]


def tags_in(course: Course) -> Sequence[PriceTag]:
    """Those of the course, by due date. One query."""
    return list(
        PriceTag.objects.filter(milestone__course=course).select_related("milestone").order_by("milestone__due_on")
    )


def _spent_between(milestone: Milestone) -> list[Decimal]:
    """Each student's spend in the window, of those who spent anything."""
    window = DailySpend.objects.filter(
        course=milestone.course_id,
        day__range=(milestone.handed_out_on, milestone.due_on),
        enrollment__role=Role.STUDENT,
    )
    sums = window.values_list("enrollment").annotate(usd=Sum("amount_usd")).order_by()
    return [rounded(usd) for _pk, usd in sums if usd > 0]


def _tagged(milestone: Milestone, spent: dict[date, Decimal]) -> Tagged:
    own = sum((usd for day, usd in spent.items() if milestone.handed_out_on <= day <= milestone.due_on), Decimal(0))
    tag: PriceTag | None = getattr(milestone, "price_tag", None)
    known = tag is not None and tag.people >= LEAST
    return Tagged(
        milestone=milestone,
        own_usd=rounded(own),
        median_usd=tag.median_usd if tag and known else None,
        people=tag.people if tag and known else 0,
        as_of=tag.as_of if tag and known else None,
    )
