"""Holding, charging, releasing, granting: what the books say afterwards, on all four levels."""

import logging
from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import IntegrityError, transaction
from pytest_django import DjangoAssertNumQueries

from spend.checks import check_books
from spend.models import Budget, Charge, DailySpend, Hold, Level, MoneyMove
from spend.opening import create_budget, open_budgets
from spend.refusals import BelowCommitted, BudgetRefused, NoBudget
from spend.services import budget_of, hold, post, release, set_amount, shrink
from tests.conftest import Cast
from tests.spend.conftest import NOON, Tree, dollars

KEY = "machine/m1/run/1"
PATH = ("sponsor", "course", "team", "ada")


def hold_for(budget: Budget, amount: str | int, key: str = KEY) -> Hold:
    return hold(budget, key=key, amount_usd=Decimal(amount), why="a lease", who=None, now=NOON)


def free(key: str = KEY) -> Decimal:
    return release(key, why="stopped", who=None, now=NOON)


def spent_and_held(tree: Tree, name: str = "ada") -> tuple[Decimal, Decimal]:
    budget = tree.fresh(name)
    return budget.spent_usd, budget.held_usd


@pytest.mark.parametrize("name", PATH)
def test_a_hold_is_set_aside_on_every_level(tree: Tree, name: str) -> None:
    hold_for(tree.ada, "2.50")
    assert spent_and_held(tree, name) == (0, Decimal("2.50"))


def test_a_hold_does_not_touch_the_budgets_beside_the_path(tree: Tree) -> None:
    hold_for(tree.ada, 2)
    assert spent_and_held(tree, "ben") == (0, 0)


def test_saying_the_same_hold_twice_holds_once(tree: Tree) -> None:
    hold_for(tree.ada, 2)
    hold_for(tree.ada, 2)
    assert spent_and_held(tree) == (0, 2)
    assert MoneyMove.objects.filter(kind="hold").count() == 1


def test_an_open_hold_grows_to_the_amount_asked_for_and_never_shrinks(tree: Tree) -> None:
    hold_for(tree.ada, 2)
    assert hold_for(tree.ada, 5).amount_usd == 5
    assert hold_for(tree.ada, 3).amount_usd == 5
    assert spent_and_held(tree, "course") == (0, 5)
    assert [m.amount_usd for m in MoneyMove.objects.filter(kind="hold")] == [2, 3]


def test_a_fraction_of_a_microdollar_is_held_in_full(tree: Tree) -> None:
    assert hold_for(tree.ada, "0.0000001").amount_usd == Decimal("0.000001")


@pytest.mark.parametrize(
    ("level", "amounts", "sentence"),
    [
        ("ada", {"ada": 1}, "Your own budget cannot pay for this: $4.01 must be set aside, $1.00 is left, $3.01"),
        ("team", {"team": 2}, "your team (Team 1) cannot pay for this: $4.01 must be set aside, $2.00 is left"),
        ("course", {"course": 3}, "the course (Deep Learning) cannot pay for this"),
        ("sponsor", {"sponsor": 4}, "The sponsor's budget (AWS) cannot pay for this"),
        ("ada", {"ada": 1, "sponsor": 1}, "Your own budget cannot pay"),
    ],
)
def test_the_refusal_names_the_level_that_cannot_pay(
    tree: Tree, level: str, amounts: dict[str, int], sentence: str
) -> None:
    for name, amount in amounts.items():
        set_amount(getattr(tree, name), Decimal(amount), why="less", who=None, now=NOON)
    with pytest.raises(BudgetRefused) as refused:
        hold_for(tree.ada, "4.001")
    assert sentence in str(refused.value)
    assert "smaller preset" in str(refused.value)
    assert refused.value.verdict is not None
    assert refused.value.verdict.level == tree.fresh(level).level
    assert not Hold.objects.exists()
    assert spent_and_held(tree) == (0, 0)


def test_the_last_cent_can_be_held_and_not_one_more(tree: Tree) -> None:
    """In binary fractions 9.7 + 0.3 would be told apart from 10."""
    for n in range(7):
        hold_for(tree.ada, "1.4", key=f"part/{n}")
    hold_for(tree.ada, "0.2", key="last")
    assert tree.fresh("ada").left_usd == 0
    with pytest.raises(BudgetRefused, match=r"\$0\.01 must be set aside, \$0\.00 is left, \$0\.01 is missing"):
        hold_for(tree.ada, "0.000001", key="one more")


