"""Copies of disks: requests that only write rows and holds, and the calls to AWS, repeated until it is so.

AWS has no client token for snapshots: the row's slug is written on each as a tag, and looked for before asking again.
"""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from cloud.base import AccountBlocked, Cloud, CloudError, NotFound, Transient
from cloud.disks import SnapshotSpec, SnapshotView
from courses.models import User
from instances import copies_in_use, disk_books
from instances.accounts import door_for
from instances.disk_rules import Standing
from instances.models import DiskSnapshot, Instance, InstanceEvent
from instances.moves import tell
from instances.refusals import LaunchRefused
from instances.repair import CALL_SECONDS
from instances.states import State
from instances.stopping import request_stop

logger = logging.getLogger(__name__)
Why = DiskSnapshot.Why
Kind = InstanceEvent.Kind
_WITH_DISK = (State.RUNNING, State.STOPPED)
# Its machine is deleted once it is complete; of one that is deleted itself nothing is to come.
THEN_GONE = Q(then_delete=True, standing__in=(Standing.WANTED, Standing.PENDING, Standing.KEPT))
_CLOCKS_DIFFER = timedelta(seconds=60)  # at most; an asking is repeated after minutes only


class SnapshotRefused(LaunchRefused):
    """No copy of this disk now. `str()` is a sentence for the person."""


# ------------------------------------------------------------------ requests: rows only
@transaction.atomic
def request_snapshot(
    instance: Instance,
    *,
    why: str,
    who: User | None,
    now: datetime,
    then_delete: bool = False,
    keep_until: datetime | None = None,
) -> DiskSnapshot:
    """Row, hold and event of a copy. Raises SnapshotRefused or BudgetRefused. One at a time: asked twice, the same.

    `keep_until`: it is held for, and kept, until then, beyond the end of the course.
    """
    # Then read: what is joined to a lock that waited is as it was before, and the course's last day may be a later one.
    list(Instance.objects.select_for_update(no_key=True).filter(pk=instance.pk).values_list("pk"))
    machine = Instance.objects.select_related("owner__limits", "course").get(pk=instance.pk)
    if machine.state not in _WITH_DISK or not machine.cloud_id:
        raise SnapshotRefused(_("Only the disk of a machine that runs or is stopped can be copied. Wait a moment."))
    under_way = machine.snapshots.filter(standing__in=(Standing.WANTED, Standing.PENDING)).first()
    if under_way:
        if then_delete and not _at_rest_since(machine, under_way):
            text = _("A copy that was begun while it ran is still being made. Ask again when it is complete.")
            raise SnapshotRefused(text)
        if then_delete:
            DiskSnapshot.objects.filter(pk=under_way.pk).update(then_delete=True)
        return under_way
    snapshot = DiskSnapshot.objects.create(
        instance=machine,
        owner=machine.owner,
        course=machine.course,
        why=why,
        asked_by=who,
        wanted_at=now,
        then_delete=then_delete,
        keep_until=keep_until,
        size_gb=machine.disk_gb,
        usd_hour=disk_books.snapshot_usd_hour(machine.disk_gb),
    )
    reason = _("A copy of the disk is made") if not then_delete else _("A copy of the disk is made; then it is deleted")
    tell(machine, Kind.DISK, reason=reason, who=who, now=now, facts={"snapshot": snapshot.slug, "why": why})
    disk_books.hold_snapshot(snapshot, who=who, now=now)
    return snapshot


def _at_rest_since(machine: Instance, copy: DiskSnapshot) -> bool:
    """Only such a copy may be all that is left of the disk: what was begun earlier lacks what was written since."""
    began = begun_at(copy)
    return began is None or (machine.state == State.STOPPED and began >= machine.state_since)


def begun_at(copy: DiskSnapshot) -> datetime | None:
    """By our own clock, as the machine's rest is: AWS's may go behind. What is older than the asking by more than
    clocks differ was made by an asking before, whose answer was lost."""
    if copy.asked_at is None or (copy.since and copy.asked_at - copy.since > _CLOCKS_DIFFER):
        return copy.since
    return copy.asked_at


def note_refused(machine: Instance, *, why: str, reason: str, now: datetime) -> None:
    """A row all the same: it says why there is no copy, and when it was tried."""
    DiskSnapshot.objects.create(
        instance=machine,
        owner=machine.owner,
        course=machine.course,
        why=why,
        standing=Standing.FAILED,
        reason=reason[:300],
        wanted_at=now,
        size_gb=machine.disk_gb,
        usd_hour=0,
        settled_at=now,
    )


@transaction.atomic
def request_archive(instance: Instance, *, why: str, who: User | None, now: datetime) -> DiskSnapshot:
    """Stop if need be, copy the disk, and only then delete machine and disk. Raises as `request_snapshot`."""
    snapshot = request_snapshot(instance, why=why, who=who, now=now, then_delete=True)
    if instance.state == State.RUNNING:
        request_stop(instance, reason=_("Stopped, to copy its disk and delete it"), who=who, now=now)
    return snapshot


def keep_machine(instance: Instance, *, who: User | None, now: datetime) -> None:
    """Its owner starts it again: a copy that is being made stays a copy, and the machine is not deleted after it."""
    meant = instance.snapshots.filter(THEN_GONE)
    if meant.update(then_delete=False, go_on_as=None):
        tell(instance, Kind.DISK, reason=_("Started again, so it is not deleted"), who=who, now=now)


def locked_copy(pk: int) -> DiskSnapshot:
    """Whoever rests on a copy that is there, or deletes it, takes this first: after its owner's row and the machine's,
    and before the money. To be asked in a transaction."""
    rows = DiskSnapshot.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("owner", "instance__account").get(pk=pk)


