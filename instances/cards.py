"""A machine as a page shows it: what it costs, when it stops and why, what its owner can press. Changes nothing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache

from django.db.models import Prefetch, QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from cloud.prices import TypeFacts
from cloud.prices import facts_of as type_facts_of
from instances import books
from instances.called_off import unanswered, unanswered_words
from instances.facts import facts_of, in_force_for, seconds_of
from instances.hearing import unheard_until
from instances.idle import Cause, Decision, Limits, Verdict, decide
from instances.launch_rules import course_end, usd_for
from instances.models import Instance, Run
from instances.offers import Keep, keeps
from instances.silence import is_excused
from instances.states import ENDED, LIVE, State
from instances.verdict import present
from instances.words import sentence
from spend.metering import cost

MOVING = frozenset({State.REQUESTED, State.LAUNCHING, State.STOPPING, State.TERMINATING})


@dataclass(frozen=True, slots=True)
class Card:
    machine: Instance
    run: Run | None  # the open one
    facts: TypeFacts | None
    decision: Decision | None  # only of a running machine
    stops_at: datetime | None
    words: str  # why it is as it is, for its student
    run_usd: Decimal  # of the open run, so far
    keeps: Sequence[Keep]
    rule_name: str = ""  # of the dated window that holds now

    @property
    def is_running(self) -> bool:
        return self.machine.state == State.RUNNING

    @property
    def is_moving(self) -> bool:
        return self.machine.state in MOVING

    @property
    def is_coming(self) -> bool:
        return self.machine.state in (State.REQUESTED, State.LAUNCHING)

    @property
    def is_live(self) -> bool:
        return self.machine.state in LIVE and not unanswered(self.machine)

    @property
    def is_warned(self) -> bool:
        return self.decision is not None and self.decision.verdict is not Verdict.KEEP

    @property
    def usd_hour(self) -> Decimal:
        """What an hour costs now: machine and address while it may run, the disk until it is deleted."""
        if self.machine.state in ENDED or self.machine.state == State.REQUESTED or unanswered(self.machine):
            return Decimal(0)  # AWS has nothing for it, as far as is known
        return self.machine.disk_usd_hour + (self.machine.usd_hour if self.is_live else 0)

    @property
    def lead(self) -> str:
        """What leads up to "stops at", if nothing else happens."""
        cause = None if self.decision is None or self.machine.unfunded_at else self.decision.cause
        return {
            Cause.BLIND: _("If it stays silent, it stops at"),
            Cause.BOOTING: _("If it does not come up, it stops at"),
            Cause.HUNG: _("If that goes on, it stops at"),
            Cause.KEPT: _("If nobody uses it then, it stops at"),
            Cause.UNATTENDED: _("If nobody answers, it stops at"),
            Cause.RECLAIM: _("It stops at"),
            None: _("It stops at"),
        }.get(cause, _("If nobody uses it, it stops at"))

    @property
    def can_stop(self) -> bool:
        return self.machine.state in (State.REQUESTED, State.LAUNCHING, State.RUNNING)

    @property
    def can_start(self) -> bool:
        return self.machine.state == State.STOPPED

    @property
    def can_delete(self) -> bool:
        return self.machine.state in (State.RUNNING, State.STOPPED)

    def saved_usd(self, now: datetime) -> Decimal:
        """What it would have cost had it run on since it was stopped; it could not outlast the course."""
        if self.machine.state != State.STOPPED:
            return Decimal(0)
        until = min(now, course_end(books.dates_for(self.machine.owner, self.machine.course)))
        return usd_for(self.machine.usd_hour, (until - self.machine.state_since).total_seconds())

    @property
    def idle_before(self) -> timedelta:
        """How long it had been unused when it was stopped; nothing when it was in use, or stopped by somebody."""
        used, stopped = self.machine.last_active_at, self.machine.state_since
        return stopped - used if self.machine.state == State.STOPPED and used else timedelta(0)

    @property
    def idle_before_usd(self) -> Decimal:
        return usd_for(self.machine.usd_hour, self.idle_before.total_seconds())


def cards(machines: QuerySet[Instance], now: datetime) -> list[Card]:
    """Two queries, one more if any is silent; what is shown of ended machines does not grow with their history."""
    open_runs = Prefetch("runs", Run.objects.filter(ended_at=None), to_attr="open_runs")
    whole = machines.select_related("owner__team", "owner__user", "owner__limits", "preset", "course__machine_policy")
    unheard = cache(lambda: unheard_until(now))
    return [card(machine, machine.open_runs, now, unheard) for machine in whole.prefetch_related(open_runs)]  # type: ignore[attr-defined]


def card_of(machine: Instance, now: datetime) -> Card:
    """One query, one more if it is silent."""
    return card(machine, machine.runs.filter(ended_at=None), now, cache(lambda: unheard_until(now)))


def card(machine: Instance, open_runs: Iterable[Run], now: datetime, unheard: Callable[[], datetime | None]) -> Card:
    run = next(iter(open_runs), None)
    running = run if machine.state == State.RUNNING else None
    rule = in_force_for(machine, now)
    decision = _decided(machine, running, rule.limits, now, unheard) if running else None
    excused = decision is not None and is_excused(machine, decision, rule.limits, unheard, now)
    return Card(
        machine=machine,
        run=run,
        facts=type_facts_of(machine.instance_type) if machine.instance_type else None,
        decision=decision,
        stops_at=_stops_at(machine, decision, now, excused=excused),
        words=_words(machine, running, decision, now, excused=excused),
        run_usd=sum((cost(s, now) for s in books.run_segments(run)), Decimal(0)) if run else Decimal(0),
        keeps=keeps(machine, now) if running else (),
        rule_name=rule.name,
    )


def _decided(
    machine: Instance, run: Run, limits: Limits, now: datetime, unheard: Callable[[], datetime | None]
) -> Decision:
    """As the next idle round does: with nobody heard at all, silence is no reason."""
    facts = facts_of(machine, run.started_at)
    decision = decide(facts, limits, now.timestamp())
    if decision.cause is not Cause.BLIND:
        return decision
    return decide(replace(facts, unheard_until=seconds_of(unheard())), limits, now.timestamp())


def _stops_at(machine: Instance, decision: Decision | None, now: datetime, *, excused: bool) -> datetime | None:
    """If nothing else happens; never in the past: then the next sweep stops it. A lease that cannot be paid for ends
    it earlier than idleness; while nobody can be heard, it is all that ends it."""
    if decision is None or decision.stops_at is None:
        return None
    idle = datetime.fromtimestamp(decision.stops_at, UTC)
    paid = machine.lease_until or idle
    if excused:
        return max(now, paid)
    return max(now, min(idle, paid) if machine.unfunded_at else idle)


def _words(machine: Instance, run: Run | None, decision: Decision | None, now: datetime, *, excused: bool) -> str:
    if unanswered(machine):
        return unanswered_words(machine, lambda at: viewer_clock(at, now))
    if decision is None or run is None:
        return machine.reason
    if machine.unfunded_at and machine.lease_until:
        if machine.lease_until >= course_end(books.dates_for(machine.owner, machine.course)):
            return _("In use, but the course ends then.")
        if machine.lease_until >= books.last_moment(machine, run.started_at):
            return _("In use, but it may not run longer at a time.")
        return _("In use, but the budget cannot pay for it longer.")
    # The bare reason: when it stops is shown beside it, counting down.
    why = sentence(
        replace(decision, verdict=Verdict.KEEP), lambda seconds: viewer_clock(datetime.fromtimestamp(seconds, UTC), now)
    )
    if excused:
        return _("%(why)s For a time the portal heard no machine at all, so that is no sign of rest.") % {"why": why}
    doing = present(decision, machine.last_report, now)
    return doing if doing and decision.cause is Cause.BUSY else f"{doing} {why}".strip()


def viewer_clock(at: datetime, now: datetime) -> str:
    """As `clock`, in the time zone of whoever looks at the page."""
    local = timezone.localtime(at)
    return date_format(
        local, "TIME_FORMAT" if local.date() == timezone.localtime(now).date() else "WEEKDAY_TIME_FORMAT"
    )
