"""How many machines ran at once on the night before a due date: counted once it is over, expected for the next.

The night is the 36 hours from noon of the day before to the end of the due day, by the course's clock.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from django.db import models
from django.db.models import Q

from courses.models import Course, Milestone
from instances.demand import Expected, Stretch, expected, peak_of
from instances.models import Run

_SETTLED = timedelta(hours=6)  # by then every start before the deadline is in the books


class DeadlinePeak(models.Model):
    milestone = models.OneToOneField(Milestone, models.CASCADE, related_name="peak")
    machines = models.PositiveIntegerField()
    at = models.DateTimeField(null=True, blank=True)
    presets = models.JSONField(default=dict)  # slug: machines, at that moment
    counted_at = models.DateTimeField()

    class Meta:
        app_label = "instances"

    def __str__(self) -> str:
        return f"{self.milestone}: {self.machines}"


@dataclass(frozen=True, slots=True)
class Night:
    """One due date: how many machines ran at once (it is over), or how many are expected."""

    milestone: Milestone
    peak: DeadlinePeak | None
    expected: Expected | None
    weekday: date  # the day before it is due


def count_peaks(now: datetime) -> int:
    """Count the deadlines that are over and not counted yet; returns how many."""
    over = Milestone.objects.filter(peak=None, due_on__lt=(now + timedelta(days=1)).date()).select_related("course")
    counted = 0
    for milestone in over:
        since, until = night_of(milestone)
        if until + _SETTLED > now:
            continue
        peak = peak_of(_runs(milestone.course, since, until), since, until)
        values = {"machines": peak.machines, "at": peak.at, "presets": dict(peak.presets), "counted_at": now}
        DeadlinePeak.objects.get_or_create(milestone=milestone, defaults=values)
        counted += 1
    return counted


def night_of(milestone: Milestone) -> tuple[datetime, datetime]:
    zone = ZoneInfo(milestone.course.timezone)
    noon = datetime.combine(milestone.due_on - timedelta(days=1), time(12), zone)
    return noon, datetime.combine(milestone.due_on + timedelta(days=1), time(), zone)


def nights(course: Course, now: datetime) -> list[Night]:
    """Every due date, the earliest first. One query."""
    milestones = list(course.milestones.select_related("peak", "price_tag").order_by("due_on", "pk"))
    today = now.astimezone(ZoneInfo(course.timezone)).date()
    peaks = [peak for m in milestones if (peak := getattr(m, "peak", None)) and peak.machines]
    guess = expected([peak.machines for peak in peaks])
    return [
        Night(
            m,
            getattr(m, "peak", None),
            guess if m.due_on >= today and not hasattr(m, "peak") else None,
            m.due_on - timedelta(days=1),
        )
        for m in milestones
    ]


def _runs(course: Course, since: datetime, until: datetime) -> list[Stretch]:
    overlapping = Run.objects.filter(
        Q(ended_at=None) | Q(ended_at__gt=since), instance__course=course, started_at__lt=until
    )
    rows = overlapping.values_list("instance__preset__slug", "started_at", "ended_at")
    return [Stretch(*row) for row in rows]
