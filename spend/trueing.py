"""The daily true-up: once a UTC day ask the provider, compare, and book what is final. Its door is a task."""

import logging
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from django.conf import settings

from cloud.base import CloudError
from cloud.billing import CourseAccount
from cloud.costs import Costs
from courses.models import User
from spend.corrections import book_all
from spend.models import AccountCredit, Correction, Reconciliation, Source
from spend.reconciling import due, reconcile_explorer, reconcile_place, unforeseen
from spend.refusals import BudgetRefused

logger = logging.getLogger(__name__)
EVERY = timedelta(hours=20)  # once a day, at another hour when one was missed
AGAIN = timedelta(hours=2)  # after one that brought nothing


def true_up_daily(costs: Costs, now: datetime) -> list[Reconciliation]:
    """Asked as often as the other rounds, done once a day: a question costs a cent. Each source has its own day: one
    that brings nothing must neither hold up the other nor make it be asked, and paid, every two hours."""
    return _look(costs, [one for one in _named() if _is_due(one, now)], now=now)


def _named() -> list[Source]:
    """By the settings."""
    named = {Source.COST_EXPLORER: settings.COST_EXPLORER, Source.EXPORT: settings.COST_EXPORT}
    return [source for source, how in named.items() if how]


def _is_due(source: Source, now: datetime) -> bool:
    """By all rows of its newest look: the export's has one for each month, and what broke off may have one more. A
    place where nothing lies leaves none, and is listed in every round: that costs next to nothing."""
    rows = Reconciliation.objects.filter(who=None, source=source)
    newest = rows.first()
    if newest is None:
        return True
    failed = rows.filter(at=newest.at).exclude(problem="").exists()
    return now - newest.at >= (AGAIN if failed else EVERY)


def true_up(costs: Costs, *, now: datetime, who: User | None = None) -> list[Reconciliation]:
    """Look at every source that the settings name, and book what is final. What goes wrong is a look with a problem."""
    return _look(costs, _named(), now=now, who=who)


def _look(costs: Costs, sources: Collection[Source], *, now: datetime, who: User | None = None) -> list[Reconciliation]:
    looks = []
    if Source.COST_EXPLORER in sources:
        looks.append(reconcile_explorer(costs, now=now, who=who))
    if Source.EXPORT in sources:
        looks += reconcile_place(costs, settings.COST_EXPORT, now=now)
    for look in [one for one in looks if not one.problem]:
        try:
            book_final(look, now=now)
        except Exception as error:
            looks.append(unforeseen(look, error))
    return looks


def note_credits_daily(account: CourseAccount, now: datetime) -> int:
    """Asked for by itself: an account whose costs nobody reads has credit, too."""
    newest = AccountCredit.objects.order_by("-as_of").first()
    return 0 if newest and now - newest.as_of < EVERY else note_credits(account, now)


def note_credits(account: CourseAccount, now: datetime) -> int:
    """What credit is left and when it ends; returns how many. When AWS does not say, what it said last stays."""
    if not account.offered():
        return 0
    try:
        found = [one for one in account.credits() if one.currency == "USD" and (one.ends is None or one.ends > now)]
    except CloudError as error:
        logger.warning("credit of the account: %s", error)
        return 0
    for one in found:
        facts = {
            "name": one.description[:200],
            "amount_usd": one.amount,
            "left_usd": one.estimated,
            "ends_on": one.ends and one.ends.astimezone(UTC).date(),
            "as_of": now,
        }
        AccountCredit.objects.update_or_create(credit_id=one.credit_id, defaults=facts)
    AccountCredit.objects.exclude(as_of=now).delete()
    return len(found)


def book_final(look: Reconciliation, *, now: datetime) -> list[Correction]:
    """Corrections of machines that we know, on days that the provider has done with. One bad row stops no other."""
    booked: list[Correction] = []
    why = f"{Source(look.source).label}, {look.at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    for drift in due(look):
        if drift.enrollment is None:
            continue
        try:
            booked += book_all([drift], course=drift.enrollment.course, why=why, who=None, now=now)
        except BudgetRefused as refused:
            logger.error("correction of %s: %s", drift, refused)
        except Exception:
            logger.exception("correction of %s failed; the others go on", drift)
    return booked