def test_what_was_held_in_tenths_can_be_released_in_tenths(tree: Tree) -> None:
    """In binary fractions 0.7 + 0.1 − 0.7 − 0.1 is less than 0, which the database refuses."""
    for tenths in (7, 1):
        hold_for(tree.ada, f"0.{tenths}", key=f"part/{tenths}")
    for tenths in (7, 1):
        free(f"part/{tenths}")
    assert spent_and_held(tree, "sponsor") == (0, 0)


def test_a_refused_hold_leaves_the_callers_transaction_usable(tree: Tree) -> None:
    with transaction.atomic():
        with pytest.raises(BudgetRefused):
            hold_for(tree.ada, 11)
        hold_for(tree.ada, 10)
    assert spent_and_held(tree) == (0, 10)


def test_the_database_itself_refuses_to_go_over(tree: Tree) -> None:
    with pytest.raises(IntegrityError, match="budget_cap_holds"), transaction.atomic():
        Budget.objects.filter(pk=tree.ada.pk).update(held_usd=Decimal("10.000001"))


def test_one_key_cannot_be_held_on_two_budgets(tree: Tree) -> None:
    hold_for(tree.ada, 1)
    with pytest.raises(ValueError, match="another budget"):
        hold_for(tree.ben, 1)


def test_a_release_frees_what_is_left_once(tree: Tree) -> None:
    hold_for(tree.ada, 4)
    post(tree.ada, KEY, [dollars(1)], NOON)
    assert free() == 3
    assert free() == 0
    for name in PATH:
        assert spent_and_held(tree, name) == (1, 0)
    assert [m.amount_usd for m in MoneyMove.objects.filter(kind="release")] == [3]


def test_shrinking_frees_the_rest_and_never_asks_nor_grows(tree: Tree) -> None:
    hold_for(tree.ada, 8)
    hold_for(tree.ada, 2, key="other")
    post(tree.ada, KEY, [dollars(9)], NOON)  # an overrun: nothing could be held anew
    for to_usd, freed in (("1.5", "0.5"), ("3", "0")):
        assert shrink("other", Decimal(to_usd), why="cheaper", who=None, now=NOON) == Decimal(freed)
    assert shrink("machine/unknown", Decimal(3), why="nothing", who=None, now=NOON) == 0
    for name in PATH:
        assert spent_and_held(tree, name) == (9, Decimal("1.5"))
    assert check_books() == []


def test_releasing_what_was_never_held_frees_nothing(tree: Tree) -> None:
    assert free("machine/unknown") == 0


def test_a_released_key_can_be_held_again(tree: Tree) -> None:
    hold_for(tree.ada, 4)
    free()
    assert hold_for(tree.ada, 3).closed_at is None
    assert spent_and_held(tree) == (0, 3)


def test_a_charge_moves_money_from_held_to_spent(tree: Tree) -> None:
    hold_for(tree.ada, 4)
    assert post(tree.ada, KEY, [dollars(1), dollars("0.5", hour=1)], NOON) == Decimal("1.5")
    for name in PATH:
        assert spent_and_held(tree, name) == (Decimal("1.5"), Decimal("2.5"))


def test_a_line_said_again_is_not_charged_again(tree: Tree) -> None:
    hold_for(tree.ada, 4)
    post(tree.ada, KEY, [dollars(1)], NOON)
    assert post(tree.ada, KEY, [dollars(1), dollars(1, hour=1), dollars(1, hour=1)], NOON) == 1
    assert spent_and_held(tree) == (2, 2)
    assert DailySpend.objects.get().amount_usd == 2
    assert Charge.objects.count() == 2


def test_a_charge_beyond_the_hold_is_paid_from_what_is_left(tree: Tree) -> None:
    hold_for(tree.ada, 1)
    post(tree.ada, KEY, [dollars(3)], NOON)
    assert spent_and_held(tree) == (3, 0)
    assert tree.fresh("ada").overrun_usd == 0


def test_a_charge_that_nothing_covers_is_booked_as_overrun_and_shouted(
    tree: Tree, caplog: pytest.LogCaptureFixture
) -> None:
    hold_for(tree.ada, 8)
    hold_for(tree.ada, 2, key="other")
    post(tree.ada, KEY, [dollars(9)], NOON)
    assert spent_and_held(tree) == (9, 2)
    assert tree.fresh("ada").overrun_usd == 1
    assert tree.fresh("team").overrun_usd == 0
    assert MoneyMove.objects.get(kind="overrun").budget == tree.ada
    assert [r.levelno for r in caplog.records if r.name == "spend.services"] == [logging.ERROR]
    with pytest.raises(BudgetRefused):
        hold_for(tree.ada, 1, key="third")


