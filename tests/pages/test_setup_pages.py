"""A course begins: the first operator gets in, creates it, its instructor sets it up, and copies it a term later."""

from datetime import date, timedelta

import pytest
from django.core.management import CommandError, call_command
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from courses.models import Course, Enrollment, Role, User
from courses.services import is_on_a_roster
from credits.models import Letter
from instances.models import Policy, Preset
from portal.readiness import State, readiness
from portal.views_setup import _steps
from spend.checks import check_books
from spend.models import Budget, Hold
from tests.conftest import Cast
from tests.instances.conftest import Stage
from tests.pages.conftest import signed_in

NEW = {
    "name": "Computer Vision II",
    "term": "Fall 2027",
    "timezone": "America/Los_Angeles",
    "starts_on": "2027-08-25",
    "ends_on": "2027-12-17",
    "instructor_name": "Valdez, Ines",
    "instructor": "INES@demo.edu",
}


@pytest.fixture
def operator(today: Stage) -> Client:
    call_command("make_operator", "olga@demo.edu")
    return signed_in(User.objects.get(email="olga@demo.edu"))


def states(course: Course) -> dict[str, str]:
    return {check.name: check.state for check in readiness(course, timezone.now())}


def test_the_first_operator_gets_in_without_any_roster_and_sees_no_people(operator: Client, cast: Cast) -> None:
    assert is_on_a_roster("Olga@demo.edu", None)
    assert operator.get(reverse("home"))["Location"] == reverse("courses")
    page = operator.get(reverse("courses")).content.decode()
    assert "Deep Learning" in page
    assert "Ada Student" not in page
    assert operator.get(reverse("roster", args=["dl19"])).status_code == 404
    call_command("make_operator", "olga@demo.edu", undo=True)
    assert not is_on_a_roster("olga@demo.edu", None)
    assert operator.get(reverse("courses")).status_code == 404
    with pytest.raises(CommandError):
        call_command("make_operator", "nobody", undo=True)


def test_a_new_course_has_its_instructor_who_goes_on_from_the_letter(operator: Client, cast: Cast) -> None:
    answer = operator.post(reverse("course_new"), NEW)
    course = Course.objects.get(slug="computer-vision-ii-fall-2027")
    assert answer["Location"] == reverse("setup", args=[course.slug])
    line = course.enrollments.get()
    assert (line.name, line.role, line.user) == ("Ines Valdez", Role.INSTRUCTOR, cast.instructor.user)
    assert reverse("setup", args=[course.slug]) in Letter.objects.get(to="ines@demo.edu").body
    ines = signed_in(cast.instructor.user)
    page = ines.get(reverse("setup", args=[course.slug])).content.decode()
    assert "No student is on the roster" in page
    again = operator.post(reverse("course_new"), NEW)
    assert (again.status_code, "has this address already" in again.content.decode()) == (422, True)
    wrong = operator.post(reverse("course_new"), {**NEW, "slug": "x", "ends_on": "2027-01-01", "instructor": "me"})
    assert "before the first day" in wrong.content.decode()
    assert "is no e-mail address" in wrong.content.decode()
    assert not Course.objects.filter(slug="x").exists()


def test_step_by_step_nothing_is_missing_any_more_and_a_break_loses_nothing(operator: Client, cast: Cast) -> None:
    operator.post(reverse("course_new"), NEW)
    course = Course.objects.get(name="Computer Vision II")
    ines, args = signed_in(cast.instructor.user), [course.slug]
    before = states(course)
    assert (before["People"], before["Money"], before["Presets"]) == ("missing",) * 3
    Enrollment.objects.create(course=course, email="cy@demo.edu", name="Cy")
    ines.post(reverse("setup_money", args=args), {"course_usd": "30000", "team_usd": "1500", "person_usd": "300"})
    assert Budget.objects.get(enrollment__email="cy@demo.edu").amount_usd == 300
    ines.post(reverse("setup_money", args=args), {"course_usd": "1", "team_usd": "1", "person_usd": "1"})
    assert Budget.objects.get(course=course, level="2-course").amount_usd == 30000
    refused = ines.post(reverse("setup_presets", args=args), {"image_id": "x"}, follow=True)
    assert "An AMI looks like" in refused.content.decode()
    ines.post(reverse("setup_presets", args=args), {"image_id": "ami-0123456789abcdef0"})
    assert course.presets.count() == 3
    for step in ("policy", "alerts", "nonsense"):
        ines.post(reverse("setup_confirm", args=args), {"step": step})
    ines.post(reverse("setup_dates", args=args), {**NEW, "contact": "staff@demo.edu"})
    course.refresh_from_db()
    assert set(course.setup_done) == {"money", "policy", "alerts", "dates"}
    assert course.contact == "staff@demo.edu"
    after = states(course)
    assert (after["People"], after["Money"], after["Presets"]) == ("good",) * 3
    assert "Budgets of people" not in after
    assert check_books() == []


