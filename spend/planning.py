"""The plan that a course's spend is held against: its points, or evenly over its days."""

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from courses.models import Course
from spend.models import ZERO, Budget, Level, PlanPoint


def planned_by(points: list[tuple[date, Decimal]], day: date) -> Decimal:
    """USD that are to be spent by the end of `day`: on straight lines between the points. Pure."""
    before = max((point for point in points if point[0] <= day), default=None)
    after = min((point for point in points if point[0] > day), default=None)
    if before is None or after is None:
        return before[1] if before else ZERO
    share = Decimal((day - before[0]).days) / (after[0] - before[0]).days
    return before[1] + (after[1] - before[1]) * share


def plan_of(course: Course) -> list[tuple[date, Decimal]]:
    """From nothing on the day before the course; without points of its own, evenly to the whole budget at its end."""
    begins = course.starts_on - timedelta(days=1)
    found = [(one.day, one.usd) for one in PlanPoint.objects.filter(course=course) if one.day > begins]
    if not found:
        amount = Budget.objects.filter(course=course, level=Level.COURSE).values_list("amount_usd", flat=True).first()
        found = [(course.ends_on, amount or ZERO)]
    return [(begins, ZERO), *found]


def planned_on(course: Course, day: date) -> Decimal:
    """USD that the plan has for this one day."""
    points = plan_of(course)
    return max(ZERO, planned_by(points, day) - planned_by(points, day - timedelta(days=1)))


def faults(
    points: Sequence[tuple[date, Decimal]], *, starts_on: date, ends_on: date, amount_usd: Decimal
) -> list[tuple[int, str, str]]:
    """What is wrong: with which point, by its place in the list, with its "day" or its "usd", and why."""
    found: list[tuple[int, str, str]] = []
    for n, (day, usd) in enumerate(points):
        earlier = [before for before in points[:n] if before[0] == day]
        if not starts_on <= day <= ends_on:
            found.append((n, "day", _("That day is not in the course.")))
        elif earlier:
            found.append((n, "day", _("This day has a line already.")))
        elif usd > amount_usd:
            found.append((n, "usd", _("That is more than the whole budget.")))
        elif any(other < day and more > usd for other, more in points):
            found.append((n, "usd", _("Less than on an earlier day: amounts are what is spent up to then, in all.")))
    return found


@transaction.atomic
def set_plan(course: Course, points: Sequence[tuple[date, Decimal]]) -> None:
    """These in place of what was; none: evenly over the course."""
    Course.objects.select_for_update(no_key=True).get(pk=course.pk)  # two at once would both insert
    PlanPoint.objects.filter(course=course).delete()
    PlanPoint.objects.bulk_create(PlanPoint(course=course, day=day, usd=usd) for day, usd in points)