def test_daily_spend_sums_by_utc_day_and_kind(tree: Tree) -> None:
    post(tree.ada, KEY, [dollars(1, hour=11), dollars(2, hour=12), dollars("0.5", hour=11, kind="address")], NOON)
    post(tree.ada, "other", [dollars(1, hour=11)], NOON)
    rows = DailySpend.objects.order_by("day", "kind").values_list("day", "kind", "amount_usd", "seconds")
    today, tomorrow = NOON.date(), NOON.date() + timedelta(days=1)
    assert list(rows) == [
        (today, "address", Decimal("0.5"), 3600),
        (today, "compute", 2, 7200),
        (tomorrow, "compute", 2, 3600),
    ]


def test_a_charge_says_whose_course_and_team_it_was(tree: Tree, cast: Cast) -> None:
    post(tree.ada, KEY, [dollars(1)], NOON)
    charge = Charge.objects.get()
    assert (charge.enrollment, charge.team, charge.course) == (cast.student, cast.team, cast.course)


@pytest.mark.parametrize("count", [1, 80])  # SQLite inserts some 90 rows at a time
def test_many_lines_cost_as_many_statements_as_one(
    tree: Tree, count: int, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    hold_for(tree.ada, 5)
    lines = [dollars("0.001", hour=n) for n in range(count)]
    with django_assert_max_num_queries(17):
        assert post(tree.ada, KEY, lines, NOON) == count * Decimal("0.001")


def test_a_budget_cannot_shrink_below_what_is_spent_and_held(tree: Tree) -> None:
    hold_for(tree.ada, 3)
    post(tree.ada, KEY, [dollars(1)], NOON)
    with pytest.raises(BelowCommitted, match=r"Ada Student cannot be less than \$3\.00"):
        set_amount(tree.ada, Decimal("2.99"), why="less", who=None, now=NOON)
    assert set_amount(tree.ada, Decimal(3), why="less", who=None, now=NOON).left_usd == 0


def test_a_new_amount_is_a_move_that_says_who_and_why(tree: Tree, cast: Cast) -> None:
    set_amount(tree.ada, Decimal(25), why="prize", who=cast.instructor.user, now=NOON)
    move = MoneyMove.objects.filter(budget=tree.ada).last()
    assert move is not None
    assert (move.kind, move.amount_usd, move.why, move.who) == ("grant", 15, "prize", cast.instructor.user)


def test_setting_the_same_amount_is_no_move(tree: Tree) -> None:
    set_amount(tree.ada, Decimal(10), why="again", who=None, now=NOON)
    assert MoneyMove.objects.filter(budget=tree.ada).count() == 1


def test_a_person_without_a_budget_is_told_whom_to_ask(cast: Cast) -> None:
    with pytest.raises(NoBudget, match=r"no budget in Deep Learning yet.*Ask the course staff"):
        budget_of(cast.student)


def test_opening_budgets_again_only_adds_those_who_are_new(tree: Tree, cast: Cast) -> None:
    set_amount(tree.ada, Decimal(7), why="less", who=None, now=NOON)
    late = cast.course.enrollments.create(email="late@demo.edu", name="Lea Late", team=cast.team)
    before = Budget.objects.count()
    for _twice in range(2):
        open_budgets(
            cast.course,
            course_usd=Decimal(1),
            team_usd=Decimal(1),
            person_usd=Decimal(5),
            why="roster",
            who=None,
            now=NOON,
        )
    assert Budget.objects.count() == before + 1
    assert budget_of(late).amount_usd == 5
    assert budget_of(late).parent == tree.team
    assert tree.fresh("ada").amount_usd == 7


def test_a_person_without_a_team_hangs_below_the_course(tree: Tree, cast: Cast) -> None:
    assert budget_of(cast.ta).parent == tree.course


def test_a_budget_is_never_opened_below_one_of_its_own_level_or_lower(tree: Tree, cast: Cast) -> None:
    with pytest.raises(ValueError, match="cannot be below"):
        create_budget(
            Level.COURSE, amount_usd=Decimal(1), parent=tree.team, course=cast.other_course, why="", who=None, now=NOON
        )
