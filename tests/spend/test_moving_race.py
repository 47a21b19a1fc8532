"""People who move while their machines spend: nobody waits for ever, and the books add up.

The control takes the second look out of `lock_path`: whoever waited for the root then books on the path of before.
"""

import random
from decimal import Decimal
from functools import partial
from time import monotonic, sleep

import pytest
from django.db import transaction

from courses.models import Team
from spend import services
from spend.checks import check_books
from spend.models import Budget
from spend.moving import move_budget
from spend.opening import open_budgets
from spend.refusals import BudgetRefused
from spend.services import hold, lock_path, post, release
from tests.conftest import Cast
from tests.race import Outcome, race
from tests.spend.conftest import NOON, Tree, dollars

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
SECONDS = 2.0


@pytest.fixture
def teams(tree: Tree, cast: Cast) -> list[Team | None]:
    others = [Team.objects.create(course=cast.course, name=f"Team {n}") for n in (2, 3)]
    usd = {"course_usd": Decimal(50), "team_usd": Decimal(20), "person_usd": Decimal(10)}
    open_budgets(cast.course, **usd, why="late", who=None, now=NOON)
    return [cast.team, *others, None]


def wander(cast: Cast, teams: list[Team | None], seed: int) -> int:
    rng, moved, end = random.Random(seed), 0, monotonic() + SECONDS
    while monotonic() < end:
        try:
            moved += move_budget(cast.student, rng.choice(teams), why="race", who=None, now=NOON)
        except BudgetRefused:
            continue
    return moved


def spend(ada: Budget, seed: int) -> int:
    rng, n, end = random.Random(seed), 0, monotonic() + SECONDS
    while monotonic() < end:
        n += 1
        key = f"machine/{seed}/run/{n}"
        try:
            hold(ada, key=key, amount_usd=Decimal(rng.randrange(1, 2000)).scaleb(-3), why="race", who=None, now=NOON)
        except BudgetRefused:
            continue
        post(ada, key, [dollars("0.000123", hour=n, kind="compute")], NOON)
        release(key, why="race", who=None, now=NOON)
    return n


def all_at_once(tree: Tree, cast: Cast, teams: list[Team | None]) -> list[Outcome]:
    movers = [partial(wander, cast, teams, seed) for seed in (1, 2)]
    return race([*movers, *(partial(spend, tree.ada, seed) for seed in (3, 4, 5))])


def test_moves_and_spending_at_once_leave_books_that_add_up(tree: Tree, cast: Cast, teams: list[Team | None]) -> None:
    outcomes = all_at_once(tree, cast, teams)
    assert [outcome.error for outcome in outcomes] == [None] * 5
    assert all(outcome.value > 0 for outcome in outcomes)
    assert check_books() == []


def move_slowly(tree: Tree, cast: Cast, team: Team) -> None:
    """Holds the root while the other one has read the path of before, and waits."""
    with transaction.atomic():
        lock_path(tree.course)
        sleep(1.2)
        move_budget(cast.student, team, why="race", who=None, now=NOON)


def hold_meanwhile(ada: Budget) -> None:
    sleep(0.5)
    hold(ada, key="machine/1/run/1", amount_usd=Decimal(1), why="race", who=None, now=NOON)


def held_of_teams(tree: Tree, cast: Cast, teams: list[Team | None]) -> list[Decimal]:
    second = teams[1]
    assert second
    outcomes = race([partial(move_slowly, tree, cast, second), partial(hold_meanwhile, tree.ada)])
    assert [outcome.error for outcome in outcomes] == [None, None]
    return [Budget.objects.get(team=team).held_usd for team in (cast.team, second)]


def test_who_waited_while_somebody_moved_books_on_the_new_path(
    tree: Tree, cast: Cast, teams: list[Team | None]
) -> None:
    assert held_of_teams(tree, cast, teams) == [0, 1]
    assert check_books() == []


def test_control_without_the_second_look_it_is_booked_on_the_path_of_before(
    tree: Tree, cast: Cast, teams: list[Team | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services, "_is_path", lambda _path: True)
    assert held_of_teams(tree, cast, teams) == [1, 0]
    assert check_books() != []
