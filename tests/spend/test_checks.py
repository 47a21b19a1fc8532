"""The check of the books finds each kind of lie, and nothing else."""

import io
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command

from spend.checks import check_books
from spend.models import Budget, Charge, CourseDay, DailySpend, Hold, PersonTotal
from spend.services import hold, post, release
from tests.conftest import Cast
from tests.spend.conftest import NOON, Tree, dollars


@pytest.fixture
def books(tree: Tree) -> Tree:
    for n, budget in enumerate((tree.ada, tree.ben)):
        key = f"machine/m{n}/run/1"
        hold(budget, key=key, amount_usd=Decimal("5.000001"), why="a lease", who=None, now=NOON)
        post(budget, key, [dollars("0.1", hour=h) for h in range(30)], NOON)
    release("machine/m1/run/1", why="stopped", who=None, now=NOON)
    post(tree.ben, "machine/m1/disk", [dollars(9, kind="disk")], NOON)
    return tree


def test_books_written_by_the_services_add_up(books: Tree, cast: Cast) -> None:
    assert books.fresh("ben").overrun_usd == 2
    assert check_books() == []
    assert check_books(cast.course) == []


LIES = {
    "spent": lambda tree: Budget.objects.filter(pk=tree.team.pk).update(spent_usd=0),
    "held": lambda tree: Budget.objects.filter(pk=tree.ada.pk).update(held_usd=0),
    "amount": lambda tree: Budget.objects.filter(pk=tree.course.pk).update(amount_usd=1000),
    "overrun": lambda tree: Budget.objects.filter(pk=tree.ben.pk).update(overrun_usd=3),
    "closed hold": lambda tree: Hold.objects.filter(budget=tree.ben).update(amount_usd=1),
    "disk of enrollment": lambda tree: DailySpend.objects.filter(kind="disk").update(amount_usd=1),
    "compute of enrollment": lambda tree: DailySpend.objects.filter(kind="compute", day=NOON.date()).delete(),
    "compute of ": lambda tree: CourseDay.objects.filter(kind="compute").delete(),
    "idle disk of enrollment": lambda tree: PersonTotal.objects.filter(kind="disk").update(idle_usd=1),
}


@pytest.mark.parametrize("what", LIES)
def test_a_total_that_is_not_the_sum_of_its_rows_is_found(books: Tree, cast: Cast, what: str) -> None:
    LIES[what](books)
    assert {d.what.startswith(what) for d in check_books()} == {True}
    assert check_books(cast.course)
    assert check_books(cast.other_course) == []


def test_a_microdollar_that_vanished_is_found(books: Tree) -> None:
    charge = Charge.objects.filter(budget=books.ada).first()
    assert charge is not None
    charge.amount_usd -= Decimal("0.000001")
    charge.save()
    # On all four levels, and in the person's day, the course's day and the person's total.
    assert len(check_books()) == 7


def test_a_charge_before_midnight_belongs_to_its_utc_day(tree: Tree) -> None:
    post(tree.ada, "k", [dollars(1, hour=11), dollars(1, hour=12)], NOON)
    assert [d.day for d in DailySpend.objects.order_by("day")] == [NOON.date(), NOON.date() + timedelta(days=1)]
    assert check_books() == []


def test_the_command_says_what_differs_and_fails(books: Tree) -> None:
    out = io.StringIO()
    call_command("check_books", stdout=out)
    assert out.getvalue() == "The books add up.\n"
    LIES["held"](books)
    with pytest.raises(CommandError, match="1 differences"):
        call_command("check_books", "dl19", stdout=out)
    assert "held of 4-person Ada Student: the rows say 2.000001 USD, the total says 0" in out.getvalue()


def test_the_command_knows_only_courses_that_exist(db: None) -> None:
    with pytest.raises(CommandError, match="no course nowhere"):
        call_command("check_books", "nowhere")