def test_the_check_list_says_what_to_do_and_where(today: Stage, cast: Cast) -> None:
    Preset.objects.update(image_id="")
    found = {check.name: check for check in readiness(cast.course, timezone.now())}
    assert found["Presets"].state is State.MISSING
    assert "there is no image: Homework" in found["Presets"].words
    assert found["Presets"].link == reverse("presets", args=["dl19"])
    assert all(check.words for check in found.values())


@pytest.mark.parametrize("is_ready", [True, False])
def test_every_step_and_every_line_of_the_check_list_leads_somewhere(today: Stage, cast: Cast, is_ready: bool) -> None:
    """Of a course with everything, and of one with nothing, whose lines lead to other pages."""
    course = cast.course if is_ready else cast.other_course
    ines = signed_in((cast.instructor if is_ready else cast.foreign_instructor).user)
    page = ines.get(reverse("setup", args=[course.slug]))
    steps, checks = page.context["steps"], page.context["checks"]
    assert all(step.link for step in steps)
    on_the_server = {check.name for check in checks if not check.link}
    assert on_the_server == {"Sign-in", "AWS account", "Mail", "Guard"}
    links = {one.link for one in [*steps, *checks] if one.link}
    assert {link: ines.get(link).status_code for link in links} == dict.fromkeys(links, 200)
    alerts = reverse("course_alerts", args=[course.slug])
    assert alerts in links
    assert reverse("preflight", args=[course.slug]) in links
    assert f'href="{alerts}"' in page.content.decode()


def test_a_course_is_copied_with_its_rules_and_without_people_and_money(today: Stage, cast: Cast) -> None:
    Policy.objects.create(course=cast.course, quiet_seconds=1234)
    cast.course.team_max = 7
    cast.course.save()
    ines = signed_in(cast.instructor.user)
    said = {**NEW, "name": "Deep Learning", "instructor": "ines@demo.edu"}
    ines.post(reverse("setup_copy", args=["dl19"]), said)
    new = Course.objects.get(slug="deep-learning-fall-2027")
    assert [preset.slug for preset in new.presets.all()] == ["homework"]
    assert (new.machine_policy.quiet_seconds, new.team_max, new.starts_on) == (1234, 7, date(2027, 8, 25))
    assert [line.email for line in new.enrollments.all()] == ["ines@demo.edu"]
    assert not Budget.objects.filter(course=new).exists()
    assert cast.course.presets.count() == 1
    steps = {step.key: step for step in _steps(new, is_staff=True)}
    assert (steps["dates"].done, steps["dates"].by_default) == (True, False)  # they were asked for in this very form
    assert [step.key for step in steps.values() if step.is_next] == ["people"]
    assert steps["policy"].by_default  # came along, and somebody should look whether it still fits
    assert signed_in(cast.ta.user).get(reverse("setup_copy", args=["dl19"])).status_code == 404


def test_who_is_student_here_and_ta_there_switches_in_the_masthead(today: Stage, cast: Cast) -> None:
    Enrollment.objects.create(
        course=cast.other_course, user=cast.student.user, email=cast.student.email, name="Ada", role=Role.TA
    )
    page = signed_in(cast.student.user).get(reverse("course_home", args=["dl19"])).content.decode()
    for url in (reverse("course_home", args=["cv19"]), reverse("course_staff", args=["cv19"])):
        assert f'href="{url}"' in page
    assert f'href="{reverse("course_staff", args=["dl19"])}"' not in page


def test_a_later_last_day_holds_disks_longer_or_says_at_the_field_whose_money_does_not_reach(
    today: Stage, cast: Cast
) -> None:
    row, course, instructor = today.running(), cast.course, signed_in(cast.instructor.user)
    mine = Budget.objects.get(enrollment=cast.student)
    known = {"name": course.name, "timezone": course.timezone, "starts_on": course.starts_on.isoformat()}

    def ask(day: date) -> HttpResponse:
        return instructor.post(reverse("setup_dates", args=["dl19"]), {**known, "ends_on": day.isoformat()})

    far = ask(course.ends_on + timedelta(days=2000))
    assert far.status_code == 422
    assert mine.name in far.content.decode()
    assert "Raise them first" in far.content.decode()
    assert Course.objects.get(pk=course.pk).ends_on == course.ends_on
    held = Hold.objects.get(key=row.disk_key).amount_usd
    assert ask(course.ends_on + timedelta(days=14)).status_code == 302
    assert Hold.objects.get(key=row.disk_key).amount_usd > held
    assert check_books() == []
