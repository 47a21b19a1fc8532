"""Whoever moves takes along what is held; what was spent stays where it was spent; the books add up at each step."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from courses.models import Team
from spend.checks import check_books
from spend.models import Budget, Level, MoneyMove
from spend.moving import MoveRefused, close_team_budget, move_budget
from spend.opening import open_budgets
from spend.refusals import BudgetRefused
from spend.services import hold, post, release, set_amount
from tests.conftest import Cast
from tests.spend.conftest import NOON, Tree, dollars


@pytest.fixture
def team_2(tree: Tree, cast: Cast) -> Team:
    team = Team.objects.create(course=cast.course, name="Team 2")
    usd = {"course_usd": Decimal(50), "team_usd": Decimal(8), "person_usd": Decimal(10)}
    open_budgets(cast.course, **usd, why="late", who=None, now=NOON)
    return team


def budget_of_team(team: Team) -> Budget:
    return Budget.objects.get(team=team, level=Level.TEAM)


def move(cast: Cast, team: Team | None) -> bool:
    cast.student.team = team
    cast.student.save()
    return move_budget(cast.student, team, why="moved", who=cast.ta.user, now=NOON)


def test_what_is_held_goes_along_and_what_was_spent_stays(tree: Tree, team_2: Team, cast: Cast) -> None:
    hold(tree.ada, key="k", amount_usd=Decimal(7), why="w", who=None, now=NOON)
    post(tree.ada, "k", [dollars(3)], NOON)
    assert move(cast, team_2)
    old, new = tree.fresh("team"), budget_of_team(team_2)
    assert (old.spent_usd, old.held_usd) == (3, 0)
    assert (new.spent_usd, new.held_usd) == (0, 4)
    assert (tree.fresh("course").spent_usd, tree.fresh("course").held_usd) == (3, 4)
    assert check_books() == []
    post(tree.ada, "k", [dollars(2, hour=1)], NOON)
    assert (tree.fresh("team").spent_usd, budget_of_team(team_2).spent_usd) == (3, 2)
    assert check_books() == []
    carries = MoneyMove.objects.filter(kind="carry")
    assert sum(row.amount_usd for row in carries) == 0


def test_a_team_that_cannot_carry_what_is_held_is_refused_with_the_reason(tree: Tree, team_2: Team, cast: Cast) -> None:
    hold(tree.ada, key="k", amount_usd=Decimal(9), why="w", who=None, now=NOON)
    with pytest.raises(
        MoveRefused, match=r"\$9.00 is held for the machines of Ada Student, and Team 2 has \$8.00 left"
    ):
        move(cast, team_2)
    assert tree.fresh("ada").parent == tree.team
    assert tree.fresh("team").held_usd == 9
    assert check_books() == []


def test_there_and_back_again_and_out_of_any_team(tree: Tree, team_2: Team, cast: Cast) -> None:
    hold(tree.ada, key="k", amount_usd=Decimal(5), why="w", who=None, now=NOON)
    for n, team in enumerate((team_2, cast.team, None, team_2, None, cast.team)):
        post(tree.ada, "k", [dollars("0.5", hour=n)], NOON)
        assert move(cast, team)
        assert check_books() == []
    assert not move(cast, cast.team)
    assert (tree.fresh("team").spent_usd, budget_of_team(team_2).spent_usd) == (1, 1)
    assert tree.fresh("course").spent_usd == 3


def test_a_dissolved_teams_budget_keeps_what_was_spent_and_promises_nothing_more(
    tree: Tree, team_2: Team, cast: Cast
) -> None:
    hold(tree.ada, key="k", amount_usd=Decimal(5), why="w", who=None, now=NOON)
    post(tree.ada, "k", [dollars(2)], NOON)
    move(cast, None)
    close_team_budget(cast.team, why="dissolved", who=None, now=NOON)
    team = tree.fresh("team")
    assert (team.amount_usd, team.spent_usd, team.left_usd) == (2, 2, 0)
    assert check_books() == []


STEPS = st.lists(
    st.tuples(st.sampled_from(["move", "hold", "post", "release", "grant"]), st.integers(0, 2), st.integers(1, 9)),
    max_size=14,
)


@settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_after_any_history_the_books_add_up_and_no_cap_is_passed(
    tree: Tree, team_2: Team, cast: Cast, steps: list[tuple[str, int, int]]
) -> None:
    from django.db import transaction

    with transaction.atomic():
        for n, (what, which, usd) in enumerate(steps):
            try:
                _step(tree, team_2, cast, what, which, Decimal(usd), n)
            except BudgetRefused:
                continue
            assert check_books() == []
        for budget in Budget.objects.all():
            assert budget.spent_usd + budget.held_usd <= budget.amount_usd + budget.overrun_usd
        transaction.set_rollback(True)
    cast.student.team = cast.team


def _step(tree: Tree, team_2: Team, cast: Cast, what: str, which: int, usd: Decimal, n: int) -> None:
    if what == "move":
        move(cast, (cast.team, team_2, None)[which])
    elif what == "hold":
        hold(tree.ada, key=f"k{which}", amount_usd=usd, why="w", who=None, now=NOON)
    elif what == "post":
        post(tree.ada, f"k{which}", [dollars(usd / 4, hour=n)], NOON)
    elif what == "release":
        release(f"k{which}", why="w", who=None, now=NOON)
    else:
        set_amount((tree.team, tree.course, budget_of_team(team_2))[which], usd * 6, why="w", who=None, now=NOON)
