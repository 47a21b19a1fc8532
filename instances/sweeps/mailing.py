"""The outbox: sends the mails that events ask for. Two workers send none twice, and a mail server that is down loses
none. Only a process that dies between sending and writing it down sends one again."""

from datetime import datetime, timedelta

from django.core.mail import EmailMessage
from django.db.models import Q, QuerySet

from credits.mail_round import send_each
from credits.outbox import Clock
from instances.models import InstanceEvent
from instances.notices import message
from instances.sweeps.rounds import beat, if_any

CLAIM = timedelta(minutes=5)  # longer than the mail timeout: who claimed it is dead, or its address was refused
TOO_LATE = timedelta(days=2)  # nobody is helped by an older one
_AT_ONCE = 500


def notices(now: datetime) -> int:
    clock = Clock(now)
    due = _due(now).select_related("instance__preset", "instance__course").order_by("pk")
    events = list(if_any(due[:_AT_ONCE]))
    if events:  # most rounds: no reason to call on the mail server
        send_each(
            events,
            take=lambda event: bool(_due(clock.now()).filter(pk=event.pk).update(mail_claimed_at=clock.now())),
            compose=_compose,
            sent=lambda event: InstanceEvent.objects.filter(pk=event.pk).update(mailed_at=clock.now()),
            again=_again,
            clock=clock,
        )
    beat("notices", len(events), seconds=clock.seconds(), now=now)
    return len(events)


def _due(now: datetime) -> QuerySet[InstanceEvent]:
    free = Q(mail_claimed_at=None) | Q(mail_claimed_at__lte=now - CLAIM)
    waiting = InstanceEvent.objects.filter(~Q(mail_to=""), free, mailed_at=None)
    return waiting.filter(at__gte=now - TOO_LATE)


def _compose(event: InstanceEvent) -> EmailMessage:
    subject, body = message(event)
    return EmailMessage(subject, body, to=[event.mail_to])


def _again(event: InstanceEvent, is_server: bool) -> None:
    """At once when the server is there again; what is refused by itself stays claimed for its minutes."""
    if is_server:
        InstanceEvent.objects.filter(pk=event.pk).update(mail_claimed_at=None)
