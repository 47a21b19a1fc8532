"""Doors of a course's policy: staff look, instructors change. Every change is previewed in words before it holds."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib import messages
from django.forms import BaseFormSet, Form
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from courses.access import staff_enrollment_in
from courses.doors import person, signed_in
from courses.models import Course, Role
from instances import ssh_access
from instances.clock import clock
from instances.forms_policy import (
    DecisionForm,
    PolicyForm,
    Windows,
    chosen_windows,
    initial_of,
    initial_windows,
    put_errors,
    rules_from,
)
from instances.models import Policy, PolicyEdit
from instances.policy_edits import PolicyChanged, change_policy
from instances.policy_rules import Rules, faults, from_json, to_json
from instances.policy_words import changes, in_words
from instances.prospects import Prospect, prospect

EDITS_SHOWN = 20


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@never_cache
def policy(request: HttpRequest, slug: str) -> HttpResponse:
    """GET: what holds. POST: the proposed rules in words; with `act=save`, the reason and for whom: they hold."""
    enrollment, now = staff_enrollment_in(request.user, slug), timezone.now()
    course = enrollment.course
    may_edit = enrollment.role == Role.INSTRUCTOR
    if request.method == "POST" and not may_edit:
        raise Http404
    held = Policy.objects.filter(course=course).first() or Policy(course=course)
    page = {
        "now": now,
        "course": course,
        "may_edit": may_edit,
        "zone": course.timezone,
        **_ssh(course),
        **_told(course, held, now),
    }
    with timezone.override(ZoneInfo(course.timezone)):  # a deadline is a moment in the course's own zone
        if request.method != "POST":
            forms = _forms(held.rules)
            return render(request, "staff/policy.html", {**page, **forms, "seen": digest(held.rules)})
        return _proposed(request, course, held.rules, page, now)


def _told(course: Course, held: Policy, now: datetime) -> dict[str, Any]:
    edits = course.policy_edits.select_related("who")[:EDITS_SHOWN]
    said = [(edit, _changes(course, from_json(edit.before), from_json(edit.after), edit.at)) for edit in edits]
    return {"edits": said, "words": in_words(held.rules, lambda at: clock(course, at, now))}


def _ssh(course: Course) -> dict[str, object]:
    return {"ssh_offered": bool(settings.SSH_ADDRESS), "ssh_on": ssh_access.is_on(course)}


def _changes(course: Course, before: Rules, after: Rules, now: datetime) -> list[str]:
    return changes(before, after, lambda at: clock(course, at, now))


def _forms(rules: Rules) -> dict[str, Form | BaseFormSet]:
    return {
        "form": PolicyForm(initial=initial_of(rules)),
        "windows": Windows(initial=initial_windows(rules), prefix="windows"),
    }


# ------------------------------------------------------------------ a proposal
@dataclass(frozen=True, slots=True)
class Preview:
    """What would change, and for how many machines."""

    lines: list[str]
    prospect: Prospect
    digest: str


def _proposed(request: HttpRequest, course: Course, held: Rules, page: dict[str, Any], now: datetime) -> HttpResponse:
    form, windows = PolicyForm(request.POST), Windows(request.POST, prefix="windows")
    page |= {"form": form, "windows": windows, "seen": digest(held)}
    proposed = _rules_of(form, windows)
    if proposed is None:
        return render(request, "staff/policy.html", page, status=422)
    if request.POST.get("seen") != digest(held):
        messages.error(
            request, _("Somebody changed the policy meanwhile. Look at what holds now, then change it again.")
        )
        return redirect("machine_policy", course.slug)
    lines = _changes(course, held, proposed, now)
    if not lines:
        messages.info(request, _("Nothing of that is different from what holds now."))
        return redirect("machine_policy", course.slug)
    preview = Preview(lines, prospect(course, proposed, now), digest(proposed))
    saves = request.POST.get("act") == "save" and request.POST.get("previewed") == preview.digest
    decision = DecisionForm(request.POST if saves else None)
    if saves and decision.is_valid():
        return _save(request, course, held, proposed, decision.cleaned_data, now)
    page |= {"preview": preview, "decision": decision}
    return render(request, "staff/policy.html", page, status=422 if saves else 200)


def _rules_of(form: PolicyForm, windows: BaseFormSet) -> Rules | None:
    """None when something is wrong; it then stands next to its field."""
    if not (form.is_valid() & windows.is_valid()):
        return None
    chosen = chosen_windows(windows)
    proposed = rules_from(form.cleaned_data, [one.cleaned_data for one in chosen])
    found = faults(proposed)
    put_errors(found, form, chosen)
    return None if found else proposed


def _save(
    request: HttpRequest, course: Course, held: Rules, proposed: Rules, said: dict[str, Any], now: datetime
) -> HttpResponse:
    to_running = said["to_running"] == "yes"
    try:
        edit: PolicyEdit = change_policy(
            course, proposed, seen=to_json(held), to_running=to_running, why=said["why"], who=person(request), now=now
        )
    except PolicyChanged:
        messages.error(request, _("Somebody was faster. Look at what holds now, then change it again."))
    else:
        kept = _("%(n)s running keep theirs until they stop.") % {"n": edit.kept_by} if edit.kept_by else ""
        messages.success(request, f"{_('The new rules hold.')} {kept}".strip())
    return redirect("machine_policy", course.slug)


def digest(rules: Rules) -> str:
    return hashlib.sha256(json.dumps(to_json(rules), sort_keys=True).encode()).hexdigest()[:20]
