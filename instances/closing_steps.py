"""One machine's or one copy's next step of a closing: rows only, each in one transaction that holds the closing's row.

So two processes never take a step at once, and none follows a closing that was called off. Rules: `closing_rules.py`.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from cloud.disks import SnapshotView
from courses.models import Enrollment
from instances import books, closing_letters, disk_books, snapshots
from instances.closing import locked
from instances.closing_records import Closing
from instances.closing_rules import Archive, CopyStep, Fault, Machine, Step, fault_of, next_for_copy, next_step
from instances.disk_rules import Standing
from instances.home_grace import extra_until
from instances.homes import packing_among
from instances.launch_rules import course_end
from instances.leaving import leave
from instances.models import DiskSnapshot, Instance, InstanceEvent
from instances.moves import tell
from instances.notices import staff_address
from instances.refusals import LaunchRefused
from instances.states import ENDED, State
from instances.stopping import request_stop, request_terminate
from spend.services import BudgetRefused

logger = logging.getLogger(__name__)
Why = DiskSnapshot.Why


@dataclass(frozen=True, slots=True)
class Found:
    """A machine with what decides about it; `archive` is the newest that a closing made of its disk."""

    machine: Instance
    facts: Machine
    archive: DiskSnapshot | None


def closes_for(closing: Closing, owner: Enrollment) -> datetime:
    """UTC. Whoever was given a later last day is left alone until that is over."""
    return max(closing.closes_at, course_end(books.dates_for(owner, closing.course)))


def kept_until(closing: Closing, owner: Enrollment) -> datetime:
    return closes_for(closing, owner) + timedelta(days=closing.keep_days)


def machines_of(closing: Closing) -> QuerySet[Instance]:
    """All that have not ended, whoever's they are."""
    machines = Instance.objects.filter(course=closing.course_id).exclude(state__in=ENDED)
    return machines.select_related("owner__limits", "course__machine_policy", "preset", "account").order_by("pk")


def found(machines: Sequence[Instance]) -> list[Found]:
    """Two queries for all, at most."""
    newest: dict[int, DiskSnapshot] = {}
    copied: set[int] = set()
    for copy in DiskSnapshot.objects.filter(instance__in=machines).order_by("wanted_at", "pk"):
        if copy.why == Why.CLOSING:
            newest[copy.instance_id] = copy
        if copy.standing in (Standing.WANTED, Standing.PENDING):
            copied.add(copy.instance_id)
    packing = packing_among(machines)
    return [
        _found(machine, newest.get(machine.pk), is_copied=machine.pk in copied, packs=machine.pk in packing)
        for machine in machines
    ]


def _found(machine: Instance, copy: DiskSnapshot | None, *, is_copied: bool, packs: bool) -> Found:
    archive = Archive(Standing(copy.standing), copy.wanted_at, copy.verified_at) if copy else None
    facts = Machine(
        state=State(machine.state),
        since=machine.state_since,
        leaving_at=machine.leaving_at,
        packs_until=extra_until(machine) if packs else None,
        archive=archive,
        is_copied=is_copied,
    )
    return Found(machine, facts, copy)


# ------------------------------------------------------------------ machines
@transaction.atomic
def take_step(closing_pk: int, machine_pk: int, now: datetime) -> Step:
    """Decide again, with the rows locked, and write down what follows. The caller tells AWS after the commit."""
    closing = locked(closing_pk)
    if closing is None:
        return Step.WAIT
    row = machines_of(closing).select_for_update(no_key=True, of=("self",)).filter(pk=machine_pk).first()
    if row is None:
        return Step.DONE
    if closes_for(closing, row.owner) > now:
        return Step.WAIT
    [one] = found([row])
    step = next_step(one.facts, now)
    if step is Step.STOP:
        _stop(closing, row, now)
    elif step is Step.ARCHIVE:
        _archive(closing, one, now)
    elif step is Step.DELETE:
        _delete(closing, one, now)
    return step


def _stop(closing: Closing, machine: Instance, now: datetime) -> None:
    """As a person's click does it: what can save saves first; the lease round, or the next of ours, stops it then."""
    reason = _("Stopped: the course is over.")
    if closing.who and leave(machine, reason=reason, who=closing.who, now=now, mail=True):
        return
    request_stop(machine, reason=reason, who=closing.who, now=now, mail=True)


def _archive(closing: Closing, one: Found, now: datetime) -> None:
    until = kept_until(closing, one.machine.owner)
    try:
        snapshots.request_snapshot(one.machine, why=Why.CLOSING, who=closing.who, now=now, keep_until=until)
    except (BudgetRefused, LaunchRefused) as refused:
        _note_refused(one, str(refused), now)


