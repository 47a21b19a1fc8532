"""How amounts and spans are written."""

from decimal import Decimal

import pytest

from portal.figures import relative, span, usd, usd_hour


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        ("0", "$0.00"),
        ("0.000146", "<$0.01"),
        ("0.01", "$0.01"),
        ("0.005", "<$0.01"),
        ("1234.5", "$1,234.50"),
        ("2.675", "$2.68"),
        ("-3", "−$3.00"),
        ("30000", "$30,000.00"),
    ],
)
def test_an_amount_has_two_decimals_and_what_costs_something_never_looks_free(amount: str, text: str) -> None:
    assert usd(Decimal(amount)) == text


@pytest.mark.parametrize(
    ("price", "text"),
    [("0.526", "$0.526"), ("3.06", "$3.06"), ("1", "$1.00"), ("0.007014", "$0.007"), ("16.288", "$16.288")],
)
def test_a_price_keeps_its_third_decimal(price: str, text: str) -> None:
    assert usd_hour(Decimal(price)) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (250, "4 min 10 s"),
        (2100, "35 min"),
        (3900, "1 h 5 min"),
        (7200, "2 h"),
        (47 * 3600 + 60, "47 h 1 min"),
        (3 * 86400, "3 days"),
        (-5, "0 s"),
    ],
)
def test_a_span_is_as_short_as_it_is_clear(seconds: float, text: str) -> None:
    assert span(seconds) == text


def test_a_moment_is_told_from_now() -> None:
    assert [relative(s) for s in (3900, -12, 0.4)] == ["in 1 h 5 min", "12 s ago", "now"]
