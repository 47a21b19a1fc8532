"""All that the spend pages of a course show: figures, breakdowns, forecast, savings, deadlines. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cached_property

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from courses.models import Course, Enrollment, Milestone
from credits.expiry import Unclaimed, unclaimed
from instances.cards import Card, cards
from instances.deadlines import Night, nights
from instances.egress import Estimate, data_out_in
from instances.models import Instance
from instances.queries import accrued_in
from instances.savings import Saved, saved_in
from instances.states import LIVE
from spend import breakdown, burndown
from spend.breakdown import PURPOSE_WORDS, Cell, Cost, Purpose
from spend.burndown import Burndown
from spend.drift import AccountFigures, account_figures
from spend.models import ZERO, PlanPoint
from spend.periods import CUSTOM, Period, whole
from spend.reports import Accrued, Figures, figures

BREAKDOWNS = {
    "day": gettext_lazy("By day"),
    "week": gettext_lazy("By week"),
    "homework": gettext_lazy("By homework"),
    "team": gettext_lazy("By team"),
    "person": gettext_lazy("By person"),
    "preset": gettext_lazy("By preset"),
    "purpose": gettext_lazy("By purpose"),
}
Query = Mapping[str, str | int]
TOP = 8  # rows of a breakdown on the first page; the rest is a click away
RUNNING = 20  # machines there, the dearest first


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a breakdown. `query` leads to the charges behind it."""

    word: str | Promise
    cost: Cost
    query: Query
    note: str = ""
    person: Enrollment | None = None
    times: float = 0.0  # the median, of those who stand out
    short: str = ""  # below a bar

    @property
    def label(self) -> str:
        return self.short or str(self.word)

    @property
    def to(self) -> str:
        return urlencode(self.query)

    @property
    def busy_usd(self) -> Decimal:
        return self.cost.usd - self.cost.idle_usd


@dataclass(frozen=True, slots=True)
class Names:
    """What the ids and slugs of sums are called."""

    teams: Mapping[int, str]
    presets: Mapping[str, str]


def today_of(now: datetime) -> date:
    """Sums are by UTC day."""
    return now.astimezone(UTC).date()


