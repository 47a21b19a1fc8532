"""A course begins: created by an operator or copied by an instructor, then set up step by step, in any order."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.utils.text import slugify
from django.utils.translation import gettext as _

from courses.events import CourseEvent, note
from courses.models import Course, Enrollment, Role, User
from courses.rostering import link_known_people

STEPS = ("dates", "people", "money", "presets", "policy", "alerts")


class SetUpRefused(Exception):
    """`str()` is a sentence for the person; `field` the form's field that it belongs to."""

    def __init__(self, sentence: str, field: str) -> None:
        super().__init__(sentence)
        self.field = field


def create_course(facts: Mapping[str, Any], *, instructor: str, name: str, who: User, now: datetime) -> Course:
    """With its first instructor on the roster. Within a transaction. Raises `SetUpRefused`."""
    slug = facts.get("slug") or slugify(f"{facts['name']} {facts.get('term', '')}")[:50].strip("-")
    if not slug:
        raise SetUpRefused(_("Write an address for the course in Latin letters."), "slug")
    try:
        with transaction.atomic():
            course = Course.objects.create(**{**facts, "slug": slug})
    except IntegrityError as error:
        raise SetUpRefused(_("Another course has this address already."), "slug") from error
    Enrollment.objects.create(course=course, email=instructor.lower(), name=name, role=Role.INSTRUCTOR)
    link_known_people(course)
    note(course, CourseEvent.Kind.CREATED, who=who, now=now, facts={"slug": slug})
    return course


def is_begun(course: Course) -> bool:
    """Its set-up was taken up and not brought to the end. A course that was made without it is not asked about it."""
    if {"policy", "alerts"} <= {*course.setup_done}:
        return False
    return course.events.filter(kind=CourseEvent.Kind.CREATED).exists()


@transaction.atomic
def confirm_step(course: Course, step: str, *, who: User, now: datetime) -> bool:
    """Somebody has looked at it and keeps it as it is. False when that was said before."""
    if step not in STEPS:
        raise ValueError(step)
    row = Course.objects.select_for_update(no_key=True).get(pk=course.pk)
    if step in row.setup_done:
        return False
    row.setup_done = [*row.setup_done, step]
    row.save(update_fields=["setup_done"])
    note(row, CourseEvent.Kind.SETTINGS, who=who, now=now, facts={"step": step})
    return True
