"""Doors of the failed codes that wait for a person: everything on one page, one decision each."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from courses.access import staff_enrollment_in
from courses.doors import number_in, person, signed_in
from courses.models import Course
from credits import resolving
from credits.claiming import ClaimRefused
from credits.models import CodeBatch, FailedReport
from credits.open_work import open_work
from credits.report_queries import open_reports
from credits.resolving import ResolveRefused


@require_safe
@signed_in
@never_cache
def reports(request: HttpRequest, slug: str) -> HttpResponse:
    return _page(request, staff_enrollment_in(request.user, slug).course)


def _page(request: HttpRequest, course: Course, refused: dict[str, object] | None = None) -> HttpResponse:
    """`refused` is the decision that was not taken: its report's id, why not, and what was typed."""
    now = timezone.now()
    done = FailedReport.objects.filter(course=course, decided_at__isnull=False)
    context = {
        "now": now,
        "course": course,
        "work": open_work(course),
        "open": open_reports(course),
        "done": done.select_related("code", "enrollment", "replacement", "decided_by").order_by("-decided_at")[:20],
        "refused": refused,
    }
    return render(request, "credits/desk/reports.html", context, status=422 if refused else 200)


@require_POST
@signed_in
@never_cache
def report_resolve(request: HttpRequest, slug: str, report_id: int) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    report = get_object_or_404(FailedReport.objects.select_related("code__batch"), pk=report_id, course=course)
    decision, why = request.POST.get("decision", ""), request.POST.get("why", "")
    chosen = request.POST.get("batch", "")
    batch = get_object_or_404(CodeBatch, pk=pk, course=course) if (pk := number_in(chosen)) else None
    if decision not in FailedReport.Decision.values:
        return _page(request, course, {"pk": report.pk, "words": _("Choose what should happen."), "why": why})
    try:
        resolving.resolve(report, decision, why=why, who=person(request), now=timezone.now(), batch=batch)
    except (ResolveRefused, ClaimRefused) as refused:
        return _page(request, course, {"pk": report.pk, "words": str(refused), "why": why})
    messages.success(request, _("Done: %(name)s gets a mail.") % {"name": report.enrollment})
    return redirect("credits_reports", slug)
