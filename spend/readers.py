"""Who of the staff gets the weekly report by mail, because they asked to; and up to which week they have it."""

from datetime import date, datetime

from django.db import models
from django.db.models import Q, QuerySet

from courses.models import STAFF_ROLES, Enrollment, EnrollmentStatus


class ReportReader(models.Model):
    """One person of one course's staff. No row: they did not ask."""

    enrollment = models.OneToOneField(Enrollment, models.CASCADE, related_name="report_reader")
    asked_at = models.DateTimeField()
    last_week = models.DateField(null=True, blank=True)  # Monday of the newest week that was written

    class Meta:
        app_label = "spend"

    def __str__(self) -> str:
        return f"weekly report for {self.enrollment_id}"


def subscribe(line: Enrollment, *, wanted: bool, last_week: date, now: datetime) -> None:
    """`last_week`: the newest complete one, which they can read on the page; the first mail is of the one after."""
    if wanted:
        ReportReader.objects.get_or_create(enrollment=line, defaults={"asked_at": now, "last_week": last_week})
    else:
        ReportReader.objects.filter(enrollment=line).delete()


def is_subscribed(line: Enrollment) -> bool:
    return ReportReader.objects.filter(enrollment=line).exists()


def waiting_for(week: date) -> QuerySet[ReportReader]:
    """Who has not got that week's yet, and is still on the staff of a course that was on in it."""
    lines = Enrollment.objects.filter(status=EnrollmentStatus.ACTIVE, role__in=STAFF_ROLES)
    found = ReportReader.objects.filter(
        Q(last_week=None) | Q(last_week__lt=week), enrollment__in=lines, enrollment__course__ends_on__gte=week
    )
    return found.select_related("enrollment__course").order_by("enrollment__course", "pk")


def take(reader: ReportReader, week: date) -> bool:
    """In the transaction of the letter: one process alone writes one week's."""
    mine = ReportReader.objects.filter(Q(last_week=None) | Q(last_week__lt=week), pk=reader.pk)
    return bool(mine.update(last_week=week))
