"""Will the money last: what is left, the plan, and the forecast that anybody can check by hand."""

from datetime import date, timedelta
from decimal import Decimal

from spend.burndown import burndown, pace, planned

FIRST, LAST = date(2019, 1, 1), date(2019, 4, 10)  # a hundred days
TODAY = date(2019, 1, 31)


def spent(usd_a_day: int, days: int = 30) -> dict[date, Decimal]:
    return {FIRST + timedelta(days=n): Decimal(usd_a_day) for n in range(days)}


def test_at_ten_dollars_a_day_a_thousand_last_to_the_end() -> None:
    found = burndown(Decimal(1000), spent(10), [], FIRST, LAST, TODAY)
    assert found.left_usd == 700
    assert found.gone_likely is None
    assert found.left_at(Decimal(10), LAST) == 700 - 10 * 69


def test_at_twenty_they_are_gone_early_and_the_day_is_told() -> None:
    found = burndown(Decimal(1000), spent(20), [], FIRST, LAST, TODAY)
    assert found.left_usd == 400
    assert found.gone_likely == TODAY + timedelta(days=21)  # twenty days are paid for
    assert found.days_early == (LAST - found.gone_likely).days


def test_the_band_is_the_cheapest_and_the_dearest_of_the_last_four_weeks() -> None:
    weeks = {FIRST + timedelta(days=n): Decimal(70 if n >= 23 else 7) for n in range(30)}  # the last week is dear
    found = pace(weeks, FIRST, LAST, TODAY)
    assert found is not None
    assert (found.low, found.high) == (7, 70)
    assert found.likely == Decimal(7 * 7 + 70 * 7) / 14


def test_a_forecast_needs_a_week_and_a_course_that_goes_on() -> None:
    assert pace(spent(10), FIRST, LAST, FIRST + timedelta(days=6)) is None
    assert pace(spent(10), FIRST, LAST, LAST) is None


def test_what_is_spent_today_counts_as_left_but_not_as_pace() -> None:
    found = burndown(Decimal(1000), {TODAY: Decimal(100)}, [], FIRST, LAST, TODAY)
    assert found.left_usd == 900
    assert found.pace is not None
    assert found.pace.likely == 0
    assert found.gone_likely is None


def test_without_points_the_plan_is_even_and_with_them_it_bends() -> None:
    even = planned(date(2019, 2, 19), Decimal(1000), [], FIRST, LAST)
    assert even == 500  # the end of the fiftieth of a hundred days
    points = [(date(2019, 2, 19), Decimal(200))]
    assert planned(date(2019, 2, 19), Decimal(1000), points, FIRST, LAST) == 200
    assert planned(date(2019, 1, 25), Decimal(1000), points, FIRST, LAST) == 100
    assert planned(LAST, Decimal(1000), points, FIRST, LAST) == 1000


def test_the_cap_holds_in_the_forecast_too() -> None:
    found = burndown(Decimal(100), spent(3), [], FIRST, LAST, TODAY)
    assert found.left_at(Decimal(50), LAST) == 0
