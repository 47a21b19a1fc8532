"""Requests for more, joined with money: the staff's queue with what each person has left, and the decision itself."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from django.db import transaction
from django.db.models import Count, DecimalField, OuterRef, Subquery, Sum, Value
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from courses.models import Course, User
from credits import requests
from credits.claiming import ClaimRefused
from credits.models import CodeBatch, CreditRequest, RequestDecision
from credits.requests import RequestRefused
from instances.queries import accrued_in
from spend.allowances import Raised, raise_budget
from spend.models import ZERO, Budget, Level
from spend.refusals import BudgetRefused
from spend.reports import Figures, by_person, figures, line_of

Serve = RequestDecision.Serve
REFUSALS = (RequestRefused, ClaimRefused, BudgetRefused)


class Answer(StrEnum):
    APPROVE = "approve"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Asked:
    """One open request with the money beside it. `left_usd` and `team_left_usd` are of budgets; None without one."""

    request: CreditRequest
    spent_usd: Decimal
    held_usd: Decimal
    left_usd: Decimal | None
    team_left_usd: Decimal | None
    approved_before: int
    approved_before_usd: Decimal


@dataclass(frozen=True, slots=True)
class Queue:
    asked: Sequence[Asked]
    course: Figures
    reserve: Sequence[CodeBatch]  # what can be given as a code

    @property
    def total_usd(self) -> Decimal:
        return sum((one.request.amount_usd for one in self.asked), ZERO)


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of one request: `decision`, or the sentence why nothing did."""

    request: CreditRequest
    decision: RequestDecision | None
    refused: str = ""
    raised: Raised | None = None  # when a budget was; its `tighter` says that one above cannot carry it


def queue(course: Course, now: datetime) -> Queue:
    """Open requests, the oldest first. The same number of queries for 3 requests and for 300."""
    accrued = accrued_in(course, now)
    lines = {line.enrollment.pk: line for line in by_person(course, accrued=accrued)}
    teams = {b.team_id: line_of(b).left_usd for b in Budget.objects.filter(course=course, level=Level.TEAM)}
    asked = []
    for row in _open(course):
        line = lines.get(row.enrollment_id)
        has_budget = line is not None and getattr(line.enrollment, "budget", None) is not None
        asked.append(
            Asked(
                request=row,
                spent_usd=line.spent_usd if line else ZERO,
                held_usd=line.held_usd if line else ZERO,
                left_usd=line.left_usd if line and has_budget else None,
                team_left_usd=teams.get(row.enrollment.team_id),
                approved_before=vars(row)["approved_before"],
                approved_before_usd=vars(row)["approved_before_usd"],
            )
        )
    return Queue(asked, figures(course, now=now, accrued=accrued), requests.reserves(course.pk, now))


def decide_request(
    request: CreditRequest,
    answer: Answer,
    *,
    serve: str = Serve.CODE,
    amount_usd: Decimal | None = None,
    batch: CodeBatch | None = None,
    why: str,
    who: User,
    now: datetime,
) -> Decided:
    """Approve (all of it, or `amount_usd`) or deny, in one transaction with the code or the money.

    As a code: from `batch`, or from the reserve batch whose codes are worth that amount. Raises `REFUSALS`.
    """
    if answer is Answer.DENY:
        return Decided(request, requests.deny(request, why=why, who=who, now=now))
    amount = request.amount_usd if amount_usd is None else amount_usd
    if serve == Serve.CODE:
        source = batch or _reserve_of(request, amount, now)
        return Decided(request, requests.approve_as_code(request, batch=source, why=why, who=who, now=now))
    with transaction.atomic():
        decision = requests.approve_as_budget(request, amount_usd=amount, why=why, who=who, now=now)
        # Money last: whoever moves money locks people's rows before it.
        reason = _("Request %(number)d approved") % {"number": request.pk}
        raised = raise_budget(request.team or request.enrollment, amount, why=reason, who=who, now=now)
    return Decided(request, decision, raised=raised)


def decide_all(
    chosen: Iterable[CreditRequest],
    answer: Answer,
    *,
    serve: str = Serve.CODE,
    why: str,
    who: User,
    now: datetime,
) -> list[Decided]:
    """The same answer to each, whole amounts; one that is refused keeps nobody else waiting."""
    outcomes = []
    for request in chosen:
        try:
            outcomes.append(decide_request(request, answer, serve=serve, why=why, who=who, now=now))
        except REFUSALS as refused:
            outcomes.append(Decided(request, None, str(refused)))
    return outcomes


def _open(course: Course) -> Iterable[CreditRequest]:
    granted = RequestDecision.objects.filter(
        verb=RequestDecision.Verb.APPROVED, request__enrollment=OuterRef("enrollment")
    ).order_by()
    by_person_rows = granted.values("request__enrollment")
    nothing = Value(ZERO, output_field=DecimalField(max_digits=14, decimal_places=2))
    return (
        CreditRequest.objects.filter(course=course, status=CreditRequest.Status.ASKED)
        .select_related("enrollment__user", "enrollment__team", "team", "course")
        .annotate(
            approved_before=Coalesce(Subquery(by_person_rows.annotate(n=Count("pk")).values("n")), 0),
            approved_before_usd=Coalesce(Subquery(by_person_rows.annotate(s=Sum("amount_usd")).values("s")), nothing),
        )
        .order_by("at", "pk")
    )


def _reserve_of(request: CreditRequest, amount_usd: Decimal, now: datetime) -> CodeBatch:
    """A code cannot be divided: its value must be the amount. Raises `RequestRefused`."""
    stocked = requests.reserves(request.course_id, now)
    fitting = next((batch for batch in stocked if batch.value_usd == amount_usd), None)
    if fitting:
        return fitting
    if not stocked:
        raise RequestRefused(_("The reserve has no free code: raise the budget instead, or add codes."))
    values = ", ".join(sorted({f"${batch.value_usd:,.2f}" for batch in stocked}))
    raise RequestRefused(
        _("A code cannot be divided. The reserve has codes of %(values)s: approve that amount, or raise the budget.")
        % {"values": values}
    )
