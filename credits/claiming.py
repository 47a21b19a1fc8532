"""One click: the claimant's one code of a batch, or a place in the queue. The rule is `entitlement.py`."""

from datetime import datetime

from django.db import transaction

from courses.models import Enrollment, Team, User
from credits import holding, queue, quick
from credits.coverage import refusal_of
from credits.entitlement import Refusal
from credits.holding import HELD, Holder
from credits.models import CodeBatch, CodeEvent, CodeWait, CreditCode, Purpose
from credits.words import queue_words, refusal_words

KEY = ""  # of the entitlement that everybody whom the rule covers has


class ClaimRefused(Exception):
    """Its text is for the claimant; `refusal` is the reason for the program."""

    def __init__(self, refusal: Refusal, batch: CodeBatch, words: str = "") -> None:
        super().__init__(words or refusal_words(refusal, batch))
        self.refusal = refusal


class InQueue(ClaimRefused):
    """No code is left, and the claimant's place is kept: `place`, from 1."""

    def __init__(self, place: int, batch: CodeBatch) -> None:
        super().__init__(Refusal.EMPTY, batch, queue_words(place, batch))
        self.place = place


def claim(enrollment: Enrollment, batch: CodeBatch, *, who: User, address: str | None, now: datetime) -> CreditCode:
    """The claimant's one code of this batch: the same one however often and from wherever it is asked for.

    A batch for teams gives one to the whole team. Raises `ClaimRefused`, and `InQueue` when stock is out.
    """
    code = _claim_at_once(enrollment, batch, who, address, now) or _claim_free(enrollment, batch, who, address, now)
    if code:
        return code
    wait = _queue_up(enrollment, batch, now)
    if isinstance(wait, CreditCode):
        return wait
    queue.serve_queue(batch, now)  # what came in between is for whoever came first
    wait.refresh_from_db()
    if wait.code:
        return wait.code
    raise InQueue(queue.place_of(wait), batch)


def _claim_at_once(
    enrollment: Enrollment, batch: CodeBatch, who: User, address: str | None, now: datetime
) -> CreditCode | None:
    """The usual click. Judged here on the page's roster line, which must not have changed when the code is taken."""
    if batch.purpose == Purpose.TEAMS or refusal_of(enrollment, batch, now):
        return None
    return quick.claim_at_once(enrollment, batch, who=who, address=address, now=now)


@transaction.atomic
def _claim_free(
    enrollment: Enrollment, batch: CodeBatch, who: User, address: str | None, now: datetime
) -> CreditCode | None:
    """Claimants pass by each other's codes. None: nothing is free at first sight, or others are waiting already."""
    # One claim of one claimant at a time: a second tab waits here and then finds the first one's code. It also
    # reads the roster line anew, so that nobody claims on a page from before being dropped.
    claimant = holding.locked_line(enrollment.pk)
    holder = _holder(claimant, batch)
    code = _had_or_refused(claimant, holder, batch, now)
    if code is None:
        code = holding.take_passing_by(batch, holder, KEY, now)
        if code:
            CodeEvent.objects.create(code=code, verb=CodeEvent.Verb.CLAIMED, who=who, address=address, at=now)
    return code


@transaction.atomic
def _queue_up(enrollment: Enrollment, batch: CodeBatch, now: datetime) -> CreditCode | CodeWait:
    """The claimant's place in the queue, or the code that they have been given since."""
    holding.locked_batch(batch.pk)  # places are given one by one
    claimant = holding.locked_line(enrollment.pk)
    holder = _holder(claimant, batch)
    return _had_or_refused(claimant, holder, batch, now) or queue.place_for(batch, claimant, holder, now)


def _holder(claimant: Enrollment, batch: CodeBatch) -> Holder:
    """Two members of a team are one claimant."""
    if batch.purpose == Purpose.TEAMS and claimant.team_id:
        return holding.locked_team(claimant.team_id)
    return claimant


def _had_or_refused(claimant: Enrollment, holder: Holder, batch: CodeBatch, now: datetime) -> CreditCode | None:
    """The code that this claimant has. None: none yet, and they may have one. Raises `ClaimRefused`."""
    had = [code for code in _had(claimant, holder, batch) if code]
    in_hand = next((code for code in had if code.status in HELD), None)
    if in_hand is None:
        refusal = Refusal.USED if had else refusal_of(claimant, batch, now)
        if refusal:
            raise ClaimRefused(refusal, batch)
    elif in_hand.team_id:
        holding.join(in_hand, claimant)
    return in_hand


def _had(claimant: Enrollment, holder: Holder, batch: CodeBatch) -> list[CreditCode | None]:
    """Somebody who changed the team finds the old team's code first: nobody has a part in two."""
    share = holding.share_of(batch, claimant, KEY) if isinstance(holder, Team) else None
    return [share, holding.earlier(batch, holder, KEY)]
