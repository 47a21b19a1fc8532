"""Changing what a course says about itself: dates, sizes, domain. Each change is a row. Money is elsewhere."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from django.db import transaction

from courses.events import CourseEvent, note
from courses.models import Course, User


@transaction.atomic
def change(course: Course, said: Mapping[str, Any], *, who: User, now: datetime, why: str = "") -> bool:
    """Fields by name. False when nothing is different."""
    row = Course.objects.select_for_update(no_key=True).get(pk=course.pk)
    what = {name: [getattr(row, name), value] for name, value in said.items() if getattr(row, name) != value}
    if not what:
        return False
    for name, (_before, after) in what.items():
        setattr(row, name, after)
        setattr(course, name, after)
    row.save(update_fields=list(what))
    facts = {name: [_plain(before), _plain(after)] for name, (before, after) in what.items()}
    note(row, CourseEvent.Kind.SETTINGS, who=who, now=now, why=why, facts=facts)
    return True


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return f"{value.days} d"
    return value.isoformat() if isinstance(value, date) else value
