"""Who may have which machine when, and what AWS is asked for in which order. Pure."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from instances.launch_rules import (
    Candidate,
    CourseDates,
    Kind,
    Person,
    Refusal,
    affordable,
    course_end,
    in_zones,
    refusal,
    usd_for,
)

DATES = CourseDates(date(2019, 1, 22), date(2019, 5, 17), "America/Los_Angeles")
ADA = Person("student", True, 0)
KIND = Kind(True, 1, Decimal("1.00"), [("g4dn.xlarge", Decimal("0.526")), ("g6.xlarge", Decimal("0.8048"))])
NOW = datetime(2019, 3, 5, 12, tzinfo=UTC)


def test_an_active_student_in_term_may() -> None:
    assert refusal(ADA, DATES, KIND, NOW) is None


@pytest.mark.parametrize(
    ("person", "kind", "why"),
    [
        (replace(ADA, active=False), KIND, Refusal.NOT_ACTIVE),
        (replace(ADA, role="sponsor"), KIND, Refusal.ROLE),
        (ADA, replace(KIND, enabled=False), Refusal.DISABLED),
        (replace(ADA, live_machines=1), KIND, Refusal.TOO_MANY),
        (ADA, replace(KIND, ceiling_usd_hour=Decimal("0.5")), Refusal.NO_PRICE),
        (ADA, replace(KIND, prices=[("x9.unknown", None)]), Refusal.NO_PRICE),
    ],
)
def test_who_and_what_may_not(person: Person, kind: Kind, why: Refusal) -> None:
    assert refusal(person, DATES, kind, NOW) is why


@pytest.mark.parametrize(
    ("moment", "why"),
    [
        (datetime(2019, 1, 22, 7, 59, 59, tzinfo=UTC), Refusal.NOT_BEGUN),
        (datetime(2019, 1, 22, 8, tzinfo=UTC), None),
        (datetime(2019, 5, 18, 6, 59, 59, tzinfo=UTC), None),
        (datetime(2019, 5, 18, 7, tzinfo=UTC), Refusal.OVER),
    ],
)
def test_the_course_begins_and_ends_at_its_own_midnight(moment: datetime, why: Refusal | None) -> None:
    assert refusal(ADA, DATES, KIND, moment) is why


def test_the_course_lasts_to_the_end_of_its_last_day() -> None:
    assert course_end(DATES) == datetime(2019, 5, 18, 7, tzinfo=UTC)


def test_an_unknown_price_is_never_free_and_none_is_above_the_ceiling() -> None:
    kind = replace(
        KIND,
        prices=[
            ("a", None), ("b", Decimal(0)), ("c", Decimal("1.01")), ("d", Decimal("1.00")), ("e", Decimal("0.2")),
        ],
    )  # fmt: skip
    assert [c.instance_type for c in affordable(kind)] == ["d", "e"]


def test_the_preferred_type_is_tried_in_all_its_zones_first() -> None:
    asked = in_zones(affordable(KIND), {"g4dn.xlarge": ["a", "b"], "g6.xlarge": ["b"]})
    assert [(c.instance_type, c.zone) for c in asked] == [
        ("g4dn.xlarge", "a"),
        ("g4dn.xlarge", "b"),
        ("g6.xlarge", "b"),
    ]
    assert in_zones(affordable(KIND), {}) == []


def test_a_candidate_survives_the_row() -> None:
    one = Candidate("g6.xlarge", "us-east-1a", Decimal("0.8048"))
    assert Candidate.from_json(one.as_json()) == one


@pytest.mark.parametrize("seconds", [0, 1, 59, 3600, 4 * 3600 + 300, 86_399])
def test_what_is_held_is_never_less_than_what_it_costs(seconds: int) -> None:
    held = usd_for(Decimal("0.531"), seconds)
    cost = Decimal("0.531") * seconds / 3600
    assert held >= cost
    assert held - cost < Decimal("0.000001")
