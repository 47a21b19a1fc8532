"""What was charged, summed as it is posted: pages read these rows, never the charges, so no page grows with history.

Three tables, kept in the transaction of the charge: by person and day, by course and day, by person for good.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, date
from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from courses.models import Course, Enrollment, Team
from spend.metering import ChargeLine

ZERO = Decimal(0)


class ChargeKind(models.TextChoices):
    COMPUTE = "compute", _("Machines")
    DISK = "disk", _("Disks")
    SNAPSHOT = "snapshot", _("Snapshots")
    ADDRESS = "address", _("Addresses")
    CORRECTION = "correction", _("Corrections")  # in these sums only: see `Correction`


def _usd(**more: Any) -> models.DecimalField:
    return models.DecimalField(max_digits=14, decimal_places=6, default=ZERO, **more)


class Sum(models.Model):
    """Seconds and USD of one kind; `idle_…` is the part of them in which nobody worked."""

    kind = models.CharField(max_length=10, choices=ChargeKind)
    seconds = models.PositiveBigIntegerField(default=0)
    amount_usd = _usd()
    idle_seconds = models.PositiveBigIntegerField(default=0)
    idle_usd = _usd()

    class Meta:
        abstract = True

    def take(self, line: ChargeLine) -> None:
        self.seconds += line.seconds
        self.amount_usd += line.amount_usd
        self.idle_seconds += line.idle_seconds
        self.idle_usd += line.idle_usd

    def take_sum(self, other: "Sum") -> None:
        self.seconds += other.seconds
        self.amount_usd += other.amount_usd
        self.idle_seconds += other.idle_seconds
        self.idle_usd += other.idle_usd


_SUMS = ("seconds", "amount_usd", "idle_seconds", "idle_usd")


class DailySpend(Sum):
    """Charges of one course, person, team, kind and UTC day. The team is the one in which it was spent."""

    course = models.ForeignKey(Course, models.PROTECT, related_name="daily_spend", db_index=False)
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="+")
    enrollment = models.ForeignKey(Enrollment, models.PROTECT, related_name="daily_spend", db_index=False)
    day = models.DateField()

    class Meta:
        constraints = (
            # Two, because "no team" is not equal to "no team" for a database.
            models.UniqueConstraint(
                fields=("enrollment", "day", "kind", "team"), name="one_daily_sum_per_person_and_kind"
            ),
            models.UniqueConstraint(
                fields=("enrollment", "day", "kind"), condition=Q(team=None), name="one_daily_sum_without_team"
            ),
        )
        indexes = (models.Index(fields=("course", "day")),)

    def __str__(self) -> str:
        return f"{self.enrollment_id} {self.day} {self.kind}"


class CourseDay(Sum):
    """Charges of one course, UTC day, kind and group of resources (a preset's slug; empty: unknown)."""

    course = models.ForeignKey(Course, models.PROTECT, related_name="spend_days", db_index=False)
    day = models.DateField()
    group = models.CharField(max_length=80, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("course", "day", "kind", "group"), name="one_sum_per_course_day_kind_group"
            ),
        )

    def __str__(self) -> str:
        return f"{self.course_id} {self.day} {self.kind} {self.group}"


class PersonTotal(Sum):
    """Charges of one person, team and kind since the course began."""

    course = models.ForeignKey(Course, models.PROTECT, related_name="person_totals")
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="person_totals")
    enrollment = models.ForeignKey(Enrollment, models.PROTECT, related_name="totals", db_index=False)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("enrollment", "kind", "team"), name="one_total_per_person_team_kind"),
            models.UniqueConstraint(
                fields=("enrollment", "kind"), condition=Q(team=None), name="one_total_per_person_kind_without_team"
            ),
        )

    def __str__(self) -> str:
        return f"{self.enrollment_id} {self.kind}"


def add_to_totals(enrollment: Enrollment, lines: Sequence[ChargeLine], group: str) -> None:
    """Count the lines of one resource into all three tables: the same few statements for any number of lines.

    Only under the locks of the person's and the course's budgets: what is read here nobody else changes.
    """
    days = [_day(line) for line in lines]
    between = {"day__range": (min(days), max(days))}
    same = {"course_id": enrollment.course_id}
    mine = {**same, "enrollment_id": enrollment.pk, "team_id": enrollment.team_id}
    _count_in(DailySpend, mine, between, [((_day(line), line.kind), line) for line in lines])
    _count_in(CourseDay, {**same, "group": group}, between, [((_day(line), line.kind), line) for line in lines])
    _count_in(PersonTotal, mine, {}, [((None, line.kind), line) for line in lines])


def add_to_course_days(course: Course, lines: Sequence[ChargeLine], group: str = "") -> None:
    """As `add_to_totals`, for what is nobody's: it counts for the course alone. Only under the lock of its budget."""
    days = [_day(line) for line in lines]
    between = {"day__range": (min(days), max(days))}
    slots = [((_day(line), line.kind), line) for line in lines]
    _count_in(CourseDay, {"course_id": course.pk, "group": group}, between, slots)


def _day(line: ChargeLine) -> date:
    return line.hour.astimezone(UTC).date()


Slot = tuple[date | None, str]


def _count_in(
    model: type[Any], same: dict[str, Any], between: dict[str, Any], lines: Iterable[tuple[Slot, ChargeLine]]
) -> None:
    rows: dict[Slot, Any] = {}
    kinds = set()
    for (day, kind), line in lines:
        fields = {"kind": kind} if day is None else {"kind": kind, "day": day}
        rows.setdefault((day, kind), model(**same, **fields)).take(line)
        kinds.add(kind)
    known = {}
    for old in model.objects.filter(**same, **between, kind__in=kinds):
        slot = (getattr(old, "day", None), old.kind)
        if slot in rows:
            old.take_sum(rows.pop(slot))
            known[slot] = old
    if known:
        # By its key, which they have: one plain statement, where `bulk_update` builds a case for each field and row.
        model.objects.bulk_create(known.values(), update_conflicts=True, unique_fields=("id",), update_fields=_SUMS)
    if rows:
        model.objects.bulk_create(rows.values())
