"""Whose turn it is to put a row's question to AWS. One process at a time; whoever died in it keeps the others out for
`CALL_SECONDS` only. What is asked is in `launching.py` and `starting.py`."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta

from django.db.models import Q, QuerySet

from instances.models import Instance
from instances.repair import CALL_SECONDS
from instances.states import State


def running_clock(now: datetime) -> Callable[[], datetime]:
    """What time it is, in whole seconds since the door, for who was told `now` there and has made slow calls since."""
    began = time.monotonic()
    return lambda: now + timedelta(seconds=int(time.monotonic() - began))


def same_attempt(machine: Instance) -> QuerySet[Instance]:
    """The row, if it still is at the question that `machine` was read with."""
    return Instance.objects.filter(pk=machine.pk, attempt=machine.attempt, run_number=machine.run_number)


def claim_call(machine: Instance, now: datetime) -> bool:
    free = Q(calling_until=None) | Q(calling_until__lte=now)
    return _take(machine, same_attempt(machine).filter(free, cloud_id=machine.cloud_id), now, asked_at=now)


def still_ours(machine: Instance, now: datetime) -> bool:
    """Asked right before the call that makes a machine run, and the turn begins anew. A process that came late (AWS
    was slow before, or the computer slept) counts as dead for the others: they may have freed what was held."""
    mine = same_attempt(machine).filter(calling_until=machine.calling_until, calling_until__gt=now)
    return _take(machine, mine, now, asked_at=now)


def end_call(machine: Instance) -> None:
    same_attempt(machine).filter(calling_until=machine.calling_until).update(calling_until=None)


def answered(machine: Instance) -> None:
    """A definite refusal: there is no machine of this attempt. Not said over another one's call that is under way."""
    mine = same_attempt(machine).filter(calling_until=machine.calling_until)
    mine.update(asked_at=None, calling_until=None)


def _take(machine: Instance, rows: QuerySet[Instance], now: datetime, **more: datetime) -> bool:
    until = now + timedelta(seconds=CALL_SECONDS)
    if not rows.filter(state=State.LAUNCHING).update(calling_until=until, **more):
        return False
    machine.calling_until = until
    return True
