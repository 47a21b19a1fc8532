"""A staff machine becomes the course's image: saved, tried out on one machine, made the default, deleted."""

import logging
from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from cloud.base import Cloud, CloudError, NotFound, Transient
from courses.models import STAFF_ROLES, Enrollment, User
from instances import disk_books
from instances.disk_rules import IN_MOTION, Standing
from instances.models import CourseImage, Instance, Preset
from instances.presets import change_preset
from instances.refusals import LaunchRefused
from instances.requesting import request_launch
from instances.states import State

logger = logging.getLogger(__name__)


@transaction.atomic
def request_image(instance: Instance, title: str, *, who: User, now: datetime) -> CourseImage:
    """Of a stopped machine of somebody of the staff: a student's disk is the student's. Raises LaunchRefused."""
    rows = Instance.objects.select_for_update(no_key=True, of=("self",)).select_related("owner", "course")
    machine = rows.get(pk=instance.pk)
    if machine.owner.role not in STAFF_ROLES:
        raise LaunchRefused(_("Only a machine of the course staff can become the course's image."))
    if machine.account_id is not None:
        raise LaunchRefused(
            _("This machine runs in another AWS account; the course's image must lie in the course's own.")
        )
    if machine.state != State.STOPPED:
        raise LaunchRefused(_("Stop the machine first: an image shows the disk at rest."))
    return CourseImage.objects.create(
        course=machine.course,
        title=title,
        instance=machine,
        made_by=who,
        wanted_at=now,
        size_gb=machine.disk_gb,
        usd_hour=disk_books.snapshot_usd_hour(machine.disk_gb),
    )


def try_out(image: CourseImage, owner: Enrollment, preset: Preset, *, who: User, now: datetime) -> Instance:
    """One machine of a preset from this image; nobody else's is. Raises LaunchRefused or BudgetRefused."""
    if image.standing != Standing.KEPT:
        raise LaunchRefused(_("This image is not ready."))
    if image.size_gb > preset.disk_gb:
        values = {"image": image.size_gb, "preset": preset.disk_gb}
        raise LaunchRefused(_("The image needs a disk of %(image)s GB; this preset has %(preset)s.") % values)
    with transaction.atomic():
        machine = request_launch(owner, preset, who=who, now=now)
        Instance.objects.filter(pk=machine.pk).update(image_id=image.image_id)
        CourseImage.objects.filter(pk=image.pk).update(tried_at=now)
    machine.image_id = image.image_id
    return machine


def make_default(image: CourseImage, presets: Iterable[Preset], *, who: User, now: datetime) -> int:
    """For launches from now on; machines that there are keep what they run from. Raises LaunchRefused."""
    if image.standing != Standing.KEPT:
        raise LaunchRefused(_("This image is not ready."))
    fitting = [preset for preset in presets if preset.disk_gb >= image.size_gb]
    return sum(change_preset(preset, {"image_id": image.image_id}, who=who, now=now) for preset in fitting)


def request_delete(image: CourseImage) -> None:
    """Raises LaunchRefused while a preset launches from it."""
    used = Preset.objects.filter(course=image.course, image_id=image.image_id).values_list("name", flat=True)
    if used:
        raise LaunchRefused(_("“%(name)s” launches from it. Make another image the default first.") % {"name": used[0]})
    CourseImage.objects.filter(pk=image.pk, standing=Standing.KEPT).update(standing=Standing.DELETING)


# ------------------------------------------------------------------ calls, and the round that finishes them
def images(cloud: Cloud, now: datetime) -> int:
    """Nothing is asked while nothing is in motion."""
    rows = list(CourseImage.objects.filter(standing__in=IN_MOTION).select_related("instance"))
    for row in rows:
        try:
            _mend(row, cloud)
        except Transient as error:
            logger.warning("%s: not done yet: %s", row.slug, error)
        except CloudError as error:
            logger.error("%s: AWS refused: %s", row.slug, error)
            if row.standing != Standing.DELETING:
                _set(row, Standing.FAILED, reason=str(error)[:300])
    return len(rows)


def _mend(row: CourseImage, cloud: Cloud) -> None:
    if row.standing == Standing.WANTED:
        image_id = cloud.disks.save_image(row.instance.cloud_id, name=row.cloud_name)
        _set(row, Standing.PENDING, image_id=image_id)
    elif row.standing == Standing.PENDING:
        _look(row, cloud)
    elif row.standing == Standing.DELETING:
        cloud.disks.delete_image(row.image_id)
        outcomes = cloud.disks.delete_snapshots(row.snapshot_ids)
        if all(one.error is None or isinstance(one.error, NotFound) for one in outcomes):
            _set(row, Standing.DELETED)


def _look(row: CourseImage, cloud: Cloud) -> None:
    found = {one.image_id: one for one in cloud.disks.images()}.get(row.image_id)
    if found and found.failed:
        _set(row, Standing.FAILED, reason=_("AWS could not make it."))
    elif found and found.available:
        _set(row, Standing.KEPT, snapshot_ids=list(found.snapshot_ids), size_gb=found.disk_gb or row.size_gb)


def _set(row: CourseImage, standing: Standing, **values: object) -> None:
    CourseImage.objects.filter(pk=row.pk, standing=row.standing).update(standing=standing, **values)
