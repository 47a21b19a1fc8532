"""Which days a report is about. Pure. Days are UTC, both ends included, never beyond today."""

from dataclasses import dataclass
from datetime import date, timedelta

WHOLE, CUSTOM = "course", "custom"
RECENT = {"7": 7, "14": 14, "30": 30}


@dataclass(frozen=True, slots=True)
class Period:
    """`key` is what picks it: "course", a number of days, "m<id>" of a milestone, or "custom"."""

    key: str
    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def is_whole(self) -> bool:
        return self.key == WHOLE

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last

    def before(self) -> "Period":
        """The same number of days just before it."""
        return Period(CUSTOM, self.first - timedelta(days=self.days), self.first - timedelta(days=1))


def whole(starts_on: date, ends_on: date, today: date) -> Period:
    """The course so far; its last days once it is over."""
    return Period(WHOLE, starts_on, max(starts_on, min(today, ends_on)))


def recent(days: int, starts_on: date, ends_on: date, today: date) -> Period:
    last = whole(starts_on, ends_on, today).last
    return Period(str(days), max(starts_on, last - timedelta(days=days - 1)), last)


def week_of(day: date) -> date:
    """Its Monday."""
    return day - timedelta(days=day.weekday())
