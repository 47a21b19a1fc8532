"""A sponsor's grant and the spending plan on their pages: previewed, done once, refused next to the field."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from courses.models import Course, User
from spend.checks import check_books
from spend.granting import put_below
from spend.models import Budget, Level, MoneyMove, PlanPoint
from spend.opening import create_budget
from spend.refusals import BudgetRefused
from tests.instances.conftest import Stage
from tests.pages.conftest import signed_in


@pytest.fixture
def grant(today: Stage) -> Budget:
    made = Budget.objects.create(level=Level.SPONSOR, name="AWS", amount_usd=9_000, spent_usd=0)
    Budget.objects.filter(course=today.cast.course, level=Level.COURSE).update(parent=made)
    return made


@pytest.fixture
def operator(today: Stage) -> Client:
    return signed_in(User.objects.create_user("olga@demo.edu", full_name="Olga", is_operator=True))


def page_of(grant: Budget) -> str:
    return reverse("grant", args=[grant.pk])


def test_an_instructor_changes_the_grant_that_pays_for_their_course_alone(today: Stage, grant: Budget) -> None:
    staff, said = signed_in(today.cast.instructor.user), {"usd": "9500", "why": "AWS gave more"}
    assert "It would become $9,500.00" in staff.post(page_of(grant), said).content.decode()
    assert Budget.objects.get(pk=grant.pk).amount_usd == 9_000
    staff.post(page_of(grant), {**said, "sure": "yes"})
    assert Budget.objects.get(pk=grant.pk).amount_usd == 9_500
    assert MoneyMove.objects.get(budget=grant).why == "AWS gave more"
    assert page_of(grant) in staff.get(reverse("course_budgets", args=["dl19"])).content.decode()


def test_a_grant_that_others_live_on_too_is_the_operators(today: Stage, grant: Budget, operator: Client) -> None:
    create_budget(
        Level.COURSE,
        amount_usd=Decimal(5),
        parent=grant,
        course=today.cast.other_course,
        why="x",
        who=None,
        now=today.now,
    )
    staff = signed_in(today.cast.instructor.user)
    assert staff.get(page_of(grant)).status_code == 404
    assert page_of(grant) not in staff.get(reverse("course_budgets", args=["dl19"])).content.decode()
    assert operator.get(page_of(grant)).status_code == 200


def test_below_what_is_spent_it_is_refused_beside_the_field(grant: Budget, operator: Client) -> None:
    Budget.objects.filter(pk=grant.pk).update(spent_usd=100)
    for more in ({}, {"sure": "yes"}):
        answer = operator.post(page_of(grant), {"usd": "99.99", "why": "less", **more})
        assert answer.status_code == 422
        assert "cannot be less than $100.00" in answer.content.decode()
    assert Budget.objects.get(pk=grant.pk).amount_usd == 9_000


def test_an_operator_opens_a_grant_and_puts_it_above_a_course_that_has_not_begun(
    today: Stage, operator: Client
) -> None:
    answer = operator.post(reverse("grants"), {"name": "Alumni", "usd": "4000", "why": "pledged"})
    made = Budget.objects.get(name="Alumni")
    assert answer["Location"] == page_of(made)
    fresh = Course.objects.create(slug="new", name="New", starts_on=today.now.date(), ends_on=today.now.date())
    budget = create_budget(
        Level.COURSE, amount_usd=Decimal(50), parent=None, course=fresh, why="x", who=None, now=today.now
    )
    operator.post(page_of(made), {"act": "course", "course": budget.pk})
    assert Budget.objects.get(pk=budget.pk).parent == made
    with pytest.raises(BudgetRefused, match="has a sponsor already"):
        put_below(made, budget)
    assert check_books(fresh) == []


# ------------------------------------------------------------------ the plan
def lines(*points: tuple[object, object]) -> dict[str, object]:
    said: dict[str, object] = {"form-TOTAL_FORMS": len(points), "form-INITIAL_FORMS": 0}
    for n, (day, usd) in enumerate(points):
        said |= {f"form-{n}-day": day, f"form-{n}-usd": usd}
    return said


def test_a_plan_is_drawn_first_and_kept_when_said_so(today: Stage) -> None:
    url, staff = reverse("spend_plan", args=["dl19"]), signed_in(today.cast.instructor.user)
    day = today.cast.course.starts_on + timedelta(days=14)
    said = lines((day.isoformat(), "100"), ("", ""))
    assert "As it would be" in staff.post(url, said).content.decode()
    assert not PlanPoint.objects.exists()
    staff.post(url, {**said, "sure": "yes"})
    assert PlanPoint.objects.get().usd == 100
    staff.post(url, {**lines(("", "")), "sure": "yes"})
    assert not PlanPoint.objects.exists()  # evenly again


@pytest.mark.parametrize(
    ("points", "problem"),
    [
        ([(-1, "5")], "That day is not in the course."),
        ([(3, "5"), (3, "6")], "This day has a line already."),
        ([(3, "999999")], "That is more than the whole budget."),
        ([(3, "50"), (9, "40")], "Less than on an earlier day"),
        ([(3, "")], "Both, or neither"),
        ([(3, "-1")], "greater than or equal to 0"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_beside_its_line(
    today: Stage, points: list[tuple[int, str]], problem: str
) -> None:
    url, staff = reverse("spend_plan", args=["dl19"]), signed_in(today.cast.instructor.user)
    first = today.cast.course.starts_on
    said = lines(*(((first + timedelta(days=n)).isoformat(), usd) for n, usd in points))
    answer = staff.post(url, {**said, "sure": "yes"})
    assert answer.status_code == 422
    assert problem in answer.content.decode()
    assert not PlanPoint.objects.exists()
