"""Doors of a course's budgets: staff look; instructors change amounts and plan releases, each after a preview."""

import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from courses.access import instructor_enrollment_in, staff_enrollment_in
from courses.doors import person, signed_in
from courses.models import Course, Role
from spend.granting import courses_of
from spend.models import Budget, Level
from spend.refusals import BelowCommitted
from spend.releasing import (
    Change,
    budgets_of,
    cancel,
    change_amounts,
    of_level,
    plan_release,
    preview,
    upcoming,
)

MOVES_SHOWN = 20


class BudgetsForm(forms.Form):
    """Whose budgets, what becomes of them, and why."""

    whose = forms.ChoiceField(label=gettext_lazy("Whose"))
    act = forms.ChoiceField(
        label=gettext_lazy("What"),
        choices=[
            ("set", gettext_lazy("Set to")),
            ("add", gettext_lazy("Add now")),
            ("release", gettext_lazy("Add later")),
        ],
    )
    usd = forms.DecimalField(label=gettext_lazy("USD"), min_value=0, max_digits=9, decimal_places=2)
    at = forms.DateTimeField(
        label=gettext_lazy("When"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text=gettext_lazy("For “add later”, in the course’s zone."),
    )
    why = forms.CharField(label=gettext_lazy("Reason"), max_length=300)

    def __init__(self, budgets: list[Budget], now: datetime, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.budgets, self.now = budgets, now
        groups = [(level.value, words) for level, words in _GROUPS.items() if of_level(budgets, level.value)]
        ones = [(str(one.pk), f"{one.get_level_display()}: {one.name}") for one in budgets]
        whose = self.fields["whose"]
        assert isinstance(whose, forms.ChoiceField)  # noqa: S101 - for the type
        whose.choices = [*groups, *ones]

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        if said.get("act") != "set" and said.get("usd") == 0:
            self.add_error("usd", _("Nothing to add: choose an amount above 0."))
        if said.get("act") == "release" and "at" not in self.errors:
            if not said.get("at"):
                self.add_error("at", _("Say when it is to be added."))
            elif said["at"] <= self.now:
                self.add_error("at", _("This moment has passed: choose “add now”, or a later one."))
        return said

    @property
    def chosen(self) -> list[Budget]:
        whose = self.cleaned_data["whose"]
        if whose in {level.value for level in _GROUPS}:
            return of_level(self.budgets, whose)
        return [one for one in self.budgets if str(one.pk) == whose]

    @property
    def amounts(self) -> dict[str, Any]:
        usd: Decimal = self.cleaned_data["usd"]
        is_set = self.cleaned_data["act"] == "set"
        return {"to_usd": usd if is_set else None, "add_usd": Decimal(0) if is_set else usd}


_GROUPS = {
    Level.PERSON: gettext_lazy("Every person"),
    Level.TEAM: gettext_lazy("Every team"),
    Level.COURSE: gettext_lazy("The course"),
}


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@never_cache
def budgets(request: HttpRequest, slug: str) -> HttpResponse:
    """A POST shows what would change; with `sure`, it is done."""
    line, now = staff_enrollment_in(request.user, slug), timezone.now()
    course, may_edit = line.course, line.role == Role.INSTRUCTOR
    if request.method == "POST" and not may_edit:
        raise Http404
    found, changes = budgets_of(course), None
    with timezone.override(ZoneInfo(course.timezone)):
        form = BudgetsForm(found, now, request.POST if request.method == "POST" else None)
        if form.is_bound and form.is_valid():
            changes = preview(form.chosen, **form.amounts)
            if request.POST.get("sure") == "yes" and _carry_out(request, form, now):
                return redirect("course_budgets", slug)
        return render(request, "staff/budgets.html", _context(course, form, found, changes, may_edit, now),
                      status=422 if form.errors else 200)  # fmt: skip


def _context(
    course: Course, form: BudgetsForm, found: list[Budget], changes: list[Change] | None, may_edit: bool, now: datetime
) -> dict[str, Any]:
    releases: dict[uuid.UUID, dict[str, Any]] = {}
    for one in upcoming(course).select_related("budget", "who"):
        row = releases.setdefault(one.together, {"first": one, "number": 0, "total": Decimal(0)})
        row["number"] += 1
        row["total"] += one.amount_usd
    return {
        "now": now,
        "course": course,
        "form": form,
        "budgets": found,
        "grant": _grant_above(found),
        "may_change_grant": may_edit and _is_ours_alone(found),
        "changes": changes,
        "more_usd": sum((one.difference_usd for one in changes or []), Decimal(0)),
        "is_release": form.is_bound and form.data.get("act") == "release",
        "releases": list(releases.values()),
        "may_edit": may_edit,
    }


def _grant_above(found: list[Budget]) -> Budget | None:
    return next((one.parent for one in found if one.level == Level.COURSE and one.parent_id), None)


def _is_ours_alone(found: list[Budget]) -> bool:
    """A grant that other courses live on, too, is the operator's."""
    above = _grant_above(found)
    return above is not None and len(courses_of(above)) == 1


def _carry_out(request: HttpRequest, form: BudgetsForm, now: datetime) -> bool:
    said, who = form.cleaned_data, person(request)
    if said["act"] == "release":
        at = said["at"].astimezone(UTC)
        made = plan_release(form.chosen, amount_usd=said["usd"], release_at=at, why=said["why"], who=who, now=now)
        text = ngettext("%(n)s release is planned.", "%(n)s releases are planned.", len(made)) % {"n": len(made)}
    else:
        try:
            number = change_amounts(form.chosen, **form.amounts, why=said["why"], who=who, now=now)
        except BelowCommitted as refused:
            form.add_error("usd", str(refused))
            return False
        text = ngettext("%(n)s budget is changed.", "%(n)s budgets are changed.", number) % {"n": number}
    messages.success(request, text)
    return True


@require_POST
@signed_in
def release_cancel(request: HttpRequest, slug: str, together: uuid.UUID) -> HttpResponse:
    course = instructor_enrollment_in(request.user, slug).course
    number = cancel(together, course, who=person(request), now=timezone.now())
    if not number:
        raise Http404
    messages.success(
        request, ngettext("%(n)s release is cancelled.", "%(n)s releases are cancelled.", number) % {"n": number}
    )
    return redirect("course_budgets", slug)
