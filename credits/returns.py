"""Codes that come back: given back by their holder or taken back by staff. Each is a row with its reason."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from courses.models import User
from credits import holding, queue
from credits.models import CodeEvent, CreditCode
from credits.staff import is_staff_of

Status = CreditCode.Status
Verb = CodeEvent.Verb


class ReturnRefused(Exception):
    """Its text is for the person who asked."""


def return_code(code: CreditCode, *, why: str, who: User, now: datetime) -> CreditCode.Status:
    """Give a claimed code back. Never shown to anybody, it is stock again and goes to whoever waits; once shown it
    may be known, and is quarantined. By its holder, or by staff with a reason. Raises `ReturnRefused`.
    """
    with transaction.atomic():
        row = _locked(code)
        if not holding.is_held_by(row, who):
            _must_be_staff(row, who, why)
        if row.status != Status.CLAIMED:
            raise ReturnRefused(_("Only a code that was claimed and not yet redeemed can be given back."))
        status = _put_back(row, why, who, now)
    code.refresh_from_db()
    if status == Status.AVAILABLE:
        queue.serve_queue(row.batch, now)
    return status


def revoke(code: CreditCode, *, why: str, who: User, now: datetime) -> bool:
    """Take a code out of use for good; whoever held it gets no other one by themselves. By staff, with a reason.

    False when it is out of use already. Raises `ReturnRefused`, also for a redeemed code: its money is spent.
    """
    with transaction.atomic():
        row = _locked(code)
        _must_be_staff(row, who, why)
        if row.status == Status.REVOKED:
            return False
        if row.status == Status.REDEEMED:
            raise ReturnRefused(_("This code is redeemed: AWS does not take credit back."))
        row.status = Status.REVOKED
        row.save(update_fields=("status",))
        _note(row, Verb.REVOKED, why, who, now)
    code.refresh_from_db()
    return True


def _locked(code: CreditCode) -> CreditCode:
    """A reveal locks it too: what goes back to stock is not being shown at this moment."""
    rows = CreditCode.objects.select_for_update(no_key=True, of=("self",)).select_related(
        "batch__course", "holder", "team"
    )
    return rows.get(pk=code.pk)


def _must_be_staff(code: CreditCode, who: User, why: str) -> None:
    if not is_staff_of(code.batch.course_id, who):
        raise ReturnRefused(_("This code belongs to somebody else."))
    if not why.strip():
        raise ReturnRefused(_("Say why: its holder will be shown your reason."))


def _put_back(row: CreditCode, why: str, who: User, now: datetime) -> CreditCode.Status:
    if row.events.filter(verb=Verb.REVEALED).exists():
        # It stays its holder's, so that nobody shows a code, redeems it, gives it back and claims the next one.
        row.status = Status.QUARANTINED
        row.save(update_fields=("status",))
        _note(row, Verb.QUARANTINED, why, who, now)
        return Status.QUARANTINED
    row.shares.all().delete()
    row.status, row.holder, row.team, row.claimed_at, row.entitlement = Status.AVAILABLE, None, None, None, ""
    row.save(update_fields=("status", "holder", "team", "claimed_at", "entitlement"))
    _note(row, Verb.RETURNED, why, who, now)
    return Status.AVAILABLE


def _note(row: CreditCode, verb: CodeEvent.Verb, why: str, who: User, now: datetime) -> None:
    CodeEvent.objects.create(code=row, verb=verb, who=who, why=why.strip()[:300], at=now)