class Spending:
    """One course in one period. Each part is read once, when it is asked for."""

    def __init__(self, course: Course, period: Period, now: datetime) -> None:
        self.course, self.period, self.now = course, period, now

    # -------------------------------------------------------------- money as it is now
    @cached_property
    def accrued(self) -> Accrued:
        return accrued_in(self.course, self.now)

    @cached_property
    def figures(self) -> Figures:
        return figures(self.course, now=self.now, accrued=self.accrued)

    @cached_property
    def account(self) -> AccountFigures:
        return account_figures(self.period.first, self.period.last)

    @cached_property
    def data_out(self) -> Estimate:
        return data_out_in(self.course, self.period.first, self.period.last)

    @property
    def covered_usd(self) -> Decimal:
        return -(self.account.credit_usd + self.account.refund_usd)

    @cached_property
    def running(self) -> Sequence[Card]:
        live = Instance.objects.filter(course=self.course, state__in=LIVE).order_by("owner__name", "pk")
        return cards(live, self.now)

    @property
    def usd_hour(self) -> Decimal:
        return sum((card.machine.usd_hour for card in self.running if card.is_live), ZERO)

    @cached_property
    def saved(self) -> Saved:
        return saved_in(self.course)

    @cached_property
    def lapsing(self) -> Sequence[Unclaimed]:
        return unclaimed(self.course, today_of(self.now))

    # -------------------------------------------------------------- sums
    @cached_property
    def all_cells(self) -> Sequence[Cell]:
        return breakdown.cells(self.course, self.whole)

    @cached_property
    def cells(self) -> Sequence[Cell]:
        return [cell for cell in self.all_cells if cell.day in self.period]

    @property
    def whole(self) -> Period:
        found = whole(self.course.starts_on, self.course.ends_on, today_of(self.now))
        return Period(found.key, found.first, max(found.last, today_of(self.now)))

    @cached_property
    def total(self) -> Cost:
        return breakdown.total(self.cells)

    @cached_property
    def before(self) -> Cost | None:
        """The same number of days just before, to compare with; None for the whole course."""
        earlier = self.period.before()
        if self.period.is_whole or earlier.first < self.course.starts_on:
            return None
        return breakdown.in_window(self.all_cells, earlier.first, earlier.last)

    @cached_property
    def plan(self) -> Sequence[tuple[date, Decimal]]:
        """So much is planned to be spent by the end of that day; none: evenly."""
        return list(PlanPoint.objects.filter(course=self.course).values_list("day", "usd"))

    @cached_property
    def burndown(self) -> Burndown:
        return self.against(self.plan)

    def against(self, points: Sequence[tuple[date, Decimal]]) -> Burndown:
        """What is left, held against another plan."""
        spent = {day: cost.usd for day, cost in breakdown.together(self.all_cells, lambda c: c.day).items()}
        return burndown.burndown(
            self.figures.total_usd, spent, points, self.course.starts_on, self.course.ends_on, today_of(self.now)
        )

    @property
    def by_week(self) -> bool:
        """Too many days for a bar and a tab stop each."""
        return self.period.days > 31

    @property
    def asked(self) -> str:
        """The same days, for another page."""
        return urlencode({"range": CUSTOM, **self.span()}) if not self.period.is_whole else ""

    @property
    def running_shown(self) -> Sequence[Card]:
        return sorted(self.running, key=lambda card: -card.machine.usd_hour)[:RUNNING]

    def span(self) -> dict[str, str | int]:
        return {"first": self.period.first.isoformat(), "last": self.period.last.isoformat()}

    # -------------------------------------------------------------- rows
    @cached_property
    def names(self) -> Names:
        presets = dict(self.course.presets.values_list("slug", "name"))
        return Names(dict(self.course.teams.values_list("pk", "name")), presets)

    @cached_property
    def milestones(self) -> Sequence[Milestone]:
        return [night.milestone for night in self.nights]

    @cached_property
    def nights(self) -> Sequence[Night]:
        return nights(self.course, self.now)

    @cached_property
    def people_costs(self) -> Sequence[breakdown.PersonCost]:
        return breakdown.by_person_and_team(self.course, self.period)

    def rows(self, what: str) -> list[Row]:
        """All of one of BREAKDOWNS."""
        made: list[Row] = getattr(self, f"_by_{what}")()
        return made

    def _by_day(self) -> list[Row]:
        return [
            Row(day_word(day), cost, {"first": day.isoformat(), "last": day.isoformat()})
            for day, cost in breakdown.by_day(self.cells, self.period)
        ]

    def _by_week(self) -> list[Row]:
        found = []
        for monday, cost in breakdown.by_week(self.cells, self.period):
            last = min(self.period.last, date.fromordinal(monday.toordinal() + 6))
            first = max(self.period.first, monday)
            query: Query = {"first": first.isoformat(), "last": last.isoformat()}
            found.append(Row(f"{day_word(first)} – {day_word(last)}", cost, query, short=day_word(first)))
        return found

    def _by_purpose(self) -> list[Row]:
        return [
            Row(PURPOSE_WORDS[purpose], _one(purpose, usd), {**self.span(), "purpose": purpose.value})
            for purpose, usd in self.total.parts
            if usd
        ]

    def _by_preset(self) -> list[Row]:
        names = self.names.presets
        return [
            Row(names.get(slug, slug) or _("Without a preset"), cost, {**self.span(), "preset": slug})
            for slug, cost in breakdown.by_preset(self.cells)
        ]

    def _by_homework(self) -> list[Row]:
        """Windows overlap, so these do not add up to the total: the page says so."""
        found = []
        for milestone in self.milestones:
            first, last = milestone.handed_out_on, milestone.due_on
            if first > self.period.last or last < self.period.first:
                continue
            cost = breakdown.in_window(self.all_cells, first, last)
            note = f"{day_word(first)} – {day_word(last)}"
            query: dict[str, str | int] = {"first": first.isoformat(), "last": min(last, self.whole.last).isoformat()}
            found.append(Row(milestone.name, cost, query, note))
        return found

    def _by_team(self) -> list[Row]:
        return [
            Row(self.names.teams.get(team or 0, _("Without a team")), cost, {**self.span(), "team": team or "none"})
            for team, cost in breakdown.by_team(self.people_costs)
        ]

    @cached_property
    def people(self) -> list[tuple[int, Cost]]:
        return breakdown.by_person(self.people_costs)

    def _by_person(self) -> list[Row]:
        lines = self._lines([pk for pk, _cost in self.people])
        return [self._person(lines[pk], cost) for pk, cost in self.people]

    @cached_property
    def _outstanding(self) -> list[tuple[int, Cost, float]]:
        return breakdown.unusual(self.people)[:TOP]

    @cached_property
    def _shown(self) -> dict[int, Enrollment]:
        """Whom the first page names: one question for both of its lists."""
        return self._lines([*(pk for pk, _cost in self.people[:TOP]), *(pk for pk, _cost, _n in self._outstanding)])

    @property
    def top_people(self) -> list[Row]:
        return [self._person(self._shown[pk], cost) for pk, cost in self.people[:TOP]]

    @property
    def unusual(self) -> list[Row]:
        return [self._person(self._shown[pk], cost, times) for pk, cost, times in self._outstanding]

    def _lines(self, ids: Sequence[int]) -> dict[int, Enrollment]:
        return self.course.enrollments.select_related("team").in_bulk(list(ids))

    def _person(self, person: Enrollment, cost: Cost, times: float = 0.0) -> Row:
        note = person.team.name if person.team else ""
        return Row(person.name, cost, {**self.span(), "person": person.pk}, note, person, times)


def _one(purpose: Purpose, usd: Decimal) -> Cost:
    cost = Cost()
    cost.by[purpose] = usd
    return cost


def day_word(day: date) -> str:
    return date_format(day, "MONTH_DAY_FORMAT")
