"""What a closing comes to: what of a course is still there, and the final statement, frozen once nothing is.

Amounts are running totals that are checked against every row first; written as texts with all their digits.
"""

import logging
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Max, Q

from courses.models import Course
from credits import books as code_books
from credits.books import Place
from credits.models import CodeBatch
from instances import closing_letters
from instances.account_records import CloudAccount
from instances.closing import locked
from instances.closing_records import Closing
from instances.disk_rules import COSTS, IN_MOTION, Standing
from instances.homes import not_cleared_of, offered
from instances.launch_rules import start_of
from instances.limits import PersonLimits
from instances.models import CourseImage, DiskSnapshot, Instance, InstanceEvent, Run
from instances.states import ENDED, State
from spend.checks import check_books
from spend.reports import by_person, figures

logger = logging.getLogger(__name__)
UNCLAIMED = (Place.FREE, Place.RESERVED)  # nobody's: they go back to whoever gave them


def over_for_everybody(closing: Closing, now: datetime) -> bool:
    """Also for those who were given a later last day."""
    own = PersonLimits.objects.filter(enrollment__course=closing.course).aggregate(last=Max("ends_on"))["last"]
    last = max(day for day in (closing.day, own) if day)
    return now >= start_of(last + timedelta(days=1), closing.course.timezone)


def is_anything_left(closing: Closing, now: datetime) -> bool:
    """Of machines, copies and images at the provider, and of seconds that are not charged yet."""
    course = closing.course
    machines = Instance.objects.filter(course=course)
    copies = DiskSnapshot.objects.filter(course=course)
    unpaid = Q(standing__in=IN_MOTION | COSTS) | Q(since__isnull=False, settled_at=None)
    return (
        not over_for_everybody(closing, now)
        or machines.exclude(state__in=ENDED).exists()
        or machines.filter(disk_since__isnull=False, disk_settled_at=None).exists()
        or Run.objects.filter(instance__course=course, settled_at=None).exists()
        or copies.filter(unpaid).exists()
        or images_there(course).exists()
        or (offered() and not_cleared_of(course).exists())
        or CodeBatch.objects.filter(course=course).exclude(closes_at__lte=now).exists()
    )


def images_there(course: Course) -> Any:
    return CourseImage.objects.filter(course=course).exclude(standing__in=(Standing.DELETED, Standing.FAILED))


def statement(course: Course, now: datetime) -> dict[str, Any]:
    """Plain values, for pages and for the row. USD."""
    money, people = figures(course, now=now), by_person(course)
    named = sum((line.spent_usd for line in people), Decimal(0))
    return {
        "as_of": now.isoformat(),
        "budget_usd": str(money.total_usd),
        "spent_usd": str(money.spent_usd),
        "held_usd": str(money.held_usd),
        "left_usd": str(money.left_usd),
        "nobodys_usd": str(money.spent_usd - named),  # corrections to AWS's bill that are no single person's
        "people": [[line.enrollment.pk, str(line.spent_usd)] for line in people],
        "codes": codes(course, now),
        "archived": _archived(course),
        "lost": _lost(course),
    }


def _archived(course: Course) -> int:
    proved = DiskSnapshot.objects.filter(course=course, verified_at__isnull=False)
    return proved.exclude(standing=Standing.LOST).count()


def _lost(course: Course) -> list[dict[str, Any]]:
    """Of each account that was given up: what of the course went with it, and is neither archived nor deleted."""
    ended = InstanceEvent.objects.filter(kind=InstanceEvent.Kind.MOVED, new_state=State.TERMINATED)
    return [
        {
            "account": str(account),
            "at": account.lost_at.isoformat(),
            "machines": ended.filter(instance__account=account, facts__lost=account.pk).count(),
            "copies": DiskSnapshot.objects.filter(instance__account=account, standing=Standing.LOST).count(),
        }
        for account in CloudAccount.objects.filter(course=course, lost_at__isnull=False)
        if account.lost_at
    ]


def codes(course: Course, now: datetime) -> list[dict[str, Any]]:
    """Of each batch with unclaimed codes: how many, and what they are worth. USD."""
    lines = code_books.books(course, now.date()).lines
    counted = [(line.batch, sum(line.count.get(place, 0) for place in UNCLAIMED)) for line in lines]
    return [{"batch": batch.name, "n": n, "usd": str(n * batch.value_usd)} for batch, n in counted if n]


def finish_if_done(closing: Closing, now: datetime) -> bool:
    """The end: nothing is left, the books add up, and the statement is written down and mailed."""
    if is_anything_left(closing, now):
        return False
    if differences := check_books(closing.course):
        logger.error(
            "closing: the books of %s do not add up, so there is no statement: %s", closing.course, differences
        )
        return False
    with transaction.atomic():
        row = locked(closing.pk)
        if row is None or images_there(row.course).exists():  # another course's closing may just have handed one on
            return False
        row.finished_at, row.statement = now, statement(row.course, now)
        row.save(update_fields=("finished_at", "statement"))
        closing_letters.finished(row, now)
    return True
