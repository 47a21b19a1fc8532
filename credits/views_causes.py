"""Doors of the help's texts: what students are told about each cause, in the staff's own words where they want."""

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from courses.access import staff_enrollment_in
from courses.doors import person, signed_in
from courses.models import Course
from credits import diagnosis
from credits.known_causes import KNOWN
from credits.models import RedemptionCause
from credits.open_work import open_work
from credits.signals import Cause

GET_OR_POST = ["GET", "HEAD", "POST"]
_SHIPPED = {cause.key for cause in KNOWN}


class CauseForm(forms.Form):
    title = forms.CharField(label=gettext_lazy("What the student sees"), max_length=200)
    signals = forms.CharField(
        label=gettext_lazy("Recognised by"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=gettext_lazy("Phrases of AWS’s message, one per line. * stands for a few words in between."),
    )
    answer = forms.CharField(label=gettext_lazy("What it means"), widget=forms.Textarea(attrs={"rows": 4}))
    next_step = forms.CharField(
        label=gettext_lazy("What to do next"), required=False, widget=forms.Textarea(attrs={"rows": 3})
    )
    outcome = forms.ChoiceField(label=gettext_lazy("If it is reported"), choices=RedemptionCause.Outcome.choices)
    enabled = forms.BooleanField(label=gettext_lazy("Shown to students"), required=False, initial=True)

    def cause(self, key: str) -> Cause:
        said: dict[str, Any] = dict(self.cleaned_data)
        said.pop("enabled")
        return Cause(key, **{**said, "signals": tuple(said["signals"].splitlines())})


@require_safe
@signed_in
@never_cache
def causes(request: HttpRequest, slug: str) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    rows = RedemptionCause.objects.filter(course=course).select_related("changed_by")
    context = {
        "now": timezone.now(),
        "course": course,
        "work": open_work(course),
        "causes": diagnosis.causes_of(course),
        "changed": {row.key for row in rows},
        "hidden": [row for row in rows if not row.enabled],
    }
    return render(request, "credits/desk/causes.html", context)


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def cause(request: HttpRequest, slug: str, key: str = "") -> HttpResponse:
    """One cause; without a key a new one."""
    course = staff_enrollment_in(request.user, slug).course
    row = RedemptionCause.objects.filter(course=course, key=key).first() if key else None
    initial = _initial(course, key, row) if key else {}
    form = CauseForm(request.POST) if request.method == "POST" else CauseForm(initial=initial)
    if form.is_bound and form.is_valid():
        chosen = form.cause(key or _new_key(course, form.cleaned_data["title"]))
        enabled = form.cleaned_data["enabled"]
        diagnosis.change_cause(course, chosen, enabled=enabled, who=person(request), now=timezone.now())
        messages.success(request, _("Saved: students read it from now on."))
        return redirect("credits_causes", slug)
    context = {"now": timezone.now(), "course": course, "work": open_work(course), "form": form, "key": key, "row": row}
    context["is_shipped"] = key in _SHIPPED
    return render(request, "credits/desk/cause.html", context, status=422 if form.errors else 200)


def _initial(course: Course, key: str, row: RedemptionCause | None) -> dict[str, object]:
    """As it is now: the staff's words, also of one that is hidden, else the shipped ones. Raises Http404."""
    if row:
        return {name: getattr(row, name) for name in CauseForm.base_fields}
    found = diagnosis.cause_of(course, key)
    if found is None:
        raise Http404
    words = {name: getattr(found, name) for name in ("title", "answer", "next_step", "outcome")}
    return {**words, "signals": "\n".join(found.signals), "enabled": True}


def _new_key(course: Course, title: str) -> str:
    """Telling the reports apart needs a key of its own; its look does not matter."""
    stem = slugify(title)[:30] or "cause"
    taken = {one.key for one in diagnosis.causes_of(course)} | set(
        RedemptionCause.objects.filter(course=course).values_list("key", flat=True)
    )
    return next(key for key in (stem, *(f"{stem}-{n}" for n in range(2, 1000))) if key not in taken)


@require_POST
@signed_in
def cause_reset(request: HttpRequest, slug: str, key: str) -> HttpResponse:
    """The shipped words again; a cause of one's own goes."""
    course = staff_enrollment_in(request.user, slug).course
    if diagnosis.shipped_again(course, key):
        messages.success(request, _("Your own words are gone; the shipped ones hold again."))
    return redirect("credits_causes", slug)
