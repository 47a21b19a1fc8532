"""What is alarming: each rule at its edge, whom it concerns, and when a message goes."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spend.alert_words import words
from spend.alerts import (
    GRAVE,
    NOTE,
    WARNING,
    BudgetFacts,
    CourseFacts,
    CreditFacts,
    DiskFacts,
    Limits,
    MachineFacts,
    PersonFacts,
    Raised,
    Who,
    alarms,
    due_at,
    gone_by,
)

TODAY = date(2019, 3, 5)
PACIFIC = ZoneInfo("America/Los_Angeles")


def facts(**more: object) -> CourseFacts:
    return CourseFacts(today=TODAY, ends_on=date(2019, 5, 17), planned_today_usd=Decimal(10), **more)  # type: ignore[arg-type]


def budget(used: object, *, level: str = "person", rate: object = 0, amount: int = 100) -> BudgetFacts:
    return BudgetFacts(1, level, "Ada", Decimal(amount), Decimal(str(used)), Decimal(str(rate)), enrollment=7, team=3)


def keys(found: list[Raised], *, loud: bool = False) -> list[str]:
    return [one.key for one in found if not (loud and one.is_silent)]


@pytest.mark.parametrize(
    ("used", "reached", "told"),
    [
        ("49.99", [], []),
        ("50", [50], [50]),
        ("79.999999", [50], [50]),
        ("85", [50, 80], [80]),
        ("100", [50, 80, 100], [100]),
        ("104", [50, 80, 100], [100]),
    ],
)
def test_each_percentage_that_is_reached_stands_and_the_highest_is_told(
    used: str, reached: list[int], told: list[int]
) -> None:
    found = alarms(facts(budgets=[budget(used)]), Limits())
    assert keys(found) == [f"budget/1/{p}" for p in reached]
    assert keys(found, loud=True) == [f"budget/1/{p}" for p in told]


@pytest.mark.parametrize(
    ("level", "audience", "gravity"),
    [
        ("person", {Who.STUDENT}, WARNING),
        ("team", {Who.TEAM, Who.TA}, WARNING),
        ("course", {Who.TA, Who.INSTRUCTOR, Who.SPONSOR, Who.ROOM}, GRAVE),
        ("sponsor", {Who.INSTRUCTOR, Who.SPONSOR, Who.ROOM}, GRAVE),
    ],
)
def test_a_budget_that_is_gone_concerns_those_who_can_do_something(
    level: str, audience: set[Who], gravity: int
) -> None:
    found = alarms(facts(budgets=[budget(100, level=level)]), Limits())[-1]
    assert (found.audience, found.gravity) == (audience, gravity)


def test_nothing_about_a_single_person_goes_into_a_room() -> None:
    people = [PersonFacts(n, Decimal(1), Decimal(9)) for n in range(6)] + [PersonFacts(9, Decimal(80), Decimal(0))]
    disk = DiskFacts("mabc", 7, datetime(2019, 1, 1, tzinfo=UTC), Decimal(5))
    found = alarms(facts(people=people, disks=[disk], budgets=[budget(90)]), Limits())
    personal = [one for one in found if one.enrollment is not None]
    assert {one.kind for one in personal} == {"threshold", "unusual", "idle", "disk"}
    assert not [one for one in personal if Who.ROOM in one.audience]


def test_the_forecast_names_the_day_and_how_early_it_is() -> None:
    [found] = [
        one for one in alarms(facts(budgets=[budget(40, level="course", rate=2)]), Limits()) if "fore" in one.key
    ]
    assert (found.facts["gone_on"], found.facts["days_early"]) == ("2019-04-04", 43)
    title, text = words(found.kind, found.facts)
    assert title == "At this rate the budget of Ada is gone on 4 April"
    assert "6 weeks early" in text


def test_the_forecast_waits_for_some_spend_and_for_a_rate_that_matters() -> None:
    for quiet in (budget(19, rate=5), budget(40, rate=0), budget(100, rate=5), budget(40, rate="0.8")):
        assert not [key for key in keys(alarms(facts(budgets=[quiet]), Limits())) if "forecast" in key]


def test_a_forecast_that_stands_lets_go_later_than_it_takes_hold() -> None:
    near = budget(40, rate="0.85")  # three days early
    assert not [k for k in keys(alarms(facts(budgets=[near]), Limits())) if "forecast" in k]
    assert [k for k in keys(alarms(facts(budgets=[near]), Limits(), {"forecast/1"})) if "forecast" in k]


def test_a_day_far_above_the_plan_and_a_person_far_above_the_others() -> None:
    people = [PersonFacts(n, Decimal(2), Decimal(0)) for n in range(5)]
    assert alarms(facts(people=people), Limits()) == []
    found = {
        one.kind: one for one in alarms(facts(people=[*people, PersonFacts(9, Decimal(15), Decimal(0))]), Limits())
    }
    assert (found["pace"].gravity, found["pace"].facts) == (WARNING, {"today_usd": "25", "planned_usd": "10"})
    assert (found["unusual"].enrollment, found["unusual"].audience) == (9, {Who.TA, Who.INSTRUCTOR})
    few = [PersonFacts(1, Decimal(1), Decimal(0)), PersonFacts(2, Decimal(9), Decimal(0))]
    assert alarms(facts(people=few), Limits()) == []


def test_idle_money_forgotten_disks_and_credit_that_ends() -> None:
    found = alarms(
        facts(
            people=[PersonFacts(1, Decimal(0), Decimal("5")), PersonFacts(2, Decimal(0), Decimal("4.99"))],
            disks=[
                DiskFacts("mold", 1, datetime(2019, 2, 19, 12, tzinfo=UTC), Decimal("5.12")),
                DiskFacts("mnew", 1, datetime(2019, 2, 20, 12, tzinfo=UTC), Decimal("5.12")),
            ],
            credits=[
                CreditFacts("soon", "AWS", Decimal(500), TODAY + timedelta(days=21)),
                CreditFacts("later", "AWS", Decimal(500), TODAY + timedelta(days=22)),
                CreditFacts("empty", "AWS", Decimal("0.5"), TODAY),
                CreditFacts("over", "AWS", Decimal(5), TODAY - timedelta(days=1)),
            ],
        ),
        Limits(),
    )
    assert keys(found) == ["idle/1", "disk/mold", "credit/soon"]
    for one in found:
        title, text = words(one.kind, one.facts, "Ada")
        assert "$" in title + text


def machines(*usd_hours: str) -> list[MachineFacts]:
    return [MachineFacts(f"m{n}", n, Decimal(usd)) for n, usd in enumerate(usd_hours)]


@pytest.mark.parametrize(
    ("usd_hours", "told"),
    [
        (("0.5", "0.5", "0.5", "0.8", "2.51"), ["machine/m4"]),
        (("0.5", "0.5", "0.5", "0.8", "2.5"), []),  # five times, not above
        (("0.1", "0.1", "0.1", "0.1", "0.99"), []),  # less than a dollar an hour interests nobody
        (("0.5", "0.5", "0.5", "9"), []),  # a median of four tells nothing
    ],
)
def test_a_machine_that_burns_many_times_the_others_is_told_to_staff(
    usd_hours: tuple[str, ...], told: list[str]
) -> None:
    found = alarms(facts(machines=machines(*usd_hours)), Limits())
    assert keys(found) == told
    assert all(one.audience == {Who.TA, Who.INSTRUCTOR} for one in found)


amounts = st.decimals("0", "500", places=2)


@given(
    st.lists(st.builds(budget, amounts, rate=amounts, level=st.sampled_from(["person", "team", "course", "sponsor"])))
)
def test_whatever_the_figures_each_alarm_has_its_key_once_and_words(budgets: list[BudgetFacts]) -> None:
    numbered = [
        BudgetFacts(n, b.level, b.name, b.amount_usd, b.used_usd, b.rate_usd_day) for n, b in enumerate(budgets)
    ]
    found = alarms(facts(budgets=numbered), Limits())
    assert len({one.key for one in found}) == len(found)
    for one in found:
        assert all([*words(one.kind, one.facts), *words(one.kind, one.facts, "Ada")])


def test_a_rate_of_almost_nothing_is_gone_in_ten_years_at_most() -> None:
    assert gone_by(Decimal(10**6), Decimal("0.000001"), TODAY) == TODAY + timedelta(days=3650)


# ------------------------------------------------------------------ when it is told
def told_at(clock: str, gravity: int = NOTE, minutes: int = 15, quiet: tuple[int, int] = (22, 7)) -> str:
    hour, minute, second = (int(part) for part in clock.split(":"))
    local = datetime(2019, 3, 5, hour, minute, second, tzinfo=PACIFIC)
    now = local.astimezone(UTC)
    due = due_at(now, local, gravity=gravity, group_minutes=minutes, quiet=quiet)
    assert due >= now
    return f"{due.astimezone(PACIFIC):%d %H:%M:%S}"


@pytest.mark.parametrize(
    ("clock", "due"),
    [
        ("10:00:00", "05 10:15:00"),
        ("10:14:59", "05 10:15:00"),
        ("21:30:00", "05 21:45:00"),
        ("21:50:00", "06 07:00:00"),
        ("23:10:30", "06 07:00:00"),
        ("03:00:00", "05 07:00:00"),
        ("06:50:00", "05 07:00:00"),
        ("07:00:00", "05 07:15:00"),
    ],
)
def test_messages_go_at_the_end_of_their_period_and_never_in_quiet_hours(clock: str, due: str) -> None:
    assert told_at(clock) == due


def test_the_gravest_go_at_once_at_any_hour_and_without_quiet_hours_nothing_waits_for_morning() -> None:
    assert told_at("03:12:05", GRAVE) == "05 03:12:05"
    assert told_at("03:12:05", quiet=(0, 0)) == "05 03:15:00"
    assert told_at("13:00:00", quiet=(12, 14)) == "05 14:00:00"
