"""What the people of a semester do at the portal: they click its own verbs, wait, work, forget, keep and come back."""

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

from benchmarks.semester_host import MINUTE, Host
from benchmarks.semester_people import BEHAVIOUR, DEAREST, ZONE, Does, Segment, Semester, Sitting
from benchmarks.semester_world import World
from courses.models import Enrollment
from instances import services
from instances.models import Instance, Preset
from instances.refusals import KeepRefused, LaunchRefused
from instances.states import ENDED, State
from spend.services import BudgetRefused

PATIENCE = timedelta(minutes=30)  # for a machine that does not come
RESTARTS = 3  # of one sitting
KEEPS_IN_A_ROW = 6


@dataclass
class Session:
    """One sitting under way: which of its segments is on, and at which machine."""

    sitting: Sitting
    segments: list[Segment]
    machine: Instance | None = None
    waits_since: datetime | None = None
    began_at: datetime | None = None  # the segment that is on
    restarts: int = 0
    preset: str = ""
    over: bool = False


@dataclass
class Crowd:
    world: World
    plan: Semester
    lines: list[Enrollment]  # by person's number
    presets: dict[str, Preset]
    seed: int
    refused: Counter[str] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.numbers = {line.pk: number for number, line in enumerate(self.lines)}
        self.rngs = [random.Random(self.seed * 1000 + number) for number in range(len(self.lines))]
        self.sessions: dict[int, Session] = {}  # by machine
        self.keeps: Counter[int] = Counter()
        self.world.on_change.append(self._changed)
        self.world.agents.on_boot.append(self._booted)
        self.world.agents.on_down.append(self._down)
        for sitting in self.plan.sittings:
            for _n in range(sitting.machines):
                self.world.clock.at(sitting.at, partial(self.begin, Session(sitting, list(sitting.segments))))
        self._plan_deletions()

    # -------------------------------------------------------------- sitting down
    def begin(self, session: Session) -> None:
        sitting, rng = session.sitting, self.rngs[session.sitting.person]
        self.world.changed = True
        if not self.world.clock.portal_up():
            self.counts["found the portal down"] += 1
            self.world.clock.at(
                self.world.clock.up_again() + rng.random() * timedelta(hours=1), lambda: self.begin(session)
            )
            return
        session.preset = DEAREST if sitting.dearest_first and session.restarts == 0 else sitting.preset
        if not self._get(session) and session.preset != sitting.preset:
            session.preset = sitting.preset
            self._get(session)

    def _get(self, session: Session) -> bool:
        """The machine: taken as it is, started, or launched. False when refused."""
        line, preset = self.lines[session.sitting.person], self.presets[session.preset]
        mine = Instance.objects.filter(owner=line, preset=preset).exclude(state__in=ENDED)
        free = [one for one in mine.order_by("-pk") if one.pk not in self.sessions]
        row = free[0] if free else None
        try:
            if row is None or row.state == State.TERMINATING:
                row = services.request_launch(line, preset, who=line.user, now=self.world.now)
                services.launch(row.pk, cloud=self.world.cloud, now=self.world.now)
            elif row.state == State.STOPPED:
                services.request_start(row, who=line.user, now=self.world.now)
                services.start(row.pk, cloud=self.world.cloud, now=self.world.now)
            elif row.state == State.STOPPING:
                self.world.clock.at(self.world.now + 2 * MINUTE, lambda: self.begin(session))
                return True
        except (BudgetRefused, LaunchRefused) as error:
            self.refused[type(error).__name__] += 1
            return False
        session.machine, session.waits_since = row, self.world.now
        self.sessions[row.pk] = session
        ready = self.world.live.get(row.pk)
        if ready and ready.state == State.RUNNING and ready.notebook_ready_at:
            self.work(session)
        return True

    # -------------------------------------------------------------- at the machine
    def work(self, session: Session) -> None:
        """The next segment begins, or the last one is over."""
        host = self._host(session)
        if session.over or host is None:
            return
        if not session.segments:
            self._leave(session, host)
            return
        segment = session.segments[0]
        if not segment.attended and session.sitting.keep_hours:
            self._keep(session, session.sitting.keep_hours)
        if segment.does is Does.CHEATS:
            host.watched = False
        self.world.agents.switch(host, segment.does)
        session.began_at = began = self.world.now
        self.world.clock.at(began + segment.minutes * MINUTE, lambda: self._done(session, began))

    def _done(self, session: Session, began: datetime) -> None:
        if session.over or session.began_at != began:
            return
        session.segments.pop(0)
        session.began_at = None
        if self._host(session):
            self.work(session)
        elif session.segments and session.segments[0].attended:
            self._again(session)  # back from lunch, and it is off
        else:
            self._forget(session)

    def _leave(self, session: Session, host: Host) -> None:
        sitting, machine = session.sitting, session.machine
        self.world.agents.switch(host, Does.TAB if sitting.tab_open and not sitting.by_hand else Does.NOTHING)
        self._forget(session)
        if sitting.by_hand and machine:
            self.world.clock.at(self.world.now + sitting.leaves_after * MINUTE, lambda: self._stop(machine.pk))

    def _forget(self, session: Session) -> None:
        session.over = True
        if session.machine:
            self.sessions.pop(session.machine.pk, None)

    def _stop(self, pk: int) -> None:
        row = Instance.objects.select_related("owner__user").get(pk=pk)
        if not self.world.clock.portal_up() or pk in self.sessions:
            return
        self.world.changed = True
        if services.request_stop(row, reason="Stopped by its student", who=row.owner.user, now=self.world.now):
            services.stop([pk], cloud=self.world.cloud, now=self.world.now)

    def _keep(self, session: Session, hours: float) -> None:
        if session.machine and self.world.clock.portal_up():
            self._press_keep(session.machine.pk, hours)

    def _press_keep(self, pk: int, hours: float) -> bool:
        row = Instance.objects.select_related("owner__user", "course__machine_policy").get(pk=pk)
        self.world.changed = True
        try:
            services.keep_alive(row, hours=hours, who=row.owner.user, now=self.world.now)
        except KeepRefused:
            self.refused["KeepRefused"] += 1
            return False
        self.counts["kept"] += 1
        return True

    def _host(self, session: Session) -> Host | None:
        machine = session.machine
        host = self.world.agents.hosts.get(machine.slug) if machine else None
        return host if host and not self.world.agents.is_down(host) else None

    # -------------------------------------------------------------- what the portal does to them
    def _changed(self, before: Instance | None, machine: Instance) -> None:
        session = self.sessions.get(machine.pk)
        if session and session.waits_since:
            self._wait(session, machine)
        if machine.warned_at and (before is None or before.warned_at is None):
            self._warned(machine)
        if machine.state in (State.STOPPED, State.STOPPING):
            self.keeps[machine.pk] = 0

    def _wait(self, session: Session, machine: Instance) -> None:
        session.machine = machine
        if machine.state == State.RUNNING and machine.notebook_ready_at:
            session.waits_since = None
            self.world.clock.at(self.world.now + MINUTE / 6, lambda: self.work(session))
        elif machine.state in (State.STOPPED, State.FAILED, State.TERMINATED):
            self.counts["did not come up"] += 1
            session.waits_since = None
            self._again(session, after=PATIENCE)

    def _warned(self, machine: Instance) -> None:
        self.counts["warnings"] += 1
        number = self.numbers[machine.owner_id]
        rng, person = self.rngs[number], self.plan.people[number]
        awake = self.world.now.astimezone(ZONE).hour >= 8
        draw = rng.random()
        if machine.pk in self.sessions or not awake:
            return
        if person.hammers_keep and self.keeps[machine.pk] < KEEPS_IN_A_ROW:
            self.keeps[machine.pk] += 1
            self.world.clock.at(self.world.now + 3 * MINUTE, lambda: self._hammer(machine.pk))
        elif draw < BEHAVIOUR["stops_when_warned"]:
            self.world.clock.at(self.world.now + 4 * MINUTE, lambda: self._stop(machine.pk))

    def _hammer(self, pk: int) -> None:
        if self.world.clock.portal_up():
            self._press_keep(pk, 1)

    def _down(self, machine: Instance, host: Host) -> None:
        session = self.sessions.get(machine.pk)
        if session is None or session.began_at is None:
            return
        segment, done = session.segments[0], (host.ended_at or self.world.now) - session.began_at
        if segment.does is Does.NOTHING:
            return  # at lunch: found out later
        session.began_at = None
        left = max(1.0, segment.minutes - done / MINUTE)
        session.segments[0] = Segment(segment.does, left, segment.attended)
        if segment.attended:
            self._again(session, after=3 * MINUTE)
        else:
            self._forget(session)

    def _again(self, session: Session, after: timedelta = timedelta(0)) -> None:
        """The machine is off, and they want to go on."""
        cheats = session.segments[0].does is Does.CHEATS
        self._forget(session)
        if session.restarts < RESTARTS or cheats:
            session.restarts += 1
            session.over, session.machine = False, None
            self.counts["started again to go on"] += 1
            self.world.clock.at(self.world.now + after, lambda: self.begin(session))

    def _booted(self, machine: Instance, host: Host) -> None:
        session = self.sessions.get(machine.pk)
        if session and session.segments and session.segments[0].does is Does.CHEATS:
            host.watched = False

    # -------------------------------------------------------------- tidying up
    def _plan_deletions(self) -> None:
        for piece in self.plan.calendar.work:
            at = datetime.combine(piece.due_on, datetime.min.time(), ZONE) + timedelta(days=1, hours=12)
            if piece.preset and at < self.plan.ends_at:
                self.world.clock.at(at, partial(self._delete_some, piece.preset))

    def _delete_some(self, preset: str) -> None:
        self.world.changed = True
        stopped = Instance.objects.filter(preset=self.presets[preset], state=State.STOPPED).select_related(
            "owner__user"
        )
        for row in stopped.order_by("pk"):
            if self.rngs[self.numbers[row.owner_id]].random() < BEHAVIOUR["deletes_after_work"]:
                services.request_terminate(row, who=row.owner.user, now=self.world.now)
                services.terminate([row.pk], cloud=self.world.cloud, now=self.world.now)


def usd(value: Decimal) -> str:
    return f"${value:,.2f}"
