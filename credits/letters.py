"""Mails to people, written in the transaction of what they tell and sent by the sweep. No letter ever holds a code.

Two workers send none twice, and a mail server that is down loses none. Only a process that dies between sending a
letter and writing that down sends it again.
"""

import logging
from datetime import datetime
from smtplib import SMTPRecipientsRefused, SMTPResponseException

from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import models
from django.db.models import Q

from credits import outbox
from credits.outbox import Clock

logger = logging.getLogger(__name__)

_AT_ONCE = 200
_ROUND_SECONDS = 120.0  # well below the lease: what a round has taken, it sends while the lease lasts


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


def send_due(now: datetime) -> int:
    """Send what is due, oldest first; returns how many went out. A dead mail server ends the round and loses none."""
    letters = list(outbox.due(Letter, now)[:_AT_ONCE])
    if not letters:  # most rounds: no reason to call on the mail server
        return 0
    clock, sent = Clock(now), 0
    connection = get_connection()
    try:
        connection.open()  # one for the whole round
        for letter in letters:
            if clock.seconds() > _ROUND_SECONDS:
                break
            if outbox.take(letter, clock.now()):
                sent += _send(letter, connection, clock)
    except OSError as error:
        logger.warning("mail server: %s; letters are tried again", error)
    finally:
        _close(connection)
    return sent


def _send(letter: Letter, connection: BaseEmailBackend, clock: Clock) -> int:
    """1 when it went out. Raises OSError when the mail server as a whole is out of order."""
    this = Letter.objects.filter(pk=letter.pk)
    try:
        EmailMessage(letter.subject, letter.body, to=[letter.to], connection=connection).send()
    except Exception as error:
        this.update(claimed_until=clock.now() + outbox.pause(letter.attempts))
        if isinstance(error, OSError) and not _is_about_one_letter(error):
            raise
        logger.exception("letter %s is tried again", letter.pk)
        return 0
    this.update(sent_at=clock.now(), claimed_until=None)
    return 1


def _is_about_one_letter(error: OSError) -> bool:
    """An address that the server refuses says nothing about the other letters."""
    return isinstance(error, SMTPResponseException | SMTPRecipientsRefused)


def _close(connection: BaseEmailBackend) -> None:
    try:
        connection.close()
    except OSError as error:
        logger.warning("mail server: %s", error)
