"""One connection to the mail server for all mails of a round. A server that does not answer ends the round: whoever
waited for each mail's time-out would hold, round by round, all processes that stop machines."""

import logging
from collections.abc import Callable, Iterable
from smtplib import SMTPRecipientsRefused, SMTPResponseException
from typing import TypeVar

from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend

from credits.outbox import Clock

logger = logging.getLogger(__name__)
T = TypeVar("T")

_ROUND_SECONDS = 120.0  # well below a lease: what a round has taken, it sends while the lease lasts


def send_each(
    rows: Iterable[T],
    *,
    take: Callable[[T], bool],
    compose: Callable[[T], EmailMessage],
    sent: Callable[[T], object],
    again: Callable[[T, bool], object],
    clock: Clock,
) -> int:
    """Returns how many went out. `take` is False for what another worker has. `again` hears of each that did not go
    out, and whether it is the server that is out of order."""
    connection, count = get_connection(), 0
    try:
        connection.open()
        for row in rows:
            if clock.seconds() > _ROUND_SECONDS:
                break
            if take(row):
                count += _send(row, connection, compose, sent, again)
    except OSError as error:
        logger.warning("mail server: %s; what is due is tried again", error)
    finally:
        _close(connection)
    return count


def _send(
    row: T,
    connection: BaseEmailBackend,
    compose: Callable[[T], EmailMessage],
    sent: Callable[[T], object],
    again: Callable[[T, bool], object],
) -> int:
    """1 when it went out. Raises OSError when the mail server as a whole is out of order."""
    try:
        mail = compose(row)
        mail.connection = connection
        mail.send()
    except Exception as error:
        is_server = isinstance(error, OSError) and not _is_about_one_mail(error)
        again(row, is_server)
        if is_server:
            raise
        logger.exception("mail of %s is tried again", row)
        return 0
    sent(row)
    return 1


def _is_about_one_mail(error: OSError) -> bool:
    """An address that the server refuses says nothing about the other mails."""
    return isinstance(error, SMTPResponseException | SMTPRecipientsRefused)


def _close(connection: BaseEmailBackend) -> None:
    try:
        connection.close()
    except OSError as error:
        logger.warning("mail server: %s", error)
