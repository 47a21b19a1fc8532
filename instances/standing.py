"""Where somebody stands in the queue, for pages: place, what it is for, when AWS is asked, how long others waited."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from instances.models import Instance
from instances.queue_rules import LONGEST, Estimate, Past, ahead_of, estimate
from instances.queueing import in_its_way, waiting_of
from instances.states import State

LATELY = timedelta(days=14)
_OTHERS = 30


@dataclass(frozen=True, slots=True)
class Standing:
    place: int  # 1: next
    since: datetime
    until: datetime  # then the place ends
    next_try_at: datetime | None
    estimate: Estimate | None


def waits(machine: Instance) -> bool:
    """In the queue; also while AWS is being asked for it again."""
    return bool(machine.queued_at) and not machine.cloud_id and machine.state in (State.REQUESTED, State.LAUNCHING)


def never_ran(machine: Instance) -> bool:
    """Its student left the queue, or took the launch back, before AWS had one: nothing was there to delete."""
    return machine.state == State.TERMINATED and not machine.cloud_id


def standing_of(machine: Instance, now: datetime) -> Standing | None:
    """None: not in the queue. Two queries."""
    if not waits(machine) or machine.queued_at is None:
        return None
    waiting = [waiting_of(one) for one in in_its_way(machine).only("wanted", "queued_for", "queued_at", "spot")]
    place = ahead_of(waiting_of(machine), waiting) + 1
    ends = machine.queued_at + LONGEST
    return Standing(place, machine.queued_at, ends, machine.next_try_at, estimate(_past(machine, now)))


def _past(machine: Instance, now: datetime) -> list[Past]:
    """The last who waited for one of the same types in the same market, whatever came of it."""
    types = {value[0] for value in machine.wanted}
    rows = Instance.objects.filter(queued_at__gte=now - LATELY, spot=machine.spot).exclude(pk=machine.pk)
    ended = rows.order_by("-queued_at").exclude(cloud_id="", state__in=(State.REQUESTED, State.LAUNCHING))
    found = ended.values_list("wanted", "queued_at", "disk_since")[: 3 * _OTHERS]
    same = [(at, got) for wanted, at, got in found if types & {value[0] for value in wanted}]
    return [Past(max(got - at, timedelta(0)) if got and at else None) for at, got in same[:_OTHERS]]
