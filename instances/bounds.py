"""The published bound: what it may still cost, and when the last machine is off, if everyone forgets everything now.

It counts what the portal does by itself meanwhile: it may renew a machine that was in use a moment ago, longer when a
night or a dated window begins, give a machine to whoever waits in the queue or for a copy to go on from, start again
what a kill switch stopped that was undone, and go on with a fire drill. So it holds whenever portal or network die. A
single agent that dies just before its machine would have been stopped as quiet is judged by its silence instead: that
machine may stay on for `blind` and `warn` longer, as far as its lease is renewed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db.models import Q, Sum

from courses.models import Course
from instances import books, halting, moving_on
from instances.called_off import unanswered
from instances.drill_records import FireDrill
from instances.drill_rules import BOOT_PATIENCE, LEASES, ORDER
from instances.facts import facts_of, limits_in_turn, moment_of
from instances.halts import HaltedMachine
from instances.idle import Limits, decide
from instances.launch_rules import course_end, usd_for
from instances.models import DiskSnapshot, Instance, Preset, Run
from instances.queries import ZERO, accrued, open_runs, used_by_owner
from instances.queue_rules import LONGEST
from instances.repair import CALL_SECONDS, PATIENCE_SECONDS
from instances.states import LIVE, State
from instances.sweeps.idling import judged
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
    moves = moving_on.pending(course, now)
    ends = [*(_end_of(machine, now) for machine in live), *_drill(course, now)]
    ends += [_goes_on(copy, copy.go_on_as, now) for copy in moves if copy.go_on_as]
    ends += [_starts_again(one, now) for one in halting.pending(course, now)]
    return Bound(
        usd=max(ZERO, (held["runs"] or ZERO) - used) + sum((end.more_usd for end in ends), ZERO) if ends else ZERO,
        at=max((end.at + books.stop_margin() for end in ends), default=None),
        disks_usd=max(ZERO, (held["disks"] or ZERO) - used_by_disks) + sum((end.more_disk_usd for end in ends), ZERO),
    )


@dataclass(frozen=True, slots=True)
class _End:
    """Of the longest lease that a machine may come to have with nobody near; what of it, and of its disk, is not held
    for yet."""

    at: datetime
    more_usd: Decimal
    more_disk_usd: Decimal = ZERO


def _end_of(machine: Instance, now: datetime) -> _End:
    whole = timedelta(seconds=machine.lease_seconds)
    if unanswered(machine):  # if AWS did make it, and the portal dies before it knows, its own timer ends it
        return _End(max(now, machine.state_since + timedelta(seconds=CALL_SECONDS)) + whole, ZERO)
    if machine.state not in _COMING and machine.state != State.RUNNING:
        return _End(max(machine.lease_until or now, now), ZERO)
    return _end_of_run(machine, _began(machine, now), now)


def _end_of_run(machine: Instance, began: datetime, now: datetime) -> _End:
    held_until = machine.lease_until or began + timedelta(seconds=machine.lease_seconds)
    at = held_until if machine.proving else _longest_lease(machine, held_until, began, now)
    return _End(at, usd_for(machine.usd_hour, max(0.0, (at - held_until).total_seconds())))


_COMING = (State.REQUESTED, State.LAUNCHING)


def _began(machine: Instance, now: datetime) -> datetime:
    """When its run begins, at the latest."""
    if machine.state == State.RUNNING:
        return machine.running_since or now  # type: ignore[attr-defined, no-any-return]
    if machine.lease_until is not None:
        return now  # AWS has given it already
    return max(now + timedelta(seconds=PATIENCE_SECONDS), (machine.queued_at or now) + LONGEST)


def _longest_lease(machine: Instance, held_until: datetime, began: datetime, now: datetime) -> datetime:
    """Limits that come into force before it ends may make it end later, and with that bring others into reach. They are
    few, and none leaves again: so this ends. Those of before it begins would only let it end earlier."""
    last, since = books.last_moment(machine, began), began if machine.state in _COMING else now
    at, known = held_until, 0
    while len(limits := limits_in_turn(machine, since, at)) > known:
        known = len(limits)
        use = _use(machine, limits, began, now)
        lead = timedelta(seconds=max(lead_of(machine.lease_seconds, warn) for warn in use.warns))
        at = _Lease(held_until, timedelta(seconds=machine.lease_seconds), lead).latest(now, use, last)
    return at


@dataclass(frozen=True, slots=True)
class _Use:
    """Until when a machine that nobody comes near may count as in use, when it is stopped as unused at the latest, and
    the times of warning by which that is judged, in seconds: one for each of the limits that can keep it on."""

    until: datetime
    stops_at: datetime
    warns: list[float]


def _use(machine: Instance, limits: Mapping[Limits, datetime], began: datetime, now: datetime) -> _Use:
    stops = {one: _stops_at(machine, one, began, now) for one in limits}
    until = {one: stops[one] - timedelta(seconds=min(one.warn, one.quiet / 2)) for one in limits}
    keeping = [one for one, since in limits.items() if since < until[one]]  # by the others it is unused by then
    in_use_until = max(until[one] for one in keeping)
    warn = timedelta(seconds=max(one.warn for one in limits))  # by night it may be longer than half the quiet time
    return _Use(in_use_until, max(*stops.values(), in_use_until + warn), [one.warn for one in keeping])


def _stops_at(machine: Instance, limits: Limits, began: datetime, now: datetime) -> datetime:
    """If these held all the time."""
    # A report that is on its way may tell of use up to now; one round may be under way.
    unused = timedelta(seconds=limits.quiet + 60 + settings.SWEEP_SECONDS)
    if machine.state != State.RUNNING:
        return began + timedelta(seconds=limits.boot) + unused
    return max(moment_of(decide(facts_of(machine, began), limits, now.timestamp()).stops_at) or now, now + unused)


@dataclass(frozen=True, slots=True)
class _Lease:
    until: datetime
    whole: timedelta
    lead: timedelta  # so long before its end it is renewed, if in use

    def latest(self, now: datetime, use: _Use, last: datetime) -> datetime:
        """Its end after every renewal while in use, and bridged up to the announced stop."""
        until, renewals = self.until, 0
        while until - self.lead < use.until and until < last:
            until, renewals = max(until - self.lead, now) + self.whole, renewals + 1
        longest = use.until + self.whole
        if renewals and len(use.warns) > 1:
            until = longest  # from one limit to the next its renewals come out of step
        elif renewals:  # each comes up to a round late; of one alone that is within the margin
            late = timedelta(seconds=settings.SWEEP_SECONDS) * (renewals - 1)
            until = min(until + late, longest)
        return max(self.until, min(last, max(until, use.stops_at)))


def _goes_on(copy: DiskSnapshot, preset: Preset, now: datetime) -> _End:
    """Nothing is held for the machine that will begin with it: neither its first lease, nor a bigger disk."""
    machine = Instance(
        owner=copy.owner,
        course=copy.course,
        preset=preset,
        lease_seconds=preset.lease_seconds,
        price_usd_hour=preset.ceiling_usd_hour,  # prices may have changed by then
        address_usd_hour=books.address_usd_hour(),
    )
    end = _end_of(machine, moving_on.begins_by(copy))
    old, left = copy.instance, course_end(books.dates_for(copy.owner, copy.course)) - now
    held = old.disk_usd_hour if old.disk_settled_at is None else ZERO  # until its disk is gone, never for both
    more = books.disk_usd_hour(max(preset.disk_gb, old.disk_gb)) - held
    return _End(end.at, end.more_usd + _first_lease(machine), usd_for(max(ZERO, more), left.total_seconds()))


def _first_lease(machine: Instance) -> Decimal:
    return usd_for(machine.usd_hour, machine.lease_seconds + settings.STOP_MARGIN_SECONDS)


def _starts_again(one: HaltedMachine, now: datetime) -> _End:
    """Nothing is held for that run yet. As another one: what was seen of the last run does not count in it."""
    old = one.instance
    machine = Instance(
        owner=old.owner,
        course=old.course,
        preset=old.preset,
        lease_seconds=old.lease_seconds,
        candidates=old.candidates,
        price_usd_hour=old.price_usd_hour,
        address_usd_hour=old.address_usd_hour,
    )
    began = halting.restarts_by(one.halt) + timedelta(seconds=PATIENCE_SECONDS)
    end = _end_of_run(machine, began, now)
    return _End(end.at, end.more_usd + _first_lease(machine))


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
