"""People come and go, joined: roster lines with budgets, machines, notebooks, requests and places in queues.

Rows only. Whoever calls this tells AWS after the commit: `Left.machines` are to be stopped.
"""

from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from courses import rostering
from courses.invitations import TeamInvitation
from courses.models import Course, Enrollment, EnrollmentStatus, Role, User
from courses.roster import Columns, read_roster
from courses.roster_diff import Diff, compare
from courses.roster_profiles import remember
from courses.rostering import Facts
from courses.tables import Table
from credits import queue, requests
from credits.models import CodeBatch, CreditRequest
from credits.requests import RequestRefused
from instances.grants import revoke_for_instance
from instances.models import Instance
from instances.states import ENDED, State
from instances.stopping import request_stop
from portal import teams
from spend.defaults import open_missing


@dataclass(frozen=True, slots=True)
class Left:
    """What closing people did. `machines` are to be stopped at AWS."""

    people: int
    machines: list[int]


@dataclass(frozen=True, slots=True)
class Imported:
    diff: Diff  # as it was carried out
    left: Left
    budgets: int  # opened
    not_moved: list[str]  # who is not in the team that the file says, and why


def preview(course: Course, table: Table, columns: Columns, by: Role | str) -> Diff:
    """What an import would do. One query; writes nothing."""
    return compare(
        read_roster(table, columns),
        rostering.known_lines(course),
        roles=columns.roles,
        by_instructor=by == Role.INSTRUCTOR,
    )


@transaction.atomic
def import_roster(
    course: Course, table: Table, columns: Columns, gone: Collection[int], *, by: Role | str, who: User, now: datetime
) -> Imported:
    """All that the file says, and the closing of those in `gone` who are still not in it; or nothing at all.

    Compared anew under the course's lock: two people who import at once bring nobody in twice.
    """
    locked = rostering.locked_course(course)
    diff = preview(locked, table, columns, by)
    rostering.apply_diff(locked, diff, who=who, now=now)
    if columns.domain and columns.domain != locked.email_domain:
        locked.email_domain = columns.domain
        locked.save(update_fields=("email_domain",))
    remember(locked, table, columns, who=who, now=now)
    leaving = [known.pk for known in diff.gone if known.pk in gone]
    why = _("No longer in the roster file")
    left = close_people(Enrollment.objects.filter(pk__in=leaving), why=why, by=by, who=who, now=now)
    # Money last: whoever moves money locks people's rows before it.
    opened = open_missing(locked, why=_("On the roster"), who=who, now=now)
    return Imported(diff, left, opened, _put_in_teams(locked, diff, who, now))


def _put_in_teams(course: Course, diff: Diff, who: User, now: datetime) -> list[str]:
    """As the file says; the size limit is for students. Returns for whom it did not work, and why."""
    wanted = {person.email: person.team for person in diff.added if person.team}
    for change in diff.changed:
        said = {name: after for name, _before, after in change.what}
        if "team" in said:
            wanted[said.get("email", change.known.email)] = said["team"]
    if not wanted:
        return []
    lines = list(course.enrollments.filter(email__in=wanted).select_related("course").order_by("pk"))
    known = {team.name.lower(): team for team in course.teams.all()}
    refused = []
    for name in dict.fromkeys(wanted[line.email] for line in lines):
        if name.lower() not in known:
            known[name.lower()] = teams.form(course, name, [], limit=False, why="", who=who, now=now)
    for line in lines:
        try:
            team = known[wanted[line.email].lower()]
            teams.move(line, team, limit=False, why=_("By the roster file"), who=who, now=now)
        except teams.REFUSALS as error:
            refused.append(f"{line.name}: {error}")
    return refused


@transaction.atomic
def add_person(course: Course, facts: Facts, *, by: Role | str, who: User, now: datetime) -> Enrollment:
    """One person with a budget by the course's defaults. Raises `RosterRefused`."""
    line = rostering.add_person(course, facts, by=by, who=who, now=now)
    open_missing(course, why=_("On the roster"), who=who, now=now)
    return line


def close_people(lines: Iterable[Enrollment], *, why: str, by: Role | str, who: User, now: datetime) -> Left:
    """They are out at once: no page, no notebook, no claim; their machines stop with a letter, disks and money stay.

    Raises `RosterRefused`, and then nobody is closed.
    """
    closing = sorted(lines, key=lambda line: line.pk)
    with transaction.atomic():
        closed = [
            line
            for line in closing
            if rostering.set_status(line, EnrollmentStatus.DROPPED, why=why, by=by, who=who, now=now)
        ]
        TeamInvitation.objects.filter(invited__in=closed, status="open").update(status="lapsed", answered_at=now)
        return Left(len(closed), _stop_machines(closed, who, now))


@transaction.atomic
def reopen(line: Enrollment, *, why: str, by: Role | str, who: User, now: datetime) -> bool:
    """Back in, or in from the waitlist, with a budget if there was none. Raises `RosterRefused`."""
    changed = rostering.set_status(line, EnrollmentStatus.ACTIVE, why=why, by=by, who=who, now=now)
    if changed:
        open_missing(line.course, why=_("On the roster"), who=who, now=now)
    return changed


def finish_closing(course: Course, *, who: User, now: datetime) -> None:
    """Requests and places in queues of people who have left, after the commit: a request and a batch are locked
    before the people whom they concern. Left undone by a crash, the sweep of the codes closes the places."""
    gone = CreditRequest.objects.filter(course=course, team=None, enrollment__status=EnrollmentStatus.DROPPED)
    for request in gone.filter(status=CreditRequest.Status.ASKED):
        with suppress(RequestRefused):  # answered in this second
            requests.deny(request, why=_("You are no longer in this course."), who=who, now=now)
    for batch in CodeBatch.objects.filter(course=course, waits__closed_at=None, waits__isnull=False).distinct():
        queue.close_lost_places(batch, now)


def _stop_machines(lines: Collection[Enrollment], who: User, now: datetime) -> list[int]:
    """Those that AWS knows first: forgetting one that was not launched yet moves money, and money comes last."""
    reason = _("Stopped: you are no longer in this course. The disk stays until the end of the course. Ask the staff.")
    found = Instance.objects.filter(owner__in=lines).exclude(state__in=ENDED).select_related("owner", "course")
    stopping = []
    for machine in sorted(found, key=lambda machine: (machine.state == State.REQUESTED, machine.pk)):
        revoke_for_instance(machine, now=now)
        if request_stop(machine, reason=reason, who=who, now=now, mail=True) and machine.state == State.STOPPING:
            stopping.append(machine.pk)
    return stopping
