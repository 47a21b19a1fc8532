"""A machine from inside, in virtual time: what is used on it, its agent's counters, its own watch and its own timer.

The watch is the agent's: the rule of `instances/idle.py`, with the limits that come a little after the portal's.
"""

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.semester_people import RATES, WORK, Does, Rates
from instances import idle

AGENT_AFTER = timedelta(seconds=60)  # from running to the first report
NOTEBOOK_AFTER = timedelta(seconds=90)
MINUTE = timedelta(minutes=1)
HUMAN_SECONDS = 10.0  # how long ago the last input is, while somebody types
BUSY = frozenset({Does.CELLS, Does.TRAINS, Does.HANGS, Does.CHEATS})  # a kernel says so
COUNTERS = {"gpu_busy_s": "gpu", "cpu_s": "cpu", "io_bytes": "io", "net_rx_bytes": "net"}  # of a report: of `Rates`


def _agents_later() -> Callable[[idle.Limits], idle.Limits]:
    """How much later than the portal the agent itself acts: its own function. On a machine its neighbours are
    top-level modules."""
    sys.modules.setdefault("idle", idle)
    sys.path.append(str(Path(idle.__file__).parent / "agent"))
    found: Callable[[idle.Limits], idle.Limits] = importlib.import_module("lamplighter_agent").later
    return found


later = _agents_later()


@dataclass(slots=True)
class Stretch:
    does: Does
    start: datetime
    end: datetime | None = None