def request_delete(snapshot: DiskSnapshot, *, who: User | None, now: datetime, reason: str = "") -> bool:
    """False when it is gone or going already, or when a machine is still to begin with it: it may be all there is."""
    with transaction.atomic():
        # In a statement of its own: an UPDATE that waited looks at this row again, and not for machines.
        locked_copy(snapshot.pk)
        there = DiskSnapshot.objects.filter(
            ~Exists(_to_begin_with_it()), pk=snapshot.pk, standing=Standing.KEPT, go_on_as=None
        )
        # Nothing is to come of it any more: its machine stays, and may be archived again.
        if not there.update(standing=Standing.DELETING, reason=reason, then_delete=False):
            return False
        told = reason or _("A copy of the disk is deleted")
        tell(snapshot.instance, Kind.DISK, reason=told, who=who, now=now, facts={"snapshot": snapshot.slug})
    return True


def is_needed(snapshot: DiskSnapshot) -> bool:
    """A machine waits for its turn, and its disk is to begin with this copy."""
    return snapshot.go_on_as_id is not None or _to_begin_with_it(snapshot.pk).exists()


def _to_begin_with_it(pk: int | OuterRef = OuterRef("pk")) -> QuerySet[Instance]:  # noqa: B008 - a mark, not a value
    coming = (State.REQUESTED, State.LAUNCHING)
    return Instance.objects.filter(restored_from=pk, cloud_id="", state__in=coming)


# ------------------------------------------------------------------ calls
def take(pk: int, *, cloud: Cloud, now: datetime) -> None:
    """Ask AWS for the copy of a row in WANTED. Whether it was asked before is for `disk_rules` to judge."""
    free = Q(calling_until=None) | Q(calling_until__lte=now)
    mine = DiskSnapshot.objects.filter(free, pk=pk, standing=Standing.WANTED)
    ready = Q(then_delete=False) | Q(instance__state=State.STOPPED)  # what is deleted afterwards was at rest
    snapshot = mine.filter(ready).select_related("instance__account", "owner", "course").first()
    if snapshot is None:
        return
    # The round may have begun before the machine was seen at rest; the asking is later.
    asked_at = max(now, snapshot.instance.state_since)
    if not mine.update(asked_at=asked_at, calling_until=now + timedelta(seconds=CALL_SECONDS)):
        return
    tags = {"course": snapshot.course.slug, "owner": str(snapshot.owner.opaque_id)}
    spec = SnapshotSpec(snapshot.slug, snapshot.instance.cloud_id, snapshot.instance.slug, tags)
    try:
        view = door_for(cloud, snapshot.instance).disks.snapshot(spec)
    except (Transient, AccountBlocked) as error:  # the latter is about the account, not about this disk
        logger.warning("%s: no clear answer: %s", snapshot, error)
        DiskSnapshot.objects.filter(pk=pk).update(calling_until=None)
    except CloudError as error:
        logger.error("%s: AWS refused the copy: %s %s", snapshot, error.code, error)
        fail(snapshot, _("AWS refused to copy the disk (%(text)s).") % {"text": error}, now=now)
    else:
        adopt(snapshot, view, now=now)


def adopt(snapshot: DiskSnapshot, view: SnapshotView, *, now: datetime) -> None:
    DiskSnapshot.objects.filter(pk=snapshot.pk, standing=Standing.WANTED).update(
        standing=Standing.PENDING, cloud_id=view.snapshot_id, since=view.started_at, seen_at=now, calling_until=None
    )


def fail(snapshot: DiskSnapshot, reason: str, *, now: datetime) -> bool:
    """Nothing was made, nothing is charged, and nothing is deleted after it."""
    with transaction.atomic():
        mine = DiskSnapshot.objects.filter(pk=snapshot.pk, standing__in=(Standing.WANTED, Standing.PENDING))
        values = {"standing": Standing.FAILED, "reason": reason[:300], "since": None, "calling_until": None}
        if not mine.update(**values, then_delete=False, go_on_as=None, settled_at=now):
            return False
        told = reason if not snapshot.then_delete else _("%(why)s The disk is kept.") % {"why": reason}
        tell(snapshot.instance, Kind.DISK, reason=told, now=now, mail_to=snapshot.owner.email)
        disk_books.drop_snapshot(snapshot, now=now)
    return True


def delete(pk: int, *, cloud: Cloud, now: datetime) -> None:
    """Image first, then the copy; its books end when AWS has accepted."""
    going = DiskSnapshot.objects.filter(pk=pk, standing=Standing.DELETING)
    snapshot = going.select_related("instance__account", "instance__course").first()
    if snapshot is None:
        return
    DiskSnapshot.objects.filter(pk=pk).update(asked_at=now)
    disks = door_for(cloud, snapshot.instance).disks
    try:
        if snapshot.image_id:
            disks.delete_image(snapshot.image_id)
    except CloudError as error:
        logger.warning("%s: its image is not deleted yet: %s", snapshot, error)
        copies_in_use.not_deleted(snapshot, error, disks, now)
        return
    [outcome] = disks.delete_snapshots([snapshot.cloud_id])
    if outcome.error is None or isinstance(outcome.error, NotFound):
        gone = DiskSnapshot.objects.filter(pk=pk, standing=Standing.DELETING)
        gone.update(standing=Standing.DELETED, until=F("asked_at"))
    else:
        logger.warning("%s: not deleted yet: %s", snapshot, outcome.error)
        copies_in_use.not_deleted(snapshot, outcome.error, disks, now)
