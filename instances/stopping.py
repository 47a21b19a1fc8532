"""Stopping and deleting machines: requests that only write rows, and the calls to AWS, repeated until it is so.

A stop is not done until AWS says stopped: the repair sweep verifies it and says it again.
"""

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F, Q
from django.utils.translation import gettext as _

from cloud.base import Cloud, NotFound, Outcome, Transient, WrongState
from courses.models import User
from instances import books
from instances.accounts import by_door
from instances.guard_names import Guard
from instances.models import Instance
from instances.moves import move
from instances.repair import FORCE_SECONDS, REPEAT_SECONDS
from instances.savings import note_guard_stop
from instances.states import State

logger = logging.getLogger(__name__)

_BATCH = 100  # keeps one unexpected failure small
_STOPPABLE = (State.REQUESTED, State.LAUNCHING, State.RUNNING)
_NOT_ASKED_YET: dict[str, Any] = {"stop_asked_at": None, "stop_tries": 0}
_ENDED_OR_ENDING = (State.TERMINATING, State.TERMINATED, State.FAILED)


# ------------------------------------------------------------------ requests: rows only
def request_stop(
    instance: Instance,
    *,
    reason: str,
    who: User | None,
    now: datetime,
    mail: bool = False,
    guard: Guard | None = None,
    same: Sequence[str] = (),
    given_up: bool = False,
) -> bool:
    """The machine is to stop, its disk stays. False when there is nothing to stop, or somebody was faster, also at
    changing a field named in `same`.

    A machine that AWS was not asked for yet is simply not launched. `guard`: which one decided this. `given_up`: it
    stops because AWS's answer did not come.
    """
    if instance.state not in _STOPPABLE:
        return False
    if _unasked(instance) and _forget(instance, reason=reason, who=who, now=now):
        return True
    if instance.state == State.REQUESTED:
        return False
    by_guard = who is None and instance.state == State.RUNNING and not instance.proving
    mail = mail and not instance.proving  # a drill's canary is nobody's work
    fields: dict[str, Any] = {**_NOT_ASKED_YET, "ending_by": guard or "", "given_up": given_up}
    with transaction.atomic(savepoint=False):
        moved = move(instance, State.STOPPING, reason=reason, who=who, now=now, mail=mail, same=same, **fields)
        if moved and by_guard:
            note_guard_stop(instance, now)
    return moved


def request_terminate(
    instance: Instance, *, who: User | None, now: datetime, reason: str = "", mail: bool = False
) -> bool:
    """Machine and disk are to be deleted for good. False when they are already, or somebody was faster."""
    if instance.state in _ENDED_OR_ENDING:
        return False
    reason = reason or _("Deleted, with its disk")
    if _unasked(instance) and _forget(instance, reason=reason, who=who, now=now):
        return True
    if instance.state == State.REQUESTED:
        return False
    return move(instance, State.TERMINATING, reason=reason, who=who, now=now, mail=mail, **_NOT_ASKED_YET)


def _unasked(instance: Instance) -> bool:
    """AWS can have no machine for it: not asked yet, or it has said no to all that it was asked."""
    launching = instance.state == State.LAUNCHING and not instance.cloud_id and instance.asked_at is None
    return launching or instance.state == State.REQUESTED


def _forget(instance: Instance, *, reason: str, who: User | None, now: datetime) -> bool:
    """False when it is being asked now: whoever asks writes that down first."""
    with transaction.atomic():
        same = ("asked_at", "cloud_id")
        gone = move(instance, State.TERMINATED, reason=reason, who=who, now=now, same=same)
        if gone:
            books.drop_holds(instance, now=now)
    return gone


# ------------------------------------------------------------------ calls
def stop(ids: Iterable[int], *, cloud: Cloud, now: datetime) -> None:
    """Ask AWS to stop those of these machines that are in STOPPING; by force once it took FORCE_SECONDS."""
    machines = _claimed(list(ids), State.STOPPING, now)
    patient_since = now - timedelta(seconds=FORCE_SECONDS)
    forced = [m for m in machines if m.state_since <= patient_since]
    for door, patient in by_door(cloud, [m for m in machines if m not in forced]):
        _call(door.stop, patient)
    for door, slow in by_door(cloud, forced):
        _call(partial(door.stop, force=True), slow)


def terminate(ids: Iterable[int], *, cloud: Cloud, now: datetime) -> None:
    """Ask AWS to delete those of these machines that are in TERMINATING."""
    machines = _claimed(list(ids), State.TERMINATING, now)
    for door, together in by_door(cloud, machines):
        waiting = _still_requested(together, door)
        _call(door.terminate, [m for m in together if m not in waiting])


def _still_requested(machines: Sequence[Instance], cloud: Cloud) -> list[Instance]:
    """Spot machines whose request stands: AWS would replace them at once, so they wait for the next round."""
    standing = end_requests({machine.spot_request for machine in machines}, cloud)
    return [machine for machine in machines if machine.spot_request in standing]


def end_requests(requests: Collection[str], cloud: Cloud) -> set[str]:
    """Those that stand all the same: AWS makes the next machine of each whose machine is terminated. The empty one, of
    a machine that is not of Spot, is none."""
    asked = sorted(set(requests) - {""})
    outcomes = cloud.cancel_spot(asked) if asked else []
    standing = {one.cloud_id: one.error for one in outcomes if one.error and not isinstance(one.error, NotFound)}
    if standing:
        logger.warning("Spot requests that could not be ended yet: %s", standing)
    return set(standing)


def _claimed(ids: list[int], state: State, now: datetime) -> list[Instance]:
    """Those that nobody asked AWS about just now: two sweeps at once make one call.

    Locked in the order of their keys, as by all who lock several, so that none of them wait for each other.
    """
    if not ids:
        return []
    due = Q(stop_asked_at=None) | Q(stop_asked_at__lte=now - timedelta(seconds=REPEAT_SECONDS))
    with transaction.atomic():
        asked = Instance.objects.filter(due, pk__in=ids, state=state).exclude(cloud_id="")
        found = list(asked.select_for_update(no_key=True).order_by("pk"))
        Instance.objects.filter(pk__in=[machine.pk for machine in found]).update(
            stop_asked_at=now, stop_tries=F("stop_tries") + 1
        )
    return found


def _call(order: Callable[[Sequence[str]], list[Outcome]], machines: Sequence[Instance]) -> None:
    by_id = {machine.cloud_id: machine for machine in machines}
    ids = list(by_id)
    for first in range(0, len(ids), _BATCH):
        for outcome in order(ids[first : first + _BATCH]):
            _log(by_id[outcome.cloud_id], outcome)


def _log(machine: Instance, outcome: Outcome) -> None:
    """Whatever was said, the sweep looks at what is so, and says it again."""
    error = outcome.error
    if error is None:
        return
    expected = isinstance(error, Transient | NotFound | WrongState)
    level = logging.WARNING if expected else logging.ERROR
    logger.log(level, "%s (%s): not done yet: %s %s", machine, machine.cloud_id, error.code, error)
