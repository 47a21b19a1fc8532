"""The alerts round: what is alarming in each course that is on, then messages that are due, to mail and chat."""

import logging
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import CharField, Exists, Max, OuterRef, Value
from django.db.models.functions import Cast, Concat

from courses.models import Course
from instances.alarm_facts import course_facts
from instances.models import InstanceEvent
from instances.notices import message
from instances.sweeps.rounds import for_each, sweep_over
from spend import chat
from spend.alarming import evaluate, put_due
from spend.models import ChatChannel, ChatMessage

logger = logging.getLogger(__name__)
Kind = InstanceEvent.Kind
TOLD = (Kind.WARNED, Kind.MONEY, Kind.TROUBLE)
AFTER_END = timedelta(days=14)  # disks of a course that is over still cost
# An event may be committed later than one with a higher number: so long the newest are looked at again.
_SETTLED = timedelta(minutes=10)
_AT_ONCE = 200


def alerts(now: datetime) -> int:
    """Courses looked at. Each part is isolated: a chat that is down keeps no mail back."""
    today = now.date()
    courses = Course.objects.select_related("alert_policy").filter(
        starts_on__lte=today + timedelta(days=1), ends_on__gte=today - AFTER_END
    )
    looked_at = sweep_over("alerts", courses, lambda one: evaluate(one, course_facts(one, now), now=now), now=now)
    for_each("alerts: machines", _rooms(), lambda room: forward(room, now))
    for_each("alerts: messages", (put_due, chat.send_due), lambda act: act(now))
    return looked_at


def _rooms() -> list[ChatChannel]:
    return list(ChatChannel.objects.filter(enabled=True, tells_machines=True).select_related("course"))


def forward(room: ChatChannel, now: datetime) -> int:
    """Warnings and troubles of machines since the last look, one message each; never one twice: the key says which.
    Of a burst so many at once, and the next ones in the next round."""
    events = InstanceEvent.objects.filter(instance__course=room.course, pk__gt=room.events_after)
    # Before the others are read: what an old round commits meanwhile, under its old time, must not be passed over.
    done = events.filter(at__lte=now - _SETTLED).aggregate(Max("pk"))["pk__max"]
    untold = events.filter(~_told(room), kind__in=TOLD).select_related("instance__preset", "instance__course")
    found = list(untold.order_by("pk")[:_AT_ONCE])
    if done and len(found) == _AT_ONCE:
        done = min(done, found[-1].pk)  # behind it nobody has looked yet
    with transaction.atomic():
        ChatMessage.objects.bulk_create([_message(room, event, now) for event in found], ignore_conflicts=True)
        if done:
            ChatChannel.objects.filter(pk=room.pk, events_after__lt=done).update(events_after=done)
    return len(found)


def _told(room: ChatChannel) -> Exists:
    """Or the first of a burst, looked at again until they are settled, would leave no room for its last."""
    key = Concat(Value("event/"), Cast(OuterRef("pk"), CharField()), Value(f"/{room.pk}"))
    return Exists(ChatMessage.objects.filter(key=key))


def _message(room: ChatChannel, event: InstanceEvent, now: datetime) -> ChatMessage:
    """Without the owner's name: a room may be everybody's."""
    subject, body = message(event, for_room=True)
    return ChatMessage(key=f"event/{event.pk}/{room.pk}", channel=room, title=subject[:200], body=body, created_at=now)


def newest_event() -> int:
    """A room that is opened now hears of nothing that was before."""
    return InstanceEvent.objects.aggregate(Max("pk"))["pk__max"] or 0
