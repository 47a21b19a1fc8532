"""Which guard ended a run, and when each was last seen to do so: written with the stop, once AWS says stopped."""

from datetime import datetime, timedelta

from django.conf import settings

from instances.boot import margin_seconds
from instances.drill_records import GuardProof
from instances.facts import limits_for
from instances.guard_names import Guard, from_inside
from instances.idle import Limits
from instances.models import Instance
from instances.repair import Why


def ended_by(why: Why, machine: Instance, now: datetime) -> str:
    """Of a run that the portal did not end: the guard, or "" for a person and for AWS itself."""
    if why is Why.LEASE_TIMER:
        return Guard.SCHEDULE
    if why is not Why.FROM_INSIDE or _unseen(machine, now):
        return ""
    due = machine.lease_until and machine.lease_until + timedelta(seconds=margin_seconds())
    limits = limits_for(machine, now)
    found = from_inside(
        lease_left=(due - now).total_seconds() if due else None,
        unused=(now - _used_until(machine, limits)).total_seconds(),
        quiet=limits.quiet,
    )
    return found or ""


def _used_until(machine: Instance, limits: Limits) -> datetime:
    """As the rule counts it: what is kept, or hangs, is no watch's to end, so a power-off then is a person's."""
    hangs = machine.hung_since is not None and machine.hung_since >= machine.state_since
    hung_until = machine.hung_since + timedelta(seconds=limits.hung) if machine.hung_since and hangs else None
    known = (machine.state_since, machine.last_active_at, machine.kept_until, hung_until)
    return max(at for at in known if at is not None)


def _unseen(machine: Instance, now: datetime) -> bool:
    """Nobody looked for a while, and AWS tells no time for a power-off from inside: nobody knows what was due then.
    `machine` was read before this round's look was noted."""
    return machine.seen_at is None or now - machine.seen_at > timedelta(seconds=5 * settings.SWEEP_SECONDS)


def note_proof(machine: Instance, at: datetime) -> None:
    """In the transaction in which the machine is stopped. The newest counts, whatever order they come in."""
    if not machine.ending_by:
        return
    values = {"at": at, "instance_id": machine.pk, "by_drill": bool(machine.proving)}
    mine = GuardProof.objects.filter(course_id=machine.course_id, guard=machine.ending_by)
    if mine.filter(at__lt=at).update(**values) or mine.exists():
        return
    GuardProof.objects.bulk_create(
        [GuardProof(course_id=machine.course_id, guard=machine.ending_by, **values)], ignore_conflicts=True
    )
