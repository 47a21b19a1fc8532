"""Doors of a course's spend pages: the overview, one breakdown, the charges behind any figure. Staff only."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from courses.access import staff_enrollment_in
from courses.doors import signed_in
from courses.models import Course
from portal.forms_spend import FILTERS, PeriodForm, RowsForm
from portal.rows_page import rows_page
from portal.spend_charts import bars, burn_chart, burn_table, burn_words, purposes_in
from portal.spending import BREAKDOWNS, TOP, Row, Spending
from spend.breakdown import PURPOSE_WORDS
from spend.rows import BadCursor


@require_safe
@signed_in
@never_cache
def spend(request: HttpRequest, slug: str) -> HttpResponse:
    """Where the money goes: the figures, what it went to, where it will be, and what the guards kept."""
    course, now = staff_enrollment_in(request.user, slug).course, timezone.now()
    form = PeriodForm(request.GET or None, course=course, now=now)
    found = Spending(course, form.period(), now)
    steps = found.rows("week" if found.by_week else "day")
    context = {
        **_frame(course, found, form),
        "steps": steps,
        "purposes": [(purpose.value, PURPOSE_WORDS[purpose]) for purpose in purposes_in(row.cost for row in steps)],
        "chart": bars(steps, lambda row: rows_link(course, row), title=str(BREAKDOWNS["day"])),
        "most_step": max((row.cost.usd for row in steps), default=0),
        "tops": {what: found.rows(what)[:TOP] for what in ("purpose", "preset", "team")},
        "homework": (homework := found.rows("homework")[-TOP:]),
        "homework_most": max((row.cost.usd for row in homework), default=0),
        "burn": burn_chart(found.burndown),
        "burn_rows": burn_table(found.burndown),
        "burn_words": burn_words(found.burndown),
    }
    return render(request, "staff/spend/page.html", context, status=_status(form))


@require_safe
@signed_in
@never_cache
def spend_by(request: HttpRequest, slug: str, what: str) -> HttpResponse:
    """One breakdown in full, as a table whose every row leads to its charges."""
    course, now = staff_enrollment_in(request.user, slug).course, timezone.now()
    if what not in BREAKDOWNS:
        raise Http404
    form = PeriodForm(request.GET or None, course=course, now=now)
    found = Spending(course, form.period(), now)
    rows = found.rows(what)
    most = max((row.cost.usd for row in rows), default=0)
    context = {**_frame(course, found, form), "what": what, "title": BREAKDOWNS[what], "rows": rows, "most": most}
    if what in ("day", "week"):
        context["chart"] = bars(rows, lambda row: rows_link(course, row), title=str(BREAKDOWNS[what]))
    return render(request, "staff/spend/by.html", context, status=_status(form))


@require_safe
@signed_in
@never_cache
def spend_rows(request: HttpRequest, slug: str) -> HttpResponse:
    """The charges themselves, newest first, so many on a page."""
    course, now = staff_enrollment_in(request.user, slug).course, timezone.now()
    form = RowsForm(request.GET or None, course=course, now=now)
    try:
        page = rows_page(course, form.wanted(), request.GET.get("after", ""))
    except BadCursor:
        raise Http404 from None
    more = request.GET.copy()
    more["after"] = page.after
    context = {
        "now": now,
        "course": course,
        "breakdowns": BREAKDOWNS,
        "form": form,
        "kept": {name: request.GET[name] for name in FILTERS if name in request.GET},
        "page": page,
        "more": more.urlencode(),
    }
    return render(request, "staff/spend/rows.html", context, status=_status(form))


def rows_link(course: Course, row: Row) -> str:
    return f"{reverse('spend_rows', args=[course.slug])}?{urlencode(row.query)}"


def _frame(course: Course, found: Spending, form: PeriodForm) -> dict[str, object]:
    return {"now": found.now, "course": course, "found": found, "form": form, "breakdowns": BREAKDOWNS}


def _status(form: PeriodForm) -> int:
    return 422 if form.is_bound and form.errors else 200
