"""More money for somebody who asked: a person's, a team's or the course's budget grows by an amount.

Deciding who gets more is elsewhere; this says whether the raise helps, or a budget above is the tighter one now.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from courses.models import Course, Enrollment, Team, User
from spend.budget import BudgetLine, tightest
from spend.models import Budget, Level
from spend.refusals import BudgetRefused
from spend.reports import line_of
from spend.services import budget_of, lock_path, set_amount


@dataclass(frozen=True, slots=True)
class Raised:
    """`tighter` is a budget above that has less left than the raised one, so that not all of it can be used."""

    budget: Budget
    tighter: BudgetLine | None


def raise_budget(
    whose: Enrollment | Team | Course, amount_usd: Decimal, *, why: str, who: User | None, now: datetime
) -> Raised:
    """Add `amount_usd` (USD, above 0). Raises BudgetRefused when there is no budget to raise."""
    if amount_usd <= 0:
        raise ValueError("a budget is raised by more than nothing")
    with transaction.atomic():
        path = lock_path(_budget(whose))
        own = set_amount(path[-1], path[-1].amount_usd + amount_usd, why=why, who=who, now=now)
        nearest = tightest([line_of(budget) for budget in (own, *reversed(path[:-1]))])
    return Raised(own, None if nearest.left_usd >= own.left_usd else nearest)


def _budget(whose: Enrollment | Team | Course) -> Budget:
    if isinstance(whose, Enrollment):
        return budget_of(whose)
    mine = {"team": whose, "level": Level.TEAM} if isinstance(whose, Team) else {"course": whose, "level": Level.COURSE}
    found = Budget.objects.filter(**mine).first()
    if found is None:
        raise BudgetRefused(_("%(name)s has no budget yet: open one first.") % {"name": whose})
    return found
