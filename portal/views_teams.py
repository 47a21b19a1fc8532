"""Doors of the staff's page of teams: sizes, a new team, moving people, dissolving, placing who is left over."""

import secrets

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from courses import course_settings
from courses import teams as roster_teams
from courses.access import staff_enrollment_in
from courses.doors import person, signed_in
from courses.models import Course, Team
from portal import teams
from portal.forms_teams import MoveForm, NameForm, NewTeamForm, SizesForm
from portal.team_page import teams_shown

GET_OR_POST = ["GET", "HEAD", "POST"]
_SIZES = ("team_min", "team_max", "students_form_teams")


@require_safe
@signed_in
@never_cache
def team_list(request: HttpRequest, slug: str) -> HttpResponse:
    return _page(request, staff_enrollment_in(request.user, slug).course)


@require_POST
@signed_in
def team_sizes(request: HttpRequest, slug: str) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    form = SizesForm(request.POST)
    if not form.is_valid():
        return _page(request, course, sizes=form)
    course_settings.change(course, form.cleaned_data, who=person(request), now=timezone.now())
    messages.success(request, _("Saved. Teams that exist stay as they are."))
    return redirect("teams", slug)


@require_POST
@signed_in
def team_new(request: HttpRequest, slug: str) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    form = NewTeamForm(course, request.POST)
    if form.is_valid():
        said = form.cleaned_data
        try:
            team = teams.form(
                course, said["name"], said["members"], limit=False, why="", who=person(request), now=timezone.now()
            )
        except teams.REFUSALS as refused:
            form.add_error(getattr(refused, "field", None), str(refused))
        else:
            messages.success(request, _("“%(name)s” is formed.") % {"name": team.name})
            return redirect("team", slug, team.pk)
    return _page(request, course, new=form)


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def team(request: HttpRequest, slug: str, team_id: int) -> HttpResponse:
    """One team: its members and money; a POST renames it."""
    course = staff_enrollment_in(request.user, slug).course
    found = _team(course, team_id)
    form = NameForm(request.POST or None, initial={"name": found.name})
    if form.is_bound and form.is_valid():
        try:
            roster_teams.rename(found, form.cleaned_data["name"], who=person(request), now=timezone.now())
        except roster_teams.TeamRefused as refused:
            form.add_error(refused.field, str(refused))
        else:
            return redirect("team", slug, found.pk)
    shown = teams_shown(course)
    context = {
        "now": timezone.now(),
        "course": course,
        "shown": next(one for one in [*shown.teams, *shown.closed] if one.team.pk == found.pk),
        "form": form,
        "move": MoveForm(course),
        "events": found.events.select_related("who", "enrollment").order_by("-at", "-pk")[:30],
    }
    return render(request, "people/team.html", context, status=422 if form.errors else 200)


@require_POST
@signed_in
def team_move(request: HttpRequest, slug: str, enrollment_id: int) -> HttpResponse:
    """One person into another team, or out of any."""
    course = staff_enrollment_in(request.user, slug).course
    line = get_object_or_404(course.enrollments.select_related("team", "course"), pk=enrollment_id)
    form = MoveForm(course, request.POST)
    if not form.is_valid():
        messages.error(request, _("This team does not exist any more."))
        return redirect("teams", slug)
    goal, why = form.cleaned_data["team"], form.cleaned_data["why"]
    try:
        moved = teams.move(line, goal, limit=False, why=why, who=person(request), now=timezone.now())
    except teams.REFUSALS as refused:
        messages.error(request, str(refused))
        return redirect("teams", slug)
    words = {"name": line.name, "team": goal.name if goal else _("no team")}
    if moved:
        messages.success(request, _("%(name)s: %(team)s. What was spent stays with the team that spent it.") % words)
    else:
        messages.info(request, _("%(name)s is there already: %(team)s. Choose another team to move to.") % words)
    return redirect("teams", slug)


@require_POST
@signed_in
def team_dissolve(request: HttpRequest, slug: str, team_id: int) -> HttpResponse:
    course = staff_enrollment_in(request.user, slug).course
    found, why = _team(course, team_id), request.POST.get("why", "").strip()[:300]
    try:
        n = teams.dissolve(found, why=why, who=person(request), now=timezone.now())
    except teams.REFUSALS as refused:
        messages.error(request, str(refused))
        return redirect("team", slug, found.pk)
    text = ngettext(
        "“%(team)s” is dissolved: %(n)d person is in no team.",
        "“%(team)s” is dissolved: %(n)d people are in no team.",
        n,
    )
    messages.success(request, text % {"team": found.name, "n": n})
    return redirect("teams", slug)


@require_http_methods(GET_OR_POST)
@signed_in
@never_cache
def team_draw(request: HttpRequest, slug: str) -> HttpResponse:
    """Who is in no team, placed at random: first to look at; a POST does what was shown."""
    course = staff_enrollment_in(request.user, slug).course
    said = request.POST.get("seed", "") if request.method == "POST" else request.GET.get("seed", "")
    seed = int(said) if said.isdecimal() and len(said) < 12 else secrets.randbelow(10**9)
    drawn = teams.draw(course, seed)
    if request.method == "POST" and request.POST.get("people") == _told(drawn):
        placed = teams.place(drawn, course, who=person(request), now=timezone.now())
        text = ngettext("%(n)d person is placed.", "%(n)d people are placed.", placed.people)
        messages.success(request, text % {"n": placed.people})
        for sentence in placed.refused:
            messages.warning(request, sentence)
        return redirect("teams", slug)
    context = {"course": course, "drawn": drawn, "told": _told(drawn), "changed": request.method == "POST"}
    return render(request, "people/draw.html", context, status=409 if context["changed"] else 200)


def _told(drawn: teams.Draw) -> str:
    """Who goes where, so that nothing else is done than what was looked at."""
    joins = [f"{team.pk}:{'.'.join(str(line.pk) for line in who)}" for team, who in drawn.joins]
    new = [".".join(str(line.pk) for line in who) for _name, who in drawn.new]
    return "|".join([*joins, *new])


def _team(course: Course, team_id: int) -> Team:
    return get_object_or_404(course.teams, pk=team_id)


def _page(
    request: HttpRequest, course: Course, *, sizes: SizesForm | None = None, new: NewTeamForm | None = None
) -> HttpResponse:
    context = {
        "now": timezone.now(),
        "course": course,
        "shown": teams_shown(course),
        "sizes": sizes or SizesForm(initial={name: getattr(course, name) for name in _SIZES}),
        "new": new or NewTeamForm(course),
        "move": MoveForm(course),
    }
    return render(request, "people/teams.html", context, status=422 if sizes or new else 200)
