"""A copy of a disk becomes a new machine of its owner. The copy stays."""

import logging
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from cloud.base import Cloud, Transient
from courses.models import User
from instances.accounts import door_for
from instances.disk_rules import Standing
from instances.models import DiskSnapshot, Instance, Preset
from instances.refusals import LaunchRefused
from instances.requesting import locked, request_launch
from instances.snapshots import locked_copy

logger = logging.getLogger(__name__)


@transaction.atomic
def request_restore(snapshot: DiskSnapshot, preset: Preset, *, who: User | None, now: datetime) -> Instance:
    """A launch as any other, whose disk begins with the copy. Raises LaunchRefused or BudgetRefused.

    Under a lock on the copy: who deletes it waits until the new machine's row is there to be seen, or is waited for.
    """
    locked(snapshot.owner)  # before copies and money, as by all who lock several
    fresh = locked_copy(snapshot.pk)
    if fresh.standing != Standing.KEPT:
        raise LaunchRefused(_("This copy is not there to be restored."))
    return request_launch(fresh.owner, preset, who=who, now=now, snapshot=fresh)


def find_image(machine: Instance, *, cloud: Cloud) -> bool:
    """The image that a restored machine boots from, made once for each copy. False: not now. Raises Refused."""
    snapshot = machine.restored_from
    if snapshot is None or machine.image_id:
        return True
    try:
        # AWS takes an image's name once: whoever dies before writing it down finds the same one again.
        disks = door_for(cloud, machine).disks
        image_id = snapshot.image_id or disks.image_of(snapshot.cloud_id, name=snapshot.image_name)
    except Transient as error:
        logger.warning("%s: no image yet: %s", machine, error)
        return False
    DiskSnapshot.objects.filter(pk=snapshot.pk).update(image_id=image_id)
    if not Instance.objects.filter(pk=machine.pk, image_id="").update(image_id=image_id):
        machine.refresh_from_db(fields=("image_id",))
        return bool(machine.image_id)
    machine.image_id = image_id
    return True
