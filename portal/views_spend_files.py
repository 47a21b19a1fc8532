"""Doors of what staff take away: tables as files, and the weekly report."""

from datetime import date, datetime, timedelta
from decimal import Decimal

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from courses.access import staff_enrollment_in
from courses.doors import signed_in
from courses.models import Course
from portal.forms_spend import PeriodForm, RowsForm
from portal.spending import BREAKDOWNS, Row, Spending
from portal.weekly import latest_monday, mail_weekly, weekly
from spend import exports
from spend.breakdown import Purpose
from spend.periods import week_of
from spend.readers import is_subscribed, subscribe
from spend.rows import matching

COLUMNS = ("what", "note", "cost_usd", *(f"{purpose.value}_usd" for purpose in Purpose), "machine_hours")


@require_safe
@signed_in
@never_cache
def spend_export(request: HttpRequest, slug: str, table: str, ending: str) -> HttpResponse:
    """One breakdown, or the charges behind it, for the same days as the page."""
    course, now = staff_enrollment_in(request.user, slug).course, timezone.now()
    if ending not in exports.TYPES or table not in (*BREAKDOWNS, "charges"):
        raise Http404
    name = f"{course.slug}-spend-by-{table}-{now:%Y-%m-%d}.{ending}"
    if table == "charges":
        return _charges(request, course, now, name.replace("spend-by-", ""), ending)
    form = PeriodForm(request.GET or None, course=course, now=now)
    rows = Spending(course, form.period(), now).rows(table)
    return _file(exports.table_file(COLUMNS, [_cells(row) for row in rows], ending), name, ending)


def _charges(request: HttpRequest, course: Course, now: datetime, name: str, ending: str) -> HttpResponse:
    charges = matching(course, RowsForm(request.GET or None, course=course, now=now).wanted())
    if ending == "csv":
        answer = StreamingHttpResponse(exports.charges_csv(charges), content_type=exports.TYPES[ending])
        answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        return answer  # type: ignore[return-value]
    try:
        write = exports.charges_xlsx if ending == "xlsx" else exports.charges_parquet
        return _file(write(charges), name, ending)
    except exports.TooManyRows:
        said = _("That is more than %(n)s rows, too much for a spreadsheet: choose fewer days, or take CSV or Parquet.")
        messages.error(request, said % {"n": f"{exports.XLSX_ROWS:,}"})
        return redirect("spend_rows", course.slug)


def _cells(row: Row) -> list[object]:
    parts = [usd for _purpose, usd in row.cost.parts]
    return [str(row.word), row.note, row.cost.usd, *parts, Decimal(row.cost.seconds) / 3600]


def _file(content: bytes, name: str, ending: str) -> HttpResponse:
    answer = HttpResponse(content, content_type=exports.TYPES[ending])
    answer.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return answer


@require_safe
@signed_in
@never_cache
def spend_report(request: HttpRequest, slug: str) -> HttpResponse:
    """One week, made to be printed."""
    line, now = staff_enrollment_in(request.user, slug), timezone.now()
    course = line.course
    report = weekly(course, _monday(request.GET.get("week", ""), now), now)
    context = {
        "now": now,
        "course": course,
        "breakdowns": BREAKDOWNS,
        "report": report,
        "found": report.found,
        "is_subscribed": is_subscribed(line),
        "before": report.monday - timedelta(days=7),
        "after": report.monday + timedelta(days=7) if report.monday < latest_monday(now) else None,
    }
    return render(request, "staff/spend/report.html", context)


@require_POST
@signed_in
def spend_report_mail(request: HttpRequest, slug: str) -> HttpResponseBase:
    """The same by mail, to whoever asks."""
    who, now = staff_enrollment_in(request.user, slug), timezone.now()
    report = weekly(who.course, _monday(request.POST.get("week", ""), now), now)
    mail_weekly(report, who, request.build_absolute_uri("/").rstrip("/"), now)
    messages.success(request, _("The report is on its way to %(address)s.") % {"address": who.email})
    answer = redirect("spend_report", slug)
    answer.headers["Location"] += f"?week={report.monday:%Y-%m-%d}"
    return answer


@require_POST
@signed_in
def spend_report_weekly(request: HttpRequest, slug: str) -> HttpResponse:
    """Each week's from now on, or no more."""
    line, now = staff_enrollment_in(request.user, slug), timezone.now()
    wanted = request.POST.get("wanted") == "yes"
    subscribe(line, wanted=wanted, last_week=latest_monday(now), now=now)
    said = _("Each Monday morning the week’s report goes to %(address)s, until the course ends.")
    messages.success(request, said % {"address": line.email} if wanted else _("No more weekly mails."))
    return redirect("spend_report", slug)


def _monday(said: str, now: datetime) -> date:
    """Of the week that the day is in. The last complete one when nothing, or nothing sensible, was said."""
    try:
        return min(week_of(date.fromisoformat(said)), week_of(now.date()))
    except ValueError:
        return latest_monday(now)
