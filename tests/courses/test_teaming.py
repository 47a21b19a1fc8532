"""The lottery: everybody has a place or is told that there is none, and no team becomes too large by it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from courses.teaming import place_leftovers


def placed(
    sizes: dict[int, int], people: int, least: int = 3, most: int = 5, seed: int = 1
) -> tuple[dict[int, int], list[int], int]:
    plan = place_leftovers(sizes, range(100, 100 + people), least=least, most=most, seed=seed)
    after = {team: size + len(plan.joins.get(team, [])) for team, size in sizes.items()}
    return after, sorted(len(new) for new in plan.new), len(plan.left)


@pytest.mark.parametrize(
    ("sizes", "people", "after", "new", "left"),
    [
        ({}, 0, {}, [], 0),
        ({}, 7, {}, [3, 4], 0),
        ({}, 10, {}, [5, 5], 0),
        ({}, 2, {}, [], 2),
        ({1: 4}, 1, {1: 5}, [], 0),
        ({1: 5}, 1, {1: 5}, [], 1),
        ({1: 2, 2: 5}, 1, {1: 3, 2: 5}, [], 0),
        ({1: 1, 2: 2}, 3, {1: 3, 2: 3}, [], 0),
        ({1: 3, 2: 4}, 2, {1: 4, 2: 5}, [], 0),
        ({1: 3}, 7, {1: 3}, [3, 4], 0),
    ],
)
def test_small_teams_first_then_new_ones_then_room_in_others(
    sizes: dict[int, int], people: int, after: dict[int, int], new: list[int], left: int
) -> None:
    got_after, got_new, got_left = placed(sizes, people)
    assert (sum(got_after.values()), got_new, got_left) == (sum(after.values()), new, left)
    assert sorted(got_after.values()) == sorted(after.values())


@settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.dictionaries(st.integers(1, 9), st.integers(0, 7), max_size=6),
    people=st.integers(0, 40),
    least=st.integers(1, 5),
    more=st.integers(0, 4),
    seed=st.integers(0, 99),
)
def test_whatever_there_is_everybody_is_in_exactly_one_place(
    sizes: dict[int, int], people: int, least: int, more: int, seed: int
) -> None:
    most = least + more
    plan = place_leftovers(sizes, range(100, 100 + people), least=least, most=most, seed=seed)
    everybody = [p for who in plan.joins.values() for p in who] + [p for new in plan.new for p in new] + plan.left
    assert sorted(everybody) == list(range(100, 100 + people))
    assert all(least <= len(new) <= most for new in plan.new)
    assert all(sizes[team] + len(who) <= max(most, sizes[team]) for team, who in plan.joins.items())
    if plan.left:
        assert all(sizes[t] + len(plan.joins.get(t, [])) >= most for t in sizes)
    assert place_leftovers(sizes, range(100, 100 + people), least=least, most=most, seed=seed) == plan


def test_another_seed_is_another_draw() -> None:
    draws = {str(place_leftovers({}, range(20), least=3, most=5, seed=seed)) for seed in range(5)}
    assert len(draws) > 1
