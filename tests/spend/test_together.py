"""Several holds at once: all or none, and cheaper than one after the other, because everybody else waits meanwhile."""

from decimal import Decimal

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from spend.models import Hold, MoneyMove
from spend.refusals import BudgetRefused
from spend.services import Want, hold_together
from tests.spend.conftest import NOON, Tree


def wants(*amounts: str) -> list[Want]:
    return [Want(f"machine/m1/{n}", Decimal(amount), f"part {n}") for n, amount in enumerate(amounts)]


def test_each_is_a_hold_of_its_own_and_the_budgets_hold_the_sum(tree: Tree) -> None:
    found = hold_together(tree.ada, wants("2", "3.50"), who=None, now=NOON)
    assert [one.amount_usd for one in found] == [2, Decimal("3.50")]
    assert tree.fresh("course").held_usd == Decimal("5.50")
    assert [move.why for move in MoneyMove.objects.filter(kind="hold").order_by("pk")] == ["part 0", "part 1"]


def test_when_the_sum_does_not_fit_none_is_held(tree: Tree) -> None:
    left = tree.fresh("ada").left_usd
    with pytest.raises(BudgetRefused):
        hold_together(tree.ada, wants(str(left), "0.01"), who=None, now=NOON)
    assert not Hold.objects.exists()
    assert tree.fresh("ada").held_usd == 0


def test_said_twice_they_hold_once_and_only_what_grows_is_a_move(tree: Tree) -> None:
    hold_together(tree.ada, wants("2", "3"), who=None, now=NOON)
    hold_together(tree.ada, wants("2", "4"), who=None, now=NOON)
    assert tree.fresh("ada").held_usd == 6
    assert [move.amount_usd for move in MoneyMove.objects.filter(kind="hold").order_by("pk")] == [2, 3, 1]


def test_two_cost_no_more_statements_than_one(tree: Tree) -> None:
    def statements(count: int) -> int:
        with CaptureQueriesContext(connection) as seen:
            hold_together(tree.ada, [Want(f"{count}/{n}", Decimal(1), "") for n in range(count)], who=None, now=NOON)
        return len(seen)

    assert statements(1) == statements(2)
