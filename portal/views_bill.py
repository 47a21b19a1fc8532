"""Doors of the provider's bill: how far it is from our count and why; staff send a file, instructors book the rest."""

from pathlib import Path

from django import forms
from django.contrib import messages
from django.core.files.uploadhandler import TemporaryFileUploadHandler
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt, csrf_protect
from django.views.decorators.http import require_POST, require_safe

from courses.access import instructor_enrollment_in, staff_enrollment_in
from courses.doors import person, signed_in
from courses.models import Enrollment, Role
from portal.forms_spend import PeriodForm
from spend import drift
from spend.corrections import book
from spend.cur import NotAnExport
from spend.models import Drift
from spend.reconciling import reconcile_export
from spend.refusals import BudgetRefused
from spend.trueing import book_final

MOST_MB = 10  # as the web server in front takes; larger ones: `manage.py true_up`, which needs no upload
ROWS_SHOWN = 50


class BillForm(forms.Form):
    file = forms.FileField(
        label=gettext_lazy("Data export (CUR)"),
        help_text=gettext_lazy("CSV, CSV.gz or Parquet. What it says of a day replaces what was known of it."),
    )


@require_safe
@signed_in
@never_cache
def spend_bill(request: HttpRequest, slug: str) -> HttpResponse:
    """Our meter beside AWS's figures: what differs, why, and what was corrected."""
    return _page(request, staff_enrollment_in(request.user, slug), BillForm())


def _page(request: HttpRequest, line: Enrollment, form: BillForm) -> HttpResponse:
    course, now = line.course, timezone.now()
    days = PeriodForm(request.GET or None, course=course, now=now)
    period = days.period()
    rows = drift.drifts(course, period.first, period.last)
    context = {
        "now": now,
        "course": course,
        "form": days,
        "period": period,
        "file_form": form,
        "may_book": line.role == Role.INSTRUCTOR,
        "account": drift.account_figures(period.first, period.last),
        "credits": drift.account_credits(),
        "days": drift.by_day(rows),
        "machines": drift.by_machine(rows, ROWS_SHOWN),
        "causes": drift.by_cause(rows),
        "open": drift.open_differences(rows, ROWS_SHOWN),
        "corrections": drift.corrections(course, period.first, period.last).order_by("-at", "-pk")[:ROWS_SHOWN],
        "looks": drift.looks(),
    }
    refused = form.errors or (days.is_bound and days.errors)
    return render(request, "staff/spend/bill.html", context, status=422 if refused else 200)


@csrf_exempt  # only until the handler is set: the check itself reads the body
@require_POST
@signed_in
def bill_send(request: HttpRequest, slug: str) -> HttpResponse:
    line = staff_enrollment_in(request.user, slug)
    # To disk, not to memory as lists of codes: a bill is large, and holds no secret.
    request.upload_handlers = [TemporaryFileUploadHandler(request)]
    return _send(request, line)


@csrf_protect
def _send(request: HttpRequest, line: Enrollment) -> HttpResponse:
    form = BillForm(request.POST, request.FILES)
    if form.is_valid() and _read(request, form):
        return redirect("spend_bill", line.course.slug)
    return _page(request, line, form)


def _read(request: HttpRequest, form: BillForm) -> bool:
    sent, now = form.cleaned_data["file"], timezone.now()
    if sent.size > MOST_MB * 1024 * 1024:
        form.add_error("file", _("Larger than %(n)s MB: read it with “manage.py true_up”.") % {"n": MOST_MB})
        return False
    try:
        look = reconcile_export([Path(sent.temporary_file_path())], name=sent.name, now=now, who=person(request))
    except NotAnExport as error:
        form.add_error("file", str(error))
        return False
    booked = len(book_final(look, now=now))
    said = ngettext("%(n)s correction is booked.", "%(n)s corrections are booked.", booked) % {"n": booked}
    messages.success(request, _("%(lines)s lines read. %(booked)s") % {"lines": f"{look.lines:,}", "booked": said})
    return True


@require_POST
@signed_in
def bill_book(request: HttpRequest, slug: str, drift_id: int) -> HttpResponse:
    """What the round leaves to a person: on the machine's owner, or on the course."""
    course = instructor_enrollment_in(request.user, slug).course
    mine = Drift.objects.filter(Q(course=course) | Q(course=None)).select_related("enrollment")
    row = get_object_or_404(mine, pk=drift_id)
    why = request.POST.get("why", "").strip()
    if not why:
        messages.error(request, _("Say why it is this course’s: the reason stays in the books."))
        return redirect("spend_bill", slug)
    try:
        made = book(row, course=course, why=why, who=person(request), now=timezone.now())
    except BudgetRefused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, _("Booked.") if made else _("Nothing is missing any more."))
    return redirect("spend_bill", slug)
