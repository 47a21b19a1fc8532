"""Many processes at one tree of budgets: the cap holds, nobody waits for ever, and the books add up.

The control shows that the test sees the fault: without the lock, and without the database's own check behind it,
the same ten processes spend more than there is.
"""

import multiprocessing
import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import partial
from time import monotonic

import pytest
from django.db import connection

from spend import services
from spend.checks import check_books
from spend.metering import ChargeLine
from spend.models import Budget
from spend.opening import open_budgets
from spend.refusals import BudgetRefused
from spend.services import budget_of, hold, post, release, set_amount
from tests.conftest import Cast
from tests.race import Outcome, race
from tests.spend.conftest import NOON, Tree, dollars

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]

SLOTS, ASKING = 7, 10  # seven holds of $2 fit into the course's $15


def ask(budget: Budget, n: int) -> Decimal:
    return hold(budget, key=f"machine/{n}/run/1", amount_usd=Decimal(2), why="race", who=None, now=NOON).amount_usd


def all_ask(tree: Tree) -> list[Outcome]:
    """Ten at once, from two people's budgets below one course that has room for seven."""
    for budget in (tree.ada, tree.ben, tree.team):
        set_amount(budget, Decimal(100), why="room", who=None, now=NOON)
    set_amount(tree.course, Decimal(15), why="tight", who=None, now=NOON)
    return race([partial(ask, (tree.ada, tree.ben)[n % 2], n) for n in range(ASKING)])


def test_of_ten_holds_at_once_only_those_that_fit_are_granted(tree: Tree) -> None:
    outcomes = all_ask(tree)
    refused = [outcome.error for outcome in outcomes if not outcome.ok]
    assert len(outcomes) - len(refused) == SLOTS
    for error in refused:
        assert isinstance(error, BudgetRefused)
        assert "The budget of the course (Deep Learning) cannot pay for this: $2.00 must be set aside, " in str(error)
        assert "$1.00 is left for everyone, $1.00 is missing." in str(error)
    assert tree.fresh("course").held_usd == 14
    assert check_books() == []


@pytest.fixture
def no_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """`lock_path` as it would be if it did not lock, at its worst: all have read before the first of them writes. Then
    they write one by one, for otherwise some would end in a deadlock instead."""
    everybody_has_read = multiprocessing.get_context("fork").Barrier(ASKING)

    def read(budget: Budget) -> list[Budget]:
        path = [budget]
        while path[0].parent_id is not None:
            path.insert(0, Budget.objects.get(pk=path[0].parent_id))
        path = list(Budget.objects.filter(pk__in=[b.pk for b in path]).order_by("level"))
        if multiprocessing.parent_process():
            everybody_has_read.wait(timeout=30)
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(1)")
        return path

    monkeypatch.setattr(services, "lock_path", read)


@pytest.fixture
def no_cap(db: None) -> Iterator[None]:
    """The database without its own check."""
    cap = next(c for c in Budget._meta.constraints if c.name == "budget_cap_holds")
    with connection.schema_editor() as schema:
        schema.remove_constraint(Budget, cap)
    yield
    Budget.objects.update(held_usd=0)
    with connection.schema_editor() as schema:
        schema.add_constraint(Budget, cap)


def test_control_without_lock_and_without_cap_they_overspend(no_cap: None, no_lock: None, tree: Tree) -> None:
    granted = [outcome for outcome in all_ask(tree) if outcome.ok]
    assert len(granted) == ASKING
    course = tree.fresh("course")
    assert course.held_usd > course.amount_usd


def test_without_the_lock_the_database_still_does_not_go_over(no_lock: None, tree: Tree) -> None:
    refused = [str(outcome.error) for outcome in all_ask(tree) if not outcome.ok]
    assert len(refused) == ASKING - SLOTS
    assert all("budget_cap_holds" in error for error in refused)
    assert tree.fresh("course").held_usd == 14


def test_the_same_charge_from_ten_processes_is_one_charge(tree: Tree) -> None:
    hold(tree.ada, key="k", amount_usd=Decimal(5), why="race", who=None, now=NOON)
    outcomes = race([partial(post, tree.ada, "k", [dollars(1), dollars(2, hour=1)], NOON) for _n in range(10)])
    assert sorted(outcome.value for outcome in outcomes) == [0] * 9 + [3]
    assert (tree.fresh("sponsor").spent_usd, tree.fresh("ada").held_usd) == (3, 2)
    assert check_books() == []


def test_a_hold_is_released_once_by_ten_processes(tree: Tree) -> None:
    hold(tree.ada, key="k", amount_usd=Decimal(5), why="race", who=None, now=NOON)
    outcomes = race([partial(release, "k", why="race", who=None, now=NOON) for _n in range(10)])
    assert sorted(outcome.value for outcome in outcomes) == [0] * 9 + [5]
    assert tree.fresh("sponsor").held_usd == 0


def churn(budgets: list[Budget], seed: int, seconds: float) -> dict[str, int]:
    """Money moves of every kind at random, on keys that other processes use, too. Counts what was done."""
    rng, done, end = random.Random(seed), {"refused": 0}, monotonic() + seconds
    while monotonic() < end:
        name, move = rng.choice(MOVES)
        try:
            move(budgets, rng)
        except BudgetRefused:
            name = "refused"
        done[name] = done.get(name, 0) + 1
    return done


def slot(budgets: list[Budget], rng: random.Random) -> tuple[Budget, str]:
    n = rng.randrange(12)
    return budgets[n % len(budgets)], f"machine/{n}/run/1"


def do_hold(budgets: list[Budget], rng: random.Random) -> None:
    budget, key = slot(budgets, rng)
    hold(budget, key=key, amount_usd=Decimal(rng.randrange(1, 4_000_000)).scaleb(-6), why="race", who=None, now=NOON)


def do_post(budgets: list[Budget], rng: random.Random) -> None:
    budget, key = slot(budgets, rng)
    kind, first = rng.choice(("compute", "address")), rng.randrange(200)
    lines: list[ChargeLine] = [dollars("0.000123", hour=first + n, kind=kind) for n in range(rng.randrange(1, 4))]
    post(budget, key, lines, NOON)


def do_release(budgets: list[Budget], rng: random.Random) -> None:
    release(slot(budgets, rng)[1], why="race", who=None, now=NOON)


def do_grant(budgets: list[Budget], rng: random.Random) -> None:
    set_amount(rng.choice(budgets).parent or budgets[0], Decimal(rng.randrange(8, 30)), why="race", who=None, now=NOON)


MOVES: list[tuple[str, Callable[[list[Budget], random.Random], None]]] = [
    ("hold", do_hold),
    ("post", do_post),
    ("release", do_release),
    ("grant", do_grant),
]


@pytest.mark.slow
def test_five_seconds_of_everything_at_once_leave_books_that_add_up(tree: Tree, cast: Cast) -> None:
    """Two people of one team, one without a team, and one of another course of the same sponsor."""
    open_budgets(
        cast.other_course,
        course_usd=Decimal(20),
        team_usd=Decimal(0),
        person_usd=Decimal(15),
        sponsor=tree.sponsor,
        why="race",
        who=None,
        now=NOON,
    )
    budgets = [tree.ada, tree.ben, budget_of(cast.ta), budget_of(cast.foreign_instructor)]
    outcomes = race([partial(churn, budgets, seed, 5.0) for seed in range(8)])
    assert [outcome.error for outcome in outcomes] == [None] * 8
    for name in ("hold", "post", "release", "grant", "refused"):
        assert sum(outcome.value.get(name, 0) for outcome in outcomes) > 0
    assert check_books() == []
