"""All that staff see of one course: figures, bound, machines, guards, spend by day and by person. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.conf import settings

from courses.models import Course, Milestone
from instances.bounds import Bound, bound
from instances.cards import Card, cards
from instances.models import Instance
from instances.queries import accrued_in
from instances.states import LIVE, State
from portal.guards import Guard, guards
from portal.lights import Light, lights
from spend.reports import Day, Figures, Line, by_person, figures, spend_by_day


@dataclass(frozen=True, slots=True)
class Live:
    """The part that changes while one looks at it."""

    figures: Figures
    bound: Bound
    running: Sequence[Card]
    guards: Sequence[Guard]
    lights: Sequence[Light]

    @property
    def on(self) -> Sequence[Card]:
        """Those that cost: who waits for a machine is in the table, and has none yet."""
        return [card for card in self.running if card.is_live and card.machine.state != State.REQUESTED]

    @property
    def usd_hour(self) -> Decimal:
        return sum((card.machine.usd_hour for card in self.on), Decimal(0))

    @property
    def stoppable(self) -> Sequence[Card]:
        return [card for card in self.running if card.can_stop]

    @property
    def is_late(self) -> bool:
        return any(guard.late for guard in self.guards)

    @property
    def latest_sweep(self) -> datetime | None:
        return max((guard.last_at for guard in self.guards if guard.last_at), default=None)


@dataclass(frozen=True, slots=True)
class Report:
    """The part that is read: days and people."""

    days: Sequence[Day]
    lines: Sequence[Line]
    milestones: Sequence[Milestone]
    teams: Sequence[str]

    @property
    def spent_usd(self) -> Decimal:
        return sum((line.spent_usd for line in self.lines), Decimal(0))

    @property
    def held_usd(self) -> Decimal:
        return sum((line.held_usd for line in self.lines), Decimal(0))


def live(course: Course, now: datetime) -> Live:
    """The same number of queries for 3 students and for 300."""
    sweeps = guards(now, settings.SWEEP_SECONDS)
    running = Instance.objects.filter(course=course, state__in=LIVE).order_by("owner__name", "pk")
    return Live(
        figures=figures(course, now=now, accrued=accrued_in(course, now)),
        bound=bound(course, now),
        running=cards(running, now),
        guards=sweeps,
        lights=lights(course, now, sweeps),
    )


def report(course: Course, now: datetime) -> Report:
    lines = by_person(course, accrued=accrued_in(course, now))
    first, last = span_of(course, now)
    return Report(
        days=spend_by_day(course, first, last),
        lines=lines,
        milestones=list(course.milestones.all()),
        teams=sorted({line.team for line in lines if line.team}),
    )


def span_of(course: Course, now: datetime) -> tuple[date, date]:
    """The days of the course so far; at least the first fortnight, so that the chart has a width."""
    # Charges are summed by UTC day: west of Greenwich the evening's would be missing until local midnight.
    today = max(now.astimezone(ZoneInfo(course.timezone)).date(), now.astimezone(UTC).date())
    last = min(max(today, course.starts_on), course.ends_on)
    return course.starts_on, max(last, course.starts_on + timedelta(days=13))
