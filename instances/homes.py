"""A student takes their files along: asking for it, calling it off, fetching it. Rows only; the bucket is elsewhere."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from courses.models import Course, User
from instances.disk_records import DiskPolicy
from instances.home_records import HomeArchive, HomeDownload
from instances.home_rules import A_DAY, LATELY, MOST_A_DAY, MOST_LINKS, Standing, part_bytes
from instances.models import Instance, InstanceEvent
from instances.moves import tell
from instances.refusals import LaunchRefused
from instances.requesting import request_start
from instances.states import State

Kind = InstanceEvent.Kind
PACKS_SINCE = 4  # agents of this version can
_SHOWN, _LOOKED_THROUGH = 3, 50
TASK = "home"  # what a machine waits for that was started to pack, and is stopped then


class NoDownload(Exception):
    """`str()` is a sentence for its owner."""


def offered() -> bool:
    return bool(settings.ARCHIVE_BUCKET)


def open_homes() -> QuerySet[HomeArchive]:
    """Neither ready nor given up: something is still to come."""
    return HomeArchive.objects.filter(ready_at=None, failed_at=None)


def packing_among(machines: Iterable[Instance]) -> set[int]:
    """Keys of those whose files are being packed; asks nothing where there is no bucket."""
    if not offered():
        return set()
    return set(open_homes().filter(instance__in=machines, packed_at=None).values_list("instance", flat=True))


def not_cleared_of(course: Course) -> QuerySet[HomeArchive]:
    """What of this course is in the bucket, or may be."""
    return HomeArchive.objects.filter(course=course, cleared_at=None)


@dataclass(frozen=True, slots=True)
class Shown:
    row: HomeArchive
    word: Standing

    @property
    def is_open(self) -> bool:
        return self.word in (Standing.WAITING, Standing.PACKING, Standing.CHECKING)


def page_of(machine: Instance, now: datetime) -> dict[str, object]:
    """What its owner's page says of packed files; asks nothing where there is no bucket."""
    if not offered():
        return {"homes_offered": False}
    rows = machine.homes.select_related("instance").order_by("-asked_at", "-pk")[:_LOOKED_THROUGH]
    every = [Shown(row, row.standing(now)) for row in rows]
    # What can be fetched is shown whatever was tried after it.
    shown = [one for n, one in enumerate(every) if n < _SHOWN or one.word is Standing.READY]
    days = DiskPolicy.of(machine.course).download_days
    is_open = any(one.is_open for one in shown)
    return {"homes_offered": True, "homes": shown, "home_open": is_open, "home_days": days}


def request_home(machine: Instance, *, who: User | None, now: datetime) -> HomeArchive:
    """From now on the machine packs. Raises LaunchRefused."""
    _refuse(machine, now)
    return _asked(machine, who, now)


@transaction.atomic
def start_and_pack(machine: Instance, *, who: User | None, now: datetime) -> HomeArchive:
    """A stopped machine runs only for that, and is stopped when it is packed, unless somebody uses it meanwhile.

    Both or neither. Raises LaunchRefused, BudgetRefused. The caller sends the start after the commit.
    """
    _refuse(machine, now, stopped=True)
    made = _asked(machine, who, now)  # money comes last
    request_start(machine, who=who, now=now)
    awaited = {"task": TASK, "name": _("packing its files for a download"), "since": now.isoformat()}
    Instance.objects.filter(pk=machine.pk).update(awaited=awaited, done_at=None)
    return made


def note_end(machine: Instance, now: datetime) -> None:
    """Packed, or given up: the idle round stops what was started for it. Somebody who came in during this run, or
    keeps it, is judged by the everyday rule instead: what they began may be at work."""
    mine = Instance.objects.filter(pk=machine.pk, awaited__task=TASK, done_at=None)
    if not mine.filter(last_human_at=None, kept_until=None).update(done_at=now):
        mine.update(awaited={})


def _asked(machine: Instance, who: User | None, now: datetime) -> HomeArchive:
    try:
        with transaction.atomic():
            made = HomeArchive.objects.create(
                instance=machine,
                owner=machine.owner,
                course=machine.course,
                asked_by=who,
                asked_at=now,
                part_bytes=part_bytes(machine.disk_gb),
            )
            tell(machine, Kind.DISK, reason=_("Its files are to be packed for a download"), who=who, now=now)
    except IntegrityError:
        raise LaunchRefused(_("Its files are being packed already: this page shows how far.")) from None
    return made


def _refuse(machine: Instance, now: datetime, *, stopped: bool = False) -> None:
    if not offered():
        raise LaunchRefused(_("Downloads are not set up here. Use the file browser of your notebook."))
    if machine.state != (State.STOPPED if stopped else State.RUNNING):
        raise LaunchRefused(_("Only a machine that runs can pack its files. Start it first."))
    if machine.proving:
        raise LaunchRefused(_("This machine belongs to a fire drill. There is nothing to take along."))
    if machine.homes.filter(asked_at__gt=now - A_DAY).count() >= MOST_A_DAY:
        text = _("This machine's files were packed %(n)s times within a day. Try again tomorrow.")
        raise LaunchRefused(text % {"n": MOST_A_DAY})
    version = str(machine.last_report.get("agent_version", ""))
    if machine.last_report and not (version.isascii() and version.isdigit() and int(version[:6]) >= PACKS_SINCE):
        text = _("This machine was launched before downloads came. Use the file browser of its notebook.")
        raise LaunchRefused(text)


def _locked(home: HomeArchive) -> HomeArchive:
    rows = HomeArchive.objects.select_for_update(no_key=True, of=("self",))
    return rows.select_related("instance", "owner").get(pk=home.pk)


def call_off(home: HomeArchive, *, who: User | None, now: datetime) -> bool:
    """Given up, or deleted before its time; the round empties the bucket. False when there was nothing to do."""
    with transaction.atomic():
        row = (
            HomeArchive.objects.select_for_update(no_key=True, of=("self",)).select_related("instance").get(pk=home.pk)
        )
        standing = row.standing(now)
        if standing in (Standing.FAILED, Standing.OVER):
            return False
        if standing is Standing.READY:
            HomeArchive.objects.filter(pk=row.pk).update(expires_at=now)
            tell(row.instance, Kind.DISK, reason=_("The download is deleted, as asked"), who=who, now=now)
        else:
            give_up(row, _("Called off"), who=who, now=now)
    return True


def give_up(home: HomeArchive, why: str, *, who: User | None, now: datetime, mail: bool = False) -> bool:
    """False when it had ended already."""
    with transaction.atomic():
        if not open_homes().filter(pk=home.pk).update(failed_at=now, reason=why[:300]):
            return False
        to = home.owner.email if mail else ""
        said = _("No download: %(why)s") % {"why": why}
        tell(home.instance, Kind.DISK, reason=said, who=who, now=now, facts={"home": home.slug}, mail_to=to)
        note_end(home.instance, now)
    return True


@transaction.atomic
def note_download(home: HomeArchive, *, who: User | None, address: str | None, now: datetime) -> None:
    """Written down before the address is made. Raises NoDownload."""
    row = _locked(home)
    if row.standing(now) is not Standing.READY:
        raise NoDownload(_("This download is not there any more. Pack the files again while the machine can run."))
    lately = HomeDownload.objects.filter(archive__owner=row.owner, at__gt=now - LATELY)
    if lately.count() >= MOST_LINKS:
        text = _("You have fetched files %(n)s times within a month, as often as the course pays for. Ask its staff.")
        raise NoDownload(text % {"n": MOST_LINKS})
    HomeDownload.objects.create(archive=row, who=who, at=now, address=address)
