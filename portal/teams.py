"""Teams with their money: forming, moving and dissolving them, by staff and by students. Rows only.

What a team spent stays with it; what is held for a machine goes with its owner, or the move is refused with the reason.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from django.utils.translation import gettext as _

from courses import teams
from courses.invitations import TeamInvitation
from courses.models import Course, Enrollment, EnrollmentStatus, Role, Team, User
from courses.teaming import Plan, place_leftovers
from courses.teams import TeamRefused
from credits import letters
from credits.telling import in_portal_language
from spend.defaults import open_missing
from spend.moving import MoveRefused, close_team_budget, move_budget

REFUSALS = (TeamRefused, MoveRefused)
Status = TeamInvitation.Status


@transaction.atomic
def move(line: Enrollment, team: Team | None, *, limit: bool, why: str, who: User | None, now: datetime) -> bool:
    """Into the team, or out of any. Raises `REFUSALS`, and then nobody has moved."""
    [row] = teams.locked_lines([line.pk])
    moved = teams.put(row, team, limit=limit, why=why, who=who, now=now)
    if moved:
        move_budget(row, team, why=why or _("Moved to another team"), who=who, now=now)
    return moved


@transaction.atomic
def form(
    course: Course, name: str, members: Sequence[Enrollment], *, limit: bool, why: str, who: User | None, now: datetime
) -> Team:
    """A new team with its budget and its first members. Raises `REFUSALS`, and then there is none."""
    lines = teams.locked_lines(line.pk for line in members)
    team = teams.new_team(course, name, who=who, now=now)
    for line in lines:
        teams.put(line, team, limit=limit, why=why, who=who, now=now)
    open_missing(course, why=_("A new team"), who=who, now=now)
    for line in lines:
        move_budget(line, team, why=why or _("A new team"), who=who, now=now)
    return team


@transaction.atomic
def dissolve(team: Team, *, why: str, who: User | None, now: datetime) -> int:
    """Its members are without a team, those who have left the course too; what it spent stays its own.

    Returns how many members it had. Raises `REFUSALS`.
    """
    lines = teams.locked_lines(team.members.values_list("pk", flat=True))
    teams.locked(team)
    if team.members.count() > len(lines):
        raise TeamRefused(_("Somebody has just joined this team. Look again."))
    for line in lines:
        teams.put(line, None, limit=False, why=why, who=who, now=now)
    teams.close(team, why=why, who=who, now=now)
    for line in lines:
        move_budget(line, None, why=why or _("The team is dissolved"), who=who, now=now)
    close_team_budget(team, why=why or _("The team is dissolved"), who=who, now=now)
    return len(lines)


# ------------------------------------------------------------------ students
@transaction.atomic
def form_own(me: Enrollment, name: str, *, who: User, now: datetime) -> Team:
    """Raises `REFUSALS`."""
    teams.students_may(me.course)
    [row] = teams.locked_lines([me.pk])
    if row.team_id is not None:
        raise TeamRefused(_("You are in a team already. Leave it first."), "name")
    return form(row.course, name, [row], limit=True, why="", who=who, now=now)


@transaction.atomic
def invite(me: Enrollment, address: str, now: datetime) -> TeamInvitation:
    """As `courses.teams.invite`, with a letter to whoever is invited. Raises `TeamRefused`.

    One letter for an invitation, however often it is said, and one a day: taking it back and asking again sends none.
    """
    asked = teams.invite(me, address, now)
    with in_portal_language():
        words = {"team": asked.team.name, "course": me.course.name, "by": me.name, "link": _own_team_address(me.course)}
        body = _(
            "%(by)s invites you into the team “%(team)s” of %(course)s.\n\n"
            "Accept or decline here, after signing in with your university account:\n%(link)s\n\n"
            "Nothing changes until you accept.\n"
        )
        subject = _("%(by)s invites you into “%(team)s”") % words
    key = f"invitation/{asked.team_id}/{asked.invited_id}/{asked.at:%Y-%m-%d}"
    letters.write(key, to=asked.invited.email, subject=subject, body=body % words, now=now)
    return asked


def _own_team_address(course: Course) -> str:
    return settings.PORTAL_URL + reverse("own_team", args=[course.slug])


@transaction.atomic
def accept(invitation: TeamInvitation, *, who: User, now: datetime) -> bool:
    """False when it has its answer already. Raises `REFUSALS`, and then it stays open."""
    me = invitation.invited
    teams.students_may(me.course)
    [row] = teams.locked_lines([me.pk])
    if row.team_id is not None:
        raise TeamRefused(_("You are in a team already. Leave it first."))
    if not teams.answered(invitation, Status.ACCEPTED, now):
        return False
    move(row, invitation.team, limit=True, why=_("Invited"), who=who, now=now)
    return True


@transaction.atomic
def leave(me: Enrollment, *, who: User, now: datetime) -> bool:
    """Out of one's team; the last one to leave puts out the light. Raises `REFUSALS`."""
    teams.students_may(me.course)
    [row] = teams.locked_lines([me.pk])
    team = row.team
    if team is None:
        return False
    teams.locked(team)
    if team.members.exclude(pk=row.pk).exists():
        return move(row, None, limit=False, why=_("Left the team"), who=who, now=now)
    dissolve(team, why=_("Nobody is in it any more"), who=who, now=now)
    return True


