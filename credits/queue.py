"""The queue for a batch without stock: places in the order of arrival, served when codes come in.

Serving is one transaction per place, so that a process that dies has served some; the sweep serves the others.
"""

from collections.abc import Callable
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet
from django.utils import translation

from courses.models import Enrollment, EnrollmentStatus, Team
from credits import entitlement, holding, letters
from credits.coverage import waiting_refusal_of
from credits.entitlement import Refusal
from credits.holding import Holder
from credits.models import CodeBatch, CodeEvent, CodeWait
from credits.words import removed_letter, served_letter, served_words

KEY = ""  # of the entitlement that is claimed
Text = Callable[[CodeBatch], tuple[str, str]]  # subject and body


def open_places(batch: CodeBatch) -> QuerySet[CodeWait]:
    return CodeWait.objects.filter(batch=batch, closed_at=None).order_by("seq")


def place_of(wait: CodeWait) -> int:
    """From 1: how many are served up to and with this one."""
    return open_places(wait.batch).filter(seq__lte=wait.seq).count()


def place_for(batch: CodeBatch, claimant: Enrollment, holder: Holder, now: datetime) -> CodeWait:
    """The open place of this claimant, or a new one at the end. Within a transaction that has locked the batch."""
    team = holder if isinstance(holder, Team) else None
    whose = {"team": team} if team else {"team": None, "enrollment": claimant}
    found = open_places(batch).filter(**whose).first()
    if found:
        return found
    last = CodeWait.objects.filter(batch=batch).aggregate(last=Max("seq"))["last"] or 0
    return CodeWait.objects.create(batch=batch, seq=last + 1, enrollment=claimant, team=team, at=now)


def serve_queue(batch: CodeBatch, now: datetime) -> int:
    """Give what is free to those who wait, first come first served; returns how many got one.

    Places of people whom the rule no longer covers are closed on the way. Said by every verb that adds stock.
    """
    served = 0
    while (outcome := _serve_first(batch.pk, now)) is not None:
        served += outcome
    return served


@transaction.atomic
def _serve_first(batch_id: int, now: datetime) -> bool | None:
    """True: served; False: the place was closed; None: nobody waits, or nothing is free."""
    batch = holding.locked_batch(batch_id)
    wait = open_places(batch).first()
    if wait is None or entitlement.expired(batch.redeem_by, now) or not holding.free_codes(batch).exists():
        return None
    holder, refusal = _still_entitled(wait, batch)
    if refusal:
        _close(wait, refusal, now)
        return False
    code = holding.take_in_turn(batch, holder, KEY, now)
    if code is None:
        return None
    wait.closed_at, wait.code = now, code
    wait.save(update_fields=("closed_at", "code"))
    CodeEvent.objects.create(code=code, verb=CodeEvent.Verb.CLAIMED, why=served_words(), at=now)
    _tell(wait, served_letter, now)
    return True


def _still_entitled(wait: CodeWait, batch: CodeBatch) -> tuple[Holder, Refusal | None]:
    """The one who is served, locked, and why not."""
    if wait.team_id:
        team = holding.locked_team(wait.team_id)
        refusal = None if _entitled_members(team, batch) else Refusal.NOT_FOR_YOU
        return team, Refusal.USED if holding.earlier(batch, team, KEY) else refusal
    claimant = holding.locked_line(wait.enrollment_id)
    if holding.earlier(batch, claimant, KEY):
        return claimant, Refusal.USED
    return claimant, waiting_refusal_of(claimant, batch)


def _entitled_members(team: Team, batch: CodeBatch) -> list[Enrollment]:
    """Those for whom the team may have a code: covered by the rule, and without a part in another team's."""
    members = Enrollment.objects.filter(team=team).select_related("team")
    shared = Enrollment.objects.filter(code_shares__batch=batch, code_shares__entitlement=KEY)
    return [member for member in members.exclude(pk__in=shared) if not waiting_refusal_of(member, batch)]


def close_lost_places(batch: CodeBatch, now: datetime) -> int:
    """Close the places of people who have left or whom the rule no longer covers; those behind move up."""
    closed = 0
    for wait in open_places(batch).select_related("team", "enrollment__team", "batch__course"):
        if _is_lost(wait):
            closed += _close_if_lost(wait.pk, now)
    return closed


def _is_lost(wait: CodeWait) -> bool:
    if wait.team:
        return not _entitled_members(wait.team, wait.batch)
    return waiting_refusal_of(wait.enrollment, wait.batch) is not None


@transaction.atomic
def _close_if_lost(pk: int, now: datetime) -> bool:
    """Looked at again under the lock: it may have been served since."""
    batch = holding.locked_batch(CodeWait.objects.values_list("batch", flat=True).get(pk=pk))
    wait = open_places(batch).filter(pk=pk).first()
    refusal = _still_entitled(wait, batch)[1] if wait else None
    if wait is None or refusal is None:
        return False
    _close(wait, refusal, now)
    return True


@transaction.atomic
def close_places(batch: CodeBatch, now: datetime) -> int:
    """Nothing more is given out: whoever waits is told so."""
    found = list(open_places(holding.locked_batch(batch.pk)).select_related("batch__course"))
    for wait in found:
        _close(wait, Refusal.CLOSED, now)
    return len(found)


def _close(wait: CodeWait, refusal: Refusal, now: datetime) -> None:
    wait.closed_at, wait.why = now, refusal
    wait.save(update_fields=("closed_at", "why"))
    if refusal != Refusal.USED:
        _tell(wait, removed_letter, now)


def _tell(wait: CodeWait, text: Text, now: datetime) -> None:
    """A letter to whoever waits; nothing to those who have left the course."""
    whose = {"team": wait.team_id} if wait.team_id else {"pk": wait.enrollment_id}
    # Whoever brought the stock may read another language than those who get the mail.
    with translation.override(settings.LANGUAGE_CODE):
        subject, body = text(wait.batch)
    for line in Enrollment.objects.filter(status=EnrollmentStatus.ACTIVE, **whose):
        letters.write(f"place/{wait.pk}/{line.pk}", to=line.email, subject=subject, body=body, now=now)
