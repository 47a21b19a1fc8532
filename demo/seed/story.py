"""What a past run left in its machine's timeline: the events that the portal would have written, in its own words."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from courses.models import Course, User
from demo.seed.habits import Ending, PlannedRun, first_warned_at, warned_at
from instances import idle, words
from instances.clock import clock
from instances.models import Instance, InstanceEvent
from instances.states import State

Kind = InstanceEvent.Kind
# The past was lived under a real course's limits; only what happens from now on is short enough to be watched.
LEASE = timedelta(hours=4)
_RENEWED_EVERY = LEASE / 2
_QUIET, _GRACE = timedelta(minutes=30), timedelta(minutes=10)
_STOP_TAKES = timedelta(seconds=25)
DELETED = "Deleted, with its disk"


@dataclass(frozen=True, slots=True)
class Teller:
    """Writes one machine's events. `student` is who clicks."""

    machine: Instance
    course: Course
    student: User | None
    address: str

    def machine_events(self, runs: list[PlannedRun], deleted_at: datetime) -> Iterator[InstanceEvent]:
        yield self._move("", State.REQUESTED, "Asked for", runs[0].asked_at, self.student)
        for number, run in enumerate(runs, start=1):
            yield from self._start(run, first=number == 1)
            yield from self._middle(run)
            yield from self._end(run)
        yield self._move(State.STOPPED, State.TERMINATING, DELETED, deleted_at, self.student)
        yield self._move(State.TERMINATING, State.TERMINATED, DELETED, deleted_at + _STOP_TAKES, None)

    def _start(self, run: PlannedRun, *, first: bool) -> Iterator[InstanceEvent]:
        if first:
            asked = f"Asking AWS for {self.machine.instance_type} in {self.machine.zone}"
            yield self._move(State.REQUESTED, State.LAUNCHING, asked, run.asked_at + timedelta(seconds=1), None)
        else:
            yield self._move(State.STOPPED, State.LAUNCHING, "Started again", run.asked_at, self.student)
        yield self._move(State.LAUNCHING, State.RUNNING, "Running", run.started_at, None)
        yield self._told(Kind.READY, "The notebook answers", run.ready_at)
        opened = run.ready_at + timedelta(seconds=20)
        yield self._told(Kind.OPENED, "Notebook opened", opened, self.student)

    def _middle(self, run: PlannedRun) -> Iterator[InstanceEvent]:
        told = [*self._renewals(run), *self._false_alarms(run), *self._keeping(run)]
        yield from sorted(told, key=lambda event: event.at)

    def _renewals(self, run: PlannedRun) -> Iterator[InstanceEvent]:
        for at, until in renewals(run):
            yield self._told(Kind.RENEWED, f"In use: paid for until {self._clock(until, at)}", at)

    def _false_alarms(self, run: PlannedRun) -> Iterator[InstanceEvent]:
        for at in run.false_alarms:
            yield self._warning(at - (_QUIET - _GRACE), at)
            yield self._told(Kind.WARNING_OVER, "The machine is in use.", at + timedelta(minutes=4))

    def _keeping(self, run: PlannedRun) -> Iterator[InstanceEvent]:
        warned = first_warned_at(run)
        if run.kept_at is None or warned is None:
            return
        yield self._warning(warned - (_QUIET - _GRACE), warned)
        until = run.kept_at + timedelta(hours=run.kept_hours)
        yield self._told(Kind.KEPT, f"Kept until {self._clock(until, run.kept_at)}", run.kept_at, self.student)

    def _end(self, run: PlannedRun) -> Iterator[InstanceEvent]:
        warned, who, mail = warned_at(run), self.student, False
        reason = "Stopped by its student"
        if warned is not None:
            since = warned - (_QUIET - _GRACE)
            yield self._warning(since, warned)
            reason, who, mail = self._sentence(idle.Verdict.STOP, since, run.ended_at, run.ended_at), None, True
        yield self._move(State.RUNNING, State.STOPPING, reason, run.ended_at, who, mail=mail)
        yield self._move(State.STOPPING, State.STOPPED, reason, run.ended_at + _STOP_TAKES, None)

    def _warning(self, since: datetime, at: datetime) -> InstanceEvent:
        event = self._told(Kind.WARNED, self._sentence(idle.Verdict.WARN, since, at + _GRACE, at), at)
        moments = {"since": since.timestamp(), "stops_at": (at + _GRACE).timestamp()}
        event.facts = {"cause": idle.Cause.QUIET.value, **moments, "asks": False}
        return self._mailed(event)

    def _sentence(self, verdict: idle.Verdict, since: datetime, stops_at: datetime, now: datetime) -> str:
        decision = idle.Decision(verdict, idle.Cause.QUIET, since.timestamp(), stops_at.timestamp())
        return words.sentence(decision, lambda s: self._clock(datetime.fromtimestamp(s, tz=now.tzinfo), now))

    def _clock(self, at: datetime, now: datetime) -> str:
        return clock(self.course, at, now)

    def _move(
        self, old: str, new: State, reason: str, at: datetime, who: User | None, *, mail: bool = False
    ) -> InstanceEvent:
        event = self._told(Kind.MOVED, reason, at, who)
        event.old_state, event.new_state = old, new
        return self._mailed(event) if mail else event

    def _told(self, kind: InstanceEvent.Kind, reason: str, at: datetime, who: User | None = None) -> InstanceEvent:
        return InstanceEvent(instance=self.machine, kind=kind, reason=reason, at=at, who=who)

    def _mailed(self, event: InstanceEvent) -> InstanceEvent:
        """Sent long ago: the outbox must not send the past again."""
        event.mail_to, event.mailed_at = self.address, event.at + timedelta(seconds=30)
        return event


def renewals(run: PlannedRun) -> Iterator[tuple[datetime, datetime]]:
    """When the lease was extended, and until when it then was paid for."""
    at, until = run.started_at + _RENEWED_EVERY, run.started_at + LEASE
    while at < run.ended_at and run.ending is not Ending.KEPT:
        until += _RENEWED_EVERY
        yield at, until
        at += _RENEWED_EVERY


def paid_until(run: PlannedRun) -> datetime:
    """Where the last lease ended: everything up to there was held for."""
    last = [until for _at, until in renewals(run)]
    return max([run.started_at + LEASE, run.ended_at, *last])
