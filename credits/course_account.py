"""Codes into the course's own account. Row first, AWS second; AWS is asked once, and a doubt is settled by looking.

ASKED (the code is out of the stock) → CALLING (AWS may have heard) → CONFIRMED | FAILED | UNCLEAR. One at a time, or
a new credit on the account could not be told to belong to one of two codes.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from cloud.base import CloudError, Transient
from cloud.billing import CodeRefused, CourseAccount, Verdict
from courses.models import Enrollment, EnrollmentStatus, Role, User
from credits import vault
from credits.models import CodeEvent, CourseRedemption, CreditCode
from credits.settling import look_quietly, settle_as_confirmed, settle_as_failed

logger = logging.getLogger(__name__)
State = CourseRedemption.State
Verb = CodeEvent.Verb
DOUBT = timedelta(hours=48)  # a credit shows within hours; after this its absence means something


class RedemptionRefused(Exception):
    """Its text is for staff."""


def ask(codes: Sequence[CreditCode], *, why: str, who: User, now: datetime) -> list[CourseRedemption]:
    """Take free codes out of the stock for the course's account; AWS hears of it from `perform`.

    All or none. Raises `RedemptionRefused`.
    """
    if not why.strip():
        raise RedemptionRefused(_("Say why: these codes can then be given to nobody."))
    with transaction.atomic():
        rows = CreditCode.objects.select_for_update(no_key=True, of=("self",)).select_related("batch")
        locked = list(rows.filter(pk__in=[code.pk for code in codes]).order_by("pk"))
        for row in locked:
            must_be_instructor(row.batch.course_id, who)
            if row.status != CreditCode.Status.AVAILABLE:
                raise RedemptionRefused(
                    _("Code …%(last4)s of “%(batch)s” is not free.") % {"last4": row.last4, "batch": row.batch.name}
                )
        return [_take(row, why.strip()[:300], who, now) for row in locked]


def perform(redemption: CourseRedemption, *, account: CourseAccount, now: datetime) -> CourseRedemption.State:
    """Ask AWS, if nobody has yet, and write down what happened; else the state as it is. Call outside transactions.

    Never asks twice about one redemption: when the process dies in here, `settling.look_again` finds out.
    """
    redemption.refresh_from_db()
    if redemption.state != State.ASKED:
        return State(redemption.state)
    try:
        before = [credit.credit_id for credit in account.credits()]
    except CloudError as error:
        # Nothing was asked for: it stays ASKED, and can be tried again or given up.
        CourseRedemption.objects.filter(pk=redemption.pk, state=State.ASKED).update(said=str(error))
    else:
        if _begin(redemption, before, now):
            _call(redemption, account, now)
    redemption.refresh_from_db()
    return State(redemption.state)


def settle_all(*, account: CourseAccount, now: datetime) -> int:
    """Perform what is asked for and settle what is in doubt; returns how many are done. Costs AWS nothing when idle."""
    done = 0
    if account.offered():
        for redemption in CourseRedemption.objects.filter(state=State.ASKED).order_by("asked_at", "pk"):
            done += perform(redemption, account=account, now=now) in (State.CONFIRMED, State.FAILED)
        look_quietly(account=account, now=now)
    return done


def give_up(redemption: CourseRedemption, *, why: str, who: User, now: datetime) -> None:
    """Staff say that AWS has not taken it: the code goes to quarantine, or back to stock when AWS was never asked.

    Raises `RedemptionRefused` while a credit may still show, or when it is settled.
    """
    must_be_instructor(redemption.course_id, who)
    if not why.strip():
        raise RedemptionRefused(_("Say why."))
    with transaction.atomic():
        row = CourseRedemption.objects.select_for_update().get(pk=redemption.pk)
        if row.state == State.UNCLEAR and row.called_at and now - row.called_at < DOUBT:
            raise RedemptionRefused(_("AWS may still list the credit: look again until two days have passed."))
        if row.state not in (State.ASKED, State.UNCLEAR):
            raise RedemptionRefused(_("This is settled already, or just being asked."))
        settle_as_failed(row, why.strip(), who=who, is_good=row.state == State.ASKED, now=now)
    redemption.refresh_from_db()


def _take(row: CreditCode, why: str, who: User, now: datetime) -> CourseRedemption:
    row.status = CreditCode.Status.COURSE
    row.save(update_fields=("status",))
    CodeEvent.objects.create(code=row, verb=Verb.TAKEN, who=who, why=why, at=now)
    return CourseRedemption.objects.create(course_id=row.batch.course_id, code=row, why=why, who=who, asked_at=now)


def _begin(redemption: CourseRedemption, before: list[str], now: datetime) -> bool:
    """Whether we are the one who asks AWS. The database lets only one be asked about at a time."""
    mine = CourseRedemption.objects.filter(pk=redemption.pk, state=State.ASKED)
    try:
        with transaction.atomic():
            return bool(mine.update(state=State.CALLING, before=before, called_at=now))
    except IntegrityError:
        return False


@sensitive_variables()
def _call(redemption: CourseRedemption, account: CourseAccount, now: datetime) -> None:
    code = CreditCode.objects.get(pk=redemption.code_id)
    try:
        account.redeem(vault.unseal(code.ciphertext))
    except CodeRefused as refused:
        _refused(redemption, refused, account, now)
    except Transient as lost:
        logger.warning("redemption %s: the answer was lost; the account is looked at", redemption.pk)
        CourseRedemption.objects.filter(pk=redemption.pk).update(state=State.UNCLEAR, said=str(lost))
        look_quietly(account=account, now=now)
    except CloudError as error:
        # AWS heard us and did nothing about the code: no right to do so, or no such call.
        settle_as_failed(redemption, str(error), who=None, is_good=True, now=now)
    else:
        _accepted(redemption, account, now)


def _accepted(redemption: CourseRedemption, account: CourseAccount, now: datetime) -> None:
    """AWS said yes: that is certain, even while the new credit is not listed yet."""
    settle_as_confirmed(redemption, None, now)
    look_quietly(account=account, now=now)


def _refused(redemption: CourseRedemption, refused: CodeRefused, account: CourseAccount, now: datetime) -> None:
    if refused.verdict is Verdict.USED:
        # Perhaps by this very call: networks repeat, too. Only the account knows.
        CourseRedemption.objects.filter(pk=redemption.pk).update(state=State.UNCLEAR, said=str(refused))
        look_quietly(account=account, now=now)
        if CourseRedemption.objects.filter(pk=redemption.pk, state=State.CONFIRMED).exists():
            return
    # One too many for this account: the code itself is good, and stays in the stock.
    good = refused.verdict is Verdict.LIMIT
    settle_as_failed(redemption, str(refused), who=None, is_good=good, now=now)


def must_be_instructor(course_id: int, who: User) -> None:
    """The account's money: not for assistants."""
    line = Enrollment.objects.filter(course=course_id, user=who, role=Role.INSTRUCTOR, status=EnrollmentStatus.ACTIVE)
    if not line.exists():
        raise RedemptionRefused(_("Only this course's instructors redeem codes into its account."))
