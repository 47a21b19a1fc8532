"""Warnings and troubles of machines in the course's chat: once, without a name, also when committed late."""

import json
from datetime import timedelta

from instances.models import InstanceEvent
from instances.moves import tell
from instances.sweeps.alerting import forward, newest_event
from spend.chat import send_due
from spend.models import ChatChannel
from tests.instances.conftest import Stage
from tests.spend.rooms import Room
from tests.spend.test_chat import channel

MINUTE = timedelta(minutes=1)


def test_warnings_of_machines_are_told_once_without_a_name(stage: Stage, room: Room) -> None:
    row = stage.running()
    made = channel(stage.cast, room, tells_machines=True)
    ChatChannel.objects.update(events_after=newest_event())
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


def test_an_event_that_was_committed_late_is_told_all_the_same(stage: Stage, room: Room) -> None:
    """Numbers are given before transactions end: a lower one may appear after a higher one was told."""
    row = stage.running()
    made = channel(stage.cast, room, tells_machines=True)
    ChatChannel.objects.update(events_after=newest_event())
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
