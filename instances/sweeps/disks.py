"""The round of disks: what was begun about copies is finished, and the course's policy is followed.

One look at AWS when something is in motion, else once an hour: for what only lies there a look says that it still does.
"""

import logging
import time
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from cloud.base import Cloud, CloudError
from cloud.disks import SnapshotView
from instances import disk_books, moving_on, snapshots
from instances.account_records import CloudAccount
from instances.accounts import door_of
from instances.disk_rules import (
    COSTS,
    IN_MOTION,
    LOOK_SECONDS,
    Archive,
    Do,
    Row,
    Standing,
    decide_archive,
    decide_snapshot,
    night_before,
    nightly_due,
    surplus,
)
from instances.models import DiskPolicy, DiskSnapshot, Instance, InstanceEvent
from instances.moves import tell
from instances.notices import staff_address
from instances.states import State
from instances.stopping import request_terminate, terminate
from instances.sweeps.rounds import beat, for_each, if_any
from spend.services import BudgetRefused

logger = logging.getLogger(__name__)
Kind = InstanceEvent.Kind
_GB = 2**30
_GOING = (State.TERMINATING, State.TERMINATED, State.FAILED)


def disks(cloud: Cloud, now: datetime) -> int:
    began = time.monotonic()
    for_each("nightly copies", if_any(_nightly_candidates()), partial(_copy_tonight, now=now))
    for_each("archive", if_any(_unused(now)), partial(_archive, now=now))
    looked_at = mend_copies(cloud, None, now)
    for_each("moving on", if_any(moving_on.due()), partial(moving_on.go_on, now=now))
    beat("disks", looked_at, seconds=time.monotonic() - began, now=now)
    return looked_at


# ------------------------------------------------------------------ what was begun
def mend_copies(cloud: Cloud, account: CloudAccount | None, now: datetime) -> int:
    """Of one account; None: the course's own. What lies in another one cannot be seen from here, and is not missed."""
    rows = list(if_any(_there(now).filter(instance__account=account)))
    if not rows:
        return 0
    door = door_of(cloud, account)
    try:
        views = door.disks.snapshots()
    except CloudError as error:
        logger.warning("disks: AWS cannot be read, nothing is changed: %s", error)
        return 0
    by_id = {view.snapshot_id: view for view in views}
    by_key = {view.key: view for view in reversed(views) if view.key}
    DiskSnapshot.objects.filter(cloud_id__in=by_id, standing__in=COSTS).update(seen_at=now, absent_since=None)
    missed = [row.pk for row in rows if row.cloud_id and row.cloud_id not in by_id and row.absent_since is None]
    DiskSnapshot.objects.filter(pk__in=missed).update(absent_since=now)
    going: list[int] = []

    def mend(row: DiskSnapshot) -> None:
        view = by_id.get(row.cloud_id) if row.cloud_id else by_key.get(row.slug)
        facts = Row(Standing(row.standing), row.asked_at, row.calling_until, row.absent_since)
        _act(row, view, decide_snapshot(facts, view, now), cloud, door, now)
        if row.then_delete and _end_machine(row, now):
            going.append(row.instance_id)

    looked_at = for_each("disks", rows, mend)
    terminate(going, cloud=cloud, now=now)
    _drop_doubles(views, door)
    return looked_at


def _there(now: datetime) -> QuerySet[DiskSnapshot]:
    """Nothing when all of them only lie there and were seen lately; what a look missed is looked for each minute."""
    rows = DiskSnapshot.objects.filter(standing__in=IN_MOTION | COSTS)
    due = Q(standing__in=IN_MOTION) | Q(then_delete=True)
    due |= Q(absent_since__isnull=False) | Q(seen_at=None) | Q(seen_at__lte=now - timedelta(seconds=LOOK_SECONDS))
    return rows.filter(due).select_related("instance__owner", "owner", "course").order_by("pk")


