"""Leases: a machine runs only as long as it is paid for in advance. Keeping on request, renewing while in use.

AWS's own timer follows the row: `guard.py`, by the sweeps. When a lease is over is the lease sweep's business.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from courses.models import User
from instances import books
from instances.clock import clock
from instances.facts import rules_of
from instances.launch_rules import course_end
from instances.limits import own_limits_of
from instances.models import Instance, InstanceEvent, Run
from instances.moves import tell
from instances.refusals import KeepRefused
from instances.states import State
from spend.services import BudgetRefused

Kind = InstanceEvent.Kind
SHORTEST_STEP = timedelta(minutes=15)  # shorter ones are not worth moving AWS's timer for


def keep_alive(instance: Instance, *, hours: float, who: User | None, now: datetime, by_link: bool = False) -> datetime:
    """Not to be stopped as unused for so many hours; returns until when (UTC), at most the end of the course.

    Paid for up front as a larger hold. `by_link`: from the mail, by whoever reads it. Raises KeepRefused.
    """
    most = own_limits_of(instance.owner).keep_hours or rules_of(instance).keep_hours
    if not 0 < hours <= most:
        raise KeepRefused(_("A machine can be kept for %(n)s hours at most.") % {"n": most})
    with transaction.atomic():
        leased = locked_lease(instance)
        if leased is None:
            raise KeepRefused(_("This machine is not running, so it cannot be kept."))
        machine = leased.machine
        if machine.proving:
            raise KeepRefused(_("This machine belongs to a fire drill: its guards are to stop it."))
        if machine.leaving_at and (by_link or who is None or machine.leaving.get("who") != who.pk):
            raise KeepRefused(_("Somebody else has stopped this machine: it saves, and then it is off."))
        until = min(now + timedelta(hours=hours), books.last_moment(machine, leased.run.started_at))
        if until <= now:
            raise KeepRefused(_("%(why)s So this machine cannot be kept.") % {"why": _last_words(machine, until)})
        lease_until = max(leased.until, until)
        try:
            books.hold_until(leased.run, lease_until, who=who, now=now)
        except BudgetRefused as error:
            raise _cannot_keep(machine, error, now) from error
        over = dict.fromkeys(("warned_at", "warned_until", "leaving_at"))
        extend(machine, lease_until, kept_until=until, last_human_at=now, **over)  # who keeps it on was there
        said = _("Kept until %(time)s, by the link in the mail") if by_link else _("Kept until %(time)s")
        facts = {"hours": hours, "until": until.isoformat(), "by_link": by_link}
        reason = said % {"time": clock(machine.course, until, now)}
        tell(machine, Kind.KEPT, reason=reason, who=who, now=now, facts=facts)
    return until


def renew(instance: Instance, *, now: datetime, until: datetime | None = None) -> bool:
    """Another lease for a machine in use, up to the end of the course. False when it got none. With `until` only to
    there: that is when it stops, as was announced.

    When the budget cannot pay, its student is told once when the machine stops.
    """
    with transaction.atomic():
        leased = locked_lease(instance)
        if leased is None or leased.until != instance.lease_until:
            return False
        machine = leased.machine
        whole, announced = books.lease_end(machine, now, leased.run.started_at), until
        until = whole if announced is None else min(whole, announced)
        if until <= leased.until:
            _tell_last(machine, _last_words(machine, until), now)
            return False
        try:
            books.hold_until(leased.run, until, who=None, now=now)
        except BudgetRefused as error:
            longer = _renew_in_part(leased, error, now)
            _tell_last(machine, str(error), now)
            instance.lease_until = machine.lease_until
            return longer
        extend(machine, until)
        said = _("Paid for until its stop at %(time)s") if announced else _("In use: paid for until %(time)s")
        reason = said % {"time": clock(machine.course, until, now)}
        tell(machine, Kind.RENEWED, reason=reason, now=now, facts={"until": until.isoformat()})
    instance.refresh_from_db(fields=("lease_until", "unfunded_at"))
    return True


def _renew_in_part(leased: "Leased", error: BudgetRefused, now: datetime) -> bool:
    """The rest of the money is for the work that runs, too: up to the last minute that it pays for."""
    machine = leased.machine
    until = _affordable_until(machine, error)
    if until is None or until - leased.until < SHORTEST_STEP:
        return False
    try:
        books.hold_until(leased.run, until, who=None, now=now)
    except BudgetRefused:  # somebody else was quicker
        return False
    Instance.objects.filter(pk=machine.pk).update(lease_until=until)
    machine.lease_until = until
    return True


@dataclass(frozen=True, slots=True)
class Leased:
    machine: Instance
    run: Run
    until: datetime


def locked_lease(instance: Instance) -> Leased | None:
    """The running machine and its open run. The run's lock keeps the meter from posting what is being held for."""
    rows = Instance.objects.select_for_update(no_key=True, of=("self",))
    lock = rows.select_related("owner__limits", "course", "preset")
    machine = lock.filter(pk=instance.pk, state=State.RUNNING).first()
    run = Run.objects.select_for_update(no_key=True).filter(instance=instance, ended_at=None).first()
    if machine is None or run is None or machine.lease_until is None:
        return None
    run.instance = machine
    return Leased(machine, run, machine.lease_until)


def extend(machine: Instance, lease_until: datetime, **more: datetime | None) -> None:
    Instance.objects.filter(pk=machine.pk).update(lease_until=lease_until, unfunded_at=None, **more)


def _last_words(machine: Instance, until: datetime) -> str:
    if until >= course_end(books.dates_for(machine.owner, machine.course)):
        return _("The course ends then.")
    hours = f"{(machine.preset.longest_seconds or 0) / 3600:g}"
    return _("“%(preset)s” runs for %(n)s hours at a time at most.") % {"preset": machine.preset.name, "n": hours}


def tell_if_last(leased: Leased, now: datetime) -> bool:
    """Told once, when no longer lease is possible, whatever the budget has: the course, or the preset, ends it."""
    until = books.lease_end(leased.machine, now, leased.run.started_at)
    if until > leased.until:
        return False
    _tell_last(leased.machine, _last_words(leased.machine, until), now)
    return True


def _tell_last(machine: Instance, why: str, now: datetime) -> None:
    """Once per lease: this one is the last, and why."""
    if machine.unfunded_at is not None or machine.lease_until is None:
        return
    Instance.objects.filter(pk=machine.pk).update(unfunded_at=now)
    values = {"time": clock(machine.course, machine.lease_until, now), "why": why}
    reason = _("This machine stops at %(time)s and cannot be extended. %(why)s") % values
    tell(machine, Kind.MONEY, reason=reason, now=now, mail_to=machine.owner.email)


def _cannot_keep(machine: Instance, error: BudgetRefused, now: datetime) -> KeepRefused:
    until = _affordable_until(machine, error)
    if until is None:
        return KeepRefused(str(error))
    values = {"why": str(error), "time": clock(machine.course, until, now)}
    return KeepRefused(_("%(why)s The budget pays for this machine until %(time)s.") % values, until)


def _affordable_until(machine: Instance, error: BudgetRefused) -> datetime | None:
    """The last whole minute that what is left would pay for, beyond the present lease."""
    if error.verdict is None or machine.lease_until is None or not machine.usd_hour:
        return None
    seconds = int(error.verdict.left_usd * Decimal(3600) / machine.usd_hour)
    return (machine.lease_until + timedelta(seconds=seconds)).replace(second=0, microsecond=0)
