"""Doors of the guards' page: their lights, and the fire drill that proves them on a canary machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from courses.access import staff_enrollment_in
from courses.doors import person, signed_in
from courses.models import Course, Enrollment
from instances import drilling, tasks
from instances.bounds import bound
from instances.dispatch import send_after_commit
from instances.drill_records import DrillRound, FireDrill
from instances.drill_rules import ORDER, bound_of
from instances.drilling import Cost, DrillRefused
from instances.guard_names import Guard
from instances.models import Policy, Run
from portal.figures import usd
from portal.guards import guards
from portal.lights import lights

DRILLS_SHOWN = 5


class DrillForm(forms.Form):
    preset = forms.ChoiceField(
        label=gettext_lazy("Canary machine"),
        help_text=gettext_lazy("Any will do: they differ in price, and in the image whose agent is proved."),
    )

    def __init__(self, costs: Sequence[Cost], data: object = None) -> None:
        super().__init__(data)  # type: ignore[arg-type]
        self.fields["preset"].choices = [  # type: ignore[attr-defined]
            (
                str(cost.preset.pk),
                _("%(name)s: %(most)s at most") % {"name": cost.preset.name, "most": usd(cost.most)},
            )
            for cost in costs
        ]


@dataclass(frozen=True, slots=True)
class Turn:
    """One guard in a drill, begun or not."""

    guard: Guard
    name: str
    silenced: str
    bound_seconds: int
    round: DrillRound | None = None
    since: datetime | None = None  # the canary runs in this round

    @property
    def bound(self) -> str:
        return exact(self.bound_seconds)

    @property
    def took(self) -> str:
        seconds = self.round.took_seconds if self.round else None
        return "" if seconds is None else exact(seconds)

    @property
    def stopped_by(self) -> str:
        by = self.round.stopped_by if self.round else ""
        return names()[Guard(by)] if by else ""

    @property
    def badge(self) -> str:
        outcome = self.round.outcome if self.round else ""
        return {"proved": "good", "running": "moving", "late": "failed", "missed": "failed"}.get(outcome, "")


def exact(seconds: int) -> str:
    """To the second, because two of them are compared."""
    return _("%(m)s min %(s)s s") % {"m": seconds // 60, "s": seconds % 60}


def names() -> dict[Guard, str]:
    return {
        Guard.SWEEPS: _("The portal’s rounds"),
        Guard.WATCH: _("The machine’s watch"),
        Guard.TIMER: _("The machine’s timer"),
        Guard.SCHEDULE: _("AWS’s schedule"),
    }


def _silenced() -> dict[Guard, str]:
    return {
        Guard.SWEEPS: _("the machine’s watch"),
        Guard.WATCH: _("the portal’s rounds"),
        Guard.TIMER: _("the portal’s rounds and the machine’s watch"),
        Guard.SCHEDULE: _("the portal’s rounds, the machine’s watch and its timer"),
    }


def turns(drill: FireDrill | None, course: Course) -> list[Turn]:
    """In their order. Two queries."""
    begun = {one.guard: one for one in drill.rounds.all()} if drill else {}
    runs = dict(Run.objects.filter(instance=drill.instance_id).values_list("number", "started_at")) if drill else {}
    report, sweep, margin = Policy.of(course).report_seconds, settings.SWEEP_SECONDS, settings.STOP_MARGIN_SECONDS
    found = []
    for guard in ORDER:
        row = begun.get(guard)
        seconds = row.bound_seconds if row else bound_of(guard, report=report, sweep=sweep, margin=margin)
        since = runs.get(row.run_number) if row else None
        found.append(Turn(guard, names()[guard], _silenced()[guard], seconds, row, since))
    return found


# ------------------------------------------------------------------ doors
@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@never_cache
def course_guards(request: HttpRequest, slug: str) -> HttpResponse:
    line, now = staff_enrollment_in(request.user, slug), timezone.now()
    costs = drilling.costs_for(line, now)
    form = DrillForm(costs, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid() and _start(request, line, costs, form, now):
        return redirect("course_guards", slug)
    earlier = FireDrill.objects.filter(course=line.course, ended_at__isnull=False).select_related("who")
    context = {
        **_live(line.course, now),
        "form": form,
        "costs": costs,
        "plan": turns(None, line.course),
        "earlier": [(drill, turns(drill, line.course)) for drill in earlier[:DRILLS_SHOWN]],
    }
    return render(request, "staff/guards.html", context, status=422 if form.errors else 200)


@require_safe
@signed_in
@never_cache
def course_guards_live(request: HttpRequest, slug: str) -> HttpResponse:
    """The lights, and the drill as it goes."""
    course, now = staff_enrollment_in(request.user, slug).course, timezone.now()
    return render(request, "staff/_guards.html", _live(course, now))


@require_POST
@signed_in
def drill_call_off(request: HttpRequest, slug: str, drill_id: int) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    drill, now = get_object_or_404(FireDrill, pk=drill_id, course=course), timezone.now()
    if drilling.call_off(drill, who=person(request), now=now):
        send_after_commit(tasks.sweep_drills)
        messages.success(request, _("Called off. The canary is being deleted."))
    else:
        messages.info(request, _("This drill is over already."))
    return redirect("course_guards", slug)


def _start(request: HttpRequest, line: Enrollment, costs: Sequence[Cost], form: DrillForm, now: datetime) -> bool:
    chosen = next(cost.preset for cost in costs if str(cost.preset.pk) == form.cleaned_data["preset"])
    try:
        drill = drilling.start(line, chosen, who=person(request), now=now)
    except DrillRefused as refused:
        form.add_error("preset", str(refused))
        return False
    send_after_commit(tasks.launch, drill.instance_id)
    messages.success(request, _("The canary is on its way. You may leave this page: the drill goes on by itself."))
    return True


def _live(course: Course, now: datetime) -> dict[str, object]:
    drill = drilling.open_drill(course)
    return {
        "now": now,
        "course": course,
        "lights": lights(course, now, guards(now, settings.SWEEP_SECONDS)),
        "bound": bound(course, now),
        "drill": drill,
        "turns": turns(drill, course) if drill else [],
    }
