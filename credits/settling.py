"""How a redemption into the course account ends: by AWS's answer, or by which credits the account shows.

Repeats nothing. A credit is taken for a redemption's only when no other redemption could have brought it.
"""

import logging
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q

from cloud.base import CloudError
from cloud.billing import CourseAccount, Credit
from courses.models import User
from credits import queue
from credits.models import CodeEvent, CourseRedemption, CreditCode

logger = logging.getLogger(__name__)
State = CourseRedemption.State
Status = CreditCode.Status
Verb = CodeEvent.Verb
PATIENCE = timedelta(minutes=2)  # a call takes seconds: who calls longer is dead
_NAMELESS = Q(state=State.CONFIRMED, credit_id=None)  # AWS said yes, and the credit is not listed yet


def look_again(*, account: CourseAccount, now: datetime) -> int:
    """Settle what is in doubt by the account's credits; returns how many were. Raises like `CourseAccount.credits`."""
    CourseRedemption.objects.filter(state=State.CALLING, called_at__lt=now - PATIENCE).update(state=State.UNCLEAR)
    waiting = Q(state=State.UNCLEAR) | _NAMELESS
    if not CourseRedemption.objects.filter(waiting).exists():
        return 0
    credits = account.credits()
    rows = CourseRedemption.objects.filter(waiting).order_by("called_at", "pk")
    return sum(_settle_by(row.pk, credits, now) for row in rows)


def look_quietly(*, account: CourseAccount, now: datetime) -> None:
    """As `look_again`, where its failing changes nothing: the next round looks again."""
    try:
        look_again(account=account, now=now)
    except CloudError as error:
        logger.warning("the course account could not be looked at: %s", error)


def settle_as_confirmed(redemption: CourseRedemption, credit: Credit | None, now: datetime) -> None:
    """It is on the account; as which credit may be known later."""
    with transaction.atomic():
        row = CourseRedemption.objects.select_for_update().get(pk=redemption.pk)
        is_news = row.state != State.CONFIRMED
        row.state, row.said = State.CONFIRMED, ""
        row.settled_at = row.settled_at or now
        if credit:
            row.credit_id, row.amount_usd = credit.credit_id, credit.amount
            row.ends_on = credit.ends.date() if credit.ends else None
        row.save()
        if is_news:
            CodeEvent.objects.create(code_id=row.code_id, verb=Verb.CREDITED, who=row.who, why=row.why, at=now)


def settle_as_failed(
    redemption: CourseRedemption, said: str, *, who: User | None, is_good: bool, now: datetime
) -> None:
    """It is not on the account. A good code is stock again, any other is put aside."""
    with transaction.atomic():
        row = CourseRedemption.objects.select_for_update().get(pk=redemption.pk)
        code = (
            CreditCode.objects.select_for_update(no_key=True, of=("self",)).select_related("batch").get(pk=row.code_id)
        )
        if row.state == State.CONFIRMED:
            return  # somebody has found the credit meanwhile
        row.state, row.said, row.settled_at = State.FAILED, said, now
        row.save()
        code.status = Status.AVAILABLE if is_good else Status.QUARANTINED
        code.save(update_fields=("status",))
        verb = Verb.RETURNED if is_good else Verb.QUARANTINED
        CodeEvent.objects.create(code=code, verb=verb, who=who, why=said[:300], at=now)
    if is_good:
        queue.serve_queue(code.batch, now)


@transaction.atomic
def _settle_by(pk: int, credits: Iterable[Credit], now: datetime) -> bool:
    row = CourseRedemption.objects.select_for_update(of=("self",)).select_related("code__batch").get(pk=pk)
    if row.state not in (State.UNCLEAR, State.CONFIRMED) or row.credit_id:
        return False  # somebody else was faster
    taken = set(CourseRedemption.objects.exclude(credit_id=None).values_list("credit_id", flat=True))
    new = [credit for credit in credits if credit.credit_id not in taken]
    mine = _could_be(row, new)
    rivals = CourseRedemption.objects.filter(Q(state__in=(State.UNCLEAR, State.CALLING)) | _NAMELESS).exclude(pk=pk)
    shared = [rival for rival in rivals.select_related("code__batch") if _could_be(rival, mine)]
    # Even if each of the others brought one of these, one remains that only this redemption can have brought.
    if len(mine) <= len(shared):
        return False
    settle_as_confirmed(row, mine[0], now)
    return True


def _could_be(row: CourseRedemption, credits: Iterable[Credit]) -> list[Credit]:
    """Credits that were not there before the call. Of what AWS has not confirmed, only those of the code's value."""
    new = [credit for credit in credits if credit.credit_id not in row.before and credit.currency == "USD"]
    worth = [credit for credit in new if credit.amount == row.code.batch.value_usd]
    return worth or (new if row.state == State.CONFIRMED else [])
