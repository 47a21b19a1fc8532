"""Doors of the codes: claim one, show it, say that it was redeemed. A page with a code on it is never stored."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST

from courses.access import enrollment_in
from courses.doors import address_of, person, signed_in
from credits import queries, quick, services
from credits.models import CreditCode
from credits.redemption import steps, warnings
from credits.services import ClaimRefused, InQueue, RevealRefused


def _back_to(code: CreditCode, slug: str) -> HttpResponse:
    return redirect(reverse("course_home", args=[slug]) + f"#code-{code.pk}")


@require_POST
@signed_in
def claim(request: HttpRequest, slug: str, batch_id: int) -> HttpResponse:
    who, now = person(request), timezone.now()
    enrollment, batch = quick.to_claim(who, slug, batch_id, now)
    try:
        code = services.claim(enrollment, batch, who=who, address=address_of(request), now=now)
    except InQueue as waits:
        messages.info(request, str(waits))
        return redirect("course_home", slug)
    except ClaimRefused as refused:
        messages.error(request, str(refused))
        return redirect("course_home", slug)
    messages.success(request, _("The code is yours. It stays here for you, today and later."))
    return _back_to(code, slug)


@require_POST
@signed_in
@never_cache
@sensitive_variables("text")
def reveal(request: HttpRequest, slug: str, code_id: int) -> HttpResponse:
    """The code in clear: a fragment for htmx, a page of its own without it. `never_cache` says no-store, private."""
    enrollment = enrollment_in(request.user, slug)
    code = get_object_or_404(queries.codes_of(enrollment), pk=code_id)
    try:
        text = services.reveal(code, who=person(request), why="", address=address_of(request), now=timezone.now())
    except RevealRefused as refused:
        return _gone(request, code, str(refused))
    template = "credits/_shown.html" if "HX-Request" in request.headers else "credits/shown.html"
    context = {
        "course": enrollment.course,
        "code": code,
        "text": text,
        "steps": steps(code.batch),
        "warnings": warnings(code.batch),
    }
    return render(request, template, context)


def _gone(request: HttpRequest, code: CreditCode, why: str) -> HttpResponse:
    """The page is older than the code's end: load it anew, with the sentence on top."""
    messages.error(request, why)
    answer = _back_to(code, code.batch.course.slug)
    if "HX-Request" not in request.headers:
        return answer
    return HttpResponse(status=204, headers={"HX-Refresh": "true"})


@require_POST
@signed_in
def report_redeemed(request: HttpRequest, slug: str, code_id: int) -> HttpResponse:
    enrollment = enrollment_in(request.user, slug)
    code = get_object_or_404(queries.codes_of(enrollment), pk=code_id)
    services.report_redeemed(code, who=person(request), address=address_of(request), now=timezone.now())
    if code.status == CreditCode.Status.REDEEMED:
        messages.success(request, _("Good. We noted that AWS took the code."))
    else:
        messages.info(request, _("This code was taken out of use meanwhile; see what is said about it here."))
    return _back_to(code, slug)
