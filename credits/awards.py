"""A code given by staff to a named person or team: a prize, an approved request, a replacement."""

from datetime import datetime

from django.db import transaction

from courses.models import Enrollment, EnrollmentStatus, User
from credits import entitlement, holding
from credits.claiming import ClaimRefused
from credits.entitlement import Refusal
from credits.holding import HELD, Holder
from credits.models import CodeBatch, CodeEvent, CreditCode
from credits.words import not_awarded_words


@transaction.atomic
def award(
    batch: CodeBatch, holder: Holder, *, key: str, why: str, who: User | None, now: datetime, replace: bool = False
) -> CreditCode:
    """A free code of this batch for this holder. Said twice with the same key, the same code.

    `key` says what it is for (`contest/3/place/1`, `request/17`; claimed codes have an empty one). When the code
    under this key was quarantined or revoked, only `replace` gives another. The batch's rule and opening times bind
    claimants, not staff. Raises `ClaimRefused`: EMPTY, USED, EXPIRED, NOT_FOR_YOU (another course), NOT_ENROLLED.
    """
    batch = holding.locked_batch(batch.pk)
    holder = _locked(holder)
    had = holding.earlier(batch, holder, key)
    if had and had.status in HELD:
        return had
    refusal = Refusal.USED if had and not replace else _refusal(batch, holder, now)
    code = None if refusal else holding.take_in_turn(batch, holder, key, now)
    if code is None:
        raise ClaimRefused(refusal or Refusal.EMPTY, batch, not_awarded_words(refusal or Refusal.EMPTY, batch))
    CodeEvent.objects.create(code=code, verb=CodeEvent.Verb.AWARDED, who=who, why=why[:300], at=now)
    return code


def _locked(holder: Holder) -> Holder:
    return holding.locked_line(holder.pk) if isinstance(holder, Enrollment) else holding.locked_team(holder.pk)


def _refusal(batch: CodeBatch, holder: Holder, now: datetime) -> Refusal | None:
    if holder.course_id != batch.course_id:
        return Refusal.NOT_FOR_YOU
    # Somebody who cannot sign in to the course would never see it.
    if isinstance(holder, Enrollment) and holder.status != EnrollmentStatus.ACTIVE:
        return Refusal.NOT_ENROLLED
    return entitlement.expired(batch.redeem_by, now)
