"""A copy that AWS does not delete: an image boots from it. Ours is found again; of another's, staff are told once."""

import logging
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from cloud.base import AccountBlocked, CloudError, Transient
from cloud.disks import Disks
from instances.models import DiskSnapshot, InstanceEvent
from instances.moves import tell
from instances.notices import staff_address

logger = logging.getLogger(__name__)
Kind = InstanceEvent.Kind
STAFF_HEAR = timedelta(hours=6)  # after it was to be deleted
_IN_USE = "InvalidSnapshot.InUse"


def not_deleted(snapshot: DiskSnapshot, error: CloudError, disks: Disks, now: datetime) -> None:
    """AWS has said no to the deletion of this copy, or of its image; asked again in the next round."""
    if error.code == _IN_USE and not snapshot.image_id and _find_image(snapshot, disks):
        return
    if not isinstance(error, Transient | AccountBlocked):  # those pass, or are about more than this copy
        _tell_staff(snapshot, error, now)


def _find_image(snapshot: DiskSnapshot, disks: Disks) -> bool:
    """Whoever had it made died before writing it down, or its launch was called off and nobody asked again: without
    its id neither it nor the copy would ever be deleted."""
    try:
        ours = {image.name: image.image_id for image in disks.images()}
    except CloudError as looking:
        logger.warning("%s: its image is not found yet: %s", snapshot, looking)
        return False
    image_id = ours.get(snapshot.image_name, "")
    return bool(image_id and DiskSnapshot.objects.filter(pk=snapshot.pk, image_id="").update(image_id=image_id))


def _tell_staff(snapshot: DiskSnapshot, error: CloudError, now: datetime) -> None:
    """Who deletes it stops paying when AWS has accepted that, and not earlier: it is on the bill until then."""
    events = InstanceEvent.objects.filter(instance=snapshot.instance_id, facts__snapshot=snapshot.slug)
    asked = events.filter(kind=Kind.DISK).order_by("at").last()
    if asked is None or now - asked.at < STAFF_HEAR or events.filter(kind=Kind.TROUBLE).exists():
        return
    why = _(
        "AWS has refused for %(n)s hours to delete the copy %(copy)s (%(id)s); it is charged until it is gone. Has "
        "somebody made an image of it by hand? Deregister that one at AWS. AWS says: %(text)s"
    )
    values = {"n": (now - asked.at) // timedelta(hours=1), "copy": snapshot, "id": snapshot.cloud_id, "text": error}
    facts = {"snapshot": snapshot.slug}
    to = staff_address(snapshot.instance.course)
    tell(snapshot.instance, Kind.TROUBLE, reason=why % values, now=now, facts=facts, mail_to=to)
