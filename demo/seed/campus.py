"""Sections, numbers, defaults, latecomers, an invitation, an exception, traces: no page of people is empty."""

from datetime import datetime, timedelta
from decimal import Decimal

from courses import course_settings
from courses.audit import Kind, note
from courses.invitations import TeamInvitation
from courses.models import Enrollment, EnrollmentStatus, User
from courses.rostering import Facts
from courses.setting_up import STEPS, confirm_step
from demo.people import DOMAIN, OPERATOR, STRANGER
from demo.seed.course import Roster
from demo.seed.desk import PERSON_USD, TEAM_USD
from instances.limits import Limits
from instances.overriding import set_limits
from portal import people
from spend.defaults import set_defaults

_SECTIONS = ("DIS 101", "DIS 102", "DIS 103", "DIS 104")
_FAR, _OFFICE = "203.0.113.77", "192.0.2.40"
_LATE = (("Rosa Blum", "rosa.blum"), ("Idris Vale", "idris.vale"))


def settle_the_campus(roster: Roster, now: datetime) -> None:
    who = roster.instructors[0].user
    assert who  # noqa: S101 - the seed has signed everybody in
    User.objects.create_user(OPERATOR.email, full_name=OPERATOR.name, is_operator=True)
    for n, line in enumerate(roster.students):
        line.section, line.roster_key = _SECTIONS[n % len(_SECTIONS)], f"30{31_000_000 + 7919 * n}"
    Enrollment.objects.bulk_update(roster.students, ["section", "roster_key"])
    course_settings.change(roster.course, {"email_domain": DOMAIN}, who=who, now=now)
    for step in STEPS:
        confirm_step(roster.course, step, who=who, now=now)
    set_defaults(roster.course, team_usd=Decimal(TEAM_USD), person_usd=Decimal(PERSON_USD))
    late = [
        people.add_person(
            roster.course, Facts(name, f"{login}@{DOMAIN}", section="DIS 104"), by="instructor", who=who, now=now
        )
        for name, login in _LATE
    ]
    small = next(line for line in reversed(roster.students) if line.team_id)
    assert small.team  # noqa: S101 - as it was chosen
    TeamInvitation.objects.create(team=small.team, invited=late[0], by=small, at=now)
    why = "Accommodation letter: longer evenings, until the end of term."
    set_limits(roster.students[2], Limits(keep_hours=24), why=why, who=who, now=now)
    _leave_traces(roster, now)


def _leave_traces(roster: Roster, now: datetime) -> None:
    """What the audit and “who looked at your pages” would tell of the last days."""
    visitor, ta, instructor = roster.students[0], roster.assistants[0].user, roster.instructors[0].user
    door = {"by": "demo-university"}
    gone = roster.course.enrollments.exclude(status=EnrollmentStatus.ACTIVE).order_by("pk").first()
    facts = {**door, "reason": "not on a roster"}
    for days in (9, 2):
        at = now - timedelta(days=days, hours=3)
        note("sign_in_refused", kind=Kind.SIGN_IN, subject=STRANGER.email, address=_FAR, facts=facts, now=at)
    if gone:
        at = now - timedelta(days=4)
        note("sign_in_refused", kind=Kind.SIGN_IN, about=gone, subject=gone.email, address=_FAR, facts=facts, now=at)
    facts, at = {**door, "reason": "forged or broken answer"}, now - timedelta(days=1, hours=5)
    note("sign_in_failed", kind=Kind.SIGN_IN, address=_FAR, facts=facts, now=at)
    for who, days in ((ta, 6), (instructor, 3)):
        at = now - timedelta(days=days)
        note("person_page", kind=Kind.LOOK, who=who, about=visitor, address=_OFFICE, now=at)
    at = now - timedelta(days=5)
    note("roster_exported", kind=Kind.EXPORT, who=ta, course=roster.course, address=_OFFICE, now=at)
