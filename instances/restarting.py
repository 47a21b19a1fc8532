"""A running machine boots again: its programs end, its disk, address and bill go on.

Asked at most once for each click: a second reboot a minute later would hit work that has begun since.
"""

import logging
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from cloud.base import Cloud, Transient
from courses.models import User
from instances.accounts import door_for
from instances.aws_words import as_told
from instances.homes import TASK as PACKING
from instances.models import Instance, InstanceEvent
from instances.moves import tell
from instances.states import State

logger = logging.getLogger(__name__)
Kind = InstanceEvent.Kind


def request_restart(instance: Instance, *, who: User | None, now: datetime) -> bool:
    """False when it does not run, or a restart is asked for already."""
    with transaction.atomic():
        mine = Instance.objects.filter(pk=instance.pk, state=State.RUNNING, restart_wanted_at=None)
        if not mine.update(restart_wanted_at=now):
            return False
        tell(instance, Kind.MOVED, reason=_("Restart asked for"), who=who, now=now)
    return True


def restart(ids: list[int], *, cloud: Cloud, now: datetime) -> None:
    """Ask AWS for those that want it. Whoever dies after the row says "asked" leaves a restart that did not happen."""
    for pk in ids:
        _restart_one(pk, cloud, now)


def _restart_one(pk: int, cloud: Cloud, now: datetime) -> None:
    wanted = Instance.objects.filter(pk=pk, state=State.RUNNING, restart_wanted_at__isnull=False)
    machine = wanted.select_related("owner", "account").first()
    # What was seen before is no sign of what comes up now.
    fresh: dict[str, Any] = dict.fromkeys(("restart_wanted_at", "notebook_ready_at", "warned_at", "warned_until"))
    if machine is None:
        return
    # What it waits for ends with the boot, and so would stop the machine of whoever just restarted it. Not so packing:
    # its agent goes on with that, and the machine was started for nothing else. Unless that is over: then it stops now.
    called_off = machine.awaited.get("task") != PACKING or machine.done_at is not None
    with transaction.atomic():
        # Another choice meanwhile: a later round asks.
        if not wanted.filter(awaited=machine.awaited).update(**fresh, last_active_at=now):
            return
        if called_off:
            _call_off(machine, now)
    [outcome] = door_for(cloud, machine).restart([machine.cloud_id])
    if outcome.error is None:
        tell(machine, Kind.MOVED, reason=_("Restarting"), now=now)
        return
    unclear = isinstance(outcome.error, Transient)
    logger.log(logging.WARNING if unclear else logging.ERROR, "%s: restart: %s", machine, outcome.error)
    reason = _("It did not take the restart. Ask again.")
    tell(machine, Kind.REFUSED, reason=reason, now=now, facts=as_told(outcome.error))


def _call_off(machine: Instance, now: datetime) -> None:
    Instance.objects.filter(pk=machine.pk).update(awaited={}, done_at=None)
    if machine.awaited:
        tell(machine, Kind.AWAITED, reason=_("Waits for nothing any more: it restarts"), now=now)


def forgotten(before: datetime) -> list[int]:
    """Asked for before then, and the message was lost."""
    rows = Instance.objects.filter(state=State.RUNNING, restart_wanted_at__lte=before)
    return list(rows.values_list("pk", flat=True))
