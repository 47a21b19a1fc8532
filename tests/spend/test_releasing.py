"""Staged release: added once, at its moment, as a grant; all or none; cancelled ones never."""

from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest

from courses.models import User
from spend.checks import check_books
from spend.models import BudgetRelease, MoneyMove
from spend.refusals import BelowCommitted
from spend.releasing import cancel, change_amounts, plan_release, preview, release_due
from spend.services import hold
from tests.conftest import Cast
from tests.race import race
from tests.spend.conftest import NOON, Tree

MIDTERM = NOON + timedelta(days=20)


@pytest.fixture
def who(cast: Cast) -> User:
    assert cast.instructor.user
    return cast.instructor.user


def planned(tree: Tree, who: User) -> list[BudgetRelease]:
    facts = {"amount_usd": Decimal(5), "release_at": MIDTERM, "why": "midterm", "who": who, "now": NOON}
    return plan_release([tree.ada, tree.ben], **facts)  # type: ignore[arg-type]


def test_it_is_added_at_its_moment_and_once(tree: Tree, who: User) -> None:
    planned(tree, who)
    assert release_due(MIDTERM - timedelta(seconds=1)) == 0
    assert release_due(MIDTERM) == 2
    assert release_due(MIDTERM + timedelta(days=1)) == 0
    assert (tree.fresh("ada").amount_usd, tree.fresh("team").amount_usd) == (15, 20)
    move = MoneyMove.objects.filter(budget=tree.ada).latest("pk")
    assert (move.kind, move.amount_usd, move.why, move.who) == ("grant", 5, "Planned release: midterm", who)
    assert check_books() == []


def test_what_is_cancelled_is_never_added(cast: Cast, tree: Tree, who: User) -> None:
    together = planned(tree, who)[0].together
    assert cancel(together, cast.other_course, who=who, now=NOON) == 0
    assert cancel(together, cast.course, who=who, now=NOON) == 2
    assert release_due(MIDTERM) == 0
    assert tree.fresh("ada").amount_usd == 10


def test_nothing_and_the_past_cannot_be_planned(tree: Tree, who: User) -> None:
    for amount, at in ((Decimal(0), MIDTERM), (Decimal(5), NOON)):
        with pytest.raises(ValueError, match="adds something"):
            plan_release([tree.ada], amount_usd=amount, release_at=at, why="", who=who, now=NOON)


def test_amounts_change_for_all_or_none_and_the_preview_says_who_cannot(tree: Tree, who: User) -> None:
    hold(tree.ben, key="machine/m/run/1", amount_usd=Decimal(8), why="", who=None, now=NOON)
    both = [tree.ada, tree.fresh("ben")]
    good, bad = preview(both, to_usd=Decimal(5), add_usd=Decimal(0))
    assert (good.problem, good.difference_usd) == ("", -5)
    assert "cannot be less than $8.00" in bad.problem
    with pytest.raises(BelowCommitted, match="Ben"):
        change_amounts(both, to_usd=Decimal(5), add_usd=Decimal(0), why="less", who=who, now=NOON)
    assert tree.fresh("ada").amount_usd == 10
    assert change_amounts(both, to_usd=None, add_usd=Decimal(2), why="more", who=who, now=NOON) == 2
    assert (tree.fresh("ada").amount_usd, tree.fresh("ben").amount_usd) == (12, 12)
    assert check_books() == []


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_six_rounds_at_once_release_each_once(tree: Tree, who: User) -> None:
    planned(tree, who)
    outcomes = race([partial(release_due, MIDTERM) for _n in range(6)])
    assert sum(one.value for one in outcomes) == 2
    assert (tree.fresh("ada").amount_usd, tree.fresh("ben").amount_usd) == (15, 15)
    assert check_books() == []
