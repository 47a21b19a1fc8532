"""What the bucket is asked about a student's files. Row first, bucket second, never inside a transaction.

Each call may be said twice, and a process may die before and after it: the round goes on from what the rows say.
"""

import logging
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from cloud.base import AccountBlocked, CloudError, NotFound, Transient
from cloud.files import Files, Part, Stored, checksum_of
from instances.disk_records import DiskPolicy
from instances.home_records import HomeArchive
from instances.home_rules import ORPHAN, PUTTING_TOGETHER, Step, next_step
from instances.homes import give_up, note_end, open_homes
from instances.models import InstanceEvent
from instances.moves import tell

logger = logging.getLogger(__name__)


def take_step(pk: int, *, files: Files, now: datetime) -> None:
    """Whatever is next for this one. Raises CloudError when the bucket does not answer: the next round asks again."""
    home = HomeArchive.objects.select_related("instance", "owner", "course__disk_policy").get(pk=pk)
    match next_step(home.facts, now):
        case Step.BEGIN:
            _begin(home, files, now)
        case Step.COMPLETE:
            _complete(home, files, now)
        case Step.CLEAR:
            _clear(home, files, now)
        case Step.GONE:
            give_up(home, _("the machine is deleted"), who=None, now=now)
        case Step.LATE:
            give_up(home, _("it took longer than six hours"), who=None, now=now, mail=True)


def _begin(home: HomeArchive, files: Files, now: datetime) -> None:
    upload_id = files.begin(home.key)
    ours = open_homes().filter(pk=home.pk, upload_id="")
    if not ours.update(upload_id=upload_id, began_at=now):
        files.abort(home.key, upload_id)  # somebody was faster, or it was called off meanwhile


def _complete(home: HomeArchive, files: Files, now: datetime) -> None:
    """Ready is what the bucket itself says to be whole: as large as its parts, and with their checksum."""
    rows = list(home.parts.filter(sent_at__isnull=False).order_by("number"))
    parts = [Part(row.number, row.etag, row.sha256) for row in rows]
    try:
        files.complete(home.key, home.upload_id, parts)
    except NotFound:
        logger.info("%s: no such upload, it may be complete already", home)
    except (Transient, AccountBlocked):  # neither says anything of what was sent
        raise
    except CloudError as error:
        logger.warning("%s is not put together: %s", home, error)
        give_up(home, _("what arrived is not what was sent; ask for it again"), who=None, now=now, mail=True)
        return
    size = sum(row.size for row in rows)
    stored = files.look(home.key)
    if stored is None and home.packed_at and now < home.packed_at + PUTTING_TOGETHER:
        return  # an earlier call of ours whose answer was lost may still be at work
    if stored is None or not _is_whole(stored, size, checksum_of(parts)):
        logger.error("%s: %s is not %s bytes of these parts", home, stored, size)
        give_up(home, _("what arrived is not complete; ask for it again"), who=None, now=now, mail=True)
        return
    _ready(home, stored, now)


def _is_whole(stored: Stored, size: int, checksum: str) -> bool:
    return stored.size == size and stored.checksum == checksum


@transaction.atomic
def _ready(home: HomeArchive, stored: Stored, now: datetime) -> None:
    expires_at = now + timedelta(days=DiskPolicy.of(home.course).download_days)
    facts: dict[str, Any] = {
        "size_bytes": stored.size,
        "checksum": stored.checksum,
        "ready_at": now,
        "expires_at": expires_at,
    }
    facts["mark"] = None  # it names files
    if not open_homes().filter(pk=home.pk).update(**facts):
        return
    note_end(home.instance, now)
    # The newest one is enough: an older one of the same machine would cost as much again.
    older = HomeArchive.objects.filter(instance=home.instance, ready_at__isnull=False, expires_at__gt=now)
    older.exclude(pk=home.pk).update(expires_at=now)
    reason = _("Your files are packed and checked: “Your account” has the download, and so has the machine’s page")
    told = {"home": home.slug, "bytes": stored.size}
    tell(home.instance, InstanceEvent.Kind.DISK, reason=reason, now=now, facts=told, mail_to=home.owner.email)


def _clear(home: HomeArchive, files: Files, now: datetime) -> None:
    if home.upload_id and home.ready_at is None:
        files.abort(home.key, home.upload_id)
    files.delete(home.key)
    if home.packed_at and home.failed_at and now < home.failed_at + PUTTING_TOGETHER:
        return  # called off while the bucket may still put it together: deleted again until nothing can come
    HomeArchive.objects.filter(pk=home.pk).update(cleared_at=now, mark=None)
    home.parts.all().delete()


def abort_orphans(files: Files, now: datetime) -> int:
    """Uploads that no row knows: whoever began them died before writing it down."""
    known = set(HomeArchive.objects.filter(cleared_at=None).values_list("upload_id", flat=True))
    lost = [one for one in files.uploads() if one.upload_id not in known and one.began_at <= now - ORPHAN]
    for one in lost:
        logger.warning("upload of %s is nobody's, given up", one.key)
        files.abort(one.key, one.upload_id)
    return len(lost)
