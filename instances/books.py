"""The books of a machine: what is held for its runs and its disk, when they begin and end, and posting what they cost.

Judging and locking budgets is `spend.services`; deciding when a run ended is `repair.py`.
"""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from courses.models import Course, Enrollment, User
from instances.idle_hours import idle_in_run
from instances.launch_rules import CourseDates, course_end, usd_for
from instances.limits import last_day_of
from instances.models import Instance, Run
from instances.pricing import prices_of
from spend.metering import Segment, charge_lines, cost, hour_of, with_idle
from spend.models import ChargeKind
from spend.services import BudgetRefused, Want, budget_of, check, hold, hold_together, post, release, shrink

logger = logging.getLogger(__name__)

HOURS_PER_MONTH = 730  # as AWS prices a GB-month
MINIMUM_SECONDS = 60  # EC2 bills so many for every start


def dates_of(course: Course) -> CourseDates:
    return CourseDates(course.starts_on, course.ends_on, course.timezone)


def dates_for(owner: Enrollment, course: Course) -> CourseDates:
    """The course's dates, with the last day that this person was given."""
    return CourseDates(course.starts_on, last_day_of(owner, course), course.timezone)


def disk_usd_hour(disk_gb: int) -> Decimal:
    return (Decimal(settings.DISK_USD_GB_MONTH) * disk_gb / HOURS_PER_MONTH).quantize(Decimal("0.000001"))


def address_usd_hour() -> Decimal:
    return Decimal(settings.ADDRESS_USD_HOUR)


def stop_margin() -> timedelta:
    """Held for on top of every lease: what a stop may take."""
    return timedelta(seconds=settings.STOP_MARGIN_SECONDS)


def lease_end(machine: Instance, began: datetime, run_began: datetime | None = None) -> datetime:
    """When a lease that begins now is over: never beyond the course, nor beyond its preset's longest run."""
    return min(began + timedelta(seconds=machine.lease_seconds), last_moment(machine, run_began or began))


def last_moment(machine: Instance, run_began: datetime) -> datetime:
    """A run that began then ends here, used or not: with the course, or at its preset's longest."""
    end = course_end(dates_for(machine.owner, machine.course))
    longest = machine.preset.longest_seconds
    return min(end, run_began + timedelta(seconds=longest)) if longest else end


# ------------------------------------------------------------------ holds
def hold_new_run(instance: Instance, usd_hour: Decimal, *, who: User | None, now: datetime) -> None:
    """For one whole lease and the stop margin, at the dearest price that may be used. Raises BudgetRefused."""
    hold_together(budget_of(instance.owner), [_first_lease(instance, usd_hour)], who=who, now=now)


def hold_new_machine(instance: Instance, usd_hour: Decimal, *, who: User | None, now: datetime) -> None:
    """Its first lease, and its disk to the end of the course. Raises BudgetRefused."""
    wants = [_first_lease(instance, usd_hour), disk_to_last_day(instance, now)]
    hold_together(budget_of(instance.owner), wants, who=who, now=now)


def _first_lease(instance: Instance, usd_hour: Decimal) -> Want:
    seconds = instance.lease_seconds + settings.STOP_MARGIN_SECONDS
    why = _("First lease of %(machine)s") % {"machine": instance.slug}
    return Want(instance.run_hold_key, usd_for(usd_hour, max(seconds, MINIMUM_SECONDS)), why)


def disk_to_last_day(instance: Instance, now: datetime) -> Want:
    """To its owner's last day, beyond what is posted; of one that is not there yet, from now on."""
    since = instance.disk_metered_until or instance.disk_since or now
    seconds = (course_end(dates_for(instance.owner, instance.course)) - since).total_seconds()
    why = _("Disk of %(machine)s to the end of the course") % {"machine": instance.slug}
    return Want(instance.disk_key, usd_for(instance.disk_usd_hour, seconds), why)


def hold_until(run: Run, lease_until: datetime, *, who: User | None, now: datetime) -> None:
    """What the open run may still cost up to a longer lease, beyond what is posted. Raises BudgetRefused."""
    why = _("Longer lease of %(machine)s") % {"machine": run.instance.slug}
    amount = _usd_until(run, lease_until)
    hold(budget_of(run.instance.owner), key=run.hold_key, amount_usd=amount, why=why, who=who, now=now)


def _usd_until(run: Run, lease_until: datetime) -> Decimal:
    seconds = (lease_until + stop_margin() - (run.metered_until or run.started_at)).total_seconds()
    return usd_for(run.usd_hour, seconds)


