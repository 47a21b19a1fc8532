"""Pages ask the database the same number of questions for 3 students and for 60, for one machine and for many."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from courses.models import Enrollment, Milestone, Role, Team, User
from instances.halts import Halt
from instances.models import Instance, InstanceEvent, Run
from spend.metering import ChargeLine, hour_of
from spend.models import Alarm, Budget, BudgetRelease, ChatChannel, Correction, Drift
from spend.opening import open_budgets
from spend.services import post
from tests.conftest import Cast
from tests.instances.conftest import Stage
from tests.pages.conftest import signed_in

# What each page may ask at most, the session and the masthead in it: a number that grows is a decision.
# The machine here is silent: pages that show it ask whether anybody is heard. The lights of the staff always do.
MOST = {
    "course_home": 21,
    "course_live": 11,
    "launch": 11,
    "machine": 10,
    "course_staff": 34,
    "course_staff_live": 26,
    "course_person": 15,
    # Money: of the staff, of the sponsor, of a student.
    "spend": 25,
    "spend_by": 8,
    "spend_rows": 8,
    "spend_plan": 12,
    "spend_report": 16,
    "spend_bill": 14,
    "course_budgets": 6,
    "course_alerts": 8,
    "course_halt": 10,
    "sponsor": 9,
    "money": 17,
    "money_rows": 8,
    "receipt": 6,
}
OF_STUDENTS = {"course_home", "course_live", "launch", "machine", "money", "money_rows", "receipt"}


def url_of(name: str, cast: Cast, row: Instance) -> str:
    args: dict[str, list[object]] = {
        "launch": ["dl19", "homework"],
        "machine": [row.slug],
        "course_person": ["dl19", cast.student.pk],
        "spend_by": ["dl19", "person"],
        "receipt": [row.slug, 1],
        "sponsor": [],
    }
    return reverse(name, args=args.get(name, ["dl19"]))


def asked(name: str, cast: Cast, row: Instance) -> int:
    who = cast.student if name in OF_STUDENTS else cast.ta
    client = signed_in(User.objects.get(email="aws@demo.edu") if name == "sponsor" else who.user)
    with CaptureQueriesContext(
        connection,
    ) as found:
        answer = client.get(url_of(name, cast, row))
    assert answer.status_code == 200
    return len(found)


def crowd(today: Stage, people: int) -> None:
    """More students in more teams, each with a machine that runs."""
    course = today.cast.course
    for n in range(people):
        user = User.objects.create_user(f"s{n}@demo.edu", full_name=f"Student {n}")
        team = Team.objects.get_or_create(course=course, name=f"Team {n // 4 + 2}")[0]
        Enrollment.objects.create(
            course=course, user=user, email=user.email, name=f"Student {n}", role=Role.STUDENT, team=team
        )
    usd = {"course_usd": Decimal(5000), "team_usd": Decimal(200), "person_usd": Decimal(100)}
    open_budgets(course, **usd, why="late", who=None, now=today.now)
    for enrollment in course.enrollments.filter(role=Role.STUDENT).exclude(pk=today.cast.student.pk):
        today.launch(enrollment)
    today.later(30)
    today.repair()


def past(row: Instance, machines: int) -> None:
    """The owner's many machines of earlier weeks, each with runs and events, all of it over."""
    now = timezone.now()
    for n in range(machines):
        at = now - timedelta(days=n + 1)
        old = Instance.objects.create(
            owner=row.owner,
            course=row.course,
            preset=row.preset,
            state="terminated",
            state_since=at,
            image_id="ami",
            disk_gb=64,
            lease_seconds=3600,
            notebook_token="x",
            agent_digest="x",
            agent_secret="x",
            disk_since=at,
            disk_until=at,
            disk_settled_at=at,
            created_at=at,
        )
        Run.objects.create(
            instance=old,
            number=1,
            instance_type="g4dn.xlarge",
            price_usd_hour=1,
            address_usd_hour=0,
            started_at=at,
            ended_at=at,
            settled_at=at,
        )
        InstanceEvent.objects.bulk_create(
            InstanceEvent(instance=old, kind="moved", new_state="stopped", reason="r", at=at) for _n in range(5)
        )


def money(cast: Cast, rows: range) -> None:
    """So many of whatever the staff's pages of money list: alarms, rooms, differences, corrections, releases, halts."""
    now, course = timezone.now(), cast.course
    budget = Budget.objects.get(enrollment=cast.student)
    for n in rows:
        day = now.date() - timedelta(days=n % 20)
        said = {"course": course, "enrollment": cast.student, "source": "export", "kind": "disk", "day": day}
        Drift.objects.create(**said, machine=f"m{n}", cause="untagged", provider_usd=1, as_of=now)
        Correction.objects.create(
            **said, key=f"k{n}", machine=f"m{n}", budget=budget, cause="price", amount_usd=1, why="x", at=now
        )
        ends = {"cleared_at": now} if n % 2 else {}
        Alarm.objects.create(
            course=course, kind="pace", key=f"k{n}", title="x", text="x", about=cast.student, raised_at=now, **ends
        )
        ChatChannel.objects.create(course=course, name="x", service="Slack", sealed_url="x", created_at=now)
        later = {"release_at": now + timedelta(days=1), "why": "x", "created_at": now}
        BudgetRelease.objects.create(budget=budget, amount_usd=1, who=cast.ta.user, **later)
        over = {"at": now, "lifted_at": now, "who": cast.ta.user, "lifted_by": cast.ta.user}
        Halt.objects.create(course=course, reach="all", why="x", **over)
        Milestone.objects.create(course=course, name=f"HW{n}", handed_out_on=day, due_on=day)
    lines = [ChargeLine("compute", hour_of(now) - timedelta(hours=n), 3600, Decimal("0.01"), 60) for n in rows]
    post(budget, "machine/m/run/1", lines, now, group="homework")


def test_the_number_of_questions_does_not_grow_with_people_machines_or_history(today: Stage, cast: Cast) -> None:
    row = today.running()
    sponsor = User.objects.create_user("aws@demo.edu", full_name="AWS")
    Enrollment.objects.create(course=cast.course, user=sponsor, email=sponsor.email, name="AWS", role=Role.SPONSOR)
    money(cast, range(2))
    few = {name: asked(name, cast, row) for name in MOST}
    crowd(today, 57)
    past(row, 30)
    money(cast, range(2, 40))
    InstanceEvent.objects.bulk_create(
        InstanceEvent(instance=row, kind="opened", reason="r", at=today.now, who=row.owner.user) for _n in range(200)
    )
    many = {name: asked(name, cast, row) for name in MOST}
    # The desk has one query more as soon as there is a past to show; no query per person, machine or event.
    assert {name: many[name] - few[name] for name in MOST} == dict.fromkeys(MOST, 0)
    assert {name: count for name, count in many.items() if count > MOST[name]} == {}


def test_sixty_machines_are_sixty_rows_of_the_staffs_table(today: Stage, cast: Cast) -> None:
    today.running()
    crowd(today, 10)
    html = signed_in(cast.ta.user).get(reverse("course_staff_live", args=["dl19"])).content.decode()
    assert html.count('<tr id="row-') == 12


@pytest.mark.parametrize("name", ["home", "account_login"])
def test_the_landing_asks_for_nothing_but_the_providers(db: None, name: str, client: object) -> None:
    with CaptureQueriesContext(connection) as found:
        client.get(reverse(name))  # type: ignore[attr-defined]
    assert len(found) <= 1
