"""Every move of money: hold, release, post, grant. Each is one transaction that locks the budgets that get scarcer.

Knows no machine: what costs money is a text key. Judging is in `budget.py`, pricing in `metering.py`.
"""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Round
from django.utils.translation import gettext as _

from courses.models import Enrollment, User
from spend.budget import BudgetLine, verdict
from spend.metering import MICRODOLLAR, ChargeLine
from spend.models import ZERO, Budget, Charge, Hold, MoneyMove
from spend.refusals import BudgetRefused, NoBudget, below_committed, cannot_pay, no_budget
from spend.totals import add_to_totals

__all__ = [
    "BudgetRefused",
    "NoBudget",
    "Want",
    "add_to_budgets",
    "book_overrun",
    "budget_of",
    "check",
    "hold",
    "hold_together",
    "lock_path",
    "post",
    "release",
    "set_amount",
    "shrink",
]

logger = logging.getLogger(__name__)


def budget_of(enrollment: Enrollment) -> Budget:
    """The person's own budget. Raises NoBudget."""
    budget = Budget.objects.filter(enrollment=enrollment).first()
    if budget is None:
        raise no_budget(enrollment)
    return budget


def lock_path(budget: Budget) -> list[Budget]:
    """The budgets from the sponsor down to `budget`, as they stand now, locked in that order.

    Root first, always: whoever holds the root is alone in the whole tree, so two moves can never wait for each
    other. SQLite ignores the row lock; there the transaction itself began as the only writer.
    """
    while True:
        above = Budget.objects.values_list("parent", "parent__parent", "parent__parent__parent").get(pk=budget.pk)
        ids = [budget.pk, *(pk for pk in above if pk is not None)]
        # no_key: rows that only refer to a budget (a foreign key's check) need not wait.
        path = list(Budget.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("level"))
        if _is_path(path):
            return path
        # While we waited the person moved to another team (`moving.py`). The root is ours now: once more is enough.


def _is_path(budgets: Sequence[Budget]) -> bool:
    """Each is the next one's parent, and the first has none."""
    above = [None, *(budget.pk for budget in budgets)]
    return all(budget.parent_id == parent for budget, parent in zip(budgets, above, strict=False))


@dataclass(frozen=True, slots=True)
class Want:
    """What one hold is to come to, in USD."""

    key: str
    amount_usd: Decimal
    why: str


def check(budget: Budget, amount_usd: Decimal) -> None:
    """Whether so much could be held now, without holding it. Raises BudgetRefused."""
    with transaction.atomic():
        decision = verdict([_line(one) for one in reversed(lock_path(budget))], amount_usd)
    if not decision.ok:
        raise cannot_pay(decision)


def hold(budget: Budget, *, key: str, amount_usd: Decimal, why: str, who: User | None, now: datetime) -> Hold:
    """Set aside `amount_usd` in all under `key`: open the hold, or grow an open one to it; never shrink it.

    Said twice it holds once. Raises BudgetRefused when a budget of the path cannot pay.
    """
    return hold_together(budget, [Want(key, amount_usd, why)], who=who, now=now)[0]


def hold_together(budget: Budget, wants: Sequence[Want], *, who: User | None, now: datetime) -> list[Hold]:
    """As `hold`, for several at once: all of them or none, and in few statements. While they run, everybody else who
    moves money of this sponsor waits."""
    with transaction.atomic():
        path = lock_path(budget)
        known = {found.key: found for found in Hold.objects.filter(key__in=[want.key for want in wants])}
        holds = [known.get(w.key) or Hold(key=w.key, budget=budget, amount_usd=ZERO, closed_at=now) for w in wants]
        for found in holds:
            if found.budget_id != budget.pk:
                raise ValueError(f"{found.key} is held on another budget")
        grown = [(found, want, _growth(found, want)) for found, want in zip(holds, wants, strict=True)]
        grown = [(found, want, growth) for found, want, growth in grown if growth > 0 or found.closed_at is not None]
        if not grown:
            return holds
        total = sum((growth for _found, _want, growth in grown), ZERO)
        decision = verdict([_line(b) for b in reversed(path)], total)
        if not decision.ok:
            raise cannot_pay(decision)
        _keep([_opened(found, growth, now) for found, _want, growth in grown])
        add_to_budgets(path, held_usd=total)
        MoneyMove.objects.bulk_create(
            _move(budget, MoneyMove.Kind.HOLD, growth, key=want.key, why=want.why, who=who, now=now)
            for _found, want, growth in grown
        )
        return holds


