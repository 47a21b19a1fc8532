"""Mails to people, written in the transaction of what they tell and sent by the sweep. No letter ever holds a code.

Two workers send none twice, and a mail server that is down loses none. Only a process that dies between sending a
letter and writing that down sends it again.
"""

from collections.abc import Iterable
from datetime import datetime

from django.core.mail import EmailMessage
from django.db import models
from django.db.models import Q

from credits import outbox
from credits.mail_round import send_each
from credits.outbox import Clock

_AT_ONCE = 200


class Letter(models.Model):
    """One mail to one person. Due as long as `sent_at` is empty."""

    key = models.CharField(max_length=100, unique=True)  # what it tells, so that it is written once
    to = models.EmailField()
    subject = models.CharField(max_length=200)
    body = models.TextField()
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)  # a process is sending it, or it is tried again then
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        app_label = "credits"
        ordering = ("pk",)
        indexes = (models.Index(fields=("id",), condition=Q(sent_at=None), name="letters_due"),)

    def __str__(self) -> str:
        return self.key


def write(key: str, *, to: str, subject: str, body: str, now: datetime) -> None:
    """To be sent soon. The same key said twice is one letter."""
    one_line = " ".join(subject.split())[:200]  # a line break in a subject is refused by every mail library
    letter = Letter(key=key, to=to, subject=one_line, body=body, created_at=now)
    Letter.objects.bulk_create([letter], ignore_conflicts=True)


def written(keys: Iterable[str]) -> set[str]:
    """Those of these keys that there is a letter of, sent or not. One query."""
    return set(Letter.objects.filter(key__in=list(keys)).values_list("key", flat=True))


def send_due(now: datetime) -> int:
    """Send what is due, oldest first; returns how many went out. A dead mail server ends the round and loses none."""
    letters = list(outbox.due(Letter, now)[:_AT_ONCE])
    if not letters:  # most rounds: no reason to call on the mail server
        return 0
    clock = Clock(now)

    def again(letter: Letter, _is_server: bool) -> None:
        Letter.objects.filter(pk=letter.pk).update(claimed_until=clock.now() + outbox.pause(letter.attempts))

    return send_each(
        letters,
        take=lambda letter: outbox.take(letter, clock.now()),
        compose=lambda letter: EmailMessage(letter.subject, letter.body, to=[letter.to]),
        sent=lambda letter: Letter.objects.filter(pk=letter.pk).update(sent_at=clock.now(), claimed_until=None),
        again=again,
        clock=clock,
    )
