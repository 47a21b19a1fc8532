"""Doors of the sponsors' grants: operators change all; instructors one that pays for their own courses alone."""

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from courses import audit
from courses.access import instructed_courses_of, operator
from courses.audit import Kind
from courses.doors import address_of, person, signed_in
from courses.models import User
from spend import granting
from spend.models import Budget, Level, MoneyMove
from spend.refusals import BudgetRefused
from spend.releasing import change_amounts, preview

GET_OR_POST = ["GET", "HEAD", "POST"]
MOVES_SHOWN = 20


class AmountForm(forms.Form):
    usd = forms.DecimalField(
        label=gettext_lazy("Amount, USD"), min_value=Decimal("0.01"), max_digits=10, decimal_places=2
    )
    why = forms.CharField(
        label=gettext_lazy("Reason"), max_length=300, help_text=gettext_lazy("It stays in the books, with your name.")
    )


class GrantForm(AmountForm):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=200, help_text=gettext_lazy("“AWS education grant”"))
    field_order = ("name", "usd", "why")


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def grants(request: HttpRequest) -> HttpResponse:
    """All of them, and a new one."""
    who, now = operator(request.user), timezone.now()
    form = GrantForm(request.POST or None)
    if form.is_bound and form.is_valid():
        said = form.cleaned_data
        made = granting.open_grant(said["name"], said["usd"], why=said["why"], who=who, now=now)
        messages.success(request, _("Opened. Now say which course it pays for."))
        return redirect("grant", made.pk)
    found = Budget.objects.filter(level=Level.SPONSOR).order_by("name", "pk").prefetch_related("children__course")
    context = {"now": now, "form": form, "grants": found}
    return render(request, "grants/list.html", context, status=422 if form.errors else 200)


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def grant(request: HttpRequest, grant_id: int) -> HttpResponse:
    """One grant. A POST shows what its amount would become, and with `sure` makes it so; `act=course` adds a course."""
    found = get_object_or_404(Budget, pk=grant_id, level=Level.SPONSOR)
    courses = granting.courses_of(found)
    is_operator = _may_change(request.user, found)
    if request.POST.get("act") == "course":
        return _add_course(request, found)
    form = AmountForm(request.POST or None, initial={"usd": found.amount_usd.quantize(Decimal("0.01"))})
    change = None
    if form.is_bound and form.is_valid():
        [change] = preview([found], to_usd=form.cleaned_data["usd"], add_usd=Decimal(0))
        if change.problem:
            form.add_error("usd", change.problem)
        elif request.POST.get("sure") == "yes" and _carry_out(request, found, form):
            return redirect("grant", found.pk)
    context = {
        "now": timezone.now(),
        "grant": found,
        "courses": courses,
        "course": courses[0] if courses and not is_operator else None,  # whose map of sections it is
        "form": form,
        "change": None if form.errors else change,
        "free": granting.unsponsored() if is_operator else [],
        "is_operator": is_operator,
        "moves": _history(found),
    }
    return render(request, "grants/page.html", context, status=422 if form.errors else 200)


def _may_change(user: Any, found: Budget) -> bool:
    """Whether as an operator. Raises Http404 for all but those and the instructors of every course that it pays for."""
    if isinstance(user, User) and user.is_operator:
        operator(user)
        return True
    paid = {course.pk for course in granting.courses_of(found)}
    if not paid or not paid <= {course.pk for course in instructed_courses_of(user)}:
        raise Http404
    return False


def _history(found: Budget) -> list[MoneyMove]:
    moves = found.moves.filter(kind=MoneyMove.Kind.GRANT).select_related("who")
    return list(moves.order_by("-at", "-pk")[:MOVES_SHOWN])


def _carry_out(request: HttpRequest, found: Budget, form: AmountForm) -> bool:
    said = form.cleaned_data
    try:
        change_amounts(
            [found],
            to_usd=said["usd"],
            add_usd=Decimal(0),
            why=said["why"],
            who=person(request),
            now=timezone.now(),
        )
    except BudgetRefused as refused:
        form.add_error("usd", str(refused))
        return False
    messages.success(request, _("Changed."))
    return True


def _add_course(request: HttpRequest, found: Budget) -> HttpResponse:
    operator(request.user)
    wanted = request.POST.get("course", "")
    budget = next((one for one in granting.unsponsored() if str(one.pk) == wanted), None)
    if budget is None:
        messages.error(request, _("Choose a course that has no sponsor and has spent nothing yet."))
        return redirect("grant", found.pk)
    try:
        granting.put_below(found, budget)
    except BudgetRefused as refused:
        messages.error(request, str(refused))
        return redirect("grant", found.pk)
    facts = {"grant": found.pk}
    audit.note("course_sponsored", kind=Kind.DECISION, who=person(request), course=budget.course,
               address=address_of(request), facts=facts, now=timezone.now())  # fmt: skip
    messages.success(request, _("%(grant)s pays for %(name)s now.") % {"grant": found.name, "name": budget.name})
    return redirect("grant", found.pk)
