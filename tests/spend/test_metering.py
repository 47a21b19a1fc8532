"""Seconds to dollars: the same total however it is swept, the minimum per start, and clocks that jump."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spend.metering import ChargeLine, Segment, charge_lines, cost, hour_of, rounded, with_idle

T4 = Decimal("0.526")
TEN = datetime(2019, 3, 5, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def at(clock: str) -> datetime:
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    return TEN.replace(hour=0) + timedelta(hours=hours, minutes=minutes, seconds=seconds)


def run(start: str, end: str | None, price: Decimal = T4, minimum: int = 60) -> Segment:
    return Segment("compute", at(start), at(end) if end else None, price, minimum)


def hours(lines: list[ChargeLine]) -> list[tuple[str, int]]:
    return [(f"{line.hour:%H:%M}", line.seconds) for line in lines]


# On the hour, on the second, and anywhere: the edges are where sums go wrong.
spans = st.one_of(
    st.integers(0, 30).map(lambda n: timedelta(hours=n)),
    st.integers(0, 30 * 3600).map(lambda n: timedelta(seconds=n)),
    st.timedeltas(timedelta(0), timedelta(hours=30)),
)
moments = spans.map(lambda span: TEN + span)
prices = st.decimals("0.000001", "100", places=6)


@st.composite
def segments(draw: st.DrawFn) -> Segment:
    start, length = draw(moments), draw(spans)
    return Segment("compute", start, start + length, draw(prices), draw(st.sampled_from([0, 60])))


def billed_usd(segment: Segment) -> Decimal:
    """What the price list says, counted another way: whole begun seconds, at least the minimum, rounded once."""
    assert segment.ended_at is not None
    micros = (segment.ended_at - segment.started_at) // timedelta(microseconds=1)
    seconds = max(segment.minimum_seconds, (micros + 999_999) // 1_000_000)
    return rounded(seconds * segment.usd_hour / 3600)


@given(segments(), st.lists(moments, max_size=20))
def test_any_sweeps_in_any_order_post_exactly_the_price_of_the_seconds(
    segment: Segment, sweeps: list[datetime]
) -> None:
    """Sweeps jump forwards and backwards in time, and go on after the end; a line is posted once, by its hour."""
    books: dict[datetime, Decimal] = {}
    for until in sweeps:
        ended = segment.ended_at is not None and until >= segment.ended_at
        known = segment if ended else replace(segment, ended_at=None)
        for line in charge_lines(known, until):
            assert books.setdefault(line.hour, line.amount_usd) == line.amount_usd
    for line in charge_lines(segment, TEN):
        assert books.setdefault(line.hour, line.amount_usd) == line.amount_usd
    assert sum(books.values()) == billed_usd(segment) == rounded(cost(segment, TEN + 99 * HOUR))


@given(segments(), st.lists(moments, min_size=1, max_size=10))
def test_resuming_after_what_was_posted_leaves_out_nothing(segment: Segment, sweeps: list[datetime]) -> None:
    known = replace(segment, ended_at=None)
    stops = sorted(s for s in sweeps if s < (segment.ended_at or s))
    resumed = [line for since, until in pairwise([None, *stops]) if until for line in charge_lines(known, until, since)]
    resumed += charge_lines(segment, TEN, stops[-1] if stops else None)
    once = {(line.hour, line.amount_usd) for line in resumed}
    assert once == {(line.hour, line.amount_usd) for line in charge_lines(segment, TEN)}


@given(segments(), moments)
def test_a_line_never_costs_less_than_nothing_and_fits_in_its_hour(segment: Segment, until: datetime) -> None:
    for line in charge_lines(segment, until):
        assert line.amount_usd >= 0
        assert 0 < line.seconds <= 3600
        assert line.hour == hour_of(line.hour)


@given(segments(), moments, moments, st.booleans())
def test_cost_only_grows(segment: Segment, one: datetime, other: datetime, ended: bool) -> None:
    segment = segment if ended else replace(segment, ended_at=None)
    assert cost(segment, min(one, other)) <= cost(segment, max(one, other))


@given(segments(), moments)
def test_what_is_posted_is_the_cost_up_to_the_last_full_hour(segment: Segment, until: datetime) -> None:
    known = replace(segment, ended_at=None)
    posted = sum((line.amount_usd for line in charge_lines(known, until)), Decimal(0))
    assert posted == rounded(cost(known, hour_of(until)))


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ("10:00:00", "11:00:00", [("10:00", 3600)]),
        ("10:00:00", "11:00:01", [("10:00", 3600), ("11:00", 1)]),
        ("10:59:59", "12:00:01", [("10:00", 1), ("11:00", 3600), ("12:00", 1)]),
        ("10:10:00", "10:13:40", [("10:00", 220)]),  # 3:40 is billed as 3:40
        ("10:10:00", "10:10:20", [("10:00", 60)]),  # 20 s are billed as 60
        ("10:10:00", "10:10:00", [("10:00", 60)]),  # it did start
        ("10:59:50", "11:00:20", [("10:00", 10), ("11:00", 50)]),
        ("10:59:50", "11:00:00", [("10:00", 10), ("11:00", 50)]),  # the line of 10:00 may be posted already
        ("11:00:10", "10:59:00", [("11:00", 60)]),  # an end before the start: the clocks differ
    ],
)
def test_an_ended_run_by_hours(start: str, end: str, expected: list[tuple[str, int]]) -> None:
    assert hours(charge_lines(run(start, end), TEN)) == expected


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("10:10:00", []),
        ("09:00:00", []),  # before it began
        ("10:59:59", []),
        ("11:00:00", [("10:00", 1800)]),
        ("12:30:00", [("10:00", 1800), ("11:00", 3600)]),
    ],
)
def test_an_open_run_posts_complete_hours_only(until: str, expected: list[tuple[str, int]]) -> None:
    assert hours(charge_lines(run("10:30:00", None), at(until))) == expected


def test_an_hour_of_a_t4_costs_its_price() -> None:
    assert [line.amount_usd for line in charge_lines(run("10:00:00", "11:00:00"), TEN)] == [T4]


def test_a_begun_second_counts() -> None:
    segment = Segment("compute", TEN, TEN + timedelta(minutes=5, microseconds=1), T4, 60)
    assert charge_lines(segment, TEN)[0].seconds == 301


@pytest.mark.parametrize(
    ("end", "until", "seconds"),
    [
        (None, "09:00:00", 0),
        (None, "10:00:01", 1),
        ("10:00:20", "10:00:10", 10),
        ("10:00:20", "10:00:20", 60),  # the minimum is owed once it has ended
        ("11:30:00", "11:00:00", 3600),  # what it had cost then, though it has ended since
        ("11:30:00", "15:00:00", 5400),
    ],
)
def test_cost_so_far(end: str | None, until: str, seconds: int) -> None:
    assert cost(run("10:00:00", end), at(until)) == T4 * seconds / 3600


def test_a_disk_without_a_minimum_that_never_was_costs_nothing() -> None:
    assert charge_lines(run("10:00:00", "10:00:00", minimum=0), TEN) == []


def test_hours_are_utc_whatever_zone_the_times_come_in() -> None:
    kathmandu = TEN.astimezone(ZoneInfo("Asia/Kathmandu"))  # +5:45
    segment = Segment("compute", kathmandu, kathmandu + HOUR, T4, 60)
    assert hours(charge_lines(segment, TEN)) == [("10:00", 3600)]


@st.composite
def spot_segments(draw: st.DrawFn) -> Segment:
    changes = sorted(draw(st.lists(st.tuples(moments, prices), max_size=6, unique_by=lambda change: change[0])))
    return replace(draw(segments()), changes=changes)


def by_the_second(segment: Segment) -> Decimal:
    """Second by second, each at the price that was in force when it began."""
    assert segment.ended_at is not None
    start, total = segment.started_at, Decimal(0)
    seconds = max(segment.minimum_seconds, -((start - segment.ended_at) // timedelta(seconds=1)))
    edges = sorted(
        {0, seconds, *(min(seconds, max(0, -((start - at) // timedelta(seconds=1)))) for at, _usd in segment.changes)}
    )
    for begin, end in pairwise(edges):
        before = [usd for at, usd in segment.changes if at <= start + timedelta(seconds=begin)]
        total += (before[-1] if before else segment.usd_hour) * (end - begin)
    return rounded(total / 3600)


@given(spot_segments(), st.lists(moments, max_size=20))
def test_with_changing_prices_each_second_costs_what_was_in_force_however_it_is_swept(
    segment: Segment, sweeps: list[datetime]
) -> None:
    """A sweep knows only the prices that were in force by then."""
    books: dict[datetime, Decimal] = {}
    for until in sweeps:
        ended = segment.ended_at is not None and until >= segment.ended_at
        known = [change for change in segment.changes if ended or change[0] <= until]
        for line in charge_lines(replace(segment, changes=known, ended_at=segment.ended_at if ended else None), until):
            assert books.setdefault(line.hour, line.amount_usd) == line.amount_usd
    for line in charge_lines(segment, TEN):
        assert books.setdefault(line.hour, line.amount_usd) == line.amount_usd
    assert sum(books.values()) == by_the_second(segment)


def test_idle_seconds_are_part_of_the_line_and_never_more_than_it() -> None:
    first, last = with_idle(
        charge_lines(run("10:00:00", "11:15:00"), TEN), {at("10:00:00"): 1800, at("11:00:00"): 3600}
    )
    assert (first.idle_seconds, first.idle_usd) == (1800, Decimal("0.263"))
    assert (last.idle_seconds, last.idle_usd) == (900, last.amount_usd)
