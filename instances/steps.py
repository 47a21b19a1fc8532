"""The way from the click to the notebook as four steps with their durations, from the machine's events. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from instances.models import Instance, InstanceEvent
from instances.states import State

Kind = InstanceEvent.Kind


class Name(StrEnum):
    ASKED = "asked"
    STARTING = "starting"
    BOOTING = "booting"
    READY = "ready"


class Mark(StrEnum):
    DONE = "done"
    DOING = "doing"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Step:
    name: Name
    mark: Mark
    began_at: datetime | None
    ended_at: datetime | None
    detail: str = ""


def steps(machine: Instance, events: Sequence[InstanceEvent]) -> list[Step]:
    """The four steps of the run that is on or was asked for last. `events` in order of time."""
    run = _of_last_run(events)
    asked = run[0].at if run else machine.created_at
    # The last one: in the queue AWS is asked again and again. While it waits for its next turn, none.
    tried = [e.at for e in run if e.new_state == State.LAUNCHING]
    starting = tried[-1] if tried and machine.state != State.REQUESTED else None
    running = next((e.at for e in run if e.new_state == State.RUNNING), None)
    ready = machine.notebook_ready_at if running else None
    begun = (asked, starting, running, ready)
    tries = [e.reason for e in run if e.kind == Kind.REFUSED or e.new_state == State.LAUNCHING]
    detail = {Name.STARTING: tries[-1] if tries else ""}
    moving = machine.state in (State.REQUESTED, State.LAUNCHING, State.RUNNING)
    return [
        _step(name, begun[i], begun[i + 1] if i < 3 else ready, moving, detail.get(name, ""))
        for i, name in enumerate(Name)
    ]


def settled(found: Sequence[Step]) -> bool:
    """Nothing more will happen by itself, so pages need not ask every second."""
    return not any(step.mark is Mark.DOING for step in found)


def ready_after(found: Sequence[Step]) -> timedelta | None:
    """From the click to the notebook; None while it is on its way."""
    first, last = found[0], found[-1]
    return last.ended_at - first.began_at if first.began_at and last.ended_at else None


def _of_last_run(events: Sequence[InstanceEvent]) -> list[InstanceEvent]:
    """From the last request (to launch, or to start again) on."""
    begins = [
        i
        for i, e in enumerate(events)
        if (e.new_state, e.old_state) in ((State.REQUESTED, ""), (State.LAUNCHING, State.STOPPED))
    ]
    return list(events[begins[-1] :] if begins else events)  # none: it was asked for longer ago than `events` reach


def _step(name: Name, began: datetime | None, ended: datetime | None, moving: bool, detail: str) -> Step:
    if ended is not None:
        return Step(name, Mark.DONE, began, ended, detail)
    if began is None:
        return Step(name, Mark.WAITING, None, None)
    return Step(name, Mark.DOING if moving else Mark.FAILED, began, None, detail)