@dataclass(slots=True)
class Host:
    """One run of one machine."""

    slug: str
    cloud_id: str
    person: int
    boot_at: datetime
    limits: idle.Limits
    watched: bool = True  # its own watch and timer work; a cheat with root takes them out
    stretches: list[Stretch] = field(default_factory=list)
    facts: idle.Facts = field(init=False)  # the agent's own
    deadline: datetime | None = None  # of its timer
    version: int = 0  # of what its own watch would do
    ended_at: datetime | None = None
    reports_from: datetime = field(init=False)
    judged_at: datetime = field(init=False)
    _counted: dict[str, float] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0.0))
    _counted_to: datetime = field(init=False)
    _judged: dict[str, float] = field(default_factory=lambda: dict.fromkeys(COUNTERS, 0.0))
    _human_at: datetime | None = None

    def __post_init__(self) -> None:
        began = self.boot_at.timestamp()
        self.facts = idle.Facts(running_since=began, last_active_at=began, last_report_at=began)
        self.judged_at = self._counted_to = self.boot_at
        self.reports_from = self.boot_at + AGENT_AFTER
        self.stretches.append(Stretch(Does.NOTHING, self.boot_at))

    @property
    def does(self) -> Does:
        return self.stretches[-1].does

    @property
    def rates(self) -> Rates:
        return RATES[self.does]

    # -------------------------------------------------------------- what people do
    def switch(self, does: Does, at: datetime) -> None:
        self.count_to(at)
        self.stretches[-1].end = at
        self.stretches.append(Stretch(does, at))
        self.version += 1

    def keep_until(self, seconds: float | None) -> None:
        self.facts = replace(self.facts, kept_until=seconds)

    def end(self, at: datetime) -> None:
        if self.ended_at is None:
            self.ended_at = self.stretches[-1].end = max(at, self.stretches[-1].start)

    def count_to(self, at: datetime) -> None:
        """Counters are straight lines within a stretch. Never back."""
        if at <= self._counted_to:
            return
        seconds, rates = (at - self._counted_to).total_seconds(), self.rates
        for name, rate in COUNTERS.items():
            self._counted[name] += seconds * getattr(rates, rate)
        if rates.human:
            self._human_at = at - timedelta(seconds=min(HUMAN_SECONDS, seconds))
        self._counted_to = at

    # -------------------------------------------------------------- what the agent says
    def report(self, at: datetime) -> bytes:
        """As `lamplighter_agent.reading`. `at` is not before the last switch."""
        self.count_to(at)
        human = self._human_at
        told = {
            **{name: round(value, 2) for name, value in self._counted.items()},
            "boot_id": f"{self.slug}-{self.boot_at:%Y%m%d%H%M%S}",
            "uptime_s": (at - self.boot_at).total_seconds(),
            "human_age_s": None if human is None else round((at - human).total_seconds(), 1),
            "kernels_busy": int(self.does in BUSY),
            "agent_version": "1",
        }
        return json.dumps(told).encode()

    def active_at(self, at: datetime) -> datetime | None:
        """The last use that a report of `at` tells after a minute that is all of one stretch; None: no new one."""
        done = idle.Work(**{name: 60 * getattr(self.rates, rate) for name, rate in COUNTERS.items()})
        if idle.worked(done, 60.0):
            return at
        return at - timedelta(seconds=HUMAN_SECONDS) if self.rates.human else None

    # -------------------------------------------------------------- its own watch
    def judge(self, at: datetime) -> None:
        """As `lamplighter_agent.judge`, a minute after the last time."""
        self.count_to(at)
        done = idle.Work(**{name: self._counted[name] - self._judged[name] for name in COUNTERS})
        human = None if self._human_at is None else self._human_at.timestamp()
        seconds = (at - self.judged_at).total_seconds()
        reading = idle.Reading(done, seconds, human, self.does in BUSY)
        self.facts = self._warned(idle.observe(self.facts, reading, self.limits, at.timestamp()), at)
        self.judged_at, self._judged = at, dict(self._counted)

    def skip_to(self, at: datetime) -> None:
        """As if judged each minute up to `at`, in a stretch that went on all the time."""
        warned = self._first(self.judged_at, self.facts, _not_kept)
        if warned and warned <= at:
            self.facts = self._warned(self.steady(self.facts, warned), warned)
        self.count_to(at)
        self.facts = self.steady(self.facts, at)
        self.judged_at, self._judged = at, dict(self._counted)

    def powers_off_at(self, after: datetime) -> datetime | None:
        """When its own watch would, if all goes on as it is; looked at each minute from `after` on. None: not within
        a day."""
        if not self.watched:
            return None
        facts, warned = self.facts, self._first(after, self.facts, _not_kept)
        if warned is None:
            return None
        facts = self._warned(self.steady(facts, warned), warned)
        return self._first(after, facts, lambda verdict: verdict is idle.Verdict.STOP)

    def _warned(self, facts: idle.Facts, at: datetime) -> idle.Facts:
        """As `lamplighter_agent.watch` notes a warning, and forgets it."""
        decision = idle.decide(facts, later(self.limits), at.timestamp())
        return idle.warned_after(facts, decision, at.timestamp())

    def _first(self, after: datetime, facts: idle.Facts, is_so: Callable[[idle.Verdict], bool]) -> datetime | None:
        """By halving: in a stretch that goes on, the verdict only ever goes from KEEP over WARN to STOP."""

        def holds(minutes: int) -> bool:
            at = after + minutes * MINUTE
            return is_so(idle.decide(self.steady(facts, at), later(self.limits), at.timestamp()).verdict)

        return first_minute(after, holds)

    def steady(self, facts: idle.Facts, at: datetime) -> idle.Facts:
        """The facts at `at` if the stretch goes on until then."""
        active, now = self.active_at(at), at.timestamp()
        used = facts.last_active_at if active is None else max(active.timestamp(), facts.last_active_at or 0.0)
        return replace(facts, last_active_at=used, last_report_at=now)

    # -------------------------------------------------------------- the truth
    def worked_at(self, at: datetime) -> bool:
        """Whether somebody's work was going on in this moment."""
        return any(s.does in WORK and s.start <= at and (s.end is None or at < s.end) for s in self.stretches)

    def last_use(self, until: datetime) -> datetime:
        ends = [min(s.end or until, until) for s in self.stretches if s.does in WORK and s.start < until]
        return max(ends, default=self.boot_at)

    def work_seconds(self) -> float:
        until = self.ended_at
        spans = ((s.start, min(s.end or until, until)) for s in self.stretches if s.does in WORK and until)
        return sum(max(0.0, (end - start).total_seconds()) for start, end in spans)


def _not_kept(verdict: idle.Verdict) -> bool:
    return verdict is not idle.Verdict.KEEP


def first_minute(after: datetime, holds: Callable[[int], bool], within: int = 24 * 60) -> datetime | None:
    """The first whole minute after `after` for which `holds(minutes)`; None when it does not hold at the end either."""
    if not holds(within):
        return None
    low, high = 0, within  # does not hold at `low` (or is `after` itself), holds at `high`
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return after + high * MINUTE
