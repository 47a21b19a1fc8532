"""Times in stored and mailed sentences: right for whoever reads them, wherever that is."""

from datetime import UTC, datetime

import pytest

from courses.models import Course
from instances.clock import clock

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("zone", "text"),
    [
        ("America/Los_Angeles", "12:40 PST"),
        ("Asia/Shanghai", "Tue 24 Nov, 04:40 CST"),
        ("America/Sao_Paulo", "17:40 UTC-03"),
        ("UTC", "20:40 UTC"),
    ],
)
def test_a_time_says_whose_it_is(zone: str, text: str) -> None:
    at = NOW.replace(minute=40)
    now = NOW if "CST" not in text else NOW.replace(hour=10)
    assert clock(Course(timezone=zone), at, now) == text


def test_summer_has_its_own_name() -> None:
    at = datetime(2026, 7, 1, 20, 0, tzinfo=UTC)
    assert clock(Course(timezone="America/Los_Angeles"), at, at) == "13:00 PDT"
