"""A stopped machine runs again: the call to AWS and what a refusal means. The request is in `requesting.py`."""

import logging
from collections.abc import Callable
from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from cloud.base import AccountBlocked, Cloud, CloudError, NoCapacity, NotFound, Transient, WrongState
from instances import books, guard
from instances.accounts import door_for
from instances.aws_words import as_told, refused_words
from instances.calling import claim_call, end_call, running_clock, same_attempt, still_ours
from instances.models import Instance, InstanceEvent
from instances.moves import move, tell
from instances.notices import staff_address
from instances.resizing import fit, pending, take_back
from instances.states import State

logger = logging.getLogger(__name__)


def start(instance_id: int, *, cloud: Cloud, now: datetime) -> None:
    """Ask AWS to start the stopped machine of a row in LAUNCHING. AWS's own timer is set first. Safe to say twice."""
    machine = Instance.objects.select_related("owner__limits", "course", "preset", "account").get(pk=instance_id)
    if machine.state != State.LAUNCHING or not machine.cloud_id or not claim_call(machine, now):
        return
    clock = running_clock(now)
    # Until its real start is known; never earlier than that start.
    lease_until = books.lease_end(machine, now)
    same_attempt(machine).update(lease_until=lease_until)
    machine.lease_until = lease_until
    try:
        fits = _fits(machine, cloud, clock, now)
        if fits and guard.set_timer(machine, cloud=cloud, now=now) and still_ours(machine, clock()):
            [outcome] = door_for(cloud, machine).start([machine.cloud_id])
            _after_start(machine, outcome.error, now)
    except AccountBlocked as error:
        _after_start(machine, error, now)
    end_call(machine)


def _fits(machine: Instance, cloud: Cloud, clock: Callable[[], datetime], now: datetime) -> bool:
    """Raises AccountBlocked: that is no verdict on its type."""
    try:
        return fit(machine, cloud=cloud, clock=clock)
    except AccountBlocked:
        raise
    except CloudError as error:
        _not_fitting(machine, error, now)
        return False


def _not_fitting(machine: Instance, error: CloudError, now: datetime) -> None:
    """What it was has another price than what is held for: its student decides anew."""
    if not pending(machine):
        _after_start(machine, error, now)
        return
    with transaction.atomic():
        reason = _("AWS refused its new type. It is what it was before, and stopped.")
        if move(machine, State.STOPPED, reason=reason, who=None, now=now):
            take_back(machine, str(error), now=now)
            books.close_run(machine, started_at=None, ended_at=now, now=now)


def _after_start(machine: Instance, error: CloudError | None, now: datetime) -> None:
    if error is None or isinstance(error, Transient | NotFound | WrongState):
        return  # the repair sweep looks what became of it
    full = isinstance(error, NoCapacity)
    reason = (
        _(
            "AWS has no free machine of this kind in the zone of your disk right now. Nothing was charged. Try again "
            "in a few minutes, or choose another kind: the disk and its files stay as they are."
        )
        if full
        else refused_words(error)
    )
    logger.log(logging.INFO if full else logging.ERROR, "%s: not started: %s %s", machine, error.code, error)
    with transaction.atomic():
        if not move(machine, State.STOPPED, reason=reason, who=None, now=now, facts=as_told(error)):
            return
        books.close_run(machine, started_at=None, ended_at=now, now=now)
        if not full:
            to = staff_address(machine.course)
            tell(machine, InstanceEvent.Kind.TROUBLE, reason=reason, now=now, mail_to=to)
