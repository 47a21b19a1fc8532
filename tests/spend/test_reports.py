"""What pages and exports show: figures, days, people; how many queries that takes."""

import csv
import io
from datetime import timedelta
from decimal import Decimal

import pytest
from pytest_django import DjangoAssertNumQueries

from courses.models import Course, EnrollmentStatus
from spend.exports import harmless, spend_csv, spend_frame
from spend.models import Level
from spend.opening import open_budgets
from spend.reports import by_person, figures, own_money, spend_by_day
from spend.services import budget_of, hold, post, set_amount
from tests.conftest import Cast
from tests.spend.conftest import NOON, Tree, dollars

TODAY = NOON.date()
KEY = "machine/m1/run/1"


@pytest.fixture
def spent(tree: Tree) -> Tree:
    """Ada holds $4 and has spent $2 of it on a machine and $0.50 on a disk; Ben spent $1, two days later."""
    hold(tree.ada, key=KEY, amount_usd=Decimal(6), why="a lease", who=None, now=NOON)
    post(tree.ada, KEY, [dollars(2)], NOON)
    post(tree.ada, "machine/m1/disk", [dollars("0.50", kind="disk")], NOON)
    post(tree.ben, "machine/m2/run/1", [dollars(1, hour=48)], NOON)
    return tree


def test_total_is_spent_and_held_and_left(spent: Tree, cast: Cast) -> None:
    shown = figures(cast.course, now=NOON)
    assert (shown.total_usd, shown.spent_usd, shown.held_usd, shown.left_usd) == (
        50,
        Decimal("3.5"),
        4,
        Decimal("42.5"),
    )
    assert shown.as_of == NOON


def test_what_open_runs_cost_so_far_counts_as_spent_and_not_as_held(spent: Tree, cast: Cast) -> None:
    shown = figures(cast.course, now=NOON, accrued={cast.student.pk: Decimal("0.75")})
    assert (shown.spent_usd, shown.held_usd, shown.left_usd) == (Decimal("4.25"), Decimal("3.25"), Decimal("42.5"))


def test_what_open_runs_cost_beyond_all_holds_is_taken_from_what_is_left(spent: Tree, cast: Cast) -> None:
    shown = figures(cast.course, now=NOON, accrued={cast.student.pk: Decimal(5)})
    assert (shown.spent_usd, shown.held_usd, shown.left_usd) == (Decimal("8.5"), 0, Decimal("41.5"))


def test_a_course_without_a_budget_has_nothing_to_spend(cast: Cast) -> None:
    assert figures(cast.course, now=NOON).left_usd == 0


def test_days_without_spend_are_there_with_nothing(spent: Tree, cast: Cast) -> None:
    days = spend_by_day(cast.course, TODAY - timedelta(days=1), TODAY + timedelta(days=2))
    assert [(d.day - TODAY).days for d in days] == [-1, 0, 1, 2]
    assert [d.total_usd for d in days] == [0, Decimal("2.5"), 0, 1]
    assert (days[1].compute_usd, days[1].disk_usd, days[1].address_usd) == (2, Decimal("0.5"), 0)


def test_days_of_one_person(spent: Tree, cast: Cast) -> None:
    days = spend_by_day(cast.course, TODAY, TODAY + timedelta(days=2), enrollment=cast.other_student)
    assert [d.total_usd for d in days] == [0, 0, 1]


def test_another_courses_spend_is_not_in_it(spent: Tree, cast: Cast) -> None:
    assert all(d.total_usd == 0 for d in spend_by_day(cast.other_course, TODAY, TODAY))
    assert by_person(cast.other_course) == []


def test_people_come_with_the_most_spent_first(spent: Tree, cast: Cast) -> None:
    ada, ben, *others = by_person(cast.course)
    assert (ada.enrollment, ada.team) == (cast.student, "Team 1")
    assert (ada.spent_usd, ada.compute_usd, ada.disk_usd) == (Decimal("2.5"), 2, Decimal("0.5"))
    assert (ada.held_usd, ada.left_usd) == (4, Decimal("3.5"))
    assert ada.share == Decimal("2.5") / Decimal("3.5")
    assert (ben.enrollment, ben.spent_usd) == (cast.other_student, 1)
    assert [line.enrollment.name for line in others] == ["Ines Structor", "Tess Assistant"]


