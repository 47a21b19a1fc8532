"""Verbs on roster lines: bring in what a file says, add, change, close and reopen one. Each writes its event.

Money, machines and codes of whoever comes or goes are joined in `portal/people.py`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import IntegrityError, transaction
from django.db.models import Case, When
from django.utils.translation import gettext as _

from courses.events import CourseEvent, note
from courses.models import Course, Enrollment, EnrollmentStatus, Role, User
from courses.roster import Person
from courses.roster_diff import Change, Diff, Known

Kind = CourseEvent.Kind
_FIELDS = {"key": "roster_key"}  # the file's words for our columns; the others are the same
_CHUNK = 500


class RosterRefused(Exception):
    """`str()` is a sentence for the person; `field` the form's field that it belongs to, if any."""

    def __init__(self, sentence: str, field: str | None = None) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True, slots=True)
class Facts:
    """What staff type about one person."""

    name: str
    email: str
    role: str = Role.STUDENT
    section: str = ""
    roster_key: str = ""


def known_lines(course: Course) -> list[Known]:
    """The roster as it stands. One query."""
    rows = course.enrollments.values_list(
        "pk", "email", "name", "roster_key", "role", "status", "section", "team__name"
    )
    return [Known(*row[:-1], team=row[-1] or "") for row in rows]


def locked_course(course: Course) -> Course:
    """One change of the roster at a time: what was compared is still so when it is written."""
    return Course.objects.select_for_update(no_key=True).get(pk=course.pk)


def apply_diff(course: Course, diff: Diff, *, who: User, now: datetime) -> list[Enrollment]:
    """Adds and changes what the file says; nobody is closed here. Within a transaction that holds the course.

    Returns the new lines.
    """
    new = Enrollment.objects.bulk_create([_line(course, person) for person in diff.added], batch_size=_CHUNK)
    changed = _change_all(diff.changed)
    link_known_people(course)
    CourseEvent.objects.bulk_create(
        [
            *(_event(line, Kind.ADDED, {"role": line.role, "status": line.status}, who, now) for line in new),
            *(_event(line, Kind.CHANGED, _told(change), who, now) for line, change in changed),
        ],
        batch_size=_CHUNK,
    )
    facts = {"added": len(new), "changed": len(changed), "problems": len(diff.problems), "not_in_file": len(diff.gone)}
    note(course, Kind.IMPORTED, who=who, now=now, facts=facts)
    return new


def _line(course: Course, person: Person) -> Enrollment:
    return Enrollment(
        course=course,
        email=person.email,
        name=person.name,
        role=person.role or Role.STUDENT,
        status=person.status or EnrollmentStatus.ACTIVE,
        section=person.section,
        roster_key=person.key,
    )


def _change_all(changes: Sequence[Change]) -> list[tuple[Enrollment, Change]]:
    lines = Enrollment.objects.select_for_update(no_key=True).order_by("pk").in_bulk([c.known.pk for c in changes])
    for change in changes:
        for name, _before, after in change.what:
            if name == "team":  # joined with its money by `portal/people.py`
                continue
            setattr(lines[change.known.pk], _FIELDS.get(name, name), after)
    fields = ["email", "name", "role", "status", "section", "roster_key"]
    Enrollment.objects.bulk_update(lines.values(), fields, batch_size=_CHUNK)
    return [(lines[change.known.pk], change) for change in changes]


def _event(line: Enrollment, kind: Kind, facts: dict[str, object], who: User, now: datetime) -> CourseEvent:
    return CourseEvent(course_id=line.course_id, kind=kind, enrollment=line, facts=facts, who=who, at=now)


def _told(change: Change) -> dict[str, object]:
    return {name: [before, after] for name, before, after in change.what}


def link_known_people(course: Course) -> None:
    """Who has signed in for another course finds this one at once, without signing in anew."""
    free = course.enrollments.filter(user=None)
    people = dict(
        User.objects.filter(email__in=free.values("email"), is_active=True)
        .exclude(enrollments__course=course)
        .values_list("email", "pk")
    )
    for line in free.filter(email__in=people):
        Enrollment.objects.filter(pk=line.pk, user=None).update(user=people[line.email])


