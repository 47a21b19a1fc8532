"""A sponsor's grant: opened, and put above a course. Its amount is changed as any other budget's."""

from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from courses.models import Course, User
from spend.models import Budget, Level
from spend.opening import create_budget
from spend.refusals import BudgetRefused
from spend.services import lock_path


def open_grant(name: str, amount_usd: Decimal, *, why: str, who: User, now: datetime) -> Budget:
    return create_budget(Level.SPONSOR, amount_usd=amount_usd, parent=None, name=name, why=why, who=who, now=now)


def courses_of(grant: Budget) -> list[Course]:
    """Those that it pays for, by name."""
    found = Budget.objects.filter(parent=grant, level=Level.COURSE).select_related("course")
    return sorted((one.course for one in found if one.course), key=lambda course: (course.name, course.pk))


def unsponsored() -> list[Budget]:
    """Budgets of courses that nobody pays for yet, and that have used nothing: these can be put below a grant."""
    found = Budget.objects.filter(level=Level.COURSE, parent=None, spent_usd=0, held_usd=0).select_related("course")
    return list(found.order_by("name", "pk"))


def put_below(grant: Budget, course: Budget) -> None:
    """From now on the grant pays for this course. Only before it has used anything: what is spent has its payer, and
    nobody else holds locks in a tree that has not begun. Raises BudgetRefused."""
    with transaction.atomic():
        lock_path(grant)
        path = lock_path(course)
        fresh = path[-1]
        if len(path) > 1 or fresh.spent_usd or fresh.held_usd:
            raise BudgetRefused(
                _("%(name)s has a sponsor already, or has spent or held money: it stays as it is.")
                % {"name": fresh.name}
            )
        Budget.objects.filter(pk=fresh.pk).update(parent=grant)
