"""Who waits ahead of whom, when AWS is asked again, and what may honestly be said about how long it takes."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from instances.launch_rules import Candidate
from instances.queue_rules import Past, Waiting, WaitsFor, ahead_of, estimate, lanes, next_try, open_to

NOON = datetime(2019, 3, 5, 12, tzinfo=UTC)
CAPACITY, QUOTA, ACCOUNT = WaitsFor


def waiting(key: int, *types: str, waits_for: WaitsFor = CAPACITY, spot: bool = False) -> Waiting:
    return Waiting(key, frozenset(types), waits_for, spot)


def names(wanted: list[str], blocked: Waiting, *, spot: bool = False) -> list[str]:
    asked = [Candidate(n, "", Decimal(1)) for n in wanted]
    return [c.instance_type for c in open_to(asked, lanes(blocked), spot=spot)]


@pytest.mark.parametrize(
    ("ahead", "wanted", "left"),
    [
        (waiting(1, "g4dn.xlarge"), ["g4dn.xlarge", "g6.xlarge"], ["g6.xlarge"]),
        (waiting(1, "g4dn.xlarge"), ["g4dn.xlarge"], []),
        (waiting(1, "g4dn.xlarge"), ["p4d.24xlarge"], ["p4d.24xlarge"]),
        # A full quota is full for all types that count in it, and for no others.
        (waiting(1, "g4dn.xlarge", waits_for=QUOTA), ["g6.xlarge", "p4d.24xlarge"], ["p4d.24xlarge"]),
        (waiting(1, "g4dn.xlarge", waits_for=ACCOUNT), ["g6.xlarge", "p4d.24xlarge", "t3.micro"], []),
    ],
)
def test_nobody_is_asked_for_what_somebody_ahead_waits_for(ahead: Waiting, wanted: list[str], left: list[str]) -> None:
    assert names(wanted, ahead) == left


@pytest.mark.parametrize("spot", [True, False])
@pytest.mark.parametrize(
    ("waits_for", "same", "other"),
    [
        (CAPACITY, ["g6.xlarge", "inf2.xlarge"], ["g4dn.xlarge", "g6.xlarge", "inf2.xlarge"]),
        (QUOTA, ["inf2.xlarge"], ["g4dn.xlarge", "g6.xlarge", "inf2.xlarge"]),
        (ACCOUNT, [], []),
    ],
)
def test_spot_and_on_demand_do_not_stand_in_each_others_way(
    waits_for: WaitsFor, same: list[str], other: list[str], spot: bool
) -> None:
    ahead, wanted = (
        waiting(1, "g4dn.xlarge", waits_for=waits_for, spot=spot),
        ["g4dn.xlarge", "g6.xlarge", "inf2.xlarge"],
    )
    assert names(wanted, ahead, spot=spot) == same
    assert names(wanted, ahead, spot=not spot) == other


@pytest.mark.parametrize("waits_for", [CAPACITY, QUOTA])
def test_a_type_of_an_unknown_quota_is_two_kinds_in_two_markets(waits_for: WaitsFor) -> None:
    ahead = waiting(1, "inf2.xlarge", waits_for=waits_for, spot=True)
    assert names(["inf2.xlarge"], ahead, spot=True) == []
    assert names(["inf2.xlarge"], ahead, spot=False) == ["inf2.xlarge"]


def test_a_place_counts_nobody_of_the_other_market() -> None:
    line = [
        waiting(1, "g4dn.xlarge", waits_for=QUOTA, spot=True),
        waiting(2, "g4dn.xlarge"),
        waiting(3, "g6.xlarge", spot=True),
        waiting(4, "g4dn.xlarge"),
    ]
    assert [ahead_of(one, line) for one in line] == [0, 0, 1, 1]


def test_a_place_counts_those_who_wait_for_the_same() -> None:
    line = [
        waiting(1, "p4d.24xlarge"),
        waiting(2, "g4dn.xlarge"),
        waiting(3, "g6.xlarge"),
        waiting(4, "g4dn.xlarge", "g6.xlarge"),
        waiting(5, "g6.xlarge"),
    ]
    assert [ahead_of(one, line) for one in line] == [0, 0, 0, 2, 2]


@pytest.mark.parametrize(
    ("tries", "waits_for", "minutes"),
    [
        (1, CAPACITY, 1),
        (2, CAPACITY, 2),
        (3, CAPACITY, 4),
        (4, CAPACITY, 5),
        (500, CAPACITY, 5),
        (9, QUOTA, 1),
        (1, ACCOUNT, 5),
    ],
)
def test_aws_is_asked_again_after_one_to_five_minutes(tries: int, waits_for: WaitsFor, minutes: int) -> None:
    assert next_try(tries, waits_for, NOON) == NOON + timedelta(minutes=minutes)


def past(*minutes: int | None) -> list[Past]:
    return [Past(None if m is None else timedelta(minutes=m)) for m in minutes]


def test_an_estimate_says_how_many_were_served_and_how_fast() -> None:
    found = estimate(past(10, 20, None, 30, 40, None, 50, 60, 70, 80, 90, 100))
    assert found
    assert (found.others, found.served) == (12, 10)
    assert (found.half_within, found.most_within) == (timedelta(minutes=50), timedelta(minutes=90))


@pytest.mark.parametrize("known", [past(), past(5, 6), past(None, None, None, None)])
def test_too_little_known_is_no_estimate(known: list[Past]) -> None:
    assert estimate(known) is None
