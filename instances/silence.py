"""A machine that is judged by its silence alone, at a time at which nobody can be heard (`hearing.py`). Its lease is
not renewed for that, or an outage would cost everybody's next lease; its owner is told of the end, and can keep it on.
"""

from collections.abc import Callable
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from instances.clock import clock
from instances.facts import facts_of
from instances.hearing import TELL
from instances.idle import Cause, Decision, Limits, last_used, patience
from instances.keeping import locked_lease, tell_if_last
from instances.models import Instance, InstanceEvent
from instances.moves import tell

Kind = InstanceEvent.Kind
Unheard = Callable[[], datetime | None]  # until when nobody could be heard; asked for only where it matters


def is_excused(machine: Instance, decision: Decision, limits: Limits, unheard: Unheard, now: datetime) -> bool:
    """Nobody else has seen it in use lately, and it has not had its time to be heard again yet."""
    if decision.cause is not Cause.BLIND:
        return False
    used, deaf_until = last_used(facts_of(machine, None)), unheard()
    if used is not None and now.timestamp() - used <= patience(limits):
        return False
    return deaf_until is not None and (now - deaf_until).total_seconds() <= limits.blind


def tell_of_end(machine: Instance, now: datetime) -> None:
    """Once for each lease, and not of a pause as short as a deployment's."""
    if machine.last_report_at is not None and now - machine.last_report_at <= TELL:
        return
    with transaction.atomic():
        leased = locked_lease(machine)
        if leased is None or leased.until != machine.lease_until or leased.machine.unfunded_at:
            return
        if tell_if_last(leased, now):
            return
        end = leased.until.isoformat()
        if InstanceEvent.objects.filter(instance=machine, kind=Kind.MONEY, facts__silent=end).exists():
            return
        text = _(
            "The portal has not heard this machine since %(since)s, and for a time none at all, so nobody can see "
            "whether it is in use. It is paid for until %(time)s, and stops then unless it is heard again or kept on."
        )
        course, since = leased.machine.course, machine.last_report_at or machine.state_since
        reason = text % {"since": clock(course, since, now), "time": clock(course, leased.until, now)}
        tell(leased.machine, Kind.MONEY, reason=reason, now=now, facts={"silent": end}, mail_to=machine.owner.email)


def over_words(machine: Instance, now: datetime) -> str:
    at = clock(machine.course, machine.lease_until or now, now)
    return _("Stopped: its time was paid for until %(time)s, and its reports did not reach the portal.") % {"time": at}
