"""Verbs on teams: form, join, leave, invite, answer. Within a transaction; the money is joined in `portal/teams.py`.

Locked in this order: roster lines by key, then the team. A team is full by its active members.
"""

from collections.abc import Iterable
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from courses.events import CourseEvent, note
from courses.invitations import TeamInvitation
from courses.models import Course, Enrollment, EnrollmentStatus, Role, Team, User

Kind = CourseEvent.Kind
Status = TeamInvitation.Status
LONGEST_NAME = 120


class TeamRefused(Exception):
    """`str()` is a sentence for the person; `field` the form's field that it belongs to, if any."""

    def __init__(self, sentence: str, field: str | None = None) -> None:
        super().__init__(sentence)
        self.field = field


def new_team(course: Course, name: str, *, who: User | None, now: datetime) -> Team:
    """Raises `TeamRefused`: another team has the name, a dissolved one too."""
    try:
        with transaction.atomic():
            team = Team.objects.create(course=course, name=name.strip()[:LONGEST_NAME])
    except IntegrityError as error:
        words = _("There is a team “%(name)s” already. Choose another name.") % {"name": name}
        raise TeamRefused(words, "name") from error
    note(course, Kind.TEAM_FORMED, team=team, who=who, now=now)
    return team


def locked_lines(pks: Iterable[int]) -> list[Enrollment]:
    """no_key, because charges refer to the lines."""
    rows = Enrollment.objects.select_for_update(no_key=True, of=("self",)).select_related("team", "course")
    return list(rows.filter(pk__in=list(pks)).order_by("pk"))


def put(line: Enrollment, team: Team | None, *, limit: bool, why: str, who: User | None, now: datetime) -> bool:
    """`line` is locked. `limit`: no more than the course's size. False when the person is there already.

    Raises `TeamRefused`: the team is full, dissolved or of another course, or the person is no active student.
    """
    if line.team_id == (team.pk if team else None):
        return False
    if team is not None:
        _may_join(line, locked(team), limit)
    before = line.team
    line.team = team
    line.save(update_fields=("team",))
    facts = {"team": [before.name if before else "", team.name if team else ""]}
    note(line.course, Kind.TEAM_MOVED, enrollment=line, team=team, why=why, who=who, now=now, facts=facts)
    mine = TeamInvitation.objects.filter(invited=line, status=Status.OPEN)
    mine.update(status=Status.LAPSED, answered_at=now)
    return True


def locked(team: Team) -> Team:
    """Nobody joins it or closes it meanwhile."""
    return Team.objects.select_for_update(no_key=True).get(pk=team.pk)


def _may_join(line: Enrollment, team: Team, limit: bool) -> None:
    if team.course_id != line.course_id or team.closed_at is not None:
        raise TeamRefused(_("This team does not exist any more."), "team")
    if line.role != Role.STUDENT or line.status != EnrollmentStatus.ACTIVE:
        raise TeamRefused(_("%(name)s is no active student of this course.") % {"name": line.name})
    if limit and members_of(team).count() >= line.course.team_max:
        words = _("“%(team)s” is full: a team has %(n)d members at most.")
        raise TeamRefused(words % {"team": team.name, "n": line.course.team_max}, "team")


def members_of(team: Team) -> QuerySet[Enrollment]:
    return Enrollment.objects.filter(team=team, status=EnrollmentStatus.ACTIVE)


def rename(team: Team, name: str, *, who: User, now: datetime) -> None:
    before = team.name
    try:
        with transaction.atomic():
            Team.objects.filter(pk=team.pk).update(name=name.strip()[:LONGEST_NAME])
    except IntegrityError as error:
        raise TeamRefused(_("Another team has this name."), "name") from error
    note(team.course, Kind.TEAM_CHANGED, team=team, who=who, now=now, facts={"name": [before, name]})


def close(team: Team, *, why: str, who: User | None, now: datetime) -> bool:
    """Nobody joins it any more; its invitations lapse. Its members have been moved before."""
    if not Team.objects.filter(pk=team.pk, closed_at=None).update(closed_at=now):
        return False
    team.invitations.filter(status=Status.OPEN).update(status=Status.LAPSED, answered_at=now)
    note(team.course, Kind.TEAM_DISSOLVED, team=team, why=why, who=who, now=now)
    return True


# ------------------------------------------------------------------ students
def invite(me: Enrollment, address: str, now: datetime) -> TeamInvitation:
    """Ask a classmate without a team into mine. Raises `TeamRefused`.

    The answer is the same for an address that is nobody's and for one that is in a team: who is where is not told.
    """
    students_may(me.course)
    if me.team is None:
        raise TeamRefused(_("Form a team first, then invite."))
    free = me.course.enrollments.filter(role=Role.STUDENT, status=EnrollmentStatus.ACTIVE, team=None)
    invited = free.filter(email__iexact=address.strip()).exclude(pk=me.pk).first()
    if invited is None:
        words = _("Nobody without a team has this address on the roster. Write it as the university does.")
        raise TeamRefused(words, "email")
    asked = me.team.invitations.filter(status=Status.OPEN).count()
    if members_of(me.team).count() + asked >= me.course.team_max:
        words = _("With those who are invited already your team is full (%(n)d). Take an invitation back first.")
        raise TeamRefused(words % {"n": me.course.team_max}, "email")
    found, _made = TeamInvitation.objects.get_or_create(
        team=me.team, invited=invited, status=Status.OPEN, defaults={"by": me, "at": now}
    )
    return found


def is_invited(line: Enrollment) -> bool:
    return TeamInvitation.objects.filter(invited=line, status=Status.OPEN).exists()


def answered(invitation: TeamInvitation, status: Status, now: datetime) -> bool:
    """False when it has its answer already."""
    mine = TeamInvitation.objects.filter(pk=invitation.pk, status=Status.OPEN)
    return bool(mine.update(status=status, answered_at=now))


def students_may(course: Course) -> None:
    """Raises `TeamRefused` where staff form the teams."""
    if not course.students_form_teams:
        raise TeamRefused(_("In this course the staff form the teams. Ask them."))
