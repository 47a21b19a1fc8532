"""What staff and students change about a course and its people: one row each, appended only."""

from collections.abc import Mapping
from datetime import datetime

from django.db import models
from django.utils.translation import gettext_lazy as _

from courses.models import Course, Enrollment, Team, User


class CourseEvent(models.Model):
    """Who did what to whom, when and why. Money and machines have rows of their own."""

    class Kind(models.TextChoices):
        IMPORTED = "imported", _("Roster imported")
        ADDED = "added", _("Person added")
        CHANGED = "changed", _("Person changed")
        CLOSED = "closed", _("Person closed")
        REOPENED = "reopened", _("Person reopened")
        TEAM_FORMED = "team_formed", _("Team formed")
        TEAM_CHANGED = "team_changed", _("Team changed")
        TEAM_MOVED = "team_moved", _("Moved to another team")
        TEAM_DISSOLVED = "team_dissolved", _("Team dissolved")
        PRESET = "preset", _("Preset changed")
        OVERRIDE = "override", _("Exception for one person")
        SETTINGS = "settings", _("Course settings changed")
        CREATED = "created", _("Course created")

    course = models.ForeignKey(Course, models.PROTECT, related_name="events")
    kind = models.CharField(max_length=16, choices=Kind)
    enrollment = models.ForeignKey(Enrollment, models.SET_NULL, null=True, blank=True, related_name="events")
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="events")
    why = models.CharField(max_length=300, blank=True)
    facts = models.JSONField(default=dict)  # what it was before and is now
    who = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")  # empty: the portal itself
    at = models.DateTimeField()

    class Meta:
        app_label = "courses"
        ordering = ("at", "pk")
        indexes = (models.Index(fields=("course", "at")), models.Index(fields=("enrollment", "at")))

    def __str__(self) -> str:
        return f"{self.kind} {self.course}"


def note(
    course: Course,
    kind: CourseEvent.Kind,
    *,
    who: User | None,
    now: datetime,
    enrollment: Enrollment | None = None,
    team: Team | None = None,
    why: str = "",
    facts: Mapping[str, object] | None = None,
) -> CourseEvent:
    """Written in the transaction of what it tells of."""
    return CourseEvent.objects.create(
        course=course,
        kind=kind,
        enrollment=enrollment,
        team=team,
        why=why[:300],
        facts=dict(facts or {}),
        who=who,
        at=now,
    )