@transaction.atomic
def add_person(course: Course, facts: Facts, *, by: Role | str, who: User, now: datetime) -> Enrollment:
    """One more line. Raises `RosterRefused`: the address is there already, or a TA lets staff in."""
    _may_give(facts.role, by)
    try:
        with transaction.atomic():
            line = Enrollment.objects.create(course=course, **asdict(facts))
    except IntegrityError as error:
        raise _there_already(course, facts.email) from error
    link_known_people(course)
    note(course, Kind.ADDED, enrollment=line, who=who, now=now, facts={"role": line.role})
    line.refresh_from_db()
    return line


@transaction.atomic
def change_person(line: Enrollment, facts: Facts, *, by: Role | str, who: User, now: datetime) -> Enrollment:
    """Raises `RosterRefused`, and then nothing is changed."""
    row = locked_line(line, by)
    if facts.role != row.role:
        _may_give(facts.role, by)
        _not_the_last_instructor(row)
    what = {k: [getattr(row, k), v] for k, v in asdict(facts).items() if getattr(row, k) != v}
    for name, (_before, after) in what.items():
        setattr(row, name, after)
    try:
        with transaction.atomic():
            row.save(update_fields=list(what))
    except IntegrityError as error:
        raise _there_already(row.course, facts.email) from error
    if what:
        link_known_people(row.course)
        note(row.course, Kind.CHANGED, enrollment=row, who=who, now=now, facts=what)
    return row


def set_status(
    line: Enrollment, status: EnrollmentStatus, *, why: str, by: Role | str, who: User, now: datetime
) -> bool:
    """Close, reopen or let in from the waitlist, within the caller's transaction. False when it is so already.

    Raises `RosterRefused`: a TA closes staff, or the last instructor would go.
    """
    row = locked_line(line, by)
    if row.status == status:
        return False
    if status != EnrollmentStatus.ACTIVE:
        _not_the_last_instructor(row)
    kind = Kind.CLOSED if status == EnrollmentStatus.DROPPED else Kind.REOPENED
    facts: dict[str, object] = {"status": [row.status, status]}
    row.status = status
    row.save(update_fields=("status",))
    note(row.course, kind, enrollment=row, why=why, who=who, now=now, facts=facts)
    line.status = status
    return True


def locked_line(line: Enrollment, by: Role | str) -> Enrollment:
    """no_key, because charges refer to the line. Raises `RosterRefused` for a TA who changes staff."""
    rows = Enrollment.objects.select_for_update(no_key=True, of=("self",)).select_related("course")
    row = rows.get(pk=line.pk)
    if row.is_staff_role and by != Role.INSTRUCTOR:
        raise RosterRefused(_("Only an instructor changes the line of a member of staff."), "role")
    return row


def _may_give(role: str, by: Role | str) -> None:
    if role != Role.STUDENT and by != Role.INSTRUCTOR:
        raise RosterRefused(_("Only an instructor makes somebody staff or sponsor."), "role")


def _not_the_last_instructor(row: Enrollment) -> None:
    if row.role != Role.INSTRUCTOR:
        return
    others = row.course.enrollments.filter(role=Role.INSTRUCTOR, status=EnrollmentStatus.ACTIVE).exclude(pk=row.pk)
    if not others.exists():
        raise RosterRefused(_("This is the only instructor: make somebody else one first."), "role")


def _there_already(course: Course, email: str) -> RosterRefused:
    found = course.enrollments.filter(email__iexact=email).first()
    words = {"name": found.name if found else email}
    return RosterRefused(_("This address is on the roster already: %(name)s.") % words, "email")


def lines_to_show(course: Course) -> Iterable[Enrollment]:
    """Staff first, then by name; who has left comes last. One query."""
    has_left = Case(When(status=EnrollmentStatus.DROPPED, then=1), default=0)
    is_student = Case(When(role=Role.STUDENT, then=1), default=0)
    return course.enrollments.select_related("user", "team").order_by(has_left, is_student, "name", "pk")
