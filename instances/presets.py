"""Verbs on presets: make, change, switch. What machines are made from later; those that exist keep what they have."""

from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max, Q, QuerySet
from django.utils.text import slugify

from cloud.prices import price_of
from courses.events import CourseEvent, note
from courses.models import Course, Enrollment, User
from instances.limits import own_limits_of
from instances.models import Preset

_SLUG = 44  # room for a number below the field's 50


def make_preset(course: Course, facts: dict[str, Any], *, who: User, now: datetime) -> Preset:
    """At the end of the list. Its address is made of its name, and stays when the name changes: links lead there."""
    last = course.presets.aggregate(last=Max("position"))["last"]
    for n in range(1, 100):
        slug = _slug(facts["name"], n)
        try:
            with transaction.atomic():
                position = 0 if last is None else last + 1
                preset = Preset.objects.create(course=course, slug=slug, **{"position": position, **facts})
                note(course, CourseEvent.Kind.PRESET, who=who, now=now, facts={"preset": slug, "new": _told(facts)})
                return preset
        except IntegrityError:  # another preset of this course has that address
            continue
    raise ValueError(f"a hundred presets are called {facts['name']}")


@transaction.atomic
def change_preset(preset: Preset, facts: dict[str, Any], *, who: User | None, now: datetime) -> bool:
    """For launches from now on. False when nothing is different."""
    row = Preset.objects.select_for_update().select_related("course").get(pk=preset.pk)
    what = {name: [getattr(row, name), value] for name, value in facts.items() if getattr(row, name) != value}
    if not what:
        return False
    for name, (_before, after) in what.items():
        setattr(row, name, after)
    row.save(update_fields=list(what))
    told = {name: list(_told({"before": before, "after": after}).values()) for name, (before, after) in what.items()}
    note(row.course, CourseEvent.Kind.PRESET, who=who, now=now, facts={"preset": row.slug, **told})
    return True


# (name, purpose, types, GB): what a course on deep learning begins with.
_STARTERS = (
    ("Homework: T4 16 GB", "Every homework runs on this.", ["g4dn.xlarge", "g4dn.2xlarge"], 64),
    ("Homework plus: L4 24 GB", "Twice as fast, for the larger homeworks.", ["g6.xlarge", "g5.xlarge"], 64),
    ("Project: A10G 24 GB", "For training the project's models.", ["g5.xlarge", "g5.2xlarge"], 100),
)


@transaction.atomic
def starter_presets(course: Course, image_id: str, *, who: User, now: datetime) -> list[Preset]:
    """Three to begin with, each with the price of its dearest type as ceiling."""
    made = []
    for name, purpose, types, disk_gb in _STARTERS:
        ceiling = max(price for kind in types if (price := price_of(kind)) is not None)
        facts = {"name": name, "purpose": purpose, "instance_types": types, "image_id": image_id, "disk_gb": disk_gb}
        made.append(make_preset(course, {**facts, "ceiling_usd_hour": ceiling}, who=who, now=now))
    return made


def _slug(name: str, n: int) -> str:
    base = slugify(name)[:_SLUG].strip("-") or "preset"
    return base if n == 1 else f"{base}-{n}"


def _told(facts: dict[str, Any]) -> dict[str, Any]:
    """As JSON keeps it."""
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in facts.items()}


def offered_to(enrollment: Enrollment) -> QuerySet[Preset]:
    """What this person may choose from: the course's offer, with the exceptions that were made for them."""
    limits = own_limits_of(enrollment)
    found = enrollment.course.presets.filter(Q(enabled=True) | Q(pk__in=limits.extra_presets))
    return found.filter(pk__in=limits.only_presets) if limits.only_presets else found
