"""What staff decide about a failed code: replace it, answer, or close. Each decision stays on its report, with why."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from courses.audit import Kind, note
from courses.models import Enrollment, EnrollmentStatus, User
from credits import failures, letters
from credits.models import CodeBatch, CreditCode, FailedReport
from credits.screening import screened
from credits.staff import is_staff_of
from credits.telling import answer_letter, in_portal_language, replaced_letter

Decision = FailedReport.Decision
Status = FailedReport.Status
_REPLACEABLE = (CreditCode.Status.CLAIMED, CreditCode.Status.QUARANTINED, CreditCode.Status.REVOKED)


class ResolveRefused(Exception):
    """Its text is for staff."""


def resolve(
    report: FailedReport,
    decision: str,
    *,
    why: str,
    who: User,
    now: datetime,
    batch: CodeBatch | None = None,
) -> FailedReport:
    """Decide an open report, and with it all open reports of the same code. `why` is written to the student.

    A replacement comes from `batch`, or from the code's own batch, or from a reserve of the same value. Raises
    `ResolveRefused` (decided already, no reason, no code left) and `ClaimRefused`.
    """
    said = screened(why)
    with transaction.atomic():
        row = _locked(report, batch, who)
        if not said and decision != Decision.REPLACE:
            raise ResolveRefused(_("Say what the student should know."))
        if decision == Decision.REPLACE:
            _replace(row, batch, said, who, now)
        _settle(row, decision, said, who, now)
        _tell(row, now)
    report.refresh_from_db()
    return report


def _locked(report: FailedReport, batch: CodeBatch | None, who: User) -> FailedReport:
    if not is_staff_of(report.course_id, who) or (batch and batch.course_id != report.course_id):
        raise ResolveRefused(_("This report belongs to another course."))
    failures.lock_for_replacement(report.code, batch)
    row = FailedReport.objects.select_related("code__batch__course", "code__holder", "code__team", "enrollment__user")
    found = row.get(pk=report.pk)
    if found.status != Status.OPEN:
        raise ResolveRefused(_("Somebody has decided this already."))
    return found


def _replace(row: FailedReport, batch: CodeBatch | None, why: str, who: User, now: datetime) -> None:
    code = row.code
    if code.status not in _REPLACEABLE:
        raise ResolveRefused(_("A code that was redeemed is not replaced."))
    source = [batch] if batch else failures.batches_with_another(code, now)
    if not source:
        raise ResolveRefused(
            _("There is no free code of $%(value)s: add some, or choose another batch.")
            % {"value": f"{code.batch.value_usd:,.2f}"}
        )
    if code.status == CreditCode.Status.CLAIMED:
        failures.quarantine(code, why=why, who=who, now=now)
    failures.replace(row, source[0], why=why or _("Replaces …%(last4)s") % {"last4": code.last4}, who=who, now=now)


def _settle(row: FailedReport, decision: str, why: str, who: User, now: datetime) -> None:
    done = {
        "status": Status.REPLACED if row.replacement else Status.CLOSED,
        "decision": decision,
        "why": why,
        "decided_by": who,
        "decided_at": now,
    }
    for name, value in done.items():
        setattr(row, name, value)
    row.save()
    # Others of the team, or a second try, said the same about this code: they are answered with it.
    FailedReport.objects.filter(code=row.code, status=Status.OPEN).update(**{**done, "status": Status.CLOSED})
    facts = {"report": row.pk, "code": row.code_id, "decision": decision}
    note("report_decided", kind=Kind.DECISION, who=who, about=row.enrollment, why=why, facts=facts, now=now)


def _tell(row: FailedReport, now: datetime) -> None:
    """To the one who reported, and to all who have a part in a new code."""
    people = {row.enrollment}
    if row.code.team:
        people |= set(Enrollment.objects.filter(team=row.code.team, status=EnrollmentStatus.ACTIVE))
    with in_portal_language():
        subject, body = replaced_letter(row) if row.replacement else answer_letter(row)
    for line in people:
        letters.write(f"report/{row.pk}/{line.pk}", to=line.email, subject=subject, body=body, now=now)