def check_new_run(instance: Instance, usd_hour: Decimal, lease_seconds: int) -> None:
    """Whether a lease at this price (USD an hour) could be held for now; holds nothing. Raises BudgetRefused."""
    seconds = max(lease_seconds + settings.STOP_MARGIN_SECONDS, MINIMUM_SECONDS)
    check(budget_of(instance.owner), usd_for(usd_hour, seconds))


def trim_hold(run: Run, lease_until: datetime, *, now: datetime) -> None:
    """Now that its price is known: free what was held for a dearer type. Asks nothing: it runs, whatever its budgets
    have come to since the click."""
    why = _("Price known: %(usd)s per hour") % {"usd": run.usd_hour}
    shrink(run.hold_key, _usd_until(run, lease_until), why=why, who=None, now=now)


def drop_holds(instance: Instance, *, now: datetime) -> None:
    """For a machine that never was: nothing is charged."""
    why = _("%(machine)s never ran") % {"machine": instance.slug}
    release(instance.run_hold_key, why=why, who=None, now=now)
    release(instance.disk_key, why=why, who=None, now=now)


# ------------------------------------------------------------------ runs
def open_run(
    instance: Instance, started_at: datetime, ended_at: datetime | None = None, *, ran_as: str, ended_by: str = ""
) -> Run:
    """`ran_as`: the type that AWS says it ran as. It is priced as that, whatever the row says."""
    return Run.objects.create(
        instance=instance,
        number=instance.run_number,
        instance_type=ran_as,
        price_usd_hour=_usd_hour_as(instance, ran_as),
        address_usd_hour=instance.address_usd_hour,
        started_at=started_at,
        ended_at=ended_at,
        ended_by=ended_by,
    )


def _usd_hour_as(instance: Instance, instance_type: str) -> Decimal | None:
    """At the frozen price of what it is, or was before it was to become another; a type that nobody chose at the
    list's, and where that is unknown at the frozen one."""
    if instance_type == instance.instance_type:
        return instance.price_usd_hour
    if instance_type == instance.resized_from.get("type"):
        return Decimal(instance.resized_from["usd"])
    listed = prices_of([instance_type])[instance_type]
    return instance.price_usd_hour if listed is None else listed


def hold_while_it_stops(run: Run, *, now: datetime) -> None:
    """Of one that is dearer than what its lease was held for. It is stopped also where no budget can pay this."""
    try:
        hold_until(run, now, who=None, now=now)
    except BudgetRefused as refused:
        logger.error("%s: ran as %s, for which nothing could be held: %s", run, run.instance_type, refused)


def take_number(instance: Instance) -> None:
    """For a run that somebody began at AWS: the one before may have this machine's number already."""
    if instance.runs.filter(number=instance.run_number).exists():
        instance.run_number += 1
        Instance.objects.filter(pk=instance.pk).update(run_number=instance.run_number)


def last_run(instance: Instance) -> Run | None:
    return instance.runs.order_by("-number").first()


def close_run(
    instance: Instance, *, started_at: datetime | None, ended_at: datetime, now: datetime, ran_as: str = ""
) -> None:
    """End the run that the machine was in. `started_at`: when the cloud says that its last run began, and `ran_as`
    which type it was in that; empty: the row's.

    A run that nobody saw (it ended before the first sweep) is written down whole; when there was none, its hold is
    freed at once. Everything else is settled by the meter.
    """
    run = last_run(instance)
    if run and run.ended_at is None:
        run.ended_at = max(run.started_at, ended_at)
        run.trace, run.ended_by = instance.trace, instance.ending_by
        run.save(update_fields=("ended_at", "trace", "ended_by"))
    elif started_at and (run is None or started_at > run.started_at):
        take_number(instance)
        ended_at, ran_as = max(started_at, ended_at), ran_as or instance.instance_type
        open_run(instance, started_at, ended_at, ran_as=ran_as, ended_by=instance.ending_by)
    else:
        why = _("%(machine)s was not started") % {"machine": instance.slug}
        release(instance.run_hold_key, why=why, who=None, now=now)


# ------------------------------------------------------------------ the meter
def run_segments(run: Run) -> list[Segment]:
    changes = [(datetime.fromisoformat(at), Decimal(usd)) for at, usd in run.price_changes]
    return [
        Segment(ChargeKind.COMPUTE, run.started_at, run.ended_at, run.price_usd_hour, MINIMUM_SECONDS, changes=changes),
        Segment(ChargeKind.ADDRESS, run.started_at, run.ended_at, run.address_usd_hour),
    ]


