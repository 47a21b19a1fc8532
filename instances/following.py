"""While somebody waits for a machine, looks follow each other within seconds: one chain of them for all who wait.

Only makes things faster: the beat's own rounds find whatever a lost chain leaves behind.
"""

from datetime import datetime, timedelta

from django.db.models import Q

from cloud.base import Cloud
from instances import queries
from instances.models import Instance, SweepBeat
from instances.states import State
from instances.sweeps import repair
from instances.sweeps.linked import soon
from instances.sweeps.readiness import Probe, answers, mark_ready

STEP_SECONDS = 1  # notebooks are knocked at so often; that asks AWS nothing
LOOK_SECONDS = 5  # AWS is asked so often at most
PATIENCE = timedelta(minutes=4)  # after that the beat's own rounds are soon enough
_CHAIN = "follow"
_TAKEN = timedelta(seconds=60)  # a step that takes longer is dead


def take_step(now: datetime) -> bool:
    """The next step of the chain is ours. False: another chain is at it, and looks for everybody."""
    mine = {"finished_at": now + _TAKEN, "seconds": 0}
    due = SweepBeat.objects.filter(name=_CHAIN, finished_at__lte=now - timedelta(seconds=STEP_SECONDS / 2))
    if due.update(**mine):
        return True
    return SweepBeat.objects.get_or_create(name=_CHAIN, defaults=mine)[1]


def end_step(now: datetime) -> None:
    SweepBeat.objects.filter(name=_CHAIN).update(finished_at=now)


def follow(cloud: Cloud, now: datetime, *, probe: Probe = answers) -> bool:
    """One look. False when nobody waits any more."""
    awaited = _awaited(now)
    if not awaited:
        return False
    if queries.repaired_since(now - timedelta(seconds=LOOK_SECONDS - STEP_SECONDS / 2)):
        mark_ready(probe, now)
    else:
        repair(cloud, now, probe=probe)
        soon(cloud, now, [key for key in awaited if key is not None])
    return True


def _awaited(now: datetime) -> set[int | None]:
    """Where somebody asked for a machine lately and is not in its notebook yet. None: in the course's own account."""
    asked = Q(state=State.LAUNCHING) | Q(state=State.REQUESTED, queued_at=None)
    coming = asked | Q(state=State.RUNNING, notebook_ready_at=None)
    found = Instance.objects.filter(coming, state_since__gte=now - PATIENCE)
    return set(found.order_by().values_list("account_id", flat=True).distinct())
