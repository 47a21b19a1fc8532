"""Who of a roster may enter now, and as what: each course's policy. The one place that decides it; `access.py` asks.

Staff and sponsors enter while their line is active. Everybody else by the four fields of `Course` that
an instructor sets; nobody who is not an active student of a course that is on launches or claims anything more.
"""

from datetime import datetime, timedelta
from enum import StrEnum

from django.db.models import F, Q, Value

from courses.models import STAFF_ROLES, Enrollment, EnrollmentStatus, Role

FIELDS = ("waitlisted_enter", "dropped_enter", "auditors_enter", "alumni_for")


class Standing(StrEnum):
    """As what somebody is in. All but MEMBER look only."""

    MEMBER = "member"
    WAITLISTED = "waitlisted"  # claims what a batch's rule gives to the waitlist
    DROPPED = "dropped"
    ALUMNI = "alumni"  # the course is over
    AUDITOR = "auditor"


def may_enter(now: datetime) -> Q:
    """Of roster lines. Who is not active enters as a student only, so that a former TA is staff of nothing."""
    active, student = Q(status=EnrollmentStatus.ACTIVE), Q(role=Role.STUDENT)
    waiting = Q(status=EnrollmentStatus.WAITLISTED, course__waitlisted_enter=True)
    gone = Q(status=EnrollmentStatus.DROPPED, course__dropped_enter=True, forgotten_at=None)
    guests = active & Q(role=Role.AUDITOR, course__auditors_enter=True)
    always = active & Q(role__in=(*STAFF_ROLES, Role.SPONSOR))
    return always | (_still_open(now) & (student & (active | waiting | gone) | guests))


def _still_open(now: datetime) -> Q:
    """The course is on, or so lately over that its policy lets people look. By days in UTC."""
    # Later than the day before, not "at least": a day and a moment of that day compare differently by database.
    yesterday = now.date() - timedelta(days=1)
    lately = Q(course__ends_on__gt=Value(yesterday) - F("course__alumni_for"))
    return Q(course__alumni_for=None) | Q(course__ends_on__gt=yesterday) | lately | Q(limits__ends_on__gt=yesterday)


def is_over(line: Enrollment, now: datetime) -> bool:
    """For this person: the last day, or their own later one, is over everywhere.

    What costs money goes by the course's own zone (`instances/launch_rules.py`).
    """
    today = (now - timedelta(hours=12)).date()
    if line.course.ends_on >= today:
        return False
    own = getattr(line, "limits", None)  # exceptions of one person, of the machines' app; read only after the end
    return own is None or own.ends_on is None or own.ends_on < today


def standing(line: Enrollment, now: datetime) -> Standing:
    """Of somebody who may enter. The line's course is read."""
    if line.status != EnrollmentStatus.ACTIVE:
        return Standing(line.status)
    if line.role == Role.AUDITOR:
        return Standing.AUDITOR
    return Standing.ALUMNI if line.role == Role.STUDENT and is_over(line, now) else Standing.MEMBER
