"""Whose a code is, a person's or a team's, and how a free one becomes theirs. Judges nobody; within a transaction.

Every verb locks in this order, or two of them would wait for each other: batch, roster line, team, code.
"""

from datetime import datetime

from django.db.models import Case, Exists, F, OuterRef, QuerySet, Value, When

from courses.models import Enrollment, EnrollmentStatus, Team, User
from credits.models import CodeBatch, CodeShare, CodeWait, CreditCode

Status = CreditCode.Status
Holder = Enrollment | Team
HELD = (Status.CLAIMED, Status.REDEEMED)


def locked_line(pk: int) -> Enrollment:
    """The roster line as it is now; nobody else claims for it or drops it until we are done."""
    lines = Enrollment.objects.select_for_update(no_key=True, of=("self",)).select_related("team", "user")
    return lines.get(pk=pk)


def locked_batch(pk: int) -> CodeBatch:
    return CodeBatch.objects.select_for_update(no_key=True, of=("self",)).select_related("course").get(pk=pk)


def locked_team(pk: int) -> Team:
    return Team.objects.select_for_update(no_key=True).get(pk=pk)


def columns(holder: Holder) -> dict[str, Holder]:
    """As filter and as values."""
    return {"team": holder} if isinstance(holder, Team) else {"holder": holder}


def earlier(batch: CodeBatch, holder: Holder, key: str) -> CreditCode | None:
    """What this holder has under this key: the one in hand, else one that was quarantined or revoked."""
    in_hand = Case(When(status__in=HELD, then=Value(0)), default=Value(1))
    mine = CreditCode.objects.filter(batch=batch, entitlement=key, **columns(holder))
    return mine.order_by(in_hand, "-pk").first()


def free_codes(batch: CodeBatch) -> QuerySet[CreditCode]:
    """In the order of the index `free_codes`: as they came in."""
    return CreditCode.objects.filter(batch=batch, status=Status.AVAILABLE).order_by(F("id") + 0)


def take_passing_by(batch: CodeBatch, holder: Holder, key: str, now: datetime) -> CreditCode | None:
    """A free code that nobody else is just taking. None also while people are waiting: they come first."""
    waiting = CodeWait.objects.filter(batch=batch, closed_at=None)
    code = free_codes(batch).filter(~Exists(waiting)).select_for_update(skip_locked=True).first()
    return _hand_over(code, holder, key, now) if code else None


def take_in_turn(batch: CodeBatch, holder: Holder, key: str, now: datetime) -> CreditCode | None:
    """A free code; waits for those of claims that may still be undone, so that None means: there is none."""
    free = free_codes(batch)
    code = free.select_for_update(skip_locked=True).first() or free.select_for_update().first()
    return _hand_over(code, holder, key, now) if code else None


def _hand_over(code: CreditCode, holder: Holder, key: str, now: datetime) -> CreditCode:
    code.status, code.claimed_at, code.entitlement = Status.CLAIMED, now, key
    for column, value in columns(holder).items():
        setattr(code, column, value)
    code.save(update_fields=("status", "claimed_at", "entitlement", "holder", "team"))
    if isinstance(holder, Team):
        _share(code, holder)
    return code


def _share(code: CreditCode, team: Team) -> None:
    """All present members have a part in it. A replacement takes the place of what it replaces."""
    gone = CodeShare.objects.filter(batch=code.batch_id, entitlement=code.entitlement, code__team=team)
    gone.exclude(code__status__in=HELD).update(code=code)
    for member in Enrollment.objects.filter(team=team, status=EnrollmentStatus.ACTIVE):
        join(code, member)


def join(code: CreditCode, member: Enrollment) -> None:
    """The member has had a part in this team's code from now on, unless they had one in another team's."""
    share = CodeShare(code=code, batch_id=code.batch_id, entitlement=code.entitlement, enrollment=member)
    CodeShare.objects.bulk_create([share], ignore_conflicts=True)


def share_of(batch: CodeBatch, enrollment: Enrollment, key: str = "") -> CreditCode | None:
    """The team code that this person has had a part in, whatever team they are in today."""
    return CreditCode.objects.filter(
        Exists(CodeShare.objects.filter(code=OuterRef("pk"), batch=batch, entitlement=key, enrollment=enrollment))
    ).first()


def is_held_by(code: CreditCode, who: User) -> bool:
    """The holder; of a team's code its members of today and of the day when it was claimed."""
    if code.holder is not None:
        return code.holder.user_id == who.pk
    mine = Enrollment.objects.filter(user=who, status=EnrollmentStatus.ACTIVE)
    return bool(code.team_id) and (
        mine.filter(team=code.team_id).exists() or mine.filter(code_shares__code=code).exists()
    )
