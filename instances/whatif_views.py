"""Doors of the evidence: "what if machines stopped earlier, or later?", and what students say about stops."""

from datetime import datetime

from django.contrib import messages
from django.db.models import OuterRef, Q, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from courses.access import staff_enrollment_in
from courses.doors import person, signed_in
from courses.models import Course
from instances.access import own_machine_of
from instances.forms_whatif import WhatIfForm
from instances.models import InstanceEvent, Policy, Run
from instances.whatif import Past, as_unused, compare
from instances.wrong_calls import call_wrong, wrong_calls

Kind = InstanceEvent.Kind
MINUTE = 60
OTHERS = (10, 15, 20, 30, 45, 60, 90, 120)  # minutes that are always shown
MOST_RUNS = 20_000  # the newest


@require_safe
@signed_in
@never_cache
def what_if(request: HttpRequest, slug: str) -> HttpResponse:
    course, now = staff_enrollment_in(request.user, slug).course, timezone.now()
    form = WhatIfForm(request.GET or None)
    asked = form.cleaned_data["quiet"] if form.is_bound and form.is_valid() else None
    held = Policy.of(course).quiet_seconds / MINUTE
    past = past_of(course)
    minutes = sorted({*OTHERS, held, *([asked] if asked else [])})
    rows = compare(past, held * MINUTE, [one * MINUTE for one in minutes])
    context = {
        "now": now,
        "course": course,
        "form": form,
        "asked": asked,
        "held": held,
        "runs": len(past),
        "rows": [(minute, saved, more, replay) for minute, (replay, saved, more) in zip(minutes, rows, strict=True)],
        "answer": next((row for minute, row in zip(minutes, rows, strict=True) if minute == asked), None),
        "wrong_calls": list(wrong_calls(course)),
    }
    return render(request, "staff/what_if.html", context, status=422 if form.is_bound and not form.is_valid() else 200)


def past_of(course: Course) -> list[Past]:
    """The course's ended runs that have a trace; one query."""
    runs = Run.objects.filter(instance__course=course, ended_at__isnull=False).exclude(trace=[])
    found = runs.annotate(warning=_standing_warning()).order_by("-started_at")
    prices = ("price_usd_hour", "address_usd_hour")
    values = found.values_list("started_at", "ended_at", *prices, "trace", "ended_by", "warning")
    return [
        Past(_seconds(began, ended), price + address, trace, by_rule=as_unused(by, ended.timestamp(), warning))
        for began, ended, price, address, trace, by, warning in values[:MOST_RUNS]
        if ended is not None
    ]


def _standing_warning() -> Subquery:
    """The facts of a run's last warning; others, or none, if it was used again, kept on or booted anew since."""
    told = Q(kind__in=(Kind.WARNED, Kind.WARNING_OVER, Kind.KEPT)) | Q(kind=Kind.MOVED, new_state="")
    in_run = {"instance": OuterRef("instance"), "at__gte": OuterRef("started_at"), "at__lte": OuterRef("ended_at")}
    return Subquery(InstanceEvent.objects.filter(told, **in_run).order_by("-at", "-pk").values("facts")[:1])


def _seconds(began: datetime, ended: datetime) -> float:
    return (ended - began).total_seconds()


@require_POST
@signed_in
def wrong_call(request: HttpRequest, slug: str) -> HttpResponse:
    """By the machine's owner, about its newest stop."""
    machine = own_machine_of(person(request), slug)
    words = request.POST.get("words", "").strip()[:300]
    if call_wrong(machine, words, who=person(request), now=timezone.now()):
        messages.success(request, _("Thank you. The course staff read it, beside what this machine was used for."))
    else:
        messages.info(request, _("There is no stop of this machine to say that about."))
    return redirect("machine", slug)
