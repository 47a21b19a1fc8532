"""One person's exceptions with their money: the budget's amount and the limits, each change a row with its reason."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from courses.events import CourseEvent, note
from courses.models import Enrollment, User
from instances.limits import Limits, Override
from instances.longer import locked_disks
from instances.overriding import locked_owner, set_limits
from spend.models import Budget
from spend.services import set_amount


@dataclass(frozen=True, slots=True)
class Wanted:
    budget_usd: Decimal | None  # None: there is no budget, or it stays
    limits: Limits


@transaction.atomic
def make_exceptions(line: Enrollment, wanted: Wanted, *, why: str, who: User, now: datetime) -> int:
    """Returns how many things changed. Raises BudgetRefused (below what is spent and held; disks too dear), and then
    nothing is changed. The reason stands in the exception's own row alone: others read the books, too."""
    owner = locked_owner(line)
    locked_disks(owner)  # before the money, as everywhere
    budget = Budget.objects.filter(enrollment=owner).first()
    changed = 0
    if budget and wanted.budget_usd is not None and wanted.budget_usd != budget.amount_usd:
        # Before the disks are held longer: a larger budget may be what pays for them.
        Override.objects.create(
            enrollment=owner,
            kind=Override.Kind.BUDGET,
            before=f"{budget.amount_usd:.2f}",
            after=f"{wanted.budget_usd:.2f}",
            why=why,
            who=who,
            at=now,
        )
        changed += 1
        set_amount(budget, wanted.budget_usd, why=_("Budget of one person"), who=who, now=now)
    changed += len(set_limits(owner, wanted.limits, why=why, who=who, now=now))
    if changed:
        note(owner.course, CourseEvent.Kind.OVERRIDE, enrollment=owner, who=who, now=now, facts={"changes": changed})
    return changed
