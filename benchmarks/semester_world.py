"""A course, its portal and its cloud in virtual time: the product's own rounds, run when they can matter.

Replaced are the clock and the cloud (`FakeCloud`); all else is the product. Ticks are whole minutes: at half past each
minute machines report (`semester_agents`), on the minute the rounds run, in between people click. With `thin` a round
runs only in those minutes in which it can change anything. `tests/benchmarks/test_semester.py` shows that this leaves
the same events, at the same seconds, and the same money as all rounds and all reports of every minute.

- repair: while a machine is on its way, its timer is to be moved or comes due, and before the meter;
- idle: when `decide`, asked about the minutes ahead, first says something new; lease: at half-life and at the end, and
  in every minute looked at while one is past its half-life; meter: once a day, and for each run as it ends;
- notices: once in three hours.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from benchmarks.semester_agents import Agents
from benchmarks.semester_clock import HALF, Clock, Outage
from benchmarks.semester_host import MINUTE, first_minute
from cloud.base import Transient
from cloud.fake import FakeCloud
from courses.models import Course, Enrollment
from instances import books, guard, sweeps
from instances.facts import limits_of
from instances.models import Instance, Policy, Preset, Run
from instances.states import ENDED, LIVE, State
from instances.sweeps.idling import _changes, judged

MOVING = (State.REQUESTED, State.LAUNCHING, State.STOPPING, State.TERMINATING)
ROUNDS = ("repair", "idle", "lease", "meter", "notices")
AHEAD = 4 * 60  # minutes in which the next change is looked for at once
SEEN = ("pk", "state", "state_since", "warned_at", "lease_until", "guard_until", "kept_until", "unfunded_at",
        "notebook_ready_at", "cloud_id")  # fmt: skip


@dataclass
class World:
    course: Course
    clock: Clock
    thin: bool = True
    throttled: list[Outage] = field(default_factory=list)  # AWS refuses every call
    ticks: int = 0
    sweeps_run: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.cloud = FakeCloud(lambda: self.clock.now, boot_seconds=20, stop_seconds=40)
        self.agents = Agents(self.clock, self.cloud, limits_of(Policy.of(self.course)), self.thin)
        self.live: dict[int, Instance] = {}
        self.on_change: list[Callable[[Instance | None, Instance], None]] = []  # (before, after)
        self._course = Course.objects.select_related("machine_policy").get(pk=self.course.pk)
        self._owners = Enrollment.objects.filter(course=self.course).in_bulk()
        self._presets = Preset.objects.filter(course=self.course).in_bulk()
        self._seen: dict[int, tuple[Any, ...]] = {}
        self._plans: dict[int, dict[str, datetime]] = {}  # by machine and round: when it next matters
        self.changed = True  # somebody or something may have changed rows
        for outage in self.throttled:
            self.clock.at(outage.starts_at, self._throttle)
            self.clock.at(outage.ends_at, self.cloud.heal)
        for outage in self.clock.away:
            self.clock.at(outage.starts_at, self.agents.goes_away)
            self.clock.at(outage.ends_at, self._comes_back)

    @property
    def now(self) -> datetime:
        return self.clock.now

    # -------------------------------------------------------------- time
    def run(self, until: datetime) -> None:
        while (tick := self._next_tick()) <= until:
            self._tick(tick)
        self.clock.now = until

    def _next_tick(self) -> datetime:
        if not self.thin:
            return self.clock.last_tick + MINUTE
        return self.clock.next_tick(min(plan.values()) for plan in self._plans.values() if plan)

    def _tick(self, tick: datetime) -> None:
        self.ticks += 1
        self.clock.act_until(tick - HALF)
        self.agents.report(self.now)
        self.clock.act_until(tick)
        for pk in self.agents.touched & self._plans.keys():
            self._plan_for(self.live[pk])  # what was just reported may be news in this very minute
        if self.thin and self.changed:
            self._notice()  # somebody clicked: what may change now is planned anew
        self.clock.last_tick = tick
        due = self.clock.due(tick) | self._planned(tick)
        if self.clock.portal_up():
            self._sweep(due)
        self._look()

    def _planned(self, tick: datetime) -> set[str]:
        due: set[str] = set()
        for pk, plan in self._plans.items():
            now = {kind for kind, moment in plan.items() if moment <= tick}
            if now:
                due |= now
                self.agents.touched.add(pk)  # planned anew afterwards
        return due

    # -------------------------------------------------------------- sweeps
    def _sweep(self, due: set[str]) -> None:
        rounds = self._rounds(due) if self.thin else set(ROUNDS)
        if self.thin and not rounds:
            return
        self.changed = True
        if self.thin and rounds & {"idle", "lease"} and self.clock.portal_up(self.now - HALF):
            self.agents.leave_traces(self.now - HALF)
        run: dict[str, Callable[[], int]] = {
            "repair": lambda: sweeps.repair(self.cloud, self.now, probe=self.agents.answers),
            "idle": lambda: sweeps.idle(self.cloud, self.now),
            "lease": lambda: sweeps.lease(self.cloud, self.now),
            "meter": lambda: sweeps.meter(self.now),
            "notices": lambda: sweeps.notices(self.now),
        }
        for name in ROUNDS:
            if name in rounds:
                run[name]()
                self.sweeps_run[name] = self.sweeps_run.get(name, 0) + 1
        if self.thin and "repair" in rounds and "meter" not in rounds:
            self._settle_ended()

    def _rounds(self, due: set[str]) -> set[str]:
        """Those that can change anything now; due for other reasons than a round are "report" and "look"."""
        if self.changed and any(self._on_its_way(machine) for machine in self.live.values()):  # somebody clicked
            due.add("repair")
        if (due or self.agents.touched) and any(self._is_past_half(machine) for machine in self.live.values()):
            due.add("lease")
        if "meter" in due:
            due.add("repair")  # what was not seen is not booked
        return due & set(ROUNDS)

    def _settle_ended(self) -> None:
        """The part of the meter's round that frees money: what has ended. What goes on is booked once a day."""
        for pk in Run.objects.filter(settled_at=None, ended_at__isnull=False).values_list("pk", flat=True):
            books.meter_run(pk, now=self.now)
        gone = Instance.objects.filter(disk_settled_at=None, disk_since__isnull=False, disk_until__isnull=False)
        for pk in gone.values_list("pk", flat=True):
            books.meter_disk(pk, now=self.now)

    def _throttle(self) -> None:
        self.cloud.break_before("*", Transient("Request limit exceeded.", code="RequestLimitExceeded"), times=None)

    def _comes_back(self) -> None:
        for kind in ROUNDS:
            self.clock.push(kind, self.now)
        self.agents.touched.update(self.live)
        for host in self.agents.hosts.values():
            self.agents.flag(host, self.now)

    # -------------------------------------------------------------- after each tick: what has changed?
    def _look(self) -> None:
        changed = self._notice() if self.changed or not self.thin else set()
        touched = self.agents.touched - changed
        self.agents.touched = set()
        self.changed = False
        for pk in touched & self.live.keys():
            self._changed(self.live[pk], self.live[pk])
        if self.thin:
            self._plan_rounds()

    def _notice(self) -> set[int]:
        """The rows that are not as they were seen last; those who care are told."""
        live = Instance.objects.filter(course=self.course, state__in=LIVE)
        seen = {row[0]: row for row in live.values_list(*SEEN)}
        changed = {pk for pk, row in seen.items() if self._seen.get(pk) != row} | (self.live.keys() - seen)
        self._seen = seen
        for machine in self._fresh(changed) if changed else ():
            before = self.live.pop(machine.pk, None)
            self.agents.rows.pop(machine.slug, None)
            if machine.pk in self._seen:
                self.live[machine.pk] = self.agents.rows[machine.slug] = machine
            self._changed(before, machine)
        return changed

    def _fresh(self, keys: Iterable[int]) -> list[Instance]:
        """With what never changes in a semester, read once."""
        rows = list(judged(Instance.objects.filter(pk__in=list(keys))).select_related(None).prefetch_related(None))
        for row in rows:
            row.course, row.owner, row.preset = self._course, self._owners[row.owner_id], self._presets[row.preset_id]
        return rows

    def _changed(self, before: Instance | None, machine: Instance) -> None:
        host = self.agents.follow(machine)
        for act in self.on_change:
            act(before, machine)
        if host and machine.state == State.RUNNING and (before is None or _told(before) != _told(machine)):
            self.agents.flag(host, self.now)  # the agent hears of it with its next report
        if self.thin:
            self._plans.pop(machine.pk, None)
            if machine.state == State.RUNNING:
                self._plan_for(machine)

    def _plan_rounds(self) -> None:
        if any(self._on_its_way(machine) for machine in self.live.values()):
            self.clock.push("repair", self.now + MINUTE)
        if not self.clock.is_planned("meter"):
            self.clock.push("meter", (self.now + timedelta(days=1)).replace(hour=11, minute=0, second=0))
        if not self.clock.is_planned("notices"):
            self.clock.push("notices", self.now + timedelta(hours=3))

    def _on_its_way(self, machine: Instance) -> bool:
        return (
            machine.state in MOVING
            or machine.notebook_ready_at is None
            or machine.guard_until != guard.wanted(machine)
            or self.agents.is_off(machine.cloud_id)
        )

    def _plan_for(self, machine: Instance) -> None:
        """When the rounds next have something to say about a running machine, if all goes on as it is."""
        if machine.lease_until is None:
            return
        start = self.clock.last_tick
        news = first_minute(start, lambda n: self._is_news(machine, start + n * MINUTE), within=AHEAD)
        half = machine.lease_until - timedelta(seconds=machine.lease_seconds / 2)
        plan = {
            "idle" if news else "look": self.clock.tick_of(news or start + AHEAD * MINUTE),
            "lease": self.clock.tick_of(half if half > self.now else machine.lease_until),
        }
        if machine.guard_until:
            plan["repair"] = self.clock.tick_of(machine.guard_until)
        self._plans[machine.pk] = plan

    def _is_news(self, machine: Instance, tick: datetime) -> bool:
        host = self.agents.hosts.get(machine.slug)
        was = machine.last_active_at, machine.last_report_at
        try:
            if host and self.agents.reports(host, tick - HALF):
                machine.last_active_at, machine.last_report_at = self.agents.steady(
                    host, machine.last_active_at, tick - HALF
                )
            return any(_changes(machine, tick, unheard=None))
        finally:
            machine.last_active_at, machine.last_report_at = was

    def _is_past_half(self, machine: Instance) -> bool:
        half = timedelta(seconds=machine.lease_seconds / 2)
        until = machine.lease_until
        return machine.state == State.RUNNING and until is not None and until - self.now <= half

    # -------------------------------------------------------------- the end
    def unended(self) -> list[str]:
        rows = Instance.objects.filter(course=self.course).exclude(state__in=ENDED)
        return [f"{row} is {row.state}: {row.reason}" for row in rows]


def _told(machine: Instance) -> tuple[Any, ...]:
    """What a report's answer carries."""
    return machine.lease_until, machine.kept_until