def _act(row: DiskSnapshot, view: SnapshotView | None, do: Do | None, cloud: Cloud, door: Cloud, now: datetime) -> None:
    match do:
        case Do.TAKE:
            snapshots.take(row.pk, cloud=cloud, now=now)
        case Do.ADOPT if view:
            snapshots.adopt(row, view, now=now)
        case Do.KEEP if view:
            _keep(row, view, now)
        case Do.FAIL:
            snapshots.fail(row, _("AWS could not copy the disk."), now=now)
            door.disks.delete_snapshots([row.cloud_id])
        case Do.DELETE:
            snapshots.delete(row.pk, cloud=cloud, now=now)
        case Do.VANISHED if door.disks.exist([row.cloud_id]):
            # Somebody took its tag off: it is there, is paid for, and may be all that is left of a disk.
            DiskSnapshot.objects.filter(pk=row.pk).update(seen_at=now, absent_since=None)
        case Do.VANISHED:
            _vanished(row, now)


def _keep(row: DiskSnapshot, view: SnapshotView, now: datetime) -> None:
    stored = row.size_gb if view.stored_bytes is None else max(1, -(-view.stored_bytes // _GB))
    row.size_gb = min(row.size_gb, stored)
    row.usd_hour = disk_books.snapshot_usd_hour(row.size_gb)
    values = {"size_gb": row.size_gb, "usd_hour": row.usd_hour}
    with transaction.atomic():
        mine = DiskSnapshot.objects.filter(pk=row.pk, standing=Standing.PENDING, metered_until=None)
        # Once an hour of it is posted its price stays: a charge is never taken back.
        if mine.update(standing=Standing.KEPT, **values):
            disk_books.trim_snapshot(row, now=now)
        elif not DiskSnapshot.objects.filter(pk=row.pk, standing=Standing.PENDING).update(standing=Standing.KEPT):
            return
        row.standing = Standing.KEPT
        to = row.owner.email if row.why == DiskSnapshot.Why.ARCHIVE else ""
        tell(row.instance, Kind.DISK, reason=_("The copy of the disk is complete"), now=now, mail_to=to)


def _end_machine(row: DiskSnapshot, now: datetime) -> bool:
    """The disk goes only now: its copy is complete, and it was at rest since. A start in between takes it back."""
    if row.instance.state in _GOING:
        DiskSnapshot.objects.filter(pk=row.pk).update(then_delete=False)
    if row.standing != Standing.KEPT:
        return False
    reason = _("Deleted; a copy of its disk is kept")
    with transaction.atomic():  # its owner may be deleting the copy, or starting the machine, at this moment
        machines = Instance.objects.select_for_update(no_key=True, of=("self",)).select_related("owner")
        machine, copy = machines.get(pk=row.instance_id), snapshots.locked_copy(row.pk)
        if copy.standing != Standing.KEPT or not copy.then_delete:
            return False
        if machine.state != State.STOPPED or machine.state_since > (snapshots.begun_at(copy) or now):
            return False
        return request_terminate(machine, who=row.asked_by, now=now, reason=reason)


def _vanished(row: DiskSnapshot, now: datetime) -> None:
    with transaction.atomic():
        there = DiskSnapshot.objects.filter(pk=row.pk, standing__in=(Standing.PENDING, Standing.KEPT))
        reason = _("AWS does not know this copy any more.")
        end = row.seen_at or row.since or now
        if there.update(standing=Standing.DELETED, until=end, reason=reason, then_delete=False, go_on_as=None):
            tell(row.instance, Kind.DISK, reason=reason, now=now)  # its student's
            tell(row.instance, Kind.TROUBLE, reason=reason, now=now, mail_to=staff_address(row.course))


def _drop_doubles(views: list[SnapshotView], cloud: Cloud) -> None:
    """A copy of which nobody heard the answer, made again: the row has the other one, or none any more."""
    rows = DiskSnapshot.objects.filter(slug__in={view.key for view in views})
    known = {
        slug: (cloud_id, standing) for slug, cloud_id, standing in rows.values_list("slug", "cloud_id", "standing")
    }
    doubles = [view.snapshot_id for view in views if _is_double(view, *known.get(view.key, ("", "")))]
    for outcome in cloud.disks.delete_snapshots(doubles):
        logger.error("disks: %s doubles a copy and is deleted: %s", outcome.cloud_id, outcome.error or "accepted")


def _is_double(view: SnapshotView, cloud_id: str, standing: str) -> bool:
    if cloud_id == view.snapshot_id:
        # Not of a deleted row: we asked for that, or it was gone by itself and is back, and then it is somebody's work.
        return standing == Standing.FAILED
    return cloud_id != "" or standing in (Standing.DELETED, Standing.FAILED)


# ------------------------------------------------------------------ the course's policy
def _nightly_candidates() -> QuerySet[Instance]:
    nightly = Q(snapshots__why=DiskSnapshot.Why.NIGHTLY)
    machines = Instance.objects.filter(
        state__in=(State.RUNNING, State.STOPPED), course__disk_policy__nightly_keep__gt=0
    ).exclude(cloud_id="")
    return machines.select_related("owner", "course__disk_policy").annotate(
        last_copy=Max("snapshots__wanted_at", filter=nightly), changed_at=Max(F("runs__seen_at"))
    )


def _copy_tonight(machine: Instance, *, now: datetime) -> None:
    night = night_before(now, machine.course.timezone)
    last, changed = machine.last_copy, machine.changed_at  # type: ignore[attr-defined]
    if nightly_due(last, changed, night):
        try:
            snapshots.request_snapshot(machine, why=DiskSnapshot.Why.NIGHTLY, who=None, now=now)
        except BudgetRefused as error:
            # Nobody tries again before the next night.
            snapshots.note_refused(machine, why=DiskSnapshot.Why.NIGHTLY, reason=str(error), now=now)
    kept = machine.snapshots.filter(why=DiskSnapshot.Why.NIGHTLY, standing=Standing.KEPT).order_by("wanted_at", "pk")
    for old in surplus(list(kept), DiskPolicy.of(machine.course).nightly_keep):
        snapshots.request_delete(old, who=None, now=now, reason=_("An older nightly copy is deleted"))


def _unused(now: datetime) -> QuerySet[Instance]:
    days = DiskPolicy.objects.filter(archive_days__gt=0).values_list("course", flat=True)
    leaving = DiskSnapshot.objects.filter(snapshots.THEN_GONE, instance=OuterRef("pk"))
    machines = Instance.objects.filter(~Exists(leaving), state=State.STOPPED, course__in=days)
    return machines.select_related("owner", "course__disk_policy")


def _archive(machine: Instance, *, now: datetime) -> None:
    policy = DiskPolicy.of(machine.course)
    after, warn = timedelta(days=policy.archive_days), timedelta(days=policy.archive_warn_days)
    match decide_archive(machine.state_since, machine.archive_warned_at, after, warn, now):
        case Archive.WARN:
            _warn(machine, policy, now)
        case Archive.NOW:
            try:
                snapshots.request_archive(machine, why=DiskSnapshot.Why.ARCHIVE, who=None, now=now)
            except (BudgetRefused, snapshots.SnapshotRefused) as error:
                logger.warning("%s is not archived: %s", machine, error)  # the disk stays, and is paid for


def _warn(machine: Instance, policy: DiskPolicy, now: datetime) -> None:
    values = {"n": policy.archive_warn_days, "days": (now - machine.state_since).days}
    reason = _(
        "Unused for %(days)s days. In %(n)s days its disk becomes a cheaper copy; you can restore it at any time. "
        "Start the machine to keep the disk."
    )
    with transaction.atomic():
        mine = Instance.objects.filter(pk=machine.pk, state=State.STOPPED, state_since=machine.state_since)
        if mine.update(archive_warned_at=now):
            tell(machine, Kind.DISK, reason=reason % values, now=now, mail_to=machine.owner.email)
