"""The outbox: sends the mails that events ask for. Two workers send none twice, and a mail server that is down loses
none. Only a process that dies between sending and writing it down sends one again."""

import logging
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Q, QuerySet

from instances.models import InstanceEvent
from instances.notices import message
from instances.sweeps.rounds import if_any, sweep_over

logger = logging.getLogger(__name__)

CLAIM = timedelta(minutes=5)  # longer than the mail timeouts of one claim: who claimed it is dead
TOO_LATE = timedelta(days=2)  # nobody is helped by an older one
_AT_ONCE = 500
_CLAIMED_AT_ONCE = 10  # even if each runs into the mail timeout


def notices(now: datetime) -> int:
    return sweep_over("notices", _claimed(now), lambda event: _send(event, now), now=now)


def _claimed(now: datetime) -> Iterator[InstanceEvent]:
    """Those that nobody else sends; a few at a time, so that the last of them is sent before its claim is over."""
    due = _due(now).select_related("instance__preset", "instance__course").order_by("pk")
    events = list(if_any(due[:_AT_ONCE]))
    for first in range(0, len(events), _CLAIMED_AT_ONCE):
        some = events[first : first + _CLAIMED_AT_ONCE]
        with transaction.atomic():
            free = _due(now).filter(pk__in=[event.pk for event in some]).select_for_update(no_key=True)
            ours = set(free.order_by("pk").values_list("pk", flat=True))
            InstanceEvent.objects.filter(pk__in=ours).update(mail_claimed_at=now)
        yield from (event for event in some if event.pk in ours)


def _due(now: datetime) -> QuerySet[InstanceEvent]:
    free = Q(mail_claimed_at=None) | Q(mail_claimed_at__lte=now - CLAIM)
    waiting = InstanceEvent.objects.filter(~Q(mail_to=""), free, mailed_at=None)
    return waiting.filter(at__gte=now - TOO_LATE)


def _send(event: InstanceEvent, now: datetime) -> None:
    this = InstanceEvent.objects.filter(pk=event.pk)
    subject, body = message(event)
    try:
        EmailMessage(subject, body, to=[event.mail_to]).send()
    except OSError as error:  # smtplib's errors are OSErrors
        logger.warning("mail of event %s is tried again: %s", event.pk, error)
        this.update(mail_claimed_at=None)
        return
    this.update(mailed_at=now)
