"""What the packing program on a machine says and is told. Trusts none of it: the bucket has the last word.

A machine is its student's: the worst it can do is to send other bytes than its files, as many as its disk holds.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import F
from django.utils.translation import gettext as _

from cloud.files import MOST_PARTS, Files
from instances.home_records import HomeArchive, HomePart
from instances.home_rules import LEFT_OUT, LONGEST, MOST_UNSAID, SPARE_BYTES, most_bytes
from instances.homes import give_up, offered, open_homes
from instances.models import Instance
from instances.report_form import InvalidReport, whole_number, words
from instances.states import State

PROGRAM = Path(__file__).resolve().parent / "agent/carry.py"
SIGNED_SECONDS = 900
MARK_LETTERS = 40_000
MOST_BYTES = 2**50


class Over(Exception):
    """There is nothing to pack (any more), or another program does it: the one that asks is to end."""


def is_wanted(instance: Instance) -> bool:
    """Told with the answer to each report; asks the database only where downloads are offered."""
    return offered() and open_homes().filter(instance=instance, packed_at=None).exclude(upload_id="").exists()


def answer(instance: Instance, said: dict[str, Any], files: Files, now: datetime) -> dict[str, Any]:
    """Raises Over, and InvalidReport for what makes no sense."""
    verb = words(said, "say", 10)
    if verb == "program":
        return {"program": PROGRAM.read_text()}
    verbs = {"where": _where, "sent": _sent, "packed": _packed, "failed": _failed}
    packer = words(said, "packer", 40)
    if verb == "part":
        return _part(instance, packer, said, files, now)
    if verb not in verbs:
        raise InvalidReport("say")
    with transaction.atomic():
        return verbs[verb](_mine(instance, "" if verb == "where" else packer, now), said, now)


def _mine(instance: Instance, packer: str, now: datetime) -> HomeArchive:
    """Locked. Only the newest program may speak: two that send at once would make one archive of halves."""
    rows = open_homes().select_for_update(no_key=True, of=("self",)).select_related("instance", "owner")
    home = rows.filter(instance=instance, packed_at=None).exclude(upload_id="").first()
    if home is None or now - home.asked_at >= LONGEST or (packer and home.packer != packer):
        raise Over
    return home


def _where(home: HomeArchive, said: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Where to go on: from the beginning, or behind the last part that is there."""
    HomeArchive.objects.filter(pk=home.pk).update(packer=words(said, "packer", 40), heard_at=now)
    return {"mark": home.mark, "part_bytes": home.part_bytes, "left_out": list(LEFT_OUT)}


def _part(instance: Instance, packer: str, said: dict[str, Any], files: Files, now: datetime) -> dict[str, Any]:
    """An address for these bytes. Each has a number of its own, so that nothing that was sent is written over."""
    size, sha256 = whole_number(said, "size", 2**31), words(said, "sha256", 44)
    with transaction.atomic():
        home = _mine(instance, packer, now)
        number = home.last_number + 1
        fits = size <= home.part_bytes + SPARE_BYTES and home.sent_bytes + size <= most_bytes(instance.disk_gb)
        fits = fits and home.parts.filter(sent_at=None).count() < MOST_UNSAID
        if fits and number <= MOST_PARTS:
            HomePart.objects.create(archive=home, number=number, size=size, sha256=sha256, signed_at=now)
            HomeArchive.objects.filter(pk=home.pk).update(last_number=number, heard_at=now)
        else:
            give_up(home, _("more was sent than the disk holds"), who=None, now=now)
            fits = False
    if not fits:
        raise Over
    made = files.part_url(home.key, home.upload_id, number, size=size, sha256=sha256, seconds=SIGNED_SECONDS)
    return {"number": number, "url": made.url, "headers": dict(made.headers)}


def _sent(home: HomeArchive, said: dict[str, Any], now: datetime) -> dict[str, Any]:
    """The bucket has it. What it packs is what its student is doing: the machine is in use."""
    number, etag = whole_number(said, "number", MOST_PARTS), words(said, "etag", 80)
    mark = _mark(said)
    part = home.parts.filter(number=number, sent_at=None)
    if not part.update(etag=etag, sent_at=now):
        return {}  # its answer was lost, and it is said again
    size = home.parts.get(number=number).size
    told = {name: whole_number(said, name, MOST_BYTES) for name in ("read_bytes", "total_bytes")}
    HomeArchive.objects.filter(pk=home.pk).update(mark=mark, heard_at=now, sent_bytes=F("sent_bytes") + size, **told)
    note_use(home.instance_id, now)
    return {}


def _mark(said: dict[str, Any]) -> dict[str, Any]:
    mark = said.get("mark")
    if not isinstance(mark, dict) or len(repr(mark)) > MARK_LETTERS:
        raise InvalidReport("mark")
    return mark


def note_use(instance_id: int, now: datetime) -> None:
    """Never longer than `LONGEST`, and within what is paid for: after that no program is listened to."""
    Instance.objects.filter(pk=instance_id, state=State.RUNNING).update(last_active_at=now)


def _packed(home: HomeArchive, said: dict[str, Any], now: datetime) -> dict[str, Any]:
    if not home.sent_bytes:
        raise InvalidReport("packed")
    told = {name: whole_number(said, name, 2**31 - 1) for name in ("files", "left_out")}
    HomeArchive.objects.filter(pk=home.pk).update(packed_at=now, heard_at=now, **told)
    return {"done": home.pk}


def _failed(home: HomeArchive, said: dict[str, Any], now: datetime) -> dict[str, Any]:
    give_up(home, words(said, "why", 200), who=None, now=now, mail=True)
    return {}
