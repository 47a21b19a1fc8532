"""Warnings and troubles of machines in the course's chat: once, without a name, also when committed late."""

import json
from datetime import timedelta

import pytest

from instances.models import Instance, InstanceEvent
from instances.moves import tell
from instances.notices import message
from instances.sweeps import alerting
from instances.sweeps.alerting import TOLD, forward, newest_event
from spend.chat import send_due
from spend.models import ChatChannel, ChatMessage
from tests.instances.conftest import Stage
from tests.spend.rooms import Room
from tests.spend.test_chat import channel

MINUTE = timedelta(minutes=1)


def machine_and_room(stage: Stage, room: Room) -> tuple[Instance, ChatChannel]:
    """The room hears of what comes from now on."""
    row = stage.running()
    made = channel(stage.cast, room, tells_machines=True)
    ChatChannel.objects.update(events_after=newest_event())
    return row, made


def warn(row: Instance, stage: Stage, n: int) -> list[InstanceEvent]:
    return [tell(row, InstanceEvent.Kind.WARNED, reason=f"warning {i}", now=stage.now) for i in range(n)]


def look(made: ChatChannel, stage: Stage, minutes: int = 0) -> int:
    made.refresh_from_db()
    return forward(made, stage.now + minutes * MINUTE)


def told(made: ChatChannel) -> list[str]:
    """In the order in which they are sent."""
    return list(ChatMessage.objects.filter(channel=made).order_by("pk").values_list("key", flat=True))


def keys(made: ChatChannel, *events: InstanceEvent) -> list[str]:
    return [f"event/{event.pk}/{made.pk}" for event in events]


def test_warnings_of_machines_are_told_once_without_a_name(stage: Stage, room: Room) -> None:
    row, made = machine_and_room(stage, room)
    tell(row, InstanceEvent.Kind.WARNED, reason="Quiet for 20 minutes", now=stage.now)
    tell(row, InstanceEvent.Kind.OPENED, reason="opened", now=stage.now)
    for n in range(25):
        made.refresh_from_db()
        forward(made, stage.now + n * MINUTE)
        send_due(stage.now + n * MINUTE)
    assert len(room.said) == 1
    assert "Quiet for 20 minutes" in json.dumps(room.said)
    assert "Ada" not in json.dumps(room.said)
    made.refresh_from_db()
    assert made.events_after == newest_event()


@pytest.mark.parametrize("kind", TOLD)
def test_a_room_is_never_told_the_link_that_keeps_a_machine_on(stage: Stage, room: Room, kind: str) -> None:
    """It works without signing in, and a room may be everybody's. The owner's mail has it."""
    row = stage.running()
    made = channel(stage.cast, room, tells_machines=True)
    ChatChannel.objects.update(events_after=newest_event())
    event = tell(row, kind, reason="Quiet for 20 minutes", now=stage.now)
    made.refresh_from_db()
    assert forward(made, stage.now) == 1
    send_due(stage.now)
    said = "".join(ChatMessage.objects.values_list("body", flat=True)) + json.dumps(room.said)
    assert "/keep/" not in said
    assert f"/machines/{row.slug}/" in said
    assert ("/keep/" in message(event)[1]) == (kind in ("warned", "money"))


def test_an_event_that_was_committed_late_is_told_all_the_same(stage: Stage, room: Room) -> None:
    """Numbers are given before transactions end: a lower one may appear after a higher one was told."""
    row, made = machine_and_room(stage, room)
    late = tell(row, InstanceEvent.Kind.WARNED, reason="late", now=stage.now)
    InstanceEvent.objects.filter(pk=late.pk).update(kind="opened")  # not to be seen yet
    tell(row, InstanceEvent.Kind.WARNED, reason="early", now=stage.now)
    made.refresh_from_db()
    assert forward(made, stage.now) == 1
    InstanceEvent.objects.filter(pk=late.pk).update(kind="warned")
    made.refresh_from_db()
    forward(made, stage.now + MINUTE)
    send_due(stage.now + MINUTE)
    assert len(room.said) == 2


def test_a_burst_larger_than_a_rounds_work_is_told_once_in_order_and_so_is_what_comes_after(
    stage: Stage, room: Room
) -> None:
    """A lecture of 450 ends. The first 200 were read again for ever, and the room heard nothing more."""
    row, made = machine_and_room(stage, room)
    burst = warn(row, stage, 450)
    assert [look(made, stage, n) for n in range(4)] == [200, 200, 50, 0]
    assert told(made) == keys(made, *burst)
    burst += warn(row, stage, 1)
    assert look(made, stage, 4) == 1  # while the first ones are still looked at again
    stage.now += 30 * MINUTE
    assert look(made, stage) == 0
    burst += warn(row, stage, 201)
    assert [look(made, stage, n) for n in range(3)] == [200, 1, 0]
    assert told(made) == keys(made, *burst)
    look(made, stage, 30)
    made.refresh_from_db()
    assert made.events_after == newest_event()  # what was told is not read for ever


def test_a_burst_that_has_settled_is_told_whole_too(stage: Stage, room: Room) -> None:
    """The round stood still for an hour."""
    row, made = machine_and_room(stage, room)
    burst = warn(row, stage, 450)
    assert [look(made, stage, 60 + n) for n in range(4)] == [200, 200, 50, 0]
    assert told(made) == keys(made, *burst)


def test_what_is_committed_late_below_a_full_round_is_told_all_the_same(stage: Stage, room: Room) -> None:
    row, made = machine_and_room(stage, room)
    late = warn(row, stage, 1)
    InstanceEvent.objects.filter(pk=late[0].pk).update(kind="opened")  # not to be seen yet
    burst = warn(row, stage, 450)
    assert [look(made, stage, n) for n in range(2)] == [200, 200]
    InstanceEvent.objects.filter(pk=late[0].pk).update(kind="warned")
    assert [look(made, stage, n) for n in range(2, 4)] == [51, 0]
    assert told(made) == keys(made, *burst[:400], *late, *burst[400:])


def test_what_an_old_round_commits_while_this_one_looks_is_not_passed_over(
    stage: Stage, room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round bears the time of its beginning: its event is "settled" as soon as it is there."""
    row, made = machine_and_room(stage, room)
    first = warn(row, stage, 1)
    between: list[InstanceEvent] = []

    def meanwhile(event: InstanceEvent, **_how: object) -> tuple[str, str]:
        between.extend([] if between else warn(row, stage, 1))
        return "subject", "body"

    monkeypatch.setattr(alerting, "message", meanwhile)
    assert [look(made, stage, 20 + n) for n in range(3)] == [1, 1, 0]
    assert told(made) == keys(made, *first, *between)
