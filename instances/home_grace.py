"""A course ends while files are being packed: their machine gets one hour more, once, held and paid like any lease.

Only where the course is closed as announced: the closing's round stops the machine as soon as they are packed.
"""

from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from instances import books
from instances.clock import clock
from instances.closing import open_closings
from instances.homes import offered, open_homes
from instances.keeping import extend, locked_lease
from instances.launch_rules import course_end
from instances.models import Instance, InstanceEvent
from instances.moves import tell
from spend.services import BudgetRefused

GRACE = timedelta(hours=1)
BEFORE = timedelta(minutes=10)  # so long before its end: AWS's timer and the machine's own have to hear of it in time


def end_of(machine: Instance) -> datetime:
    """Of the course, for its owner (UTC): leases of all other reasons end here at the latest."""
    return course_end(books.dates_for(machine.owner, machine.course))


def extend_if_packing(machine: Instance, *, now: datetime) -> bool:
    """True when its lease is an hour longer now; the caller moves AWS's timer. Asks nothing of most machines."""
    if machine.lease_until is None or not offered() or not now <= machine.lease_until <= now + BEFORE:
        return False
    return machine.lease_until == end_of(machine) and is_packing(machine) and _extend(machine, now)


def extra_until(machine: Instance) -> datetime | None:
    """The end of that hour; None for a machine that was given none."""
    return machine.lease_until if machine.lease_until and machine.lease_until > end_of(machine) else None


def is_packing(machine: Instance) -> bool:
    packing = open_homes().filter(instance=machine, packed_at=None).exists()
    return packing and open_closings().filter(course=machine.course_id).exists()


def _extend(machine: Instance, now: datetime) -> bool:
    with transaction.atomic():
        found = locked_lease(machine)
        if found is None or found.until != machine.lease_until or found.machine.leaving_at is not None:
            return False
        until = found.until + GRACE
        try:
            books.hold_until(found.run, until, who=None, now=now)
        except BudgetRefused:
            return False
        extend(found.machine, until)
        said = _("The course ends, and files are still being packed: paid for until %(time)s, no longer")
        reason = said % {"time": clock(machine.course, until, now)}
        tell(machine, InstanceEvent.Kind.RENEWED, reason=reason, now=now, facts={"until": until.isoformat()})
    machine.lease_until, machine.unfunded_at = until, None
    return True
