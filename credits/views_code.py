"""Doors of one code for staff: its story, a look with a reason, taking it back. A page with a code is never stored."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_variables
from django.views.decorators.http import require_POST, require_safe

from courses.access import staff_enrollment_in
from courses.doors import address_of, person, signed_in
from credits import returns, services
from credits.diagnosis import causes_of
from credits.forms import WhyForm
from credits.models import CreditCode
from credits.open_work import open_work
from credits.report_queries import story_of
from credits.returns import ReturnRefused
from credits.services import RevealRefused


def _code_in(request: HttpRequest, slug: str, code_id: int) -> CreditCode:
    course = staff_enrollment_in(request.user, slug).course
    rows = CreditCode.objects.select_related("batch__course", "holder", "team")
    return get_object_or_404(rows, pk=code_id, batch__course=course)


@require_safe
@signed_in
@never_cache
def code(request: HttpRequest, slug: str, code_id: int) -> HttpResponse:
    return _page(request, _code_in(request, slug, code_id))


@sensitive_variables("shown")
def _page(request: HttpRequest, found: CreditCode, status: int = 200, **shown: object) -> HttpResponse:
    course = found.batch.course
    titles = {cause.key: cause.title for cause in causes_of(course)}
    reports = found.reports.select_related("enrollment", "replacement").order_by("-at")
    context = {
        "now": timezone.now(),
        "course": course,
        "work": open_work(course),
        "code": found,
        "story": story_of(found),
        "reports": [(report, titles.get(report.cause, report.cause)) for report in reports],
        "can_return": found.status == CreditCode.Status.CLAIMED,
        "can_revoke": found.status not in (CreditCode.Status.REVOKED, CreditCode.Status.REDEEMED),
        **shown,
    }
    return render(request, "credits/desk/code.html", context, status=status)


@require_POST
@signed_in
@never_cache
@sensitive_variables("text")
def code_reveal(request: HttpRequest, slug: str, code_id: int) -> HttpResponse:
    """With a reason that the holder reads. `never_cache` says no-store, private."""
    found, form = _code_in(request, slug, code_id), WhyForm(request.POST, auto_id="reveal_%s")
    if not form.is_valid():
        return _page(request, found, 422, reveal_form=form)
    try:
        text = services.reveal(
            found, who=person(request), why=form.cleaned_data["why"], address=address_of(request), now=timezone.now()
        )
    except RevealRefused as refused:
        form.add_error("why", str(refused))
        return _page(request, found, 422, reveal_form=form)
    return _page(request, found, text=text)


@require_POST
@signed_in
@never_cache
def code_take_back(request: HttpRequest, slug: str, code_id: int) -> HttpResponse:
    """`return` puts a code that nobody has seen back to stock; `revoke` takes one out of use for good."""
    found, form = _code_in(request, slug, code_id), WhyForm(request.POST, auto_id="back_%s")
    if not form.is_valid():
        return _page(request, found, 422, back_form=form)
    try:
        said = _take_back(request, found, form.cleaned_data["why"])
    except ReturnRefused as refused:
        form.add_error("why", str(refused))
        return _page(request, found, 422, back_form=form)
    messages.success(request, said)
    return redirect("credits_code", slug, found.pk)


def _take_back(request: HttpRequest, found: CreditCode, why: str) -> str:
    who, now = person(request), timezone.now()
    if request.POST.get("verb") == "revoke":
        returns.revoke(found, why=why, who=who, now=now)
        return _("The code is out of use for good.")
    if returns.return_code(found, why=why, who=who, now=now) == CreditCode.Status.AVAILABLE:
        return _("The code is stock again. If somebody waits for one, it is theirs now.")
    return _("The code had been shown to its holder: it is put aside, and nobody else gets it.")
