"""The drills round: every fire drill that is under way takes its next step, and nothing of one outlives it."""

from datetime import datetime

from django.db.models import QuerySet

from cloud.base import Cloud
from instances import drilling
from instances.drill_records import FireDrill
from instances.models import Instance
from instances.starting import start
from instances.states import State
from instances.stopping import stop, terminate
from instances.sweeps.rounds import sweep_over


def drills(cloud: Cloud, now: datetime) -> int:
    """`advance` writes rows only; what they ask of AWS is asked at once, and again by the repair round."""
    under_way = FireDrill.objects.filter(ended_at=None).select_related("course", "who")
    looked_at = sweep_over("drills", under_way, lambda drill: drilling.advance(drill, now), now=now)
    if not looked_at:
        return 0
    canaries = Instance.objects.filter(drill__ended_at=None).exclude(cloud_id="")
    stop(_in(canaries.filter(state=State.STOPPING)), cloud=cloud, now=now)
    terminate(_in(canaries.filter(state=State.TERMINATING)), cloud=cloud, now=now)
    for pk in _in(canaries.filter(state=State.LAUNCHING, asked_at=None)):
        start(pk, cloud=cloud, now=now)
    return looked_at


def _in(canaries: QuerySet[Instance]) -> list[int]:
    return list(canaries.values_list("pk", flat=True))
