"""Codes come into a batch: each text once in the whole installation, sealed, with its event.

Reads no files: that is `imports.py`. What it returns names lines, never a code.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from django.db import IntegrityError, transaction
from django.views.decorators.debug import sensitive_variables

from courses.models import User
from credits import codes, queue, vault
from credits.models import CodeBatch, CodeEvent, CreditCode

_CHUNK = 500  # SQLite takes at most some thousand parameters in one statement


@dataclass(frozen=True, slots=True)
class Line:
    """One line of what was brought: its number there, and how a person recognises it."""

    number: int
    last4: str
    problem: codes.Problem | None = None


@dataclass(slots=True)
class Added:
    """Every line is in exactly one list."""

    new: list[Line] = field(default_factory=list)
    known: list[Line] = field(default_factory=list)  # already here, or a second time in the same lines
    problems: list[Line] = field(default_factory=list)


@sensitive_variables()
def sort_lines(numbered: Iterable[tuple[int, str]]) -> tuple[Added, dict[str, str]]:
    """What would become of each line, and the texts of the new ones by fingerprint, in order. Writes nothing."""
    added, fresh, lines = Added(), dict[str, str](), dict[str, Line]()
    for number, text in numbered:
        try:
            code = codes.clean(text)
        except codes.NotACode as bad:
            added.problems.append(Line(number, "", bad.problem))
            continue
        digest = vault.fingerprint(code)
        line = Line(number, codes.last_four(code))
        if digest in fresh:
            added.known.append(line)
        else:
            fresh[digest], lines[digest] = code, line
    for digest in _known(list(fresh)):
        added.known.append(lines.pop(digest))
        del fresh[digest]
    added.known.sort(key=lambda line: line.number)
    added.new.extend(lines.values())
    return added, fresh


def _known(digests: list[str]) -> list[str]:
    found: list[str] = []
    for start in range(0, len(digests), _CHUNK):
        part = digests[start : start + _CHUNK]
        found += CreditCode.objects.filter(digest__in=part).values_list("digest", flat=True)
    return found


@sensitive_variables()
def add_codes(batch: CodeBatch, numbered: Iterable[tuple[int, str]], *, who: User | None, now: datetime) -> Added:
    """All new codes come in together or none does, then whoever waits gets theirs. Doubles are found in any batch."""
    added = _add_whole(batch, list(numbered), who, now)
    if added.new:
        queue.serve_queue(batch, now)
    return added


@sensitive_variables()
def _add_whole(batch: CodeBatch, lines: list[tuple[int, str]], who: User | None, now: datetime) -> Added:
    for _attempt in range(3):
        try:
            return _add(batch, lines, who, now)
        except IntegrityError:
            # Somebody else is just importing one of these codes: look again, then it is among the known ones.
            continue
    return _add(batch, lines, who, now)


@sensitive_variables()
@transaction.atomic
def _add(batch: CodeBatch, lines: list[tuple[int, str]], who: User | None, now: datetime) -> Added:
    added, fresh = sort_lines(lines)
    rows = [
        CreditCode(batch=batch, ciphertext=vault.seal(code), digest=digest, last4=codes.last_four(code))
        for digest, code in fresh.items()
    ]
    CreditCode.objects.bulk_create(rows, batch_size=_CHUNK)
    CodeEvent.objects.bulk_create(
        [CodeEvent(code=row, verb=CodeEvent.Verb.IMPORTED, who=who, at=now) for row in rows], batch_size=_CHUNK
    )
    return added