# ------------------------------------------------------------------ leftovers
@dataclass(frozen=True, slots=True)
class Draw:
    """A lottery as it would be drawn with this seed."""

    seed: int
    joins: list[tuple[Team, list[Enrollment]]]
    new: list[tuple[str, list[Enrollment]]]  # name of the team to come
    left: list[Enrollment]

    @property
    def people(self) -> int:
        return sum(len(who) for _team, who in [*self.joins, *self.new])


def draw(course: Course, seed: int) -> Draw:
    """Everybody who is in no team, placed. Two queries; writes nothing."""
    active = course.enrollments.filter(role=Role.STUDENT, status=EnrollmentStatus.ACTIVE).order_by("name", "pk")
    lines = {line.pk: line for line in active.select_related("course")}
    open_teams = {team.pk: team for team in course.teams.filter(closed_at=None)}
    sizes = {pk: sum(line.team_id == pk for line in lines.values()) for pk in open_teams}
    alone = [pk for pk, line in lines.items() if line.team_id is None]
    plan = place_leftovers(sizes, alone, least=course.team_min, most=course.team_max, seed=seed)
    return _drawn(course, plan, seed, open_teams, lines)


def _drawn(
    course: Course, plan: Plan, seed: int, open_teams: Mapping[int, Team], lines: Mapping[int, Enrollment]
) -> Draw:
    taken = {name.lower() for name in course.teams.values_list("name", flat=True)}
    free = (name for n in range(1, 10_000) if (name := _("Team %(n)d") % {"n": n}).lower() not in taken)
    return Draw(
        seed=seed,
        joins=[(open_teams[pk], [lines[p] for p in who]) for pk, who in sorted(plan.joins.items())],
        new=[(next(free), [lines[p] for p in who]) for who in plan.new],
        left=[lines[p] for p in plan.left],
    )


@dataclass(frozen=True, slots=True)
class Placed:
    people: int
    refused: list[str]  # sentences: for whom it did not work, and why


def place(drawn: Draw, course: Course, *, who: User, now: datetime) -> Placed:
    """What was drawn, each join and each new team by itself: one that is refused keeps nobody else out."""
    placed, refused = 0, []
    why = _("Placed at random")
    for team, people in drawn.joins:
        for line in people:
            try:
                placed += move(line, team, limit=True, why=why, who=who, now=now)
            except REFUSALS as error:
                refused.append(f"{line.name}: {error}")
    for name, people in drawn.new:
        try:
            form(course, name, people, limit=True, why=why, who=who, now=now)
            placed += len(people)
        except REFUSALS as error:
            refused.append(f"{name}: {error}")
    return Placed(placed, refused)
