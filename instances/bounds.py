"""The published bound: what it may still cost, and when the last machine is off, if everyone forgets everything now.

It counts what the portal does by itself meanwhile: it may renew a machine that was in use a moment ago, give a machine
to whoever waits in the queue, and go on with a fire drill. So it holds whenever portal, agents or network die.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db.models import Q, Sum

from courses.models import Course
from instances import books
from instances.called_off import unanswered
from instances.drill_records import FireDrill
from instances.drill_rules import BOOT_PATIENCE, LEASES, ORDER
from instances.facts import limits_for, moment_of
from instances.launch_rules import usd_for
from instances.models import DiskSnapshot, Instance, Run
from instances.queries import ZERO, accrued, open_runs, used_by_owner
from instances.queue_rules import LONGEST
from instances.repair import CALL_SECONDS, PATIENCE_SECONDS
from instances.states import LIVE, State
from instances.sweeps.idling import decision_for, judged
from instances.sweeps.leasing import lead_of
from spend.models import Hold


@dataclass(frozen=True, slots=True)
class Bound:
    """If everyone forgets everything now: at most `usd` more for what runs, and the last machine is off by `at` (None:
    none runs), unless it is still at work then. Disks that nobody deletes cost `disks_usd` more to the course's end."""

    usd: Decimal
    at: datetime | None
    disks_usd: Decimal


def bound(course: Course, now: datetime) -> Bound:
    """What is held beyond what is used, of runs and disks, and what the portal may add to it by itself."""
    machines = Instance.objects.filter(course=course)
    live = list(judged(machines.filter(state__in=LIVE)).select_related("owner__limits", "preset"))
    holds = Hold.objects.filter(closed_at=None, budget__course=course)
    held = holds.aggregate(
        runs=Sum("amount_usd", filter=Q(key__contains="/run/")),
        disks=Sum("amount_usd", filter=Q(key__endswith="/disk") | Q(key__contains="/snapshot/")),
    )
    used = sum(used_by_owner(open_runs(now).filter(instance__course=course), now).values(), ZERO)
    copies = DiskSnapshot.objects.filter(course=course)
    used_by_disks = sum(accrued(Run.objects.none(), machines, copies, now).values(), ZERO)
    ends = [*(_end_of(machine, now) for machine in live), *_drill(course, now)]
    return Bound(
        usd=max(ZERO, (held["runs"] or ZERO) - used) + sum((end.more_usd for end in ends), ZERO) if ends else ZERO,
        at=max((end.at + books.stop_margin() for end in ends), default=None),
        disks_usd=max(ZERO, (held["disks"] or ZERO) - used_by_disks),
    )


@dataclass(frozen=True, slots=True)
class _End:
    """Of the longest lease that a machine may come to have with nobody near; `more_usd` of it is not held yet."""

    at: datetime
    more_usd: Decimal


def _end_of(machine: Instance, now: datetime) -> _End:
    whole = timedelta(seconds=machine.lease_seconds)
    if unanswered(machine):  # if AWS did make it, and the portal dies before it knows, its own timer ends it
        return _End(max(now, machine.state_since + timedelta(seconds=CALL_SECONDS)) + whole, ZERO)
    if machine.state not in _COMING and machine.state != State.RUNNING:
        return _End(max(machine.lease_until or now, now), ZERO)
    limits = limits_for(machine, now)
    # A report that is on its way may tell of use up to now; one round may be under way.
    unused_at = timedelta(seconds=limits.quiet + 60 + settings.SWEEP_SECONDS)
    if machine.state == State.RUNNING:
        began: datetime = machine.running_since or now  # type: ignore[attr-defined]
        stops_at = max(moment_of(decision_for(machine, now).stops_at) or now, now + unused_at)
    else:
        began = max(now + timedelta(seconds=PATIENCE_SECONDS), (machine.queued_at or now) + LONGEST)
        began = began if machine.lease_until is None else now  # AWS has given it already
        stops_at = began + timedelta(seconds=limits.boot) + unused_at
    held_until = machine.lease_until or began + whole
    lease = _Lease(held_until, whole, timedelta(seconds=lead_of(machine.lease_seconds, limits.warn)))
    in_use_until = stops_at - timedelta(seconds=min(limits.warn, limits.quiet / 2))
    at = held_until if machine.proving else lease.latest(now, in_use_until, stops_at, books.last_moment(machine, began))
    return _End(at, usd_for(machine.usd_hour, max(0.0, (at - held_until).total_seconds())))


_COMING = (State.REQUESTED, State.LAUNCHING)


@dataclass(frozen=True, slots=True)
class _Lease:
    until: datetime
    whole: timedelta
    lead: timedelta  # so long before its end it is renewed, if in use

    def latest(self, now: datetime, in_use_until: datetime, stops_at: datetime, last: datetime) -> datetime:
        """Its end after every renewal up to `in_use_until`, and bridged up to the announced stop."""
        until = self.until
        while until - self.lead < in_use_until and until < last:
            until = min(max(until - self.lead, now) + self.whole, last)
        return max(until, min(stops_at, last))


def _drill(course: Course, now: datetime) -> list[_End]:
    """The rounds of a fire drill that are still to come: each holds anew."""
    under_way = FireDrill.objects.filter(course=course, ended_at=None, called_off_at=None)
    drill = under_way.select_related("instance").first()
    if drill is None:
        return []
    begun = set(drill.rounds.values_list("guard", flat=True))
    left = [LEASES[guard] + settings.STOP_MARGIN_SECONDS for guard in ORDER if guard not in begun]
    seconds = drill.instance.lease_seconds + sum(left) + BOOT_PATIENCE * (len(left) + 1)
    return [_End(now + timedelta(seconds=seconds), usd_for(drill.instance.usd_hour, sum(left)))]
