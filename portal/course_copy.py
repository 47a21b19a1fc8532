"""A course of the next term from this one: its rules, presets, help texts and what it knows about roster files.

Nobody and no money comes along: no roster, no team, no code, no budget, no machine.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar

from django.db import models, transaction

from courses import entry
from courses.models import Course, RosterProfile, User
from courses.setting_up import confirm_step, create_course
from credits.models import RedemptionCause
from instances.models import Policy, Preset
from spend.models import AlertPolicy

_SETTINGS = ("timezone", "contact", "email_domain", "team_min", "team_max", "students_form_teams", *entry.FIELDS)


@transaction.atomic
def copy_course(
    old: Course, facts: Mapping[str, Any], *, instructor: str, name: str, who: User, now: datetime
) -> Course:
    """`facts`: name, term, dates, and what is to differ. Raises `SetUpRefused`, and then there is no new course."""
    kept = {field: getattr(old, field) for field in _SETTINGS}
    new = create_course({**kept, **facts}, instructor=instructor, name=name, who=who, now=now)
    for rows in (
        Preset.objects.filter(course=old),
        RedemptionCause.objects.filter(course=old),
        RosterProfile.objects.filter(course=old),
        AlertPolicy.objects.filter(course=old),
    ):
        for row in rows:
            _copied(row, new).save()
    for policy in Policy.objects.filter(course=old):
        fresh = _copied(policy, new)
        fresh.windows = []  # crunch weeks are days of the old term
        fresh.save()
    confirm_step(new, "dates", who=who, now=now)  # `facts` are just that: nobody is asked for them twice
    new.refresh_from_db()
    return new


Row = TypeVar("Row", bound=models.Model)


def _copied(row: Row, course: Course) -> Row:
    row.pk = None
    row._state.adding = True
    row.course = course  # type: ignore[attr-defined]
    return row
