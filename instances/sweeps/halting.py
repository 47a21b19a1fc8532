"""The halts round: what is halted stays off, also what slipped through; what was undone runs again."""

from datetime import datetime

from cloud.base import Cloud
from instances import halting
from instances.halts import Halt
from instances.starting import start
from instances.stopping import stop
from instances.sweeps.rounds import for_each, sweep_over


def halts(cloud: Cloud, now: datetime) -> int:
    stopped: list[int] = []
    every = Halt.objects.filter(lifted_at=None, reach=Halt.Reach.ALL).select_related("who", "course")
    looked_at = sweep_over("halts", every, lambda row: stopped.extend(halting.enforce(row, who=None, now=now)), now=now)
    if stopped:
        stop(stopped, cloud=cloud, now=now)
    for_each("halts: restart", halting.restart_due(now), lambda pk: start(pk, cloud=cloud, now=now))
    return looked_at
