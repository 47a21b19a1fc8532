"""What a course has said about the columns of its roster files, so that nobody says it twice."""

from datetime import datetime

from django.db import models

from courses.models import Course, User
from courses.roster import Columns
from courses.roster_columns import format_of, headings_of, remembered, to_remember
from courses.tables import Table

KEPT = 20  # choices per course; older ones are forgotten


class RosterProfile(models.Model):
    """One remembered choice, by headings: {"name": ["student"], "section": ["lecture", "lab"]}."""

    course = models.ForeignKey(Course, models.CASCADE, related_name="roster_profiles")
    name = models.CharField(max_length=80)  # "Canvas gradebook", or its first headings
    columns = models.JSONField()
    roles = models.BooleanField(default=False)  # roles were taken from the file
    used_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    used_at = models.DateTimeField()

    class Meta:
        app_label = "courses"
        ordering = ("-used_at", "-pk")

    def __str__(self) -> str:
        return self.name


def recall(course: Course, table: Table) -> Columns | None:
    """The newest choice that fits. Roles are never taken by memory alone: that is confirmed each time."""
    saved = [(profile.columns, False) for profile in course.roster_profiles.all()[:KEPT]]
    return remembered(table, saved, course.email_domain)


def remember(course: Course, table: Table, columns: Columns, *, who: User, now: datetime) -> None:
    """Nothing, where the file has no headings to know it by."""
    chosen = to_remember(table, columns)
    if not chosen:
        return
    headings = headings_of(table)[1]
    name = format_of(headings) or ", ".join(heading for heading in headings if heading)[:80]
    same = next((profile for profile in course.roster_profiles.all() if profile.columns == chosen), None)
    profile = same or RosterProfile(course=course, columns=chosen)
    profile.name, profile.roles, profile.used_by, profile.used_at = name, columns.roles, who, now
    profile.save()
    old = course.roster_profiles.order_by("-used_at", "-pk").values_list("pk", flat=True)[KEPT:]
    RosterProfile.objects.filter(pk__in=list(old)).delete()
