"""Doors of one batch: what it is, for whom, open or closed. Staff only; no page shows a whole code."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from courses.access import staff_enrollment_in
from courses.doors import person, signed_in
from courses.models import Course
from credits import batches, entitlement, opening
from credits.batches import BatchRefused
from credits.coverage import covered, rule_of
from credits.forms import BatchForm, RuleForm, TimesForm
from credits.models import CodeBatch, CreditCode
from credits.open_work import open_work
from credits.opening import BadTimes
from credits.stock_page import batch_page
from credits.words import rule_words

LONGEST_WHY = 300


def _batch_in(request: HttpRequest, slug: str, batch_id: int) -> CodeBatch:
    course = staff_enrollment_in(request.user, slug).course
    return get_object_or_404(CodeBatch.objects.select_related("course"), pk=batch_id, course=course)


def _why(request: HttpRequest) -> str:
    return request.POST.get("why", "").strip()[:LONGEST_WHY]


@require_safe
@signed_in
@never_cache
def batch(request: HttpRequest, slug: str, batch_id: int) -> HttpResponse:
    return _page(request, _batch_in(request, slug, batch_id))


def _page(request: HttpRequest, found: CodeBatch, **bound: object) -> HttpResponse:
    """The batch; `bound` is the form that was refused, shown open with its errors."""
    now = timezone.now()
    asked = {name: request.GET.get(name, "") for name in ("find", "status", "page")}
    context = {
        "now": now,
        "course": found.course,
        "work": open_work(found.course),
        "page": batch_page(found, now, **asked),
        "asked": asked,
        "statuses": CreditCode.Status.choices,
        "facts_form": BatchForm(initial=BatchForm.initial_of(found)),
        "rule_form": RuleForm(found.course, initial={"rule": rule_of(found)}),
        "times_form": TimesForm(initial={"opens_at": found.opens_at, "closes_at": found.closes_at}),
        **bound,
    }
    return render(request, "credits/desk/batch.html", context, status=422 if bound else 200)


@require_POST
@signed_in
@never_cache
def batch_change(request: HttpRequest, slug: str, batch_id: int) -> HttpResponse:
    found = _batch_in(request, slug, batch_id)
    form = BatchForm(request.POST)
    if form.is_valid():
        try:
            batches.change_batch(found, form.facts(), who=person(request), now=timezone.now())
        except BatchRefused as refused:
            form.add_error("value_usd", str(refused))
        else:
            messages.success(request, _("Saved."))
            return redirect("credits_batch", slug, found.pk)
    return _page(request, found, facts_form=form)


@require_POST
@signed_in
@never_cache
def batch_rule(request: HttpRequest, slug: str, batch_id: int) -> HttpResponse:
    found = _batch_in(request, slug, batch_id)
    form = RuleForm(found.course, request.POST, initial={"rule": rule_of(found)})
    if not form.is_valid():
        return _page(request, found, rule_form=form)
    opening.set_rule(found, form.rule(), who=person(request), why=_why(request), now=timezone.now())
    messages.success(request, _("Saved. From now on: %(rule)s") % {"rule": rule_words(found.purpose, rule_of(found))})
    return redirect("credits_batch", slug, found.pk)


@require_safe
@signed_in
@never_cache
def batch_rule_words(request: HttpRequest, slug: str, batch_id: int) -> HttpResponse:
    """What the rule in the form would say and cover, while it is being put together. Saves nothing."""
    found = _batch_in(request, slug, batch_id)
    form = RuleForm(found.course, request.GET, initial={"rule": rule_of(found)})
    context: dict[str, object] = {"form": form}
    if form.is_valid():
        context |= _sentence(found.course, found.purpose, form)
    return render(request, "credits/desk/_rule_words.html", context)


def _sentence(course: Course, purpose: str, form: RuleForm) -> dict[str, object]:
    rule = form.rule()
    return {"rule": rule_words(purpose, rule), "people": covered(course, purpose, rule), "purpose": purpose}


@require_POST
@signed_in
def batch_open(request: HttpRequest, slug: str, batch_id: int) -> HttpResponse:
    found = _batch_in(request, slug, batch_id)
    if found.purpose not in entitlement.CLAIMABLE:
        messages.error(request, _("Nobody claims from this batch: staff give its codes out."))
    elif opening.open_now(found, who=person(request), why=_why(request), now=timezone.now()):
        messages.success(request, _("“%(name)s” is open: people can claim now.") % {"name": found.name})
    else:
        messages.info(request, _("“%(name)s” was open already.") % {"name": found.name})
    return redirect("credits_batch", slug, found.pk)


@require_POST
@signed_in
def batch_close(request: HttpRequest, slug: str, batch_id: int) -> HttpResponse:
    found = _batch_in(request, slug, batch_id)
    if opening.close_now(found, who=person(request), why=_why(request), now=timezone.now()):
        messages.success(request, _("“%(name)s” is closed. Who has a code or a place keeps it.") % {"name": found.name})
    else:
        messages.info(request, _("“%(name)s” was closed already.") % {"name": found.name})
    return redirect("credits_batch", slug, found.pk)


@require_POST
@signed_in
@never_cache
def batch_schedule(request: HttpRequest, slug: str, batch_id: int) -> HttpResponse:
    found = _batch_in(request, slug, batch_id)
    form = TimesForm(request.POST)
    if form.is_valid():
        times = form.cleaned_data
        try:
            opening.schedule(found, **times, who=person(request), why=_why(request), now=timezone.now())
        except BadTimes as bad:
            form.add_error("closes_at", str(bad))
        else:
            messages.success(request, _("Saved: it opens and closes by itself."))
            return redirect("credits_batch", slug, found.pk)
    return _page(request, found, times_form=form)
