"""What pages ask about machines and money that is used but not booked yet. Reads only; work grows with open runs."""

from collections import defaultdict
from datetime import datetime
from decimal import Decimal

from django.db.models import Exists, OuterRef, Q, QuerySet

from courses.models import Course, Enrollment
from instances.books import disk_segment, run_segments, unposted_usd
from instances.closing_records import Closing
from instances.disk_books import snapshot_segment
from instances.disk_rules import COSTS, Standing
from instances.models import DiskSnapshot, Instance, Preset, Run, StrayMachine, SweepBeat
from instances.states import ENDED

ZERO = Decimal(0)


def accrued_in(course: Course, now: datetime) -> dict[int, Decimal]:
    """USD used and not booked yet, by enrollment id: runs, disks and copies of disks. Three queries."""
    runs = open_runs(now).filter(instance__course=course)
    machines, copies = Instance.objects.filter(course=course), DiskSnapshot.objects.filter(course=course)
    return accrued(runs, machines, copies, now)


def accrued_of(enrollment: Enrollment, now: datetime) -> Decimal:
    """The same for one person, in USD."""
    runs = open_runs(now).filter(instance__owner=enrollment)
    machines, copies = Instance.objects.filter(owner=enrollment), DiskSnapshot.objects.filter(owner=enrollment)
    return accrued(runs, machines, copies, now).get(enrollment.pk, ZERO)


def newest_of(enrollment: Enrollment, preset: Preset) -> Instance | None:
    """The person's machine of this preset that is still there, stopped ones too: its files are on it."""
    mine = Instance.objects.filter(owner=enrollment, preset=preset).exclude(state__in=ENDED)
    return mine.order_by("-created_at", "-pk").first()


def repaired_since(moment: datetime) -> bool:
    return SweepBeat.objects.filter(name="repair", finished_at__gte=moment).exists()


def copies_of(enrollment: Enrollment, machine: Instance | None = None) -> list[DiskSnapshot]:
    """The person's copies that are there or on their way, and what was lost of them; or of one machine. Each with
    `is_to_go`: the closing of its course deletes it at its `keep_until`, which is no date of an earlier closing."""
    there = Q(standing__in=COSTS | {Standing.WANTED, Standing.LOST})
    opened = Closing.objects.filter(course=OuterRef("course"), called_off_at=None, finished_at=None)
    closing = opened.filter(last_day__lt=OuterRef("keep_until"))
    mine = DiskSnapshot.objects.filter(there, owner=enrollment).select_related("instance__preset")
    mine = mine.annotate(is_to_go=Exists(closing))
    return list(mine.filter(instance=machine) if machine else mine)


def strays() -> QuerySet[StrayMachine]:
    """Machines at AWS with our tag and no row behind them, newest sighting first: for staff to look into."""
    return StrayMachine.objects.all()


def open_runs(now: datetime) -> QuerySet[Run]:
    return Run.objects.filter(settled_at=None, started_at__lte=now)


def accrued(
    runs: QuerySet[Run], machines: QuerySet[Instance], copies: QuerySet[DiskSnapshot], now: datetime
) -> dict[int, Decimal]:
    found = used_by_owner(runs, now)
    for machine in machines.filter(disk_settled_at=None, disk_since__isnull=False):
        found[machine.owner_id] += unposted_usd([disk_segment(machine)], machine.disk_metered_until, now)
    for copy in copies.filter(settled_at=None, since__isnull=False, since__lte=now):
        found[copy.owner_id] += unposted_usd([snapshot_segment(copy)], copy.metered_until, now)
    return dict(found)


def used_by_owner(runs: QuerySet[Run], now: datetime) -> defaultdict[int, Decimal]:
    found: defaultdict[int, Decimal] = defaultdict(lambda: ZERO)

    for run in runs.select_related("instance"):
        found[run.instance.owner_id] += unposted_usd(run_segments(run), run.metered_until, now)
    return found