def _growth(found: Hold, want: Want) -> Decimal:
    return want.amount_usd.quantize(MICRODOLLAR, ROUND_CEILING) - found.amount_usd


def _opened(found: Hold, growth: Decimal, now: datetime) -> Hold:
    if found.closed_at is not None:
        found.opened_at, found.closed_at = now, None
    found.amount_usd += growth
    return found


def _keep(holds: Sequence[Hold]) -> None:
    new = [found for found in holds if found.pk is None]
    for found in holds:
        if found.pk is not None:
            found.save(update_fields=("amount_usd", "opened_at", "closed_at"))
    Hold.objects.bulk_create(new)


def release(key: str, *, why: str, who: User | None, now: datetime) -> Decimal:
    """Close the hold and free what is left of it, in USD. Nothing held under `key`: 0."""
    return _free(key, ZERO, closes=True, why=why, who=who, now=now)


def shrink(key: str, to_usd: Decimal, *, why: str, who: User | None, now: datetime) -> Decimal:
    """Free what an open hold has above `to_usd`, in USD. Never judged: to free is possible on an overrun budget, too,
    where closing the hold and opening a smaller one is not."""
    return _free(key, to_usd.quantize(MICRODOLLAR, ROUND_CEILING), closes=False, why=why, who=who, now=now)


def _free(key: str, to_usd: Decimal, *, closes: bool, why: str, who: User | None, now: datetime) -> Decimal:
    with transaction.atomic():
        known = Hold.objects.select_related("budget").filter(key=key, closed_at=None).first()
        if known is None:
            return ZERO
        path = lock_path(known.budget)
        found = Hold.objects.get(key=key)  # as it stands now that nobody else moves it
        if found.closed_at is not None:
            return ZERO
        freed = max(ZERO, found.amount_usd - to_usd)
        if not freed and not closes:
            return ZERO
        found.amount_usd, found.closed_at = found.amount_usd - freed, now if closes else None
        found.save(update_fields=("amount_usd", "closed_at"))
        add_to_budgets(path, held_usd=-freed)
        _record(known.budget, MoneyMove.Kind.RELEASE, freed, key=key, why=why, who=who, now=now)
        return freed


def post(budget: Budget, key: str, lines: Sequence[ChargeLine], now: datetime, *, group: str = "") -> Decimal:
    """Book the lines that are not booked yet; returns their sum in USD. `budget` must be a person's.

    The same few statements whatever the number of lines. Never refuses: it was spent. What neither the hold nor
    the budgets cover is booked as overrun and logged as an error. `group`: what kind of resource, for reports.
    """
    if not lines:
        return ZERO
    with transaction.atomic():
        path = lock_path(budget)
        new = _not_booked(key, lines)
        if not new:
            return ZERO
        enrollment = Enrollment.objects.get(budget=budget)
        Charge.objects.bulk_create(_charge(budget, enrollment, key, line, group, now) for line in new)
        add_to_totals(enrollment, new, group)
        total = sum((line.amount_usd for line in new), ZERO)
        drawn = _draw(key, total)
        book_overrun(path, key, total - drawn, now)
        add_to_budgets(path, spent_usd=total, held_usd=-drawn)
        return total


