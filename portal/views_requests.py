"""Doors of the staff's queue of requests: one answer or many at once, as a code or as a larger budget."""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from courses.access import staff_enrollment_in
from courses.doors import number_in, person, signed_in
from courses.models import Course
from credits.models import CodeBatch, CreditRequest, RequestDecision
from credits.open_work import open_work
from portal.figures import usd
from portal.requests import REFUSALS, Answer, Decided, decide_all, decide_request, queue

Serve = RequestDecision.Serve
ANSWERED_SHOWN = 20


@require_safe
@signed_in
@never_cache
def requests_queue(request: HttpRequest, slug: str) -> HttpResponse:
    return _page(request, staff_enrollment_in(request.user, slug).course)


def _page(request: HttpRequest, course: Course, refused: dict[int, str] | None = None) -> HttpResponse:
    """`refused`: by request id, why it was not answered. What was typed stands again in its fields."""
    now = timezone.now()
    answered = RequestDecision.objects.filter(request__course=course).select_related(
        "request__enrollment", "code", "who"
    )
    found = queue(course, now)
    values = {batch.value_usd for batch in found.reserve}
    context = {
        "now": now,
        "course": course,
        "work": open_work(course),
        "queue": found,
        # Whose amount a code of the reserve is worth; for the others a larger budget is proposed.
        "fitting": {one.request.pk for one in found.asked if one.request.amount_usd in values},
        "answered": answered.select_related("request__enrollment", "code", "who")[:ANSWERED_SHOWN],
        "refused": refused or {},
        "said": request.POST if refused else {},
        "chosen": request.POST.getlist("chosen") if refused else [],
    }
    return render(request, "credits/desk/requests.html", context, status=422 if refused else 200)


@require_POST
@signed_in
@never_cache
def request_decide(request: HttpRequest, slug: str, request_id: int) -> HttpResponse:
    """One request: approve all or a part of it, as code or budget, or deny it."""
    course = staff_enrollment_in(request.user, slug).course
    found = get_object_or_404(CreditRequest.objects.select_related("enrollment", "team"), pk=request_id, course=course)
    how = request.POST.get("how", "")
    try:
        decided = decide_request(
            found,
            Answer(request.POST.get("answer", "")),
            serve=Serve.BUDGET if how == Serve.BUDGET else Serve.CODE,
            amount_usd=Decimal(request.POST["amount"]) if how == Serve.BUDGET and "amount" in request.POST else None,
            batch=get_object_or_404(CodeBatch, pk=pk, course=course) if (pk := number_in(how)) else None,
            why=request.POST.get("why", ""),
            who=person(request),
            now=timezone.now(),
        )
    except InvalidOperation:
        return _page(request, course, {found.pk: _("Approve an amount in dollars and cents.")})
    except ValueError:
        return _page(request, course, {found.pk: _("Approve or deny: choose one.")})
    except REFUSALS as refused:
        return _page(request, course, {found.pk: str(refused)})
    _tell(request, [decided])
    return redirect("credits_requests", slug)


@require_POST
@signed_in
@never_cache
def requests_decide(request: HttpRequest, slug: str) -> HttpResponse:
    """The same answer to all that are chosen; who is refused stays in the queue, with the reason beside."""
    course = staff_enrollment_in(request.user, slug).course
    ids = [pk for said in request.POST.getlist("chosen") if (pk := number_in(said))]
    chosen = list(CreditRequest.objects.filter(pk__in=ids, course=course).order_by("at", "pk"))
    if not chosen:
        return _page(request, course, {0: _("Choose at least one request.")})
    if request.POST.get("answer") not in list(Answer):
        return _page(request, course, {0: _("Approve or deny: choose one.")})
    outcomes = decide_all(
        chosen,
        Answer(request.POST["answer"]),
        serve=Serve.BUDGET if request.POST.get("how") == Serve.BUDGET else Serve.CODE,
        why=request.POST.get("why", ""),
        who=person(request),
        now=timezone.now(),
    )
    _tell(request, outcomes)
    refused = {one.request.pk: one.refused for one in outcomes if one.refused}
    return _page(request, course, refused) if refused else redirect("credits_requests", slug)


def _tell(request: HttpRequest, outcomes: Sequence[Decided]) -> None:
    done = [one for one in outcomes if one.decision]
    approved = sum((one.decision.amount_usd for one in done if one.decision), Decimal(0))
    if done:
        text = ngettext(
            "%(n)s request answered, %(usd)s approved. The answer is on its way by mail.",
            "%(n)s requests answered, %(usd)s approved. The answers are on their way by mail.",
            len(done),
        )
        messages.success(request, text % {"n": len(done), "usd": usd(approved)})
    for one in done:
        if one.raised and one.raised.tighter:
            words = {"name": one.request.team or one.request.enrollment, "budget": one.raised.tighter.name}
            words["left"] = usd(one.raised.tighter.left_usd)
            text = _("%(name)s cannot use all of it yet: “%(budget)s” above has only %(left)s left. Raise that, too.")
            messages.warning(request, text % words)