def _note_refused(one: Found, why: str, now: datetime) -> None:
    """The disk stays. Staff hear of it the first time."""
    machine = one.machine
    snapshots.note_refused(machine, why=Why.CLOSING, reason=why, now=now)
    to = "" if one.archive else staff_address(machine.course)
    tell(machine, InstanceEvent.Kind.TROUBLE, reason=_("Not archived: %(why)s") % {"why": why}, now=now, mail_to=to)


def _delete(closing: Closing, one: Found, now: datetime) -> None:
    """Under a lock on the archive: its owner may be deleting it at this moment."""
    assert one.archive  # noqa: S101 - for the type: the rule has seen it
    there = DiskSnapshot.objects.select_for_update(no_key=True, of=("self",))
    archive = there.filter(pk=one.archive.pk, standing=Standing.KEPT, verified_at__isnull=False).first()
    if archive is None:
        return
    reason = _("Deleted: the course is over, and its disk is archived")
    if request_terminate(one.machine, who=closing.who, now=now, reason=reason):
        until = archive.keep_until or kept_until(closing, one.machine.owner)
        closing_letters.archived(closing, one.machine, until, now)


# ------------------------------------------------------------------ archives and other copies
def note_verdict(one: Found, views: Mapping[str, SnapshotView], now: datetime) -> Fault | None:
    """What the provider says of this archive, as `views` by its id tell it, is written on its row."""
    archive = one.archive
    if archive is None:
        return Fault.MISSING
    fault = fault_of(views.get(archive.cloud_id), key=archive.slug, disk_gb=one.machine.disk_gb)
    same = DiskSnapshot.objects.filter(pk=archive.pk, cloud_id=archive.cloud_id, standing=Standing.KEPT)
    if fault is None:
        same.update(verified_at=now, reason="")
    else:
        logger.error("closing: %s is no archive of %s: %s; nothing is deleted", archive, one.machine, fault)
        same.update(verified_at=None, reason=fault_words(fault))
    return fault


def fault_words(fault: Fault) -> str:
    words = {
        Fault.MISSING: _("AWS does not list this archive. The disk is kept."),
        Fault.OTHER: _("What AWS has under this archive’s number is another copy. The disk is kept."),
        Fault.INCOMPLETE: _("AWS says that this archive is not complete. The disk is kept."),
        Fault.TOO_SMALL: _("This archive is smaller than the machine’s disk. The disk is kept."),
    }
    return words[fault]


def may_have_a_step(closing: Closing, copy: DiskSnapshot, now: datetime) -> bool:
    """Asked of rows as they were read: an archive that is kept as told rests for weeks, and costs no more than that."""
    until, is_nightly = kept_until(closing, copy.owner), copy.why == Why.NIGHTLY
    step = next_for_copy(Standing(copy.standing), copy.keep_until, until, now, is_superseded=is_nightly)
    return step is not CopyStep.LEAVE and closes_for(closing, copy.owner) <= now


@transaction.atomic
def step_of_copy(closing_pk: int, copy_pk: int, now: datetime) -> CopyStep:
    """Any copy of the course: kept as long as its owner was told, then deleted. The caller tells AWS."""
    closing = locked(closing_pk)
    rows = DiskSnapshot.objects.select_for_update(no_key=True, of=("self",))
    copy = rows.select_related("owner__limits", "course", "instance").filter(pk=copy_pk).first()
    if closing is None or copy is None or closes_for(closing, copy.owner) > now:
        return CopyStep.LEAVE
    until = kept_until(closing, copy.owner)
    step = next_for_copy(Standing(copy.standing), copy.keep_until, until, now, is_superseded=_is_superseded(copy))
    if step is CopyStep.KEEP:
        _keep(copy, until, now)
    elif step is CopyStep.DELETE:
        reason = _("Deleted: the time after the course is over")
        snapshots.request_delete(copy, who=closing.who, now=now, reason=reason)
    return step


def _is_superseded(copy: DiskSnapshot) -> bool:
    if copy.why != Why.NIGHTLY or copy.instance.state not in ENDED:
        return False
    later = DiskSnapshot.objects.filter(instance=copy.instance_id, why=Why.CLOSING, standing=Standing.KEPT)
    return later.filter(verified_at__isnull=False).exists()


def _keep(copy: DiskSnapshot, until: datetime, now: datetime) -> None:
    """Whatever the budget says: people were told. What it cannot hold for is charged all the same, as ever."""
    copy.keep_until = until
    DiskSnapshot.objects.filter(pk=copy.pk).update(keep_until=until)
    try:
        disk_books.hold_snapshot(copy, who=None, now=now)
    except BudgetRefused as refused:
        logger.warning("closing: %s is kept, and not held for: %s", copy, refused)
