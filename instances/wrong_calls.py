""" "That was the wrong call": what a student says about a stop, and where staff read it. Changes no machine."""

from datetime import datetime

from django.db.models import QuerySet

from courses.models import Course, User
from instances.models import Instance, InstanceEvent
from instances.moves import tell
from instances.states import State

Kind = InstanceEvent.Kind
_ENDS = (State.STOPPING, State.STOPPED)


def questionable(machine: Instance) -> InstanceEvent | None:
    """The stop that its student may call wrong: the newest one, when no person asked for it and nobody has spoken of it
    yet. One query."""
    if machine.state not in _ENDS:
        return None
    said = machine.events.filter(kind__in=(Kind.MOVED, Kind.WRONG_CALL)).exclude(old_state=State.STOPPING)
    newest = said.order_by("-at", "-pk").first()
    is_stop = newest is not None and newest.kind == Kind.MOVED and newest.new_state in _ENDS
    return newest if is_stop and newest is not None and newest.who_id is None else None


def call_wrong(machine: Instance, words: str, *, who: User | None, now: datetime) -> bool:
    """Written down once per stop, with the reason that the student was given; False when there is nothing to say."""
    stop = questionable(machine)
    if stop is None:
        return False
    tell(machine, Kind.WRONG_CALL, reason=words, who=who, now=now, facts={"stop": stop.reason})
    return True


def wrong_calls(course: Course, most: int = 50) -> QuerySet[InstanceEvent]:
    """The newest first."""
    found = InstanceEvent.objects.filter(instance__course=course, kind=Kind.WRONG_CALL)
    return found.select_related("instance__owner", "instance__preset").order_by("-at", "-pk")[:most]
