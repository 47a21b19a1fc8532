"""A person's budget moves below another team: what is held goes along, what was spent stays where it was spent.

The new budgets must be able to carry what is held, else nobody moves. For the books each move is a pair of CARRY rows
that add up to nothing: so much that the old parent spent through somebody who is gone, and the new one did not.
"""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from courses.models import Enrollment, Team, User
from spend.budget import verdict
from spend.models import Budget, Level, MoneyMove
from spend.refusals import BudgetRefused, dollars
from spend.reports import line_of
from spend.services import add_to_budgets, lock_path, set_amount


class MoveRefused(BudgetRefused):
    """The new team's budget cannot carry what is held for the person's machines."""


def move_budget(enrollment: Enrollment, team: Team | None, *, why: str, who: User | None, now: datetime) -> bool:
    """Below the team's budget, or the course's where the team has none or there is no team. False: it is there already,
    or there is no budget to move. Raises MoveRefused, and then nothing has moved."""
    own = Budget.objects.filter(enrollment=enrollment).first()
    if own is None:
        return False
    theirs = Budget.objects.filter(team=team, level=Level.TEAM).first() if team else None
    parent = theirs or Budget.objects.get(course=enrollment.course_id, level=Level.COURSE)
    return _reparent(own, parent, why=why, who=who, now=now)


@transaction.atomic
def _reparent(own: Budget, parent: Budget, *, why: str, who: User | None, now: datetime) -> bool:
    old = lock_path(own)
    new = lock_path(parent)  # below the root that is ours already: nobody else is in this tree
    moving, before = old[-1], old[-2]
    if before.pk == parent.pk:
        return False
    if old[0].pk != new[0].pk:
        raise ValueError(f"{parent} belongs to another sponsor than {own}")
    staying = {budget.pk for budget in old} & {budget.pk for budget in new}
    leaving = [budget for budget in old[:-1] if budget.pk not in staying]
    entering = [budget for budget in new if budget.pk not in staying]
    _can_carry(entering, moving)
    add_to_budgets(leaving, held_usd=-moving.held_usd)
    add_to_budgets(entering, held_usd=moving.held_usd)
    moving.parent = parent
    moving.save(update_fields=("parent",))
    for budget, amount in ((before, moving.spent_usd), (parent, -moving.spent_usd)):
        MoneyMove.objects.create(budget=budget, kind=MoneyMove.Kind.CARRY, amount_usd=amount, why=why, who=who, at=now)
    return True


def _can_carry(entering: list[Budget], moving: Budget) -> None:
    if not entering or not moving.held_usd:
        return
    decision = verdict([line_of(budget) for budget in reversed(entering)], moving.held_usd)
    if decision.ok:
        return
    words = _(
        "%(held)s is held for the machines of %(name)s, and %(team)s has %(left)s left. Stop those machines first, or "
        "raise the budget of %(team)s."
    )
    values = {"name": moving.name, "team": decision.name}
    raise MoveRefused(
        words % {**values, "held": dollars(moving.held_usd), "left": dollars(decision.left_usd)}, decision
    )


def close_team_budget(team: Team, *, why: str, who: User | None, now: datetime) -> None:
    """A team that is gone keeps what it spent, and promises nothing more."""
    found = Budget.objects.filter(team=team, level=Level.TEAM).first()
    if found is None:
        return
    with transaction.atomic():
        fresh = lock_path(found)[-1]
        set_amount(fresh, fresh.spent_usd + fresh.held_usd, why=why, who=who, now=now)
