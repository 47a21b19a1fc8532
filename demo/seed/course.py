"""The demo course and everybody in it: a hundred students in teams of 3 to 5, two TAs, two instructors, a sponsor."""

import random
from dataclasses import dataclass
from datetime import date

from courses.models import Course, Enrollment, EnrollmentStatus, Milestone, Role, Team, User
from demo import people
from demo.people import Person
from demo.seed.calendar import TIMEZONE, Calendar
from demo.seed.names import Invented, invent

SLUG = "deep-learning"
# 100 students in 22 teams: most of five, two of three.
TEAM_SIZES = (5,) * 14 + (4,) * 6 + (3,) * 2
PROJECTS = (
    "Birdsong at Dawn",
    "Sketch to Code",
    "Crop Disease from a Phone",
    "Lip Reading",
    "Sign Language Captions",
    "Music from Humming",
    "Wildfire Smoke",
    "Retinal Scans",
    "Handwritten Recipes",
    "Drone Search and Rescue",
    "Parking Spots",
    "Chess from Video",
    "News in Three Lines",
    "Old Photographs in Color",
    "Coral Reef Census",
    "Traffic at Night",
    "Protein Shapes",
    "Satellite Rooftops",
    "Whale Calls",
    "Garbage Sorting",
    "Basketball Plays",
    "Earthquake Signals",
)


@dataclass(frozen=True, slots=True)
class Roster:
    course: Course
    students: list[Enrollment]  # active; the first is the one that the demo's visitor signs in as
    assistants: list[Enrollment]
    instructors: list[Enrollment]


def make_course(calendar: Calendar) -> Course:
    course = Course.objects.create(
        slug=SLUG,
        name="Introduction to Deep Learning",
        term=_term(calendar.starts_on),
        timezone=TIMEZONE,
        starts_on=calendar.starts_on,
        ends_on=calendar.ends_on,
        contact=people.TA.email,
    )
    Milestone.objects.bulk_create(
        Milestone(course=course, name=work.name, handed_out_on=work.handed_out_on, due_on=work.due_on)
        for work in calendar.work
    )
    return course


def _term(starts_on: date) -> str:
    season = "Spring" if starts_on.month < 6 else "Summer" if starts_on.month < 8 else "Fall"
    return f"{season} {starts_on.year}"


def enroll_everybody(rng: random.Random, course: Course) -> Roster:
    taken = {p.name for p in people.PEOPLE} | {p.email for p in people.PEOPLE}
    crowd = invent(rng, taken)
    teams = _teams(course)
    seats = [team for team, size in zip(teams, TEAM_SIZES, strict=True) for _n in range(size)]
    known: list[Person | Invented] = [people.STUDENT, people.SECOND_STUDENT]
    students = known + [next(crowd) for _n in range(len(seats) - len(known))]
    lines = [_line(course, who, Role.STUDENT, team) for who, team in zip(students, seats, strict=True)]
    assistants = [_line(course, who, Role.TA) for who in (people.TA, next(crowd))]
    instructors = [_line(course, who, Role.INSTRUCTOR) for who in (people.INSTRUCTOR, next(crowd))]
    gone = [_line(course, next(crowd), Role.STUDENT) for _n in range(3)]
    for line in gone:
        line.status = EnrollmentStatus.DROPPED
    gone[-1].status = EnrollmentStatus.WAITLISTED
    gone.append(_line(course, next(crowd), Role.AUDITOR))  # not here yet: a guest who may look
    sponsor = _line(course, people.SPONSOR, Role.SPONSOR)
    _sign_in([*lines, *assistants, *instructors, sponsor])
    Enrollment.objects.bulk_create([*lines, *assistants, *instructors, sponsor, *gone])
    return Roster(course, lines, assistants, instructors)


def _teams(course: Course) -> list[Team]:
    return Team.objects.bulk_create(
        Team(course=course, name=f"Team {number:02d}: {project}") for number, project in enumerate(PROJECTS, start=1)
    )


def _line(course: Course, who: Person | Invented, role: Role, team: Team | None = None) -> Enrollment:
    return Enrollment(course=course, email=who.email, name=who.name, role=role, team=team)


def _sign_in(lines: list[Enrollment]) -> None:
    """They have all been here before; only then is there a person behind a roster line."""
    users = User.objects.bulk_create(_person(line) for line in lines)
    for line, user in zip(lines, users, strict=True):
        line.user = user


def _person(line: Enrollment) -> User:
    user = User(email=line.email, full_name=line.name)
    user.set_unusable_password()
    return user
