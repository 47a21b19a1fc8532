"""The books of snapshots, in the style of disks: what is held for one to the end of the course, and what it costs."""

from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from courses.models import User
from instances.books import HOURS_PER_MONTH, dates_for
from instances.launch_rules import course_end, usd_for
from instances.models import DiskSnapshot
from spend.metering import Segment, charge_lines, hour_of
from spend.models import ChargeKind
from spend.services import Want, budget_of, hold_together, post, release, shrink


def snapshot_usd_hour(size_gb: int) -> Decimal:
    """At most: AWS counts blocks, and a second copy of one disk only what changed; that it does not tell."""
    return (Decimal(settings.SNAPSHOT_USD_GB_MONTH) * size_gb / HOURS_PER_MONTH).quantize(Decimal("0.000001"))


def hold_snapshot(snapshot: DiskSnapshot, *, who: User | None, now: datetime) -> None:
    """Raises BudgetRefused."""
    hold_together(budget_of(snapshot.owner), [copy_to_its_end(snapshot, now)], who=who, now=now)


def copy_to_its_end(snapshot: DiskSnapshot, now: datetime) -> Want:
    """From its beginning to the end of the course, or until the course's closing deletes it, beyond what is posted."""
    why = _("Copy of the disk of %(machine)s to the end of the course") % {"machine": snapshot.instance.slug}
    return Want(snapshot.key, _usd_to_its_end(snapshot, now), why)


def trim_snapshot(snapshot: DiskSnapshot, *, now: datetime) -> None:
    """Its real size is known, and smaller: free the rest."""
    why = _("Size known: %(n)s GB") % {"n": snapshot.size_gb}
    shrink(snapshot.key, _usd_to_its_end(snapshot, now), why=why, who=None, now=now)


def _usd_to_its_end(snapshot: DiskSnapshot, now: datetime) -> Decimal:
    began = snapshot.metered_until or snapshot.since or now
    last = course_end(dates_for(snapshot.owner, snapshot.course))
    # A closing keeps it beyond the last day; once that is called off, a later last day is what counts.
    end = max(last, snapshot.keep_until or last)
    return usd_for(snapshot.usd_hour, (end - began).total_seconds())


def drop_snapshot(snapshot: DiskSnapshot, *, now: datetime) -> None:
    why = _("%(snapshot)s was not made") % {"snapshot": snapshot.slug}
    release(snapshot.key, why=why, who=None, now=now)


def snapshot_segment(snapshot: DiskSnapshot) -> Segment:
    if snapshot.since is None:
        raise ValueError(f"{snapshot.slug} was never made")
    return Segment(ChargeKind.SNAPSHOT, snapshot.since, snapshot.until, snapshot.usd_hour)


def meter_snapshot(pk: int, now: datetime) -> None:
    """Book its complete hours; of a deleted one also the rest, and free its hold. One transaction."""
    with transaction.atomic():
        found = DiskSnapshot.objects.select_for_update(no_key=True, of=("self",))
        rows = found.select_related("owner", "course", "instance__preset")
        snapshot = rows.filter(pk=pk, settled_at=None, since__isnull=False).first()
        if snapshot is None or snapshot.since is None:
            return
        certain = snapshot.seen_at or snapshot.since
        lines = charge_lines(snapshot_segment(snapshot), certain, snapshot.metered_until)
        post(budget_of(snapshot.owner), snapshot.key, lines, now, group=snapshot.instance.preset.slug)
        snapshot.metered_until = snapshot.until or max(snapshot.since, hour_of(certain))
        if snapshot.until:
            release(snapshot.key, why=_("%(snapshot)s is deleted") % {"snapshot": snapshot.slug}, who=None, now=now)
            snapshot.settled_at = now
        snapshot.save(update_fields=("metered_until", "settled_at"))
