"""The lease round: renews the leases of machines in use, and stops those whose lease is over."""

from datetime import datetime, timedelta
from functools import cache

from django.db.models import DateTimeField, DurationField, ExpressionWrapper, IntegerField, Q, Value
from django.db.models.functions import Cast
from django.utils.translation import gettext as _

from cloud.base import Cloud
from instances import books, guard, hearing, leaving
from instances.clock import clock
from instances.drill_rules import SILENT_FOR_SWEEPS
from instances.facts import limits_for, moment_of
from instances.guard_names import Guard
from instances.home_grace import BEFORE, extend_if_packing
from instances.idle import Cause, Decision, Verdict
from instances.keeping import renew
from instances.launch_rules import course_end
from instances.models import Instance
from instances.silence import Unheard, is_excused, over_words, tell_of_end
from instances.states import State
from instances.stopping import request_stop, stop
from instances.sweeps.idling import decision_for, judged
from instances.sweeps.rounds import sweep_over

LONGEST_LEAD = 3 / 4  # of a lease


def lease(cloud: Cloud, now: datetime) -> int:
    leased = Instance.objects.filter(_due(now), state__in=(State.LAUNCHING, State.RUNNING))
    leased = leased.exclude(proving__in=SILENT_FOR_SWEEPS)
    over: list[int] = []
    unheard = cache(lambda: hearing.unheard(now))
    looked_at = sweep_over("lease", judged(leased), lambda machine: _judge(machine, over, cloud, unheard, now), now=now)
    if over:
        stop(over, cloud=cloud, now=now)
    return looked_at


def _due(now: datetime) -> Q:
    """Whose lease may have to be renewed or ended now; of most machines no row is read."""
    seconds = Cast("lease_seconds", IntegerField())  # SQLite multiplies no positive ones
    lead = ExpressionWrapper(seconds * Value(timedelta(seconds=LONGEST_LEAD)), DurationField())
    near = ExpressionWrapper(Value(now) + lead, DateTimeField())
    due = Q(leaving_at__lte=now) | Q(lease_until__lte=now + BEFORE) | Q(lease_until__lte=near)
    return Q(lease_until__isnull=False) & due


def _judge(machine: Instance, over: list[int], cloud: Cloud, unheard: Unheard, now: datetime) -> None:
    if machine.lease_until is None:
        return
    if leaving.stop_if_due(machine, now=now):
        over.append(machine.pk)
    elif extend_if_packing(machine, now=now):
        guard.arm(machine, cloud=cloud, now=now)
    elif machine.lease_until <= now:
        reason = _over_words(machine, unheard, now)
        # Whoever kept it on since this round read the row has a longer lease.
        if request_stop(
            machine, reason=reason, who=None, now=now, mail=True, guard=Guard.SWEEPS, same=("lease_until",)
        ):
            over.append(machine.pk)
    elif _may_be_renewed(machine, now) and _renew(machine, unheard, now):
        guard.arm(machine, cloud=cloud, now=now)


def _may_be_renewed(machine: Instance, now: datetime) -> bool:
    is_work = machine.state == State.RUNNING and not machine.proving and not machine.leaving_at
    return is_work and _half_over(machine, now)


def _renew(machine: Instance, unheard: Unheard, now: datetime) -> bool:
    decision = decision_for(machine, now)
    if is_excused(machine, decision, limits_for(machine, now), unheard, now):
        tell_of_end(machine, now)
        return False
    return renew(machine, now=now) if _in_use(decision) else _bridge(machine, decision, now)


def _half_over(machine: Instance, now: datetime) -> bool:
    """Or earlier, where half a lease would leave less time to save work than a warning does."""
    lead = timedelta(seconds=lead_of(machine.lease_seconds, limits_for(machine, now).warn))
    return machine.lease_until is not None and machine.lease_until - now <= lead


def lead_of(whole: float, warn: float) -> float:
    """Seconds before its end at which a lease of `whole` seconds is renewed."""
    return min(max(whole / 2, warn + 120), whole * LONGEST_LEAD)


def _in_use(decision: Decision) -> bool:
    """Only what was seen in use gets more: not a machine that is being warned, and not one that is still booting."""
    return decision.verdict is Verdict.KEEP and decision.cause is not Cause.BOOTING


def _bridge(machine: Instance, decision: Decision, now: datetime) -> bool:
    """To the announced stop: a lease that ends before would cut the time short that its student was told."""
    if decision.verdict is not Verdict.WARN or not decision.warned or decision.cause is Cause.RECLAIM:
        return False
    announced = moment_of(decision.stops_at)
    if announced is None or machine.lease_until is None or announced <= machine.lease_until:
        return False
    return renew(machine, until=announced, now=now)


def _over_words(machine: Instance, unheard: Unheard, now: datetime) -> str:
    if now >= course_end(books.dates_for(machine.owner, machine.course)):
        return _("Stopped: the course is over.")
    if machine.preset.longest_seconds and machine.runs.filter(
        ended_at=None, started_at__lte=now - timedelta(seconds=machine.preset.longest_seconds)
    ):
        return _("Stopped: it has run for as long as its preset may at a time.")
    if machine.unfunded_at:
        return _("Stopped: the budget cannot pay for this machine any longer.")
    if is_excused(machine, decision_for(machine, now), limits_for(machine, now), unheard, now):
        return over_words(machine, now)
    at = clock(machine.course, machine.lease_until or now, now)
    return _("Stopped: its time was paid for until %(time)s, and it was not in use to get more.") % {"time": at}
