"""Doors of a person's own money: where it went, hour by hour, and the receipt of each session."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from courses.access import enrollment_in
from courses.doors import person, signed_in
from instances.access import machine_of
from portal.forms_spend import FILTERS, RowsForm
from portal.own_spending import OwnSpending
from portal.receipts import find_run, receipt_of, why_ended
from portal.rows_page import own_rows_page
from portal.spend_charts import bars, purposes_in
from spend.breakdown import PURPOSE_WORDS
from spend.rows import BadCursor


@require_safe
@signed_in
@never_cache
def money(request: HttpRequest, slug: str) -> HttpResponse:
    """My money, my sessions, what idle time cost, how long it lasts, and my team's shares."""
    enrollment, now = enrollment_in(request.user, slug), timezone.now()
    found = OwnSpending(enrollment, now)
    weeks, rows = found.weeks, reverse("money_rows", args=[slug])
    context = {
        "now": now,
        "course": enrollment.course,
        "enrollment": enrollment,
        "found": found,
        "weeks": weeks,
        "purposes": [(purpose.value, PURPOSE_WORDS[purpose]) for purpose in purposes_in(row.cost for row in weeks)],
        "chart": bars(weeks, lambda row: f"{rows}?{urlencode(row.query)}", title=_("Your spend by week")),
    }
    return render(request, "money/page.html", context)


@require_safe
@signed_in
@never_cache
def money_rows(request: HttpRequest, slug: str) -> HttpResponse:
    """What each hour cost."""
    enrollment, now = enrollment_in(request.user, slug), timezone.now()
    asked: dict[str, str] = {name: str(said) for name, said in request.GET.items() if name not in ("team", "person")}
    form = RowsForm(asked or None, course=enrollment.course, now=now)
    try:
        page = own_rows_page(enrollment, form.wanted(), request.GET.get("after", ""))
    except BadCursor:
        raise Http404 from None
    more = urlencode({**asked, "after": page.after})
    kept = {name: asked[name] for name in FILTERS if name in asked}
    context = {"now": now, "course": enrollment.course, "form": form, "page": page, "more": more, "kept": kept}
    return render(request, "money/rows.html", context, status=422 if form.is_bound and form.errors else 200)


@require_safe
@signed_in
@never_cache
def receipt(request: HttpRequest, slug: str, number: int) -> HttpResponse:
    """One session, made to be printed."""
    machine, now = machine_of(person(request), slug), timezone.now()
    run = find_run(machine, number)
    if run is None:
        raise Http404
    context = {"now": now, "machine": machine, "receipt": receipt_of(run, now), "ended": why_ended(run)}
    return render(request, "money/receipt.html", context)
