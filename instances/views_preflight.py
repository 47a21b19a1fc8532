"""Doors of the preflight: is there enough at AWS for the term, asking for more, and machines that are not ours."""

from decimal import Decimal

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from courses.access import staff_enrollment_in
from courses.doors import number_in, person, signed_in
from courses.models import Course, Role
from instances import preflight, tasks
from instances.dispatch import send_after_commit
from instances.foreign import foreign_machines, stray_machines
from instances.models import QuotaAsk
from instances.preflight_rules import USUAL_SHARE, shortages


@require_safe
@signed_in
@never_cache
def preflight_page(request: HttpRequest, slug: str) -> HttpResponse:
    line = staff_enrollment_in(request.user, slug)
    return _page(request, line.course, may_ask=line.role == Role.INSTRUCTOR)


def _page(request: HttpRequest, course: Course, *, may_ask: bool, refused: str = "") -> HttpResponse:
    now = timezone.now()
    found = preflight.preflight(course, _share(request))
    foreign, strays = foreign_machines(now), stray_machines(now)
    context = {
        "now": now,
        "course": course,
        "found": found,
        "short": [(line, preflight.text_for(line)) for line in shortages(found.lines)],
        "asks": QuotaAsk.objects.select_related("who")[:20],
        "may_ask": may_ask,
        "foreign": foreign,
        "strays": strays,
        "foreign_usd_hour": sum((one.usd_hour for one in foreign if one.usd_hour), Decimal(0)),
        "refused": refused,
    }
    return render(request, "staff/preflight.html", context, status=422 if refused else 200)


def _share(request: HttpRequest) -> int:
    """Per cent at once; what is no number from 1 to 100 is the usual one."""
    said = number_in(request.GET.get("share", ""))
    return said if said and said <= 100 else USUAL_SHARE


@require_POST
@signed_in
def preflight_check(request: HttpRequest, slug: str) -> HttpResponse:
    """AWS is asked about each preset again, now."""
    course = staff_enrollment_in(request.user, slug).course
    for pk in course.presets.filter(enabled=True).values_list("pk", flat=True):
        send_after_commit(tasks.check_preset, pk)
    messages.success(request, _("AWS is being asked. Look again in a few seconds."))
    return redirect("preflight", slug)


@require_POST
@signed_in
@never_cache
def preflight_ask(request: HttpRequest, slug: str) -> HttpResponse:
    """Instructors only: a request to AWS in the account's name."""
    line = staff_enrollment_in(request.user, slug)
    if line.role != Role.INSTRUCTOR:
        raise Http404
    code, vcpus = request.POST.get("code", ""), number_in(request.POST.get("vcpus", ""))
    lines = preflight.preflight(line.course).lines
    had = next((one.wanted.vcpus_allowed or 0 for one in lines if one.wanted.quota_code == code), 0)
    if vcpus is None:
        return _page(request, line.course, may_ask=True, refused=_("How many vCPUs in all? Write a whole number."))
    try:
        ask = preflight.request_quota(line.course, code, vcpus, had=had, who=person(request), now=timezone.now())
    except preflight.AskRefused as refused:
        return _page(request, line.course, may_ask=True, refused=str(refused))
    send_after_commit(tasks.send_quota_ask, ask.pk)
    messages.success(request, _("AWS is being asked. Its answer stands here; it may take days."))
    return redirect("preflight", slug)
