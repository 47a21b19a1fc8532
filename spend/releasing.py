"""Staged release: so much now, so much later. What is due is added to its budget once, as a grant in the books."""

import logging
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from courses.models import Course, User
from spend.models import Budget, BudgetRelease, Level
from spend.refusals import BelowCommitted, below_committed
from spend.services import lock_path, set_amount

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Change:
    """What one budget would become. `problem` says why it cannot. USD."""

    budget: Budget
    before_usd: Decimal
    after_usd: Decimal
    problem: str = ""

    @property
    def difference_usd(self) -> Decimal:
        return self.after_usd - self.before_usd


def preview(budgets: Sequence[Budget], *, to_usd: Decimal | None, add_usd: Decimal) -> list[Change]:
    """As they stand now: each set to `to_usd`, or `add_usd` more. Changes nothing."""
    return [_change(one, one.amount_usd + add_usd if to_usd is None else to_usd) for one in budgets]


def change_amounts(
    budgets: Sequence[Budget], *, to_usd: Decimal | None, add_usd: Decimal, why: str, who: User, now: datetime
) -> int:
    """All of them or none; each a grant in the books. Raises BelowCommitted, which names the budget."""
    with transaction.atomic():
        for one in sorted(budgets, key=lambda budget: (budget.level, budget.pk)):
            fresh = lock_path(one)[-1]
            amount = fresh.amount_usd + add_usd if to_usd is None else to_usd
            set_amount(fresh, amount, why=why, who=who, now=now)
    return len(budgets)


def plan_release(
    budgets: Sequence[Budget], *, amount_usd: Decimal, release_at: datetime, why: str, who: User, now: datetime
) -> list[BudgetRelease]:
    """So much more for each of them at that moment (UTC). Raises ValueError for nothing, and for the past."""
    if amount_usd <= 0 or release_at <= now:
        raise ValueError("a release adds something, and is to come")
    together = uuid.uuid4()
    return BudgetRelease.objects.bulk_create(
        BudgetRelease(
            budget=one,
            amount_usd=amount_usd,
            release_at=release_at,
            why=why[:300],
            who=who,
            together=together,
            created_at=now,
        )
        for one in budgets
    )


def cancel(together: uuid.UUID, course: Course, *, who: User, now: datetime) -> int:
    """What was planned with one click and is not released yet; returns how many."""
    planned = upcoming(course).filter(together=together)
    return BudgetRelease.objects.filter(pk__in=planned.values("pk"), released_at=None, cancelled_at=None).update(
        cancelled_at=now, cancelled_by=who
    )


def upcoming(course: Course) -> QuerySet[BudgetRelease]:
    return BudgetRelease.objects.filter(budget__course=course, released_at=None, cancelled_at=None)


def release_due(now: datetime) -> int:
    """Add what is due to its budget; returns how many. Two rounds at once release each once."""
    done = 0
    due = BudgetRelease.objects.filter(released_at=None, cancelled_at=None, release_at__lte=now)
    for pk in list(due.values_list("pk", flat=True)):
        try:
            done += _release(pk, now)
        except Exception:
            logger.exception("release %s failed; the others go on", pk)
    return done


def _release(pk: int, now: datetime) -> bool:
    with transaction.atomic():
        row = BudgetRelease.objects.select_related("budget", "who").get(pk=pk)
        fresh = lock_path(row.budget)[-1]
        mine = BudgetRelease.objects.filter(pk=pk, released_at=None, cancelled_at=None)
        if not mine.update(released_at=now):
            return False
        why = _("Planned release: %(why)s") % {"why": row.why}
        set_amount(fresh, fresh.amount_usd + row.amount_usd, why=why[:300], who=row.who, now=now)
    return True


def budgets_of(course: Course) -> list[Budget]:
    """The course's, its teams' and its people's, in that order; by name."""
    found = Budget.objects.filter(course=course).select_related("parent", "team", "enrollment")
    return list(found.order_by("level", "name", "pk"))


def of_level(budgets: Sequence[Budget], level: str) -> list[Budget]:
    return [one for one in budgets if one.level == Level(level)]


def _change(one: Budget, after_usd: Decimal) -> Change:
    committed = one.spent_usd + one.held_usd
    problem = str(_below(one, committed)) if after_usd < committed else ""
    return Change(one, one.amount_usd, after_usd, problem)


def _below(one: Budget, committed: Decimal) -> BelowCommitted:
    return below_committed(one.name, committed)
