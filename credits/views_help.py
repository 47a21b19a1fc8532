"""Doors of "it doesn't work": what AWS said, what that means, and what becomes of the code. Holders only.

What somebody pastes may hold a code: it comes by POST, and is screened before it is shown or stored.
"""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from courses.access import enrollment_in
from courses.doors import address_of, person, signed_in
from credits import diagnosis, failures, queries
from credits.failures import Reported, ReportRefused
from credits.models import CreditCode, FailedReport
from credits.screening import screened

GET_OR_POST = ["GET", "HEAD", "POST"]


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
@sensitive_post_parameters()
@sensitive_variables("said")
def code_help(request: HttpRequest, slug: str, code_id: int) -> HttpResponse:
    """All causes to choose from (GET), the recognised ones of a pasted message (POST), or one (`?cause=`)."""
    enrollment = enrollment_in(request.user, slug)
    code = get_object_or_404(queries.codes_of(enrollment), pk=code_id)
    said = screened(request.POST.get("message", ""), code)
    context = {"now": timezone.now(), "course": enrollment.course, "code": code, "message": said}
    key = request.POST.get("cause") or request.GET.get("cause", "")
    causes = diagnosis.causes_of(enrollment.course)
    chosen = next((cause for cause in causes if cause.key == key), None)
    if chosen:
        return render(request, "credits/help_answer.html", {**context, "cause": chosen})
    found = diagnosis.diagnose(enrollment.course, said) if said else []
    context |= {"found": found, "causes": causes, "not_pasted": request.method == "POST" and not said}
    return render(request, "credits/help.html", context)


@require_POST
@signed_in
@never_cache
@sensitive_post_parameters()
def code_failed(request: HttpRequest, slug: str, code_id: int) -> HttpResponse:
    """The outcome: AWS did not take it, and why as far as the holder knows."""
    enrollment = enrollment_in(request.user, slug)
    code = get_object_or_404(queries.codes_of(enrollment), pk=code_id)
    try:
        reported = failures.report_failed(
            code,
            cause=request.POST.get("cause", ""),
            message=request.POST.get("message", ""),
            who=person(request),
            address=address_of(request),
            now=timezone.now(),
        )
    except ReportRefused as refused:
        messages.error(request, str(refused))
        return redirect("code_help", slug, code.pk)
    return _told(request, slug, code, reported)


def _told(request: HttpRequest, slug: str, code: CreditCode, reported: Reported) -> HttpResponse:
    home = reverse("course_home", args=[slug])
    if reported.replacement:
        messages.success(request, _("The code was bad. Here is another one, yours from now on."))
        return redirect(f"{home}#code-{reported.replacement.pk}")
    if reported.report.status == FailedReport.Status.OPEN:
        messages.info(request, _("Staff look at it now. There is nothing for you to do: the answer comes by mail."))
    else:
        messages.info(request, _("Noted. If it still fails after that, report it once more: then staff look at it."))
    return redirect(f"{home}#code-{code.pk}")
