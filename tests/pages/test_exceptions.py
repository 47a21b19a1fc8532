"""Exceptions for one person: each is enforced where it matters, each is a row, and its reason is the instructors'."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from instances import services
from instances.launch_rules import CourseDates, Kind, Person, Refusal, refusal
from instances.limits import Limits, Override, PersonLimits
from instances.models import Preset
from instances.overriding import set_limits
from instances.refusals import KeepRefused, LaunchRefused
from spend.checks import check_books
from spend.models import Budget, Hold
from tests.conftest import Cast
from tests.instances.conftest import Stage, fresh
from tests.pages.conftest import signed_in


@pytest.fixture
def instructor(today: Stage, cast: Cast) -> Client:
    return signed_in(cast.instructor.user)


def url(cast: Cast) -> str:
    return reverse("roster_exceptions", args=["dl19", cast.student.pk])


def allow(today: Stage, **limits: object) -> None:
    cast = today.cast
    set_limits(cast.student, Limits(**limits), why="secret", who=cast.instructor.user, now=today.now)


def test_the_rule_knows_exceptions() -> None:
    from datetime import UTC, date, datetime

    dates, now = CourseDates(date(2019, 1, 1), date(2019, 5, 1), "UTC"), datetime(2019, 3, 1, tzinfo=UTC)
    kind = Kind(True, 1, Decimal(1), [("g4dn.xlarge", Decimal("0.5"))])
    off = Kind(False, 1, Decimal(1), kind.prices)
    assert refusal(Person("student", True, 1), dates, kind, now) is Refusal.TOO_MANY
    assert refusal(Person("student", True, 1, at_once=2), dates, kind, now) is None
    assert refusal(Person("student", True, 0, at_once=0), dates, kind, now) is Refusal.TOO_MANY
    assert refusal(Person("student", True, 0), dates, off, now) is Refusal.DISABLED
    assert refusal(Person("student", True, 0, is_extra=True), dates, off, now) is None
    assert refusal(Person("student", True, 0, is_barred=True), dates, kind, now) is Refusal.BARRED


def test_what_an_instructor_allows_holds_from_now_on_and_its_reason_stays_with_instructors(
    instructor: Client, cast: Cast, today: Stage
) -> None:
    reason = "Accommodation letter of 3 March"
    said = {"budget_usd": "150", "keep_hours": "48", "at_once": "3", "why": reason}
    assert "from now on" in instructor.post(url(cast), said, follow=True).content.decode()
    assert Budget.objects.get(enrollment=cast.student).amount_usd == 150
    assert {row.kind for row in Override.objects.all()} == {"budget", "hours", "at_once"}
    assert reason in instructor.get(url(cast)).content.decode()
    assert "Nothing was different." in instructor.post(url(cast), said, follow=True).content.decode()
    ta, student = signed_in(cast.ta.user), signed_in(cast.student.user)
    pages = [
        ta.get(reverse("roster_person", args=["dl19", cast.student.pk])),
        ta.get(reverse("course_person", args=["dl19", cast.student.pk])),
        student.get(reverse("course_home", args=["dl19"])),
    ]
    assert all(answer.status_code == 200 and reason not in answer.content.decode() for answer in pages)
    assert ta.get(url(cast)).status_code == 404
    assert check_books() == []


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"why": ""}, "Say why"),
        ({"keep_hours": "500", "why": "x"}, "less than or equal to 168"),
        ({"ends_on": "2001-01-01", "why": "x"}, "before the course begins"),
        ({"budget_usd": "0", "why": "x"}, "cannot be less than"),
    ],
)
def test_what_cannot_be_is_refused_and_nothing_is_half_done(
    instructor: Client, cast: Cast, today: Stage, said: dict[str, str], words: str
) -> None:
    today.click_launch()
    answer = instructor.post(url(cast), {"budget_usd": "100", "at_once": "3", **said})
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not Override.objects.exists()
    assert Budget.objects.get(enrollment=cast.student).amount_usd == 100


def test_more_machines_at_once_for_one_and_none_for_another(today: Stage, cast: Cast) -> None:
    today.click_launch()
    with pytest.raises(LaunchRefused):
        today.click_launch()
    allow(today, at_once=2)
    today.click_launch()
    with pytest.raises(LaunchRefused, match="You already have 2"):
        today.click_launch()


def test_presets_beyond_the_offer_and_these_only(today: Stage, cast: Cast) -> None:
    home = reverse("course_home", args=["dl19"])
    big = Preset.objects.create(
        course=cast.course,
        slug="big",
        name="Secret big one",
        instance_types=["g5.xlarge"],
        image_id="ami-course",
        ceiling_usd_hour=2,
        enabled=False,
    )
    assert "Secret big one" not in signed_in(cast.student.user).get(home).content.decode()
    allow(today, extra_presets=(big.pk,))
    assert "Secret big one" in signed_in(cast.student.user).get(home).content.decode()
    assert "Secret big one" not in signed_in(cast.other_student.user).get(home).content.decode()
    services.request_launch(cast.student, big, who=cast.student.user, now=today.now)
    with pytest.raises(LaunchRefused):
        services.request_launch(cast.other_student, big, who=None, now=today.now)
    allow(today, extra_presets=(big.pk,), only_presets=(big.pk,))
    with pytest.raises(LaunchRefused, match="not open to you"):
        today.click_launch()


def test_who_may_keep_longer_may_and_others_may_not(today: Stage, cast: Cast) -> None:
    row = today.running()
    with pytest.raises(KeepRefused):
        services.keep_alive(fresh(row), hours=20, who=row.owner.user, now=today.now)
    allow(today, keep_hours=24)
    until = services.keep_alive(fresh(row), hours=20, who=row.owner.user, now=today.now)
    assert until == today.now + timedelta(hours=20)


def test_a_later_last_day_pays_for_the_disk_to_then_and_lets_start_after_the_course(today: Stage, cast: Cast) -> None:
    row = today.running()
    before = Hold.objects.get(key=row.disk_key).amount_usd
    later = cast.course.ends_on + timedelta(days=14)
    allow(today, ends_on=later)
    more = Hold.objects.get(key=row.disk_key).amount_usd - before
    fortnight = row.disk_usd_hour * 24 * 14
    assert abs(more - fortnight) < Decimal("0.05")
    assert check_books() == []
    today.stop(row)
    today.wait(3)
    today.now += timedelta(days=40)
    services.request_start(fresh(row), who=row.owner.user, now=today.now)
    with pytest.raises(LaunchRefused, match="The course is over"):
        today.click_launch(cast.other_student)


def test_a_last_day_that_the_money_does_not_reach_is_refused_whole(
    instructor: Client, today: Stage, cast: Cast
) -> None:
    today.running()
    budget = Budget.objects.get(enrollment=cast.student)
    Budget.objects.filter(pk=budget.pk).update(amount_usd=budget.held_usd + budget.spent_usd)
    far = (cast.course.ends_on + timedelta(days=300)).isoformat()
    held = f"{budget.held_usd + budget.spent_usd:.2f}"
    answer = instructor.post(url(cast), {"ends_on": far, "budget_usd": held, "why": "thesis"})
    assert answer.status_code == 422
    assert not Override.objects.exists()
    assert not PersonLimits.objects.exists()
