"""From seconds to dollars: what a resource costs, cut into UTC hours. Pure; what was already posted is not known here.

Every line is a difference of two rounded costs *since the start*, so any sequence of sweeps adds up to the same
microdollar, and a line said again is the same line.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

MICRODOLLAR = Decimal("0.000001")
_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one kind of cost. Times are aware; `usd_hour` is USD per hour, from the start on.

    `minimum_seconds` is billed for even when it ended sooner (EC2: 60 per start). `changes`, in the order of their
    moments: from then on another price is in force (Spot). One before the start counts from the start.
    """

    kind: str
    started_at: datetime
    ended_at: datetime | None
    usd_hour: Decimal
    minimum_seconds: int = 0
    changes: Sequence[tuple[datetime, Decimal]] = ()


@dataclass(frozen=True, slots=True)
class ChargeLine:
    """What one UTC hour of a segment costs. `hour` is its first moment; `idle_seconds` of `seconds` were not used."""

    kind: str
    hour: datetime
    seconds: int
    amount_usd: Decimal
    idle_seconds: int = 0

    @property
    def idle_usd(self) -> Decimal:
        """The share of the amount that the idle seconds have, to the microdollar."""
        return rounded(self.amount_usd * self.idle_seconds / self.seconds) if self.seconds else Decimal(0)


def cost(segment: Segment, until: datetime) -> Decimal:
    """Cost in USD from the start to `until`, unrounded; the minimum is owed once the segment has ended.

    The cost between two moments is a difference of two of these, also for a segment that has ended meanwhile.
    """
    end = _end(segment, until)
    if segment.ended_at is None or until < end:
        return _price(segment, _seconds(segment, until))
    return _price(segment, max(_seconds(segment, end), segment.minimum_seconds))


def charge_lines(segment: Segment, until: datetime, since: datetime | None = None) -> list[ChargeLine]:
    """The lines that are certain at `until`: every complete hour, and the rest once the segment has ended.

    `until` must be a moment at which the resource was known to exist: a line is never taken back. It no longer
    counts when the segment has ended. Hours complete at `since` are left out: they were posted before.
    """
    end = _end(segment, until)
    begin = segment.started_at if since is None else max(segment.started_at, since)
    lines = list(_complete_hours(segment, hour_of(begin), end))
    last = _last_line(segment, end) if segment.ended_at is not None else None
    return [*lines, last] if last else lines


def with_idle(lines: Sequence[ChargeLine], idle_seconds: Mapping[datetime, int]) -> list[ChargeLine]:
    """The lines with what is known of each hour's idle seconds: never more than the line has."""
    return [replace(one, idle_seconds=min(one.seconds, idle_seconds.get(one.hour, 0))) for one in lines]


def hour_of(moment: datetime) -> datetime:
    """The first moment of the UTC hour that `moment` is in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def rounded(amount_usd: Decimal) -> Decimal:
    """To the microdollar, as it is stored."""
    return amount_usd.quantize(MICRODOLLAR, ROUND_HALF_EVEN)


def _end(segment: Segment, until: datetime) -> datetime:
    """Up to when the segment is charged for: its end if it has one, which is never before its start."""
    return max(segment.started_at, until if segment.ended_at is None else segment.ended_at)


def _seconds(segment: Segment, moment: datetime) -> int:
    """Seconds from the start; a begun second counts, as the provider counts it."""
    return max(0, -((segment.started_at - moment) // _SECOND))


def _price(segment: Segment, seconds: int) -> Decimal:
    """Of the first `seconds`: each at the price in force when it began."""
    total, since, usd_hour = Decimal(0), 0, segment.usd_hour
    for moment, changed in segment.changes:
        at = _seconds(segment, moment)
        if at >= seconds:
            break
        total += usd_hour * (at - since)
        since, usd_hour = at, changed
    return (total + usd_hour * (seconds - since)) / 3600


def _line(segment: Segment, hour: datetime, from_second: int, to_second: int) -> ChargeLine:
    amount = rounded(_price(segment, to_second)) - rounded(_price(segment, from_second))
    return ChargeLine(segment.kind, hour, to_second - from_second, amount)


def _complete_hours(segment: Segment, hour: datetime, end: datetime) -> Iterator[ChargeLine]:
    while hour + _HOUR <= end:
        yield _line(segment, hour, _seconds(segment, hour), _seconds(segment, hour + _HOUR))
        hour += _HOUR


def _last_line(segment: Segment, end: datetime) -> ChargeLine | None:
    """What is left in the hour of the end, topped up to the minimum.

    It is always a line of its own hour, even when the end is on the hour: the hour before may be posted already,
    and a top-up added to a posted line would be lost.
    """
    hour = hour_of(end)
    before, total = _seconds(segment, hour), max(_seconds(segment, end), segment.minimum_seconds)
    return _line(segment, hour, before, total) if total > before else None