def test_an_open_run_moves_its_person_up(spent: Tree, cast: Cast) -> None:
    first = by_person(cast.course, accrued={cast.other_student.pk: Decimal(4)})[0]
    assert (first.enrollment, first.spent_usd, first.held_usd) == (cast.other_student, 5, 0)


def test_who_dropped_out_still_shows_what_was_spent(spent: Tree, cast: Cast) -> None:
    cast.student.status = EnrollmentStatus.DROPPED
    cast.student.save()
    assert by_person(cast.course)[0].enrollment == cast.student


def test_a_person_sees_each_budget_above_and_which_refuses_first(spent: Tree, cast: Cast) -> None:
    money = own_money(cast.student, now=NOON)
    assert money is not None
    assert [line.level for line in money.path] == [Level.PERSON, Level.TEAM, Level.COURSE, Level.SPONSOR]
    assert [line.left_usd for line in money.path] == [Decimal("3.5"), Decimal("12.5"), Decimal("42.5"), Decimal("92.5")]
    assert money.tightest.level == Level.PERSON
    set_amount(spent.team, Decimal(9), why="less", who=None, now=NOON)
    money = own_money(cast.student, now=NOON, accrued_usd=Decimal(1))
    assert money is not None
    assert (money.tightest.level, money.tightest.left_usd) == (Level.TEAM, Decimal("1.5"))
    assert (money.own.spent_usd, money.own.held_usd, money.own.left_usd) == (Decimal("3.5"), 3, Decimal("3.5"))


def test_who_has_no_budget_has_no_money(cast: Cast) -> None:
    assert own_money(cast.student, now=NOON) is None


def enroll(course: Course, count: int) -> None:
    for n in range(count):
        course.enrollments.create(email=f"s{n}@demo.edu", name=f"Student {n}")
    open_budgets(
        course, course_usd=Decimal(1), team_usd=Decimal(1), person_usd=Decimal(5), why="roster", who=None, now=NOON
    )
    for enrollment in course.enrollments.filter(email__startswith="s"):
        post(budget_of(enrollment), f"machine/{enrollment.pk}", [dollars("0.1")], NOON)


@pytest.mark.parametrize("count", [3, 60])
def test_queries_do_not_grow_with_students(
    tree: Tree, cast: Cast, count: int, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    enroll(cast.course, count)
    with django_assert_num_queries(1):
        figures(cast.course, now=NOON)
    with django_assert_num_queries(2):
        lines = by_person(cast.course)
        assert {line.team for line in lines} == {"", "Team 1"}
    with django_assert_num_queries(1):
        spend_by_day(cast.course, TODAY, TODAY + timedelta(days=30))
    with django_assert_num_queries(1):
        own_money(cast.student, now=NOON)
    with django_assert_num_queries(2):
        spend_csv(cast.course)


def test_the_frame_adds_up_to_the_microdollar(spent: Tree, cast: Cast) -> None:
    frame = spend_frame(cast.course)
    assert sum(frame["spent_usd"]) == figures(cast.course, now=NOON).spent_usd
    assert list(frame["machines_usd"] + frame["disks_usd"] + frame["addresses_usd"]) == list(frame["spent_usd"])


def test_the_frame_of_a_course_without_people_has_its_columns(cast: Cast) -> None:
    assert "spent_usd" in spend_frame(cast.course).columns


def test_csv_has_a_line_per_person_and_no_formula(spent: Tree, cast: Cast) -> None:
    cast.student.name = '=HYPERLINK("http://evil.example")'
    cast.student.save()
    rows = list(csv.DictReader(io.StringIO(spend_csv(cast.course))))
    assert rows[0]["name"] == '\'=HYPERLINK("http://evil.example")'
    assert (rows[0]["spent_usd"], rows[0]["team"], rows[0]["share_percent"]) == ("2.500000", "Team 1", "71.43")
    assert len(rows) == 4


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_text_that_a_spreadsheet_would_run_becomes_plain(start: str) -> None:
    assert harmless(f"{start}1+1") == f"'{start}1+1"


@pytest.mark.parametrize("value", ["Ada", "", Decimal("-1.5"), 3])
def test_other_text_and_numbers_stay_as_they_are(value: object) -> None:
    assert harmless(value) is value
