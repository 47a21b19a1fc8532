"""Reads the mails that the demo writes to files instead of sending them. Sends and deletes nothing."""

import email
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from pathlib import Path
from typing import cast

_SEPARATOR = b"-" * 79  # what Django's file backend writes after each message
NEWEST = 100


@dataclass(frozen=True, slots=True)
class Mail:
    to: str
    subject: str
    sent_at: datetime | None
    text: str


def mails(folder: Path) -> list[Mail]:
    """The newest mails, newest first. No folder yet: no mail yet."""
    # Django makes a file whenever a mail server would be called, also when nothing is sent then.
    files = sorted((path for path in folder.glob("*.log") if path.stat().st_size), reverse=True)
    found = [_mail(part) for path in files[:NEWEST] for part in _parts(path)]
    oldest = datetime.min.replace(tzinfo=UTC)
    return sorted(found, key=lambda mail: mail.sent_at or oldest, reverse=True)[:NEWEST]


def _parts(path: Path) -> list[bytes]:
    return [part for part in path.read_bytes().split(_SEPARATOR + b"\n") if part.strip()]


def _mail(raw: bytes) -> Mail:
    message = cast(EmailMessage, email.message_from_bytes(raw.lstrip(b"\n"), policy=policy.default))
    body = message.get_body(preferencelist=("plain", "html"))
    text = str(body.get_content()) if body else ""
    return Mail(str(message["To"] or ""), str(message["Subject"] or ""), _sent_at(message), text.strip())


def _sent_at(message: EmailMessage) -> datetime | None:
    """Django writes "-0000": UTC, of an unknown place, which Python reads as a time without a zone."""
    if not message["Date"]:
        return None
    sent: datetime = message["Date"].datetime
    return sent if sent.tzinfo else sent.replace(tzinfo=UTC)
