"""Asking for more: a request, and what is decided about it. Money is not moved here: a door above joins it to budgets.

A request is answered once. Each answer is a row of its own, and a letter to whoever it concerns.
"""

from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext as _

from courses.entry import is_over
from courses.models import NO_BUDGET_ROLES, Enrollment, EnrollmentStatus, Team, User
from credits import entitlement, letters
from credits.awards import award
from credits.models import CodeBatch, CreditCode, CreditRequest, Purpose, RequestDecision
from credits.screening import screened
from credits.staff import is_staff_of
from credits.telling import in_portal_language, request_letter

Status = CreditRequest.Status
Verb = RequestDecision.Verb
Serve = RequestDecision.Serve
MOST_USD = Decimal(100_000)


class RequestRefused(Exception):
    """Its text is for the person who asked for, or decides, the request."""


def ask(
    enrollment: Enrollment, *, amount_usd: Decimal, reason: str, for_team: bool, who: User, now: datetime
) -> CreditRequest:
    """One open request for oneself and one for the team at most. Raises `RequestRefused`."""
    said, team = screened(reason), enrollment.team if for_team else None
    if enrollment.user_id != who.pk or enrollment.status != EnrollmentStatus.ACTIVE:
        raise RequestRefused(_("You can ask for yourself and your own team only."))
    if enrollment.role in NO_BUDGET_ROLES or is_over(enrollment, now):
        raise RequestRefused(_("The course is over, or you are its guest: there is nothing to ask for any more."))
    if for_team and team is None:
        raise RequestRefused(_("You are in no team: ask for yourself."))
    if not said:
        raise RequestRefused(_("Say what you need it for."))
    if not 0 < amount_usd <= MOST_USD or amount_usd != round(amount_usd, 2):
        raise RequestRefused(_("Ask for an amount in dollars and cents."))
    try:
        with transaction.atomic():
            return CreditRequest.objects.create(
                course=enrollment.course, enrollment=enrollment, team=team, amount_usd=amount_usd, reason=said, at=now
            )
    except IntegrityError as error:
        if for_team:
            raise RequestRefused(_("Your team has a request that waits for its answer already.")) from error
        raise RequestRefused(_("You have a request that waits for its answer already.")) from error


def withdraw(request: CreditRequest, *, who: User, now: datetime) -> None:
    """By the one who asked, while nobody has answered. Raises `RequestRefused`."""
    with transaction.atomic():
        row = locked(request)
        if row.enrollment.user_id != who.pk:
            raise RequestRefused(_("Only the one who asked can withdraw a request."))
        if row.status != Status.ASKED:
            raise RequestRefused(_("This request has its answer already."))
        _settle(row, Status.WITHDRAWN, RequestDecision(verb=Verb.WITHDRAWN, who=who, at=now))
    request.refresh_from_db()


def deny(request: CreditRequest, *, why: str, who: User, now: datetime) -> RequestDecision:
    """With a reason that the student reads. Raises `RequestRefused`."""
    said = screened(why)
    if not said:
        raise RequestRefused(_("Say why not: the student reads it."))
    with transaction.atomic():
        row = decidable(request, who)
        return _settle(row, Status.DENIED, RequestDecision(verb=Verb.DENIED, why=said, who=who, at=now))


def approve_as_code(request: CreditRequest, *, batch: CodeBatch, why: str, who: User, now: datetime) -> RequestDecision:
    """A code of this reserve batch for the person or the team; the amount is what the code is worth.

    Raises `RequestRefused` and `ClaimRefused` (none left, expired, left the course).
    """
    with transaction.atomic():
        row = decidable(request, who)
        if batch.purpose != Purpose.RESERVE or batch.course_id != row.course_id:
            raise RequestRefused(_("Requests are served from this course's reserve."))
        reason = screened(why) or _("A request was approved")
        code = award(batch, row.team or row.enrollment, key=f"request/{row.pk}", why=reason, who=who, now=now)
        served = RequestDecision(
            verb=Verb.APPROVED,
            amount_usd=batch.value_usd,
            serve=Serve.CODE,
            code=code,
            why=screened(why),
            who=who,
            at=now,
        )
        return _settle(row, Status.APPROVED, served)


def approve_as_budget(
    request: CreditRequest, *, amount_usd: Decimal, why: str, who: User, now: datetime
) -> RequestDecision:
    """Says that a budget is raised. Whoever calls this raises it in the same transaction. Raises `RequestRefused`."""
    if not 0 < amount_usd <= MOST_USD or amount_usd != round(amount_usd, 2):
        raise RequestRefused(_("Approve an amount in dollars and cents."))
    with transaction.atomic():
        row = decidable(request, who)
        served = RequestDecision(
            verb=Verb.APPROVED, amount_usd=amount_usd, serve=Serve.BUDGET, why=screened(why), who=who, at=now
        )
        return _settle(row, Status.APPROVED, served)


def reserves(course_id: int, now: datetime) -> list[CodeBatch]:
    """The reserve batches that have a free code which AWS still takes, the smallest value first. One query."""
    free = CreditCode.objects.filter(batch=OuterRef("pk"), status=CreditCode.Status.AVAILABLE)
    found = CodeBatch.objects.filter(Exists(free), course=course_id, purpose=Purpose.RESERVE)
    usable = [batch for batch in found if not entitlement.expired(batch.redeem_by, now)]
    return sorted(usable, key=lambda batch: (batch.value_usd, batch.redeem_by is None, batch.redeem_by, batch.pk))


def requests_of(enrollment: Enrollment) -> QuerySet[CreditRequest]:
    """What this person and their team have asked for, newest first, each with its decision. One query."""
    mine = CreditRequest.objects.filter(enrollment=enrollment)
    if enrollment.team_id:
        mine |= CreditRequest.objects.filter(team=enrollment.team_id)
    return mine.select_related("decision__code", "team", "enrollment").order_by("-at", "-pk")


def locked(request: CreditRequest) -> CreditRequest:
    rows = CreditRequest.objects.select_for_update(of=("self",))
    return rows.select_related("course", "enrollment__user", "enrollment__team", "team").get(pk=request.pk)


def decidable(request: CreditRequest, who: User) -> CreditRequest:
    """Locked and unanswered, for staff of its course. Raises `RequestRefused`."""
    row = locked(request)
    if not is_staff_of(row.course_id, who):
        raise RequestRefused(_("This request belongs to another course."))
    if row.status != Status.ASKED:
        raise RequestRefused(_("This request has its answer already."))
    return row


def people_of(request: CreditRequest) -> list[Enrollment]:
    """Whom the answer concerns."""
    if request.team is None:
        return [request.enrollment]
    members: Team = request.team
    return list(Enrollment.objects.filter(team=members, status=EnrollmentStatus.ACTIVE))


def _settle(row: CreditRequest, status: CreditRequest.Status, decision: RequestDecision) -> RequestDecision:
    row.status = status
    row.save(update_fields=("status",))
    decision.request = row
    decision.save()
    if status != Status.WITHDRAWN:
        with in_portal_language():
            subject, body = request_letter(decision)
        for line in people_of(row):
            letters.write(f"request/{row.pk}/{line.pk}", to=line.email, subject=subject, body=body, now=decision.at)
    return decision
