"""Will the money last? What is left day by day, against the plan, and where it goes from here. Pure. USD, UTC days.

The forecast is no statistics: the likely line goes on at the pace of the last two weeks, the band at the paces of the
cheapest and the dearest of the last four weeks. Anybody can check it by hand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

LIKELY_DAYS = 14
WEEKS = 4
ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Pace:
    """USD a day."""

    low: Decimal
    likely: Decimal
    high: Decimal


@dataclass(frozen=True, slots=True)
class Burndown:
    amount_usd: Decimal
    left: Sequence[tuple[date, Decimal]]  # at the end of each day so far
    plan: Sequence[tuple[date, Decimal]]  # what should be left then
    pace: Pace | None  # None: less than a week of history, or the course is over
    ends_on: date
    today: date

    @property
    def left_usd(self) -> Decimal:
        return self.left[-1][1] if self.left else self.amount_usd

    @property
    def days_to_come(self) -> int:
        return max(0, (self.ends_on - self.today).days)

    def left_at(self, pace_usd: Decimal, day: date) -> Decimal:
        """Never below 0: the cap holds."""
        return max(ZERO, self.left_usd - pace_usd * max(0, (day - self.today).days))

    def gone_on(self, pace_usd: Decimal) -> date | None:
        """The day on which nothing is left at this pace; None when it lasts to the end of the course."""
        if pace_usd <= 0:
            return None
        days = int(self.left_usd / pace_usd) + 1
        return self.today + timedelta(days=days) if days <= self.days_to_come else None

    @property
    def gone_likely(self) -> date | None:
        return self.gone_on(self.pace.likely) if self.pace else None

    @property
    def gone_earliest(self) -> date | None:
        return self.gone_on(self.pace.high) if self.pace else None

    @property
    def days_early(self) -> int:
        return (self.ends_on - self.gone_likely).days if self.gone_likely else 0

    @property
    def spent_usd(self) -> Decimal:
        return self.amount_usd - self.left_usd

    @property
    def planned_usd(self) -> Decimal:
        """What the plan says should be spent by today."""
        return self.amount_usd - next((usd for day, usd in reversed(self.plan) if day <= self.today), self.amount_usd)


def burndown(
    amount_usd: Decimal,
    spent: Mapping[date, Decimal],
    points: Sequence[tuple[date, Decimal]],
    starts_on: date,
    ends_on: date,
    today: date,
) -> Burndown:
    """`spent` by day; `points` of the plan: so much is planned to be spent by the end of that day."""
    left, here = [], amount_usd
    for day in _days(starts_on, min(today, ends_on)):
        here -= spent.get(day, ZERO)
        left.append((day, here))
    plan = [
        (day, amount_usd - planned(day, amount_usd, points, starts_on, ends_on)) for day in _days(starts_on, ends_on)
    ]
    return Burndown(amount_usd, left, plan, pace(spent, starts_on, ends_on, today), ends_on, today)


def planned(
    day: date, amount_usd: Decimal, points: Sequence[tuple[date, Decimal]], starts_on: date, ends_on: date
) -> Decimal:
    """USD to be spent by the end of `day`: on straight lines between the points, without any evenly to the end."""
    before = (starts_on - timedelta(days=1), ZERO)
    known = sorted(points)
    if not known or known[-1][0] < ends_on:
        known.append((ends_on, max([amount_usd, *(usd for _day, usd in known)])))
    for after in known:
        if day <= after[0]:
            share = Decimal((day - before[0]).days) / max(1, (after[0] - before[0]).days)
            return before[1] + (after[1] - before[1]) * min(Decimal(1), max(ZERO, share))
        before = after
    return known[-1][1]


def pace(spent: Mapping[date, Decimal], starts_on: date, ends_on: date, today: date) -> Pace | None:
    """Of complete days: today is not over. None before there is a week of them, and once the course is over."""
    days = (today - starts_on).days
    if days < 7 or today >= ends_on:
        return None
    span = min(LIKELY_DAYS, days)
    likely = _between(spent, today - timedelta(days=span), today) / span
    weeks = [
        _between(spent, today - timedelta(days=7 * n), today - timedelta(days=7 * (n - 1))) / 7
        for n in range(1, min(WEEKS, days // 7) + 1)
    ]
    return Pace(min([*weeks, likely]), likely, max([*weeks, likely]))


def _between(spent: Mapping[date, Decimal], first: date, end: date) -> Decimal:
    return sum((usd for day, usd in spent.items() if first <= day < end), ZERO)


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
