"""Doors of a student's own team: form one, invite by address, answer, leave. Who is in other teams is not shown."""

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST, require_safe

from courses import teams as roster_teams
from courses.access import student_enrollment_in
from courses.doors import person, signed_in
from courses.invitations import TeamInvitation
from courses.models import Enrollment
from courses.teams import TeamRefused
from portal import teams
from portal.forms_teams import InviteForm, NameForm
from spend.models import Budget, Level

Status = TeamInvitation.Status


@require_safe
@signed_in
@never_cache
def own_team(request: HttpRequest, slug: str) -> HttpResponse:
    return _page(request, student_enrollment_in(request.user, slug))


@require_POST
@signed_in
def own_team_form(request: HttpRequest, slug: str) -> HttpResponse:
    me = student_enrollment_in(request.user, slug)
    form = NameForm(request.POST)
    if form.is_valid():
        try:
            teams.form_own(me, form.cleaned_data["name"], who=person(request), now=timezone.now())
        except teams.REFUSALS as refused:
            form.add_error(getattr(refused, "field", None), str(refused))
        else:
            messages.success(request, _("Your team is formed. Now invite the others."))
            return redirect("own_team", slug)
    return _page(request, me, name=form)


@require_POST
@signed_in
def own_team_invite(request: HttpRequest, slug: str) -> HttpResponse:
    me = student_enrollment_in(request.user, slug)
    form = InviteForm(request.POST)
    if form.is_valid():
        try:
            sent = teams.invite(me, form.cleaned_data["email"], timezone.now())
        except TeamRefused as refused:
            form.add_error(refused.field, str(refused))
        else:
            messages.success(
                request, _("%(name)s has a mail, and finds the invitation here.") % {"name": sent.invited.name}
            )
            return redirect("own_team", slug)
    return _page(request, me, invite=form)


@require_POST
@signed_in
def own_team_answer(request: HttpRequest, slug: str, invitation_id: int) -> HttpResponse:
    """Accept or decline, by the one who is invited."""
    me = student_enrollment_in(request.user, slug)
    invitations = TeamInvitation.objects.select_related("team", "invited__course")
    asked = get_object_or_404(invitations, pk=invitation_id, invited=me)
    now = timezone.now()
    if request.POST.get("answer") != "accept":
        roster_teams.answered(asked, Status.DECLINED, now)
        return redirect("own_team", slug)
    try:
        joined = teams.accept(asked, who=person(request), now=now)
    except teams.REFUSALS as refused:
        messages.error(request, str(refused))
    else:
        text = _("You are in “%(team)s”.") if joined else _("This invitation is not open any more.")
        messages.success(request, text % {"team": asked.team.name})
    return redirect("own_team", slug)


@require_POST
@signed_in
def own_team_withdraw(request: HttpRequest, slug: str, invitation_id: int) -> HttpResponse:
    """By any member of the team that invited."""
    me = student_enrollment_in(request.user, slug)
    asked = get_object_or_404(TeamInvitation, pk=invitation_id, team=me.team_id or 0)
    roster_teams.answered(asked, Status.WITHDRAWN, timezone.now())
    return redirect("own_team", slug)


@require_POST
@signed_in
def own_team_leave(request: HttpRequest, slug: str) -> HttpResponse:
    me = student_enrollment_in(request.user, slug)
    try:
        if teams.leave(me, who=person(request), now=timezone.now()):
            messages.success(request, _("You are in no team now."))
    except teams.REFUSALS as refused:
        messages.error(request, str(refused))
    return redirect("own_team", slug)


def _page(
    request: HttpRequest, me: Enrollment, *, name: NameForm | None = None, invite: InviteForm | None = None
) -> HttpResponse:
    team = me.team
    waiting = TeamInvitation.objects.filter(status=Status.OPEN)
    members = list(roster_teams.members_of(team)) if team else []
    asked = list(waiting.filter(team=team).select_related("invited")) if team else []
    context = {
        "now": timezone.now(),
        "course": me.course,
        "me": me,
        "members": members,
        "budget": Budget.objects.filter(team=team, level=Level.TEAM).first() if team else None,
        "asked": asked,
        "full": invite is None and len(members) + len(asked) >= me.course.team_max,
        "invited_to": list(waiting.filter(invited=me).select_related("team", "by")),
        "name_form": name or NameForm(),
        "invite_form": invite or InviteForm(),
    }
    return render(request, "course/team.html", context, status=422 if name or invite else 200)
