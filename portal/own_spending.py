"""One person's money: what it went to, how long it lasts, their sessions, their team's shares. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property

from courses.models import Enrollment
from instances.queries import accrued_of
from instances.savings import saved_for
from portal.receipts import Receipt, receipts_of
from portal.spending import Row, day_word, today_of
from spend import breakdown
from spend.breakdown import PURPOSE_WORDS, Cost
from spend.burndown import Pace, pace
from spend.models import ZERO
from spend.periods import Period, week_of, whole
from spend.price_tags import Tagged, tags_of
from spend.reports import OwnMoney, own_money

SESSIONS = 10


@dataclass(frozen=True, slots=True)
class Share:
    """One member's part of what the team spent. 0–1."""

    name: str
    is_me: bool
    usd: Decimal
    share: Decimal


class OwnSpending:
    """Each part is read once, when it is asked for."""

    def __init__(self, enrollment: Enrollment, now: datetime) -> None:
        self.enrollment, self.now = enrollment, now
        course = enrollment.course
        today = today_of(now)
        found = whole(course.starts_on, course.ends_on, today)
        self.period = Period(found.key, found.first, max(found.last, today))

    @cached_property
    def money(self) -> OwnMoney | None:
        return own_money(self.enrollment, now=self.now, accrued_usd=accrued_of(self.enrollment, self.now))

    @cached_property
    def days(self) -> list[tuple[date, Cost]]:
        return breakdown.own_days(self.enrollment, self.period)

    @cached_property
    def total(self) -> Cost:
        cost = Cost()
        for _day, one in self.days:
            cost.take_all(one)
        return cost

    @property
    def purposes(self) -> list[tuple[object, Decimal]]:
        return [(PURPOSE_WORDS[purpose], usd) for purpose, usd in self.total.parts if usd]

    @cached_property
    def saved_usd(self) -> Decimal:
        return saved_for(self.enrollment)

    # -------------------------------------------------------------- pace
    @cached_property
    def pace(self) -> Pace | None:
        course = self.enrollment.course
        spent = {day: cost.usd for day, cost in self.days}
        return pace(spent, course.starts_on, course.ends_on, today_of(self.now))

    @property
    def days_left(self) -> int | None:
        """So many days the money lasts at this pace; None when nothing is spent lately, or there is no budget."""
        if self.money is None or self.pace is None or self.pace.likely <= 0:
            return None
        return int(self.money.tightest.left_usd / self.pace.likely)

    @property
    def lasts(self) -> bool:
        return self.days_left is None or self.days_left >= (self.enrollment.course.ends_on - today_of(self.now)).days

    @property
    def gone_on(self) -> date | None:
        return None if self.lasts or self.days_left is None else _later(today_of(self.now), self.days_left)

    # -------------------------------------------------------------- rows
    @property
    def weeks(self) -> list[Row]:
        """By week, as bars that lead to the hours."""
        found: dict[date, Cost] = {}
        for day, cost in self.days:
            found.setdefault(week_of(day), Cost()).take_all(cost)
        return [
            Row(day_word(monday), cost, {"first": monday.isoformat(), "last": _later(monday, 6).isoformat()})
            for monday, cost in found.items()
        ]

    @cached_property
    def sessions(self) -> Sequence[Receipt]:
        return receipts_of(self.enrollment, self.now, limit=SESSIONS)

    @cached_property
    def tags(self) -> list[Tagged]:
        return tags_of(self.enrollment, today_of(self.now))

    @cached_property
    def team(self) -> list[Share]:
        """What each member spent in this team, the most first. Who left and spent nothing is not listed."""
        team = self.enrollment.team
        if team is None:
            return []
        costs = breakdown.by_person_and_team(self.enrollment.course, self.period, only={"team": team})
        spent = {pk: cost.usd for pk, cost in breakdown.by_person(costs)}
        names = dict(team.members.filter(status="active").values_list("pk", "name"))
        names |= dict(self.enrollment.course.enrollments.filter(pk__in=spent).values_list("pk", "name"))
        total = sum(spent.values(), ZERO)
        shares = [
            Share(name, pk == self.enrollment.pk, spent.get(pk, ZERO), spent.get(pk, ZERO) / total if total else ZERO)
            for pk, name in names.items()
        ]
        return sorted(shares, key=lambda one: (-one.usd, one.name))


def _later(day: date, days: int) -> date:
    return date.fromordinal(day.toordinal() + days)
