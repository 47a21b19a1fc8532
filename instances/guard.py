"""AWS's own timer: one scheduled stop per machine, at the end of its lease, that works with all of us dead."""

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.utils.translation import gettext as _

from cloud.base import AccountBlocked, Cloud, CloudError, Transient
from instances.accounts import door_for
from instances.drill_rules import schedule_after
from instances.models import Instance
from instances.stopping import request_stop

logger = logging.getLogger(__name__)


def wanted(machine: Instance) -> datetime | None:
    """When AWS is to stop it (UTC): inside the stop margin, so what runs until then is held for."""
    after = schedule_after(machine.proving, settings.STOP_MARGIN_SECONDS)
    return machine.lease_until + timedelta(seconds=after) if machine.lease_until else None


def arm(machine: Instance, *, cloud: Cloud, now: datetime) -> bool:
    """Set or move the timer to where the lease says; False when AWS did not accept it.

    A machine that AWS refuses to put under a timer is stopped again. When moving one fails, the earlier one stands.
    """
    try:
        return set_timer(machine, cloud=cloud, now=now)
    except AccountBlocked as error:  # about the account, not about this machine: the next round asks again
        logger.warning("%s: timer not set: %s", machine, error)
        return False


def set_timer(machine: Instance, *, cloud: Cloud, now: datetime) -> bool:
    """As `arm`, for whoever starts it. Raises AccountBlocked: then nothing is to be started."""
    at = wanted(machine)
    if at is None or not machine.cloud_id:
        return False
    try:
        door_for(cloud, machine).schedule_stop(machine.cloud_id, at)
    except Transient as error:
        logger.warning("%s: timer not set yet: %s", machine, error)
        return False
    except AccountBlocked:  # not a verdict on this machine
        raise
    except CloudError as error:
        logger.error("%s: AWS refused the timer: %s %s", machine, error.code, error)
        if machine.guard_until is None:
            request_stop(machine, reason=unguarded_words(), who=None, now=now)
        return False
    Instance.objects.filter(pk=machine.pk, cloud_id=machine.cloud_id).update(guard_until=at)
    machine.guard_until = at
    return True


def disarm(machine: Instance, *, cloud: Cloud) -> None:
    """Tidy up after a deleted machine. A stopped one keeps its timer: stopping twice does no harm, and a start
    replaces it first; taking it away could cross with that start and leave a running machine without one."""
    if not machine.cloud_id or machine.guard_until is None:
        return
    try:
        door_for(cloud, machine).cancel_scheduled_stop(machine.cloud_id)
    except CloudError as error:
        logger.warning("%s: timer not cancelled: %s", machine, error)


def unguarded_words() -> str:
    return _("AWS's own timer could not be set for this machine, so it was stopped again. Nothing was lost.")
