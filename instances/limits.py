"""One person's exceptions from the course's rules: how they stand, and each change with its private reason.

The budget's own amount is in `spend`; a change of it is a row here, too, because of the reason.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

from courses.models import Course, Enrollment, User


class PersonLimits(models.Model):
    """What differs for this person now. Empty: as for everybody."""

    enrollment = models.OneToOneField(Enrollment, models.CASCADE, related_name="limits")
    keep_hours = models.PositiveSmallIntegerField(null=True, blank=True)  # a machine may be kept so long
    at_once = models.PositiveSmallIntegerField(null=True, blank=True)  # machines of one preset; 0: none
    ends_on = models.DateField(null=True, blank=True)  # instead of the course's last day
    extra_presets = models.JSONField(default=list, blank=True)  # ids: theirs although not offered
    only_presets = models.JSONField(default=list, blank=True)  # ids: no others; empty: all

    class Meta:
        app_label = "instances"

    def __str__(self) -> str:
        return f"limits of {self.enrollment_id}"


class Override(models.Model):
    """One exception made, changed or taken back. Appended only; the reason is for instructors' eyes."""

    class Kind(models.TextChoices):
        BUDGET = "budget", _("Budget")
        HOURS = "hours", _("Hours to keep a machine")
        AT_ONCE = "at_once", _("Machines at once")
        DEADLINE = "deadline", _("Last day")
        PRESETS = "presets", _("Presets")

    enrollment = models.ForeignKey(Enrollment, models.PROTECT, related_name="overrides")
    kind = models.CharField(max_length=10, choices=Kind)
    before = models.JSONField(null=True)  # null: the course's rule
    after = models.JSONField(null=True)
    why = models.CharField(max_length=300)
    who = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField()

    class Meta:
        app_label = "instances"
        ordering = ("at", "pk")
        indexes = (models.Index(fields=("enrollment", "at")),)

    def __str__(self) -> str:
        return f"{self.kind} of {self.enrollment_id}"


@dataclass(frozen=True, slots=True)
class Limits:
    """As the rules read it. Where None or empty, the course's rule holds."""

    keep_hours: int | None = None
    at_once: int | None = None
    ends_on: date | None = None
    extra_presets: Sequence[int] = ()
    only_presets: Sequence[int] = ()

    def allows(self, preset_id: int) -> bool:
        return not self.only_presets or preset_id in self.only_presets


NONE = Limits()


def own_limits_of(enrollment: Enrollment) -> Limits:
    """One query, unless `limits` came along with the line."""
    row: PersonLimits | None = getattr(enrollment, "limits", None)
    if row is None:
        return NONE
    return Limits(row.keep_hours, row.at_once, row.ends_on, tuple(row.extra_presets), tuple(row.only_presets))


def last_day_of(enrollment: Enrollment, course: Course) -> date:
    return own_limits_of(enrollment).ends_on or course.ends_on


def as_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else list(value) if isinstance(value, tuple) else value
