"""What a door says to the audit: who looks at a student's things, who takes a list away."""

from datetime import datetime

from django.http import HttpRequest

from courses import audit
from courses.audit import Kind
from courses.doors import address_of, person
from courses.models import Course, Enrollment


def note_look(request: HttpRequest, what: str, about: Enrollment, now: datetime, **facts: object) -> None:
    """Every look of staff at a student's page is a row, which the student can see. One's own page is no look."""
    who = person(request)
    if about.user_id != who.pk:
        audit.note(what, kind=Kind.LOOK, who=who, about=about, address=address_of(request), facts=facts, now=now)


def note_export(request: HttpRequest, what: str, course: Course, now: datetime, **facts: object) -> None:
    who = person(request)
    audit.note(what, kind=Kind.EXPORT, who=who, course=course, address=address_of(request), facts=facts, now=now)
