"""Virtual time: what people do in between, whole minutes in which something is due, and the times without a portal."""

import heapq
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from benchmarks.semester_host import MINUTE

HALF = timedelta(seconds=30)
_NEARLY = MINUTE - timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Outage:
    starts_at: datetime
    ends_at: datetime

    def covers(self, at: datetime) -> bool:
        return self.starts_at <= at < self.ends_at


def whole(moment: datetime) -> datetime:
    return moment.replace(second=0, microsecond=0)


def last_report(moment: datetime) -> datetime:
    """The last moment of reports, half past a minute, that is not after this one."""
    return whole(moment - HALF) + HALF


def next_report(moment: datetime) -> datetime:
    return last_report(moment - timedelta(microseconds=1)) + MINUTE


@dataclass
class Clock:
    now: datetime
    away: list[Outage] = field(default_factory=list)  # the portal is down

    def __post_init__(self) -> None:
        self.last_tick = whole(self.now)
        self._agenda: list[tuple[datetime, int, Callable[[], None]]] = []
        self._number = itertools.count()
        self._due: dict[str, list[datetime]] = {}  # what no single machine asks for

    def portal_up(self, at: datetime | None = None) -> bool:
        return not any(outage.covers(at or self.now) for outage in self.away)

    def up_again(self) -> datetime:
        return next(outage.ends_at for outage in self.away if outage.covers(self.now))

    # -------------------------------------------------------------- people
    def at(self, moment: datetime, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (max(moment, self.now), next(self._number), act))

    def act_until(self, moment: datetime) -> None:
        while self._agenda and self._agenda[0][0] <= moment:
            self.now, _number, act = heapq.heappop(self._agenda)
            act()
        self.now = moment

    # -------------------------------------------------------------- what is due
    def push(self, kind: str, moment: datetime) -> None:
        # A machine looks at itself, portal or not.
        tick = self._any_tick_of(moment) if kind == "report" else self.tick_of(moment)
        heapq.heappush(self._due.setdefault(kind, []), tick)

    def is_planned(self, kind: str) -> bool:
        return bool(self._due.get(kind))

    def due(self, tick: datetime) -> set[str]:
        return {kind for kind, queue in self._due.items() if _popped(queue, tick)}

    def tick_of(self, moment: datetime) -> datetime:
        """The first one from this moment on that is still to come, and that finds a portal."""
        tick = self._any_tick_of(moment)
        return next((outage.ends_at for outage in self.away if outage.covers(tick)), tick)

    def _any_tick_of(self, moment: datetime) -> datetime:
        return max(whole(moment + _NEARLY), self.last_tick + MINUTE)

    def next_tick(self, others: Iterable[datetime]) -> datetime:
        """The next minute in which anything is due, here or among `others`, or somebody does something."""
        heads = [*others, *(queue[0] for queue in self._due.values() if queue)]
        if self._agenda:
            heads.append(whole(self._agenda[0][0] + _NEARLY))
        return max(min(heads, default=self.now + timedelta(days=1)), self.last_tick + MINUTE)


def _popped(queue: list[datetime], tick: datetime) -> bool:
    found = False
    while queue and queue[0] <= tick:
        heapq.heappop(queue)
        found = True
    return found
