"""Who may enter a course and is no active student of one that is on: each of the four, under each policy."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from courses.entry import Standing, standing
from courses.events import CourseEvent
from courses.models import Course, Enrollment, EnrollmentStatus, Role, User
from courses.services import is_on_a_roster, person_for_code
from credits.models import CodeBatch, CreditCode
from credits.requests import RequestRefused, ask
from instances.limits import PersonLimits
from instances.models import Instance
from spend.defaults import open_missing, set_defaults
from spend.models import Budget
from tests.conftest import Cast
from tests.instances.conftest import Stage
from tests.pages.conftest import signed_in

DAYS = timedelta(days=1)
WHO = {
    "waitlisted": {"status": EnrollmentStatus.WAITLISTED},
    "dropped": {"status": EnrollmentStatus.DROPPED},
    "auditor": {"role": Role.AUDITOR},
    "alumni": {},
}
OPEN = {
    "waitlisted": {"waitlisted_enter": True},
    "dropped": {"dropped_enter": True},
    "auditor": {"auditors_enter": True},
    "alumni": {"alumni_for": 30 * DAYS},
}
SHUT = {
    "waitlisted": {"waitlisted_enter": False},
    "dropped": {"dropped_enter": False},
    "auditor": {"auditors_enter": False},
    "alumni": {"alumni_for": 4 * DAYS},
}
EVERYTHING = {"waitlisted_enter": True, "dropped_enter": True, "auditors_enter": True, "alumni_for": None}


def become(who: str, cast: Cast, policy: dict[str, object]) -> Enrollment:
    """Ben, whose course ended five days ago if he is to be an alumnus."""
    line, today = cast.other_student, timezone.now().date()
    Enrollment.objects.filter(pk=line.pk).update(**WHO[who])
    ends = {"ends_on": today - 5 * DAYS} if who == "alumni" else {}
    Course.objects.filter(pk=line.course_id).update(**{**policy, **ends})
    line.refresh_from_db()
    return Enrollment.objects.select_related("course").get(pk=line.pk)


def page(browser: Client, name: str, *args: object) -> int:
    return browser.get(reverse(name, args=["dl19", *args])).status_code


@pytest.mark.parametrize("who", WHO)
def test_where_the_policy_says_so_they_look_and_neither_launch_nor_claim_nor_ask(
    who: str, today: Stage, cast: Cast, batch: CodeBatch
) -> None:
    line = become(who, cast, OPEN[who])
    ben = signed_in(line.user)
    assert standing(line, timezone.now()) == who
    assert is_on_a_roster(line.email, None)
    html = ben.get(reverse("course_home", args=["dl19"])).content.decode()
    assert 'class="note"' in html
    assert "Homework" in html  # the preset
    for name in ("course_live", "money", "money_rows"):
        assert page(ben, name) == 200
    assert ben.get(reverse("my_data_zip")).status_code == 200
    ben.post(reverse("launch", args=["dl19", "homework"]), {"hours": "1"})
    assert not Instance.objects.exists()
    ben.post(reverse("claim", args=["dl19", batch.pk]))
    assert not CreditCode.objects.filter(holder=line).exists()
    with pytest.raises(RequestRefused):
        ask(line, amount_usd=Decimal(5), reason="x", for_team=False, who=line.user, now=timezone.now())
    assert {page(ben, name) for name in ("own_team", "roster", "course_staff", "course_entry")} == {404}


@pytest.mark.parametrize("policy", ["shut", "everybody else's"])
@pytest.mark.parametrize("who", WHO)
def test_else_no_door_opens_and_no_code_is_mailed(who: str, policy: str, today: Stage, cast: Cast) -> None:
    line = become(who, cast, SHUT[who] if policy == "shut" else {**EVERYTHING, **SHUT[who]})
    ben = signed_in(line.user)
    assert {page(ben, name) for name in ("course_home", "course_live", "money", "own_team")} == {404}
    assert ben.get(reverse("home")).status_code == 403
    assert not is_on_a_roster(line.email, line.user)
    assert person_for_code(line.email) is None
    assert page(signed_in(cast.ta.user), "course_home") == 200


def test_by_default_all_but_dropped_people_look(today: Stage, cast: Cast) -> None:
    found = {}
    for who in ("waitlisted", "dropped", "auditor"):
        Enrollment.objects.filter(pk=cast.other_student.pk).update(role=Role.STUDENT, status=EnrollmentStatus.ACTIVE)
        found[who] = page(signed_in(become(who, cast, {}).user), "course_home")
    assert found == {"waitlisted": 200, "dropped": 404, "auditor": 200}


@pytest.mark.parametrize(("days", "status"), [(None, 200), (6, 200), (5, 200), (4, 404), (0, 404)])
def test_alumni_look_for_so_many_days_after_the_last_one(
    days: int | None, status: int, today: Stage, cast: Cast
) -> None:
    line = become("alumni", cast, {"alumni_for": None if days is None else days * DAYS})
    assert page(signed_in(line.user), "course_home") == status


def test_a_course_that_is_on_is_open_whatever_comes_after_it(today: Stage, cast: Cast) -> None:
    Course.objects.filter(pk=cast.course.pk).update(alumni_for=0 * DAYS, ends_on=timezone.now().date())
    assert page(signed_in(cast.student.user), "course_home") == 200


def test_who_has_a_later_last_day_of_their_own_is_a_member_until_then(today: Stage, cast: Cast) -> None:
    line = become("alumni", cast, {"alumni_for": 0 * DAYS})
    PersonLimits.objects.create(enrollment=line, ends_on=timezone.now().date() + 3 * DAYS)
    assert page(signed_in(line.user), "own_team") == 200
    assert standing(Enrollment.objects.get(pk=line.pk), timezone.now()) is Standing.MEMBER


@pytest.mark.parametrize("status", [EnrollmentStatus.WAITLISTED, EnrollmentStatus.DROPPED])
@pytest.mark.parametrize("role", [Role.TA, Role.INSTRUCTOR, Role.SPONSOR])
def test_who_was_on_the_staff_never_enters_by_a_students_policy(
    role: Role, status: EnrollmentStatus, today: Stage, cast: Cast
) -> None:
    Course.objects.update(**EVERYTHING)
    Enrollment.objects.filter(pk=cast.ta.pk).update(role=role, status=status)
    tess = signed_in(cast.ta.user)
    assert {page(tess, name) for name in ("course_home", "course_staff", "roster")} == {404}
    assert tess.get(reverse("sponsor")).status_code == 404


def test_a_stranger_and_a_nameless_line_find_no_door_under_any_policy(today: Stage, cast: Cast) -> None:
    line = become("dropped", cast, EVERYTHING)
    Enrollment.objects.filter(pk=line.pk).update(forgotten_at=timezone.now())
    for user in (cast.stranger, line.user):
        assert page(signed_in(user), "course_home") == 404


def test_a_waitlisted_person_claims_where_the_batchs_rule_says_so_and_sees_the_code(
    today: Stage, cast: Cast, batch: CodeBatch
) -> None:
    line = become("waitlisted", cast, {})
    CodeBatch.objects.filter(pk=batch.pk).update(rule={"roles": ["student"], "waitlist": True})
    ben = signed_in(line.user)
    ben.post(reverse("claim", args=["dl19", batch.pk]))
    code = CreditCode.objects.get(holder=line)
    assert ben.post(reverse("reveal", args=["dl19", code.pk])).status_code == 200
    Course.objects.update(waitlisted_enter=False)
    assert ben.post(reverse("reveal", args=["dl19", code.pk])).status_code == 404


def test_a_guest_auditor_gets_no_budget(today: Stage, cast: Cast) -> None:
    set_defaults(cast.course, team_usd=Decimal(200), person_usd=Decimal(100))
    guest = Enrollment.objects.create(course=cast.course, email="g@demo.edu", name="Gus", role=Role.AUDITOR)
    student = Enrollment.objects.create(course=cast.course, email="s@demo.edu", name="Sue")
    open_missing(cast.course, why="", who=None, now=timezone.now())
    assert list(Budget.objects.filter(enrollment__in=[guest, student]).values_list("enrollment", flat=True)) == [
        student.pk
    ]


def test_an_instructor_sets_it_sees_whom_it_covers_and_each_change_is_a_row(today: Stage, cast: Cast) -> None:
    become("waitlisted", cast, {})
    ines, where = signed_in(cast.instructor.user), reverse("course_entry", args=["dl19"])
    assert "1 person on the roster now. They see the course" in ines.get(where).content.decode()
    refused = ines.post(where, {"alumni_days": "-1", "why": ""})
    assert refused.status_code == 422
    assert not CourseEvent.objects.exists()
    said = {"waitlisted_enter": "on", "dropped_enter": "on", "alumni_days": "30", "why": "grades are argued about"}
    for _ in range(2):  # said twice, it is one change
        assert ines.post(where, said).status_code == 302
    course = Course.objects.get(slug="dl19")
    assert (course.waitlisted_enter, course.dropped_enter, course.auditors_enter) == (True, True, False)
    assert course.alumni_for == 30 * DAYS
    event = CourseEvent.objects.get()
    assert (event.who, event.why) == (cast.instructor.user, "grades are argued about")
    assert event.facts == {
        "dropped_enter": [False, True],
        "auditors_enter": [True, False],
        "alumni_for": [None, "30 d"],
    }
    assert 'value="30"' in ines.get(where).content.decode()


def test_a_first_sign_in_of_a_waitlisted_person_is_by_code_too(today: Stage, cast: Cast) -> None:
    Enrollment.objects.create(course=cast.course, email="w@demo.edu", name="Wu", status=EnrollmentStatus.WAITLISTED)
    assert person_for_code("w@demo.edu") == User.objects.get(email="w@demo.edu")
