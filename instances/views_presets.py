"""Doors of the presets: the list with what each costs, a new one, changing one."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from cloud.prices import TypeFacts, facts_of
from courses.access import staff_enrollment_in
from courses.doors import person, signed_in
from courses.models import Course
from instances import books, presets, tasks
from instances.dispatch import send_after_commit
from instances.launch_rules import affordable, usd_for
from instances.models import Preset
from instances.preset_forms import PresetForm
from instances.preset_rules_form import PresetRulesForm
from instances.pricing import prices_of
from instances.requesting import kind_of
from instances.states import LIVE


@dataclass(frozen=True, slots=True)
class Shown:
    """A preset with its price at most, address in it. USD. `is_stuck`: no type of it can be launched."""

    preset: Preset
    facts: TypeFacts | None
    usd_hour: Decimal
    session_usd: Decimal  # set aside for one
    live: int  # machines now

    @property
    def is_stuck(self) -> bool:
        return not self.usd_hour


@require_safe
@signed_in
@never_cache
def preset_list(request: HttpRequest, slug: str) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    context = {"now": timezone.now(), "course": course, "shown": _shown(course)}
    return render(request, "people/presets.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@never_cache
def preset_new(request: HttpRequest, slug: str) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    form = PresetForm(None, request.POST or None, initial={"image_id": _usual_image(course)})
    rules = PresetRulesForm(course, None, request.POST or None)
    if form.is_bound and form.is_valid() & rules.is_valid():
        facts = {**form.facts(), **rules.facts()}
        made = presets.make_preset(course, facts, who=person(request), now=timezone.now())
        send_after_commit(tasks.check_preset, made.pk)
        messages.success(request, _("“%(name)s” is in the list.") % {"name": made.name})
        return redirect("presets", slug)
    context = {"course": course, "form": form, "rules": rules, "preset": None}
    return render(request, "people/preset.html", context, status=422 if form.errors or rules.errors else 200)


@require_http_methods(["GET", "HEAD", "POST"])
@signed_in
@never_cache
def preset(request: HttpRequest, slug: str, preset_slug: str) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    found = get_object_or_404(Preset, course=course, slug=preset_slug)
    form = PresetForm(found, request.POST or None)
    rules = PresetRulesForm(course, found, request.POST or None)
    if form.is_bound and form.is_valid() & rules.is_valid():
        facts = {**form.facts(), **rules.facts()}
        changed = presets.change_preset(found, facts, who=person(request), now=timezone.now())
        send_after_commit(tasks.check_preset, found.pk)
        text = _("“%(name)s” is changed, for launches from now on.") if changed else _("Nothing was different.")
        messages.success(request, text % {"name": form.cleaned_data["name"]})
        return redirect("presets", slug)
    context = {"now": timezone.now(), "course": course, "form": form, "rules": rules, "preset": found}
    return render(request, "people/preset.html", context, status=422 if form.errors or rules.errors else 200)


def _shown(course: Course) -> list[Shown]:
    """Two queries."""
    live = Count("instances", filter=Q(instances__state__in=LIVE))
    found = list(course.presets.annotate(live=live).select_related("check_result"))
    prices = prices_of(name for one in found for name in one.instance_types)
    return [_line(one, vars(one)["live"], prices) for one in found]


def _line(one: Preset, live: int, prices: Mapping[str, Decimal | None]) -> Shown:
    wanted = affordable(kind_of(one, prices=prices))
    machine = max((c.usd_hour for c in wanted), default=Decimal(0))
    usd_hour = machine + books.address_usd_hour() if machine else machine
    held = usd_for(usd_hour, one.lease_seconds + books.stop_margin().total_seconds())
    return Shown(one, facts_of(wanted[0].instance_type) if wanted else None, usd_hour, held, live)


def _usual_image(course: Course) -> str:
    """That of the course's other presets: one image serves them all, mostly."""
    last = course.presets.exclude(image_id="").order_by("-pk").first()
    return last.image_id if last else ""
