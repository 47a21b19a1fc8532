"""Work goes on elsewhere: a stopped machine's disk becomes a new machine, of any preset and zone; the old one goes.

For a Spot machine that AWS took back, and for a zone that has none left: a disk is bound to its zone, a copy is not.

Row by row: the copy (`snapshots.py`), the deletion that waits for a complete copy, and, after that, the launch here.
Whatever fails on the way, the copy or the disk is there. AWS promises no time for a copy: after half a day it waits for
its owner's click, as who waits in the queue for so long.
"""

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from courses.models import Course, User
from instances import books, snapshots
from instances.accounts import refuse_unusable
from instances.disk_rules import Standing
from instances.launch_rules import affordable, refusal
from instances.models import DiskSnapshot, Instance, InstanceEvent, Preset
from instances.moves import tell
from instances.queue_rules import LONGEST
from instances.refusals import LaunchRefused, words
from instances.requesting import at_once, kind_of, locked, person_of
from instances.restoring import request_restore
from instances.states import ENDED, State
from spend.services import BudgetRefused

Kind = InstanceEvent.Kind


@transaction.atomic
def request_move_on(instance: Instance, preset: Preset, *, who: User | None, now: datetime) -> DiskSnapshot:
    """Writes what is to happen; launches nothing yet. Raises LaunchRefused or BudgetRefused: nothing is written then.

    Judged as a launch of now would be, so that nobody waits for a copy only to be refused after it.
    """
    owner = locked(instance.owner)
    machine = Instance.objects.select_related("owner", "course", "preset", "account").get(pk=instance.pk)
    preset = Preset.objects.get(pk=preset.pk, course=machine.course_id)
    if machine.state != State.STOPPED:
        raise LaunchRefused(_("Stop the machine first: its disk is copied at rest."))
    if machine.proving:
        raise LaunchRefused(_("This machine belongs to a fire drill, whose cost was told before."))
    refuse_unusable(machine.account)  # its copy lies there, and so will the new one
    kind = kind_of(preset)
    why = refusal(person_of(owner, preset, now), books.dates_for(owner, owner.course), kind, now)
    if why:
        raise LaunchRefused(words(why, preset, per_person=at_once(owner, preset)))
    dearest = max(one.usd_hour for one in affordable(kind))
    books.check_new_run(machine, dearest + machine.address_usd_hour, preset.lease_seconds)
    why_copy = DiskSnapshot.Why.MOVED
    snapshot = snapshots.request_snapshot(machine, why=why_copy, who=who, now=now, then_delete=True)
    # Asked before: the copy of then lacks what was written since.
    machine.snapshots.filter(go_on_as__isnull=False).exclude(pk=snapshot.pk).update(go_on_as=None, then_delete=False)
    DiskSnapshot.objects.filter(pk=snapshot.pk).update(go_on_as=preset, asked_by=who)
    snapshot.refresh_from_db()
    return snapshot


def due() -> QuerySet[DiskSnapshot]:
    """Complete copies whose machine is gone: only then does it no longer count as one of its owner's machines."""
    waiting = DiskSnapshot.objects.filter(go_on_as__isnull=False, standing=Standing.KEPT, instance__state__in=ENDED)
    return waiting.select_related("instance__owner", "instance__course", "owner", "asked_by", "go_on_as").order_by("pk")


def begins_by(snapshot: DiskSnapshot) -> datetime:
    """Later it launches nothing by itself: nobody sits before the page any more."""
    return snapshot.wanted_at + LONGEST


def pending(course: Course, now: datetime) -> list[DiskSnapshot]:
    """Copies that a machine may still begin with by itself, with what that machine will be. One query."""
    coming = DiskSnapshot.objects.filter(course=course, go_on_as__isnull=False)
    rows = coming.select_related("owner__limits", "instance", "go_on_as", "course__machine_policy")
    return [snapshot for snapshot in rows if now < begins_by(snapshot)]


@transaction.atomic
def go_on(snapshot: DiskSnapshot, *, now: datetime) -> Instance | None:
    """The new machine, asked for; None when somebody else did it, or when it was refused, which its owner is told."""
    preset, old = snapshot.go_on_as, snapshot.instance
    locked(snapshot.owner)  # before its copy: as who restores it
    mine = DiskSnapshot.objects.filter(pk=snapshot.pk, go_on_as=preset, standing=Standing.KEPT)
    if preset is None or not mine.update(go_on_as=None):  # two rounds at once: one of them
        return None
    try:
        _refuse_late(snapshot, now)
        machine = request_restore(snapshot, preset, who=snapshot.asked_by, now=now)
    except (LaunchRefused, BudgetRefused) as error:
        said = _("It could not go on as a %(name)s: %(why)s Its copy is kept; restore it from the course's page.")
        reason = said % {"name": preset.name, "why": error}
        tell(old, Kind.DISK, reason=reason, now=now, mail_to=snapshot.owner.email)
        return None
    reason = _("Goes on from %(machine)s, with all its files") % {"machine": old.slug}
    tell(machine, Kind.DISK, reason=reason, now=now, mail_to=snapshot.owner.email)
    return machine


def _refuse_late(snapshot: DiskSnapshot, now: datetime) -> None:
    if now >= begins_by(snapshot):
        hours = int(LONGEST.total_seconds() // 3600)
        raise LaunchRefused(_("It was not copied and ready within %(n)s hours.") % {"n": hours})


def call_off(machine: Instance) -> None:
    """Its owner deletes it: nothing begins with its copy by itself any more."""
    machine.snapshots.filter(go_on_as__isnull=False).update(go_on_as=None)


def moves_on(machine: Instance) -> DiskSnapshot | None:
    """The copy that its work will go on from; None for every other machine."""
    waiting = machine.snapshots.filter(go_on_as__isnull=False).exclude(standing=Standing.FAILED)
    return waiting.select_related("go_on_as").first()
