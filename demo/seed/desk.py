"""What the demo course offers and how strict it is: presets, policy, budgets."""

import os
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from cloud.prices import price_of
from courses.models import Course, User
from demo.seed.calendar import Calendar
from demo.seed.course import Roster
from instances.launch_rules import start_of
from instances.models import Policy, Preset
from instances.policy_edits import change_policy
from instances.policy_rules import Window, to_json
from spend.models import Level
from spend.opening import create_budget, open_budgets
from spend.services import budget_of, set_amount

COURSE_USD = Decimal(30_000)
TEAM_USD = Decimal(1_500)
PERSON_USD = Decimal(300)
# The image that the simulated AWS knows; the launcher says which.
_IMAGE = os.environ.get("LAMPLIGHTER_DEMO_IMAGE_ID", "ami-0d2c7a3d4a1a57157")
_SAVE_SCRIPT = """# The newest checkpoint survives whatever happens to the folder it was written in.
mkdir -p ~/kept && cp -p ~/checkpoints/* ~/kept/ 2>/dev/null || true"""
# Short, so that a visitor can watch a lease being renewed.
_LEASE_SECONDS = 15 * 60


def set_up_policy(roster: Roster, calendar: Calendar) -> Policy:
    """Two minutes from the last use to the stop: idleness can be watched. A real course keeps the defaults.

    The week before the project's deadline is a crunch week, with the row that says why.
    """
    course = roster.course
    policy = Policy.objects.create(
        course=course,
        quiet_seconds=120,
        warn_seconds=60,
        blind_seconds=240,
        hung_seconds=600,
        boot_seconds=300,
        keep_hours_max=12,
        report_seconds=5,
        save_script=_SAVE_SCRIPT,
        save_seconds=20,
    )
    last = calendar.work[-1]
    due = start_of(last.due_on + timedelta(days=1), course.timezone)
    crunch = Window("Crunch week", due - timedelta(days=7), due, quiet=600, warn=120)
    change_policy(
        course,
        replace(policy.rules, windows=(crunch,)),
        seen=to_json(policy.rules),
        to_running=True,
        why=f"{last.name} is due: long runs, few people at the keyboard",
        who=roster.instructors[0].user,
        now=start_of(calendar.starts_on, course.timezone) + timedelta(days=2),
    )
    return policy


def offer_presets(course: Course) -> dict[str, Preset]:
    presets = [
        _preset(course, "homework", "Homework: T4 16 GB", "Every homework runs on this.", ["g4dn.xlarge"], 64),
        _preset(
            course,
            "homework-plus",
            "Homework plus: L4 24 GB",
            "Twice as fast: for the Kaggle homeworks.",
            ["g6.xlarge", "g5.xlarge"],
            64,
        ),
        _preset(
            course,
            "project",
            "Project: A10G 24 GB",
            "For training the project's models.",
            ["g5.xlarge", "g5.2xlarge"],
            100,
        ),
        _preset(
            course,
            "project-large",
            "Project large: L40S 48 GB",
            "When a model does not fit into 24 GB.",
            ["g6e.xlarge"],
            150,
        ),
    ]
    for position, preset in enumerate(presets):
        preset.position = position
    return {preset.slug: preset for preset in Preset.objects.bulk_create(presets)}


def _preset(course: Course, slug: str, name: str, purpose: str, types: list[str], disk_gb: int) -> Preset:
    return Preset(
        course=course,
        slug=slug,
        name=name,
        purpose=purpose,
        instance_types=types,
        image_id=_IMAGE,
        disk_gb=disk_gb,
        lease_seconds=_LEASE_SECONDS,
        ceiling_usd_hour=max(price_of(kind) or Decimal(0) for kind in types),
    )


def open_the_budgets(roster: Roster, first_day: datetime) -> None:
    """One sponsor pays for one course. Teams together may be promised more than there is: the course's cap holds."""
    instructor = roster.instructors[0].user
    sponsor = create_budget(
        Level.SPONSOR,
        amount_usd=COURSE_USD,
        parent=None,
        name="AWS education grant",
        why="Grant for one course",
        who=instructor,
        now=first_day,
    )
    open_budgets(
        roster.course,
        course_usd=COURSE_USD,
        team_usd=TEAM_USD,
        person_usd=PERSON_USD,
        sponsor=sponsor,
        why="Start of the course",
        who=instructor,
        now=first_day,
    )
    _give_more(roster, instructor, first_day)


def _give_more(roster: Roster, who: User | None, first_day: datetime) -> None:
    for person, weeks, why in ((23, 6, "Video data does not fit the first budget"), (58, 8, "Lost a week's training")):
        budget = budget_of(roster.students[person])
        set_amount(budget, PERSON_USD + 100, why=why, who=who, now=first_day + timedelta(weeks=weeks))