def set_amount(budget: Budget, amount_usd: Decimal, *, why: str, who: User | None, now: datetime) -> Budget:
    """Give the budget a new amount in USD. Raises BelowCommitted when more than that is spent and held."""
    with transaction.atomic():
        fresh = lock_path(budget)[-1]
        committed = fresh.spent_usd + fresh.held_usd
        if amount_usd < committed:
            raise below_committed(fresh.name, committed)
        change = amount_usd - fresh.amount_usd
        if change:
            fresh.amount_usd = amount_usd
            fresh.save(update_fields=("amount_usd",))
            _record(fresh, MoneyMove.Kind.GRANT, change, why=why, who=who, now=now)
        return fresh


def _line(budget: Budget) -> BudgetLine:
    return BudgetLine(budget.level, budget.name, budget.amount_usd, budget.spent_usd, budget.held_usd)


def add_to_budgets(path: Iterable[Budget], **changes: Decimal) -> None:
    """Add to running totals of all budgets of the path, in one statement.

    Rounded because SQLite counts in binary fractions: 0.3 − 0.1 − 0.2 must be 0 there, too.
    """
    Budget.objects.filter(pk__in=[b.pk for b in path]).update(
        **{field: Round(F(field) + change, precision=6) for field, change in changes.items()}
    )


def _record(
    budget: Budget,
    kind: MoneyMove.Kind,
    amount_usd: Decimal,
    *,
    key: str = "",
    why: str,
    who: User | None,
    now: datetime,
) -> None:
    _move(budget, kind, amount_usd, key=key, why=why, who=who, now=now).save()


def _move(
    budget: Budget, kind: MoneyMove.Kind, amount_usd: Decimal, *, key: str, why: str, who: User | None, now: datetime
) -> MoneyMove:
    return MoneyMove(budget=budget, kind=kind, key=key, amount_usd=amount_usd, why=why, who=who, at=now)


def _not_booked(key: str, lines: Sequence[ChargeLine]) -> list[ChargeLine]:
    """Read under the lock of the path, so what is missing now is still missing when it is written."""
    hours = [line.hour for line in lines]
    booked = Charge.objects.filter(key=key, hour__range=(min(hours), max(hours))).values_list("kind", "hour")
    seen = set(booked)
    new = {(line.kind, line.hour): line for line in lines if (line.kind, line.hour) not in seen}
    return list(new.values())


def _charge(budget: Budget, enrollment: Enrollment, key: str, line: ChargeLine, group: str, now: datetime) -> Charge:
    return Charge(
        key=key,
        kind=line.kind,
        hour=line.hour,
        budget=budget,
        course_id=enrollment.course_id,
        team_id=enrollment.team_id,
        enrollment=enrollment,
        group=group,
        seconds=line.seconds,
        idle_seconds=line.idle_seconds,
        amount_usd=line.amount_usd,
        idle_usd=line.idle_usd,
        posted_at=now,
    )


def _draw(key: str, total_usd: Decimal) -> Decimal:
    """Take the charges out of the hold as far as it goes; returns what it paid."""
    found = Hold.objects.filter(key=key, closed_at=None).first()
    if found is None:
        return ZERO
    drawn = min(found.amount_usd, total_usd)
    found.amount_usd -= drawn
    found.save(update_fields=("amount_usd",))
    return drawn


def book_overrun(path: Iterable[Budget], key: str, beyond_hold_usd: Decimal, now: datetime) -> None:
    """Book, on each budget that has less left than was charged beyond the hold, what nothing covers."""
    for budget in path:
        uncovered = beyond_hold_usd - budget.left_usd
        if uncovered <= 0:
            continue
        logger.error("overrun: %s cost %s USD that budget %s (%s) does not cover", key, uncovered, budget, budget.pk)
        add_to_budgets([budget], overrun_usd=uncovered)
        why = _("Charged beyond the hold and beyond the budget")
        _record(budget, MoneyMove.Kind.OVERRUN, uncovered, key=key, why=why, who=None, now=now)
