"""The closing round: carries out what was announced, from what is so now. May die anywhere, and run twice at once."""

import logging
from datetime import datetime
from functools import partial

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from cloud.base import Cloud, CloudError
from credits import opening, queue
from credits.models import CodeBatch
from instances import closing_letters, snapshots
from instances.accounts import by_door
from instances.closing import LAST_CALL, REMIND, locked, open_closings
from instances.closing_records import Closing
from instances.closing_rules import CopyStep, Step, next_step
from instances.closing_statement import finish_if_done, over_for_everybody
from instances.closing_steps import (
    Found,
    closes_for,
    found,
    kept_until,
    machines_of,
    may_have_a_step,
    note_verdict,
    step_of_copy,
    take_step,
)
from instances.course_images import hand_on_or_delete
from instances.disk_rules import COSTS, Standing
from instances.models import CourseImage, DiskSnapshot, Preset
from instances.presets import change_preset
from instances.states import State
from instances.stopping import stop, terminate
from instances.sweeps.rounds import for_each, sweep_over

logger = logging.getLogger(__name__)


def closings(cloud: Cloud, now: datetime) -> int:
    return sweep_over("closing", open_closings(), partial(_carry_out, cloud=cloud, now=now), now=now)


def _carry_out(closing: Closing, *, cloud: Cloud, now: datetime) -> None:
    """Each part looks at levels: one that fails keeps no other back."""
    if now < closing.closes_at:
        if now >= closing.closes_at - REMIND:
            _remind(closing.pk, now)
        return
    parts = (_machines, _copies, _codes, _images, _last_call, _finish)
    for_each(f"{closing}", parts, lambda part: part(closing, cloud, now))


@transaction.atomic
def _remind(pk: int, now: datetime) -> None:
    row = locked(pk)
    if row and row.reminded_at is None:
        closing_letters.reminded(row, now)
        Closing.objects.filter(pk=pk).update(reminded_at=now)


# ------------------------------------------------------------------ machines
def _machines(closing: Closing, cloud: Cloud, now: datetime) -> None:
    due = [one for one in found(list(machines_of(closing))) if closes_for(closing, one.machine.owner) <= now]
    _verify(due, cloud, now)
    for_each("closing: machines", due, lambda one: take_step(closing.pk, one.machine.pk, now))
    moving = machines_of(closing).filter(pk__in=[one.machine.pk for one in due])
    stop(list(moving.filter(state=State.STOPPING).values_list("pk", flat=True)), cloud=cloud, now=now)
    wanted = DiskSnapshot.objects.filter(instance__in=moving, why=DiskSnapshot.Why.CLOSING, standing=Standing.WANTED)
    # Only those that were never asked for: when to ask again is for the disks round to judge.
    for_each(
        "closing: archives", wanted.filter(asked_at=None), lambda copy: snapshots.take(copy.pk, cloud=cloud, now=now)
    )
    terminate(list(moving.filter(state=State.TERMINATING).values_list("pk", flat=True)), cloud=cloud, now=now)


def _verify(due: list[Found], cloud: Cloud, now: datetime) -> None:
    """One question for all archives that are said to be complete."""
    unproved = [one for one in due if next_step(one.facts, now) is Step.VERIFY]
    if not unproved:
        return
    for door, machines in by_door(cloud, [one.machine for one in unproved]):
        try:
            views = {view.snapshot_id: view for view in door.disks.snapshots()}
        except CloudError as error:
            logger.warning("closing: AWS cannot be read, nothing is deleted: %s", error)
            continue
        for one in unproved:
            if one.machine in machines:
                note_verdict(one, views, now)


# ------------------------------------------------------------------ what else there is
def _copies(closing: Closing, cloud: Cloud, now: datetime) -> None:
    there = DiskSnapshot.objects.filter(course=closing.course, standing__in=COSTS | {Standing.WANTED})
    copies = there.select_related("owner__limits", "course")
    due = [copy.pk for copy in copies if may_have_a_step(closing, copy, now)]

    def step(pk: int) -> None:
        if step_of_copy(closing.pk, pk, now) is CopyStep.DELETE:
            snapshots.delete(pk, cloud=cloud, now=now)

    for_each("closing: copies", due, step)


def _codes(closing: Closing, _cloud: Cloud, now: datetime) -> None:
    """No more claims, and nobody waits for one any more. Codes that are claimed stay their holders'."""
    waited_for = Q(waits__isnull=False, waits__closed_at=None)
    batches = CodeBatch.objects.filter(~Q(closes_at__lte=now) | waited_for, course=closing.course).distinct()
    for_each("closing: batches", batches, lambda batch: _close_batch(closing.pk, batch, now))


@transaction.atomic
def _close_batch(closing_pk: int, batch: CodeBatch, now: datetime) -> None:
    """Without the lock, a batch would close after the call-off, and who waits would be sent away."""
    closing = locked(closing_pk)
    if closing is None:
        return
    opening.close_now(batch, who=closing.who, why=_("The course is closed"), now=now)
    queue.close_places(batch, now)


def _images(closing: Closing, _cloud: Cloud, now: datetime) -> None:
    """Last: as long as one machine is there, something may be launched from them."""
    if not over_for_everybody(closing, now) or machines_of(closing).exists():
        return
    for image in CourseImage.objects.filter(course=closing.course, standing=Standing.KEPT):
        _drop_image(closing.pk, image, now)


@transaction.atomic
def _drop_image(closing_pk: int, image: CourseImage, now: datetime) -> None:
    """Presets no longer name it: copied to the next term, they would launch nothing. The images round deletes it;
    one that a next term names already becomes that course's."""
    closing = locked(closing_pk)
    if closing is None:
        return
    for preset in Preset.objects.filter(course=closing.course):
        elsewhere = {region: name for region, name in preset.images.items() if name != image.image_id}
        left = {"image_id": "" if preset.image_id == image.image_id else preset.image_id, "images": elsewhere}
        change_preset(preset, left, who=closing.who, now=now)  # writes only what is different
    hand_on_or_delete(image)


@transaction.atomic
def _last_call(closing: Closing, _cloud: Cloud, now: datetime) -> None:
    """By what each owner has, and not once for all: some have a later last day, and days are moved after a call."""
    row = locked(closing.pk)
    if row is None:
        return
    soon = now + LAST_CALL
    theirs = DiskSnapshot.objects.filter(course=row.course, standing=Standing.KEPT, keep_until__lte=soon)
    copies = theirs.filter(owner__forgotten_at=None).select_related("owner__limits")
    # A last day that was given since is written on the copy only once it is over; until then nothing is deleted.
    ends = [(one.owner, max(one.keep_until or soon, kept_until(row, one.owner))) for one in copies]
    if closing_letters.last_call(row, [one for one in ends if one[1] <= soon], now):
        Closing.objects.filter(pk=row.pk).update(last_call_at=now)


def _finish(closing: Closing, _cloud: Cloud, now: datetime) -> None:
    if finish_if_done(closing, now):
        logger.info("%s: finished", closing)
