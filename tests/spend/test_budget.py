"""The verdict on a path of budgets."""

from decimal import Decimal

import pytest

from spend.budget import BudgetLine, tightest, verdict


def line(level: str, left: str | int, spent: int = 0, held: int = 0) -> BudgetLine:
    return BudgetLine(level, level, Decimal(left) + spent + held, Decimal(spent), Decimal(held))


def path(person: str | int, team: str | int = 99, course: str | int = 99, sponsor: str | int = 99) -> list[BudgetLine]:
    names = ("person", "team", "course", "sponsor")
    return [line(name, left) for name, left in zip(names, (person, team, course, sponsor), strict=True)]


@pytest.mark.parametrize(
    ("lefts", "amount", "ok", "level", "short", "left"),
    [
        ((10,), "10", True, "person", "0", 10),
        ((10,), "10.000001", False, "person", "0.000001", 10),
        ((10, 4), "5", False, "team", "1", 4),
        ((10, 10, 4), "5", False, "course", "1", 4),
        ((10, 10, 10, 4), "5", False, "sponsor", "1", 4),
        ((3, 4, 2, 1), "5", False, "person", "2", 3),  # the nearest decides, not the poorest
        ((10, 4, 2), "5", False, "team", "1", 4),
        ((10, 8, 9, 9), "5", True, "team", "0", 8),
        ((0,), "0", True, "person", "0", 0),
        ((0,), "0.01", False, "person", "0.01", 0),
    ],
)
def test_verdict(lefts: tuple[int, ...], amount: str, ok: bool, level: str, short: str, left: int) -> None:
    found = verdict(path(*lefts), Decimal(amount))
    assert (found.ok, found.level, found.short_usd, found.left_usd) == (ok, level, Decimal(short), left)
    assert found.needed_usd == Decimal(amount)


def test_what_is_spent_and_what_is_held_are_both_gone() -> None:
    assert line("person", 2, spent=5, held=3).left_usd == 2


def test_an_overrun_budget_has_nothing_left_and_lends_nothing() -> None:
    overrun = BudgetLine("person", "Ada", Decimal(10), Decimal(12), Decimal(0))
    assert overrun.left_usd == 0
    assert not verdict([overrun], Decimal("0.000001")).ok


@pytest.mark.parametrize(("lines", "amount"), [([], 1), (path(10), -1)])
def test_no_path_and_no_negative_amount_ever_mean_yes(lines: list[BudgetLine], amount: int) -> None:
    with pytest.raises(ValueError):
        verdict(lines, Decimal(amount))


def test_of_two_equally_tight_budgets_the_nearer_one_is_named() -> None:
    assert tightest(path(9, 5, 5)).level == "team"
