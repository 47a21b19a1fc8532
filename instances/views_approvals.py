"""Doors of launches that need leave: a student asks, staff answer."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from courses.access import enrollment_in, staff_enrollment_in
from courses.doors import person, signed_in
from courses.models import Course
from instances import approvals
from instances.models import LaunchApproval, Preset

ANSWERED_SHOWN = 30


@require_POST
@signed_in
def launch_ask(request: HttpRequest, slug: str, preset_slug: str) -> HttpResponse:
    """Back to the launch page, which says that it waits, or why not."""
    enrollment = enrollment_in(request.user, slug)
    preset = get_object_or_404(Preset, course=enrollment.course, slug=preset_slug, needs_approval=True)
    try:
        approvals.ask(enrollment, preset, why=request.POST.get("why", ""), now=timezone.now())
    except approvals.ApprovalRefused as refused:
        messages.error(request, str(refused))
    else:
        messages.success(request, _("Asked. The answer comes by mail, and stands on this page."))
    return redirect("launch", slug, preset_slug)


@require_safe
@signed_in
@never_cache
def launch_approvals(request: HttpRequest, slug: str) -> HttpResponse:
    return _page(request, staff_enrollment_in(request.user, slug).course)


def _page(request: HttpRequest, course: Course, refused: dict[int, str] | None = None) -> HttpResponse:
    context = {
        "now": timezone.now(),
        "course": course,
        "asked": list(approvals.open_in(course)),
        "answered": list(approvals.decided_in(course)[:ANSWERED_SHOWN]),
        "refused": refused or {},
        "said": request.POST,
    }
    return render(request, "staff/launches.html", context, status=422 if refused else 200)


@require_POST
@signed_in
@never_cache
def launch_approval_decide(request: HttpRequest, slug: str, approval_id: int) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    rows = LaunchApproval.objects.select_related("enrollment", "preset__course")
    asked = get_object_or_404(rows, pk=approval_id, preset__course=course)
    answer, note = request.POST.get("answer", ""), request.POST.get("note", "")
    if answer not in ("allow", "deny"):
        return _page(request, course, {asked.pk: _("Allow or deny: choose one.")})
    try:
        approvals.decide(asked, allow=answer == "allow", note=note, who=person(request), now=timezone.now())
    except approvals.ApprovalRefused as refused:
        return _page(request, course, {asked.pk: str(refused)})
    messages.success(request, _("Answered. %(name)s hears by mail.") % {"name": asked.enrollment.name})
    return redirect("launch_approvals", slug)
