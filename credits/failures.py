"""A holder says that AWS did not take a code: what the portal does by itself. What staff do is in `resolving.py`.

Locks as `holding.py` says: batches, roster line, team, code.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils.translation import gettext as _
from django.views.decorators.debug import sensitive_variables

from courses.models import Enrollment, EnrollmentStatus, Team, User
from credits import entitlement, holding
from credits.awards import award
from credits.claiming import ClaimRefused
from credits.diagnosis import cause_of
from credits.holding import Holder
from credits.models import CodeBatch, CodeEvent, CreditCode, FailedReport, Purpose
from credits.records import CauseOutcome
from credits.screening import screened
from credits.signals import Cause

Status = FailedReport.Status
Verb = CodeEvent.Verb
_SELF_HELP = (CauseOutcome.ASK, CauseOutcome.WAIT)
_MOMENT = timedelta(minutes=10)  # the same click twice, or a page sent again


class ReportRefused(Exception):
    """Its text is for the person who reported."""


@dataclass(frozen=True, slots=True)
class Reported:
    """`replacement` is the new code, if there is one; else `report.status` says who has the next word."""

    report: FailedReport
    cause: Cause
    replacement: CreditCode | None


@sensitive_variables("message")
def report_failed(
    code: CreditCode, *, cause: str, message: str, who: User, address: str | None, now: datetime
) -> Reported:
    """Write down what AWS said (without the code), and help as far as that needs no person. Raises `ReportRefused`.

    A code that is said to be used or unknown is quarantined; somebody's first is replaced at once where the batch
    allows it. Reported again at once it is the same report; later it goes to staff: the answer did not help.
    """
    chosen = cause_of(code.batch.course, cause)
    if chosen is None:
        raise ReportRefused(_("Choose what you see."))
    said = screened(message, code)
    with transaction.atomic():
        row, reporter = _locked(code, who)
        same = row.reports.filter(cause=cause)
        again = same.filter(~Q(status=Status.ANSWERED) | Q(at__gt=now - _MOMENT)).last()
        if again:
            return Reported(again, chosen, again.replacement)
        if row.status not in holding.HELD:
            raise ReportRefused(_("This code was taken out of use."))
        report = FailedReport(
            code=row, course=row.batch.course, enrollment=reporter, cause=cause, message=said, address=address, at=now
        )
        CodeEvent.objects.create(code=row, verb=Verb.FAILED, who=who, why=chosen.title[:300], address=address, at=now)
        replacement = _act(report, chosen, now)
    code.refresh_from_db()
    return Reported(report, chosen, replacement)


def quarantine(code: CreditCode, *, why: str, who: User | None, now: datetime) -> None:
    """Out of use until somebody knows better; its holder stays on it. Within a transaction that has locked it."""
    code.status = CreditCode.Status.QUARANTINED
    code.save(update_fields=("status",))
    CodeEvent.objects.create(code=code, verb=Verb.QUARANTINED, who=who, why=why[:300], at=now)


def holder_of(code: CreditCode) -> Holder:
    holder = code.team or code.holder
    if holder is None:
        raise ReportRefused(_("Nobody holds this code."))
    return holder


def replacements_of(holder: Holder, reporter: Enrollment) -> int:
    """How many codes this holder, or the one who reports, has had replaced, at once or by staff."""
    whose = Q(code__team=holder) if isinstance(holder, Team) else Q(code__holder=holder)
    whose |= Q(enrollment=reporter)
    return FailedReport.objects.filter(whose, replacement__isnull=False).count()


def replace(report: FailedReport, batch: CodeBatch, *, why: str, who: User | None, now: datetime) -> CreditCode:
    """Another code for the same holder and purpose. Raises `ClaimRefused`."""
    code = report.code
    # From another batch each replaced code has a key of its own, or a second one would be answered with the first's.
    key = code.entitlement if batch.pk == code.batch_id else f"replace/{code.pk}"
    new = award(batch, holder_of(code), key=key, why=why, who=who, now=now, replace=True)
    report.replacement = new
    return new


def batches_with_another(code: CreditCode, now: datetime) -> list[CodeBatch]:
    """Where a replacement may come from: the code's own batch, then the reserve of the same value."""
    free = CreditCode.objects.filter(batch=OuterRef("pk"), status=CreditCode.Status.AVAILABLE)
    same = Q(pk=code.batch_id) | Q(course=code.batch.course_id, purpose=Purpose.RESERVE, value_usd=code.batch.value_usd)
    found = CodeBatch.objects.filter(same).filter(Exists(free)).order_by("redeem_by", "pk")
    usable = [batch for batch in found if not entitlement.expired(batch.redeem_by, now)]
    return sorted(usable, key=lambda batch: batch.pk != code.batch_id)


def lock_for_replacement(code: CreditCode, *more: CodeBatch | None) -> None:
    """All batches that a replacement could come from, in one order for everybody; then whose code it is; the code."""
    batches = Q(pk=code.batch_id) | Q(course=code.batch.course_id, purpose=Purpose.RESERVE)
    batches |= Q(pk__in=[batch.pk for batch in more if batch])
    list(CodeBatch.objects.select_for_update(no_key=True).filter(batches).order_by("pk"))
    if code.holder_id:
        holding.locked_line(code.holder_id)
    if code.team_id:
        holding.locked_team(code.team_id)
    CreditCode.objects.select_for_update(no_key=True).get(pk=code.pk)


def _locked(code: CreditCode, who: User) -> tuple[CreditCode, Enrollment]:
    """The code as it is now, and the roster line of the one who reports, which must have a part in it."""
    lock_for_replacement(code)
    lines = Enrollment.objects.filter(course=code.batch.course_id, user=who, status=EnrollmentStatus.ACTIVE)
    reporter = lines.select_related("user").first()
    row = CreditCode.objects.select_related("batch__course", "holder", "team").get(pk=code.pk)
    if reporter is None or not holding.is_held_by(row, who):
        raise ReportRefused(_("Only its holder can say what became of a code."))
    return row, reporter


def _act(report: FailedReport, cause: Cause, now: datetime) -> CreditCode | None:
    """Decide and save; the new code, if there is one."""
    code, new = report.code, None
    # A code that its holder has called redeemed is not simply bad: a person has to look.
    if cause.outcome == CauseOutcome.REPLACE and code.status == CreditCode.Status.CLAIMED:
        quarantine(code, why=cause.title, who=report.enrollment.user, now=now)
        new = _first_replacement(report, now)
    if new:
        report.status = Status.REPLACED
    elif cause.outcome in _SELF_HELP and not code.reports.exists():
        report.status = Status.ANSWERED
    else:
        report.status = Status.OPEN
    report.save()
    return new


def _first_replacement(report: FailedReport, now: datetime) -> CreditCode | None:
    """None: a person has to decide, because it is not the first, the batch says so, or there is no other code."""
    code = report.code
    if not code.batch.replace_at_once or replacements_of(holder_of(code), report.enrollment):
        return None
    for batch in batches_with_another(code, now):
        try:
            return replace(report, batch, why=_("Replaces …%(last4)s") % {"last4": code.last4}, who=None, now=now)
        except ClaimRefused:  # somebody else was faster, or the holder may have nothing more
            continue
    return None
