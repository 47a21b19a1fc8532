"""Recognises a cause in a message that somebody pasted. Pure: no database, no AWS, no regular expressions of others.

A signal is a phrase. `*` in it stands for up to 80 characters, so that "account * exceeds the limit" fits whatever
the account's number is. Case, punctuation, quotation marks and line breaks do not count.
"""

from collections.abc import Iterable
from dataclasses import dataclass

GAP = 80  # characters that one `*` may stand for
LONGEST = 4000  # of a message that is looked at: people paste whole pages


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a code is not accepted, with what to say. Texts are in the reader's language."""

    key: str
    title: str
    signals: tuple[str, ...]
    answer: str
    next_step: str
    outcome: str  # `records.CauseOutcome`
    seen: int = 0  # how often it was reported in this course


def normal(text: str) -> str:
    """Lower case, one space between words, nothing but letters, digits and `*`."""
    kept = (char if char.isalnum() or char == "*" else "" if char in "'’`" else " " for char in text[:LONGEST])
    return " ".join("".join(kept).casefold().split())


def fits(signal: str, message: str) -> bool:
    """Whether the phrase occurs in a message that is `normal` already. An empty phrase never does."""
    parts = [part.strip() for part in normal(signal).split("*")]
    parts = [part for part in parts if part]
    return bool(parts) and any(_follows(parts[1:], message, end) for end in _ends(parts[0], message))


def _ends(part: str, message: str) -> Iterable[int]:
    start = message.find(part)
    while start >= 0:
        yield start + len(part)
        start = message.find(part, start + 1)


def _follows(parts: list[str], message: str, at: int) -> bool:
    for part in parts:
        found = message.find(part, at, at + GAP + len(part))
        if found < 0:
            return False
        at = found + len(part)
    return True


def recognised(text: str, causes: Iterable[Cause]) -> list[Cause]:
    """The causes whose signals occur in the message, the longest phrase first: it says most. Then the given order."""
    message = normal(text)
    weighed = [(max((len(s) for s in cause.signals if fits(s, message)), default=0), cause) for cause in causes]
    return [cause for weight, cause in sorted(weighed, key=lambda pair: -pair[0]) if weight]