def price_in_force(run: Run, usd_hour: Decimal, *, since: datetime) -> bool:
    """From `since` on, another price per hour (USD) is asked for an open run. Said twice it is one change.

    Raises ValueError for one above what is held for, and for one that reaches into posted hours: a charge is never
    taken back. False when nothing changed.
    """
    with transaction.atomic():
        row = Run.objects.select_for_update(no_key=True).get(pk=run.pk)
        if usd_hour > row.price_usd_hour:
            raise ValueError(f"{row.hold_key}: {usd_hour} USD an hour is more than {row.price_usd_hour}, what is held")
        known = row.price_changes[-1] if row.price_changes else [row.started_at.isoformat(), str(row.price_usd_hour)]
        if Decimal(known[1]) == usd_hour:
            return False
        if since < datetime.fromisoformat(known[0]) or (row.metered_until and since < row.metered_until):
            raise ValueError(f"{row.hold_key}: charges from {since} on are posted, or a later price is known")
        row.price_changes.append([since.astimezone(UTC).isoformat(), str(usd_hour)])
        row.save(update_fields=("price_changes",))
    run.price_changes = row.price_changes
    return True


def disk_segment(instance: Instance) -> Segment:
    if instance.disk_since is None:
        raise ValueError(f"{instance.slug} has no disk")
    return Segment(ChargeKind.DISK, instance.disk_since, instance.disk_until, instance.disk_usd_hour)


def unposted_usd(segments: Iterable[Segment], posted_until: datetime | None, now: datetime) -> Decimal:
    """What was used and is not booked yet: what a page adds to the posted charges."""
    total = Decimal(0)
    for segment in segments:
        total += cost(segment, now) - (cost(segment, posted_until) if posted_until else Decimal(0))
    return max(Decimal(0), total)


def life_usd(machine: Instance, now: datetime) -> Decimal:
    """What it has cost since it was made, USD: its runs and its disk. Copies of the disk outlive it and count apart."""
    segments = [segment for run in machine.runs.all() for segment in run_segments(run)]
    if machine.disk_since:
        segments.append(disk_segment(machine))
    return unposted_usd(segments, None, now)


def meter_run(pk: int, now: datetime) -> None:
    """Book the complete hours of a run; of an ended one also the rest, and free its hold. One transaction."""
    with transaction.atomic():
        found = Run.objects.select_for_update(no_key=True, of=("self",)).select_related(
            "instance__owner", "instance__preset"
        )
        run = found.filter(pk=pk, settled_at=None).first()
        if run is None:
            return
        # A charge is never taken back: an hour counts once the cloud said that the machine still ran after it.
        certain = run.seen_at or run.started_at
        compute, address = (charge_lines(s, certain, run.metered_until) for s in run_segments(run))
        idle = idle_in_run(run.instance.idle_hours, run.number)
        post(
            budget_of(run.instance.owner),
            run.hold_key,
            [*with_idle(compute, idle), *address],
            now,
            group=run.instance.preset.slug,
        )
        run.metered_until = run.ended_at or max(run.started_at, hour_of(certain))
        if run.ended_at:
            release(run.hold_key, why=_("%(run)s ended") % {"run": run}, who=None, now=now)
            run.settled_at = now
        run.save(update_fields=("metered_until", "settled_at"))


def meter_disk(pk: int, now: datetime) -> None:
    """The same for the disk, which costs from the first launch until the machine is deleted."""
    with transaction.atomic():
        found = Instance.objects.select_for_update(no_key=True, of=("self",)).select_related("owner", "preset")
        machine = found.filter(pk=pk, disk_settled_at=None, disk_since__isnull=False).first()
        if machine is None or machine.disk_since is None:
            return
        certain = machine.seen_at or machine.disk_since
        lines = charge_lines(disk_segment(machine), certain, machine.disk_metered_until)
        post(budget_of(machine.owner), machine.disk_key, lines, now, group=machine.preset.slug)
        machine.disk_metered_until = machine.disk_until or max(machine.disk_since, hour_of(certain))
        if machine.disk_until:
            release(machine.disk_key, why=_("%(machine)s is deleted") % {"machine": machine.slug}, who=None, now=now)
            machine.disk_settled_at = now
        machine.save(update_fields=("disk_metered_until", "disk_settled_at"))
