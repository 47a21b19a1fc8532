"""Who the demo's visitor can be: Demo University lets them in, the seeded course has all but the last on its roster."""

from dataclasses import dataclass

DOMAIN = "demo.edu"
PASSWORD = "demo"  # noqa: S105 - printed on the login page


@dataclass(frozen=True, slots=True)
class Person:
    email: str
    name: str
    role: str  # a value of courses.models.Role; empty: on no roster
    says: str  # one line for the login page and for the terminal


STUDENT = Person(f"maya.lindqvist@{DOMAIN}", "Maya Lindqvist", "student", "Student: claim, launch, open the notebook")
SECOND_STUDENT = Person(f"jonas.abara@{DOMAIN}", "Jonas Abara", "student", "Student, in the same team")
TA = Person(f"tess.moreau@{DOMAIN}", "Tess Moreau", "ta", "TA: what the course spends and runs")
INSTRUCTOR = Person(f"ines.valdez@{DOMAIN}", "Ines Valdez", "instructor", "Instructor: the same, and the budgets")
SPONSOR = Person(f"sol.okafor@{DOMAIN}", "Sol Okafor", "sponsor", "Sponsor: totals and trends, no names")
OPERATOR = Person(f"olga.reyes@{DOMAIN}", "Olga Reyes", "", "Operator: creates courses, reads the audit")
STRANGER = Person(f"victor.stone@{DOMAIN}", "Victor Stone", "", "On no roster: what a stranger sees")

PEOPLE = (STUDENT, SECOND_STUDENT, TA, INSTRUCTOR, SPONSOR, OPERATOR, STRANGER)
