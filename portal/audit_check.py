"""Does the audit still say what it said? Walks the chain, and compares each entry with the row that it was read from.

Finds an entry that was edited, taken out or put in, and a source row that was edited, deleted or added behind the
collector's back. Reads in pieces, so that memory does not grow with history; changes nothing.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from django.conf import settings

from courses import chain
from courses.models import AuditCursor, AuditEntry, AuditHead
from portal.audit_sources import SOURCES, Reading
from portal.auditing import facts_of, private_of

PIECE = 1000
_READERS = {source.name: source for source in SOURCES}


def problems() -> Iterator[str]:
    """One sentence for each thing that is not as it should be; none: all is well."""
    yield from _chain_problems()
    yield from _source_problems()


def head() -> tuple[int, str]:
    """Number and digest of the last entry, to be kept outside this database."""
    found = AuditHead.objects.filter(pk=1).first()
    return (found.number, found.digest) if found else (0, chain.START)


def missing_head(number: int, digest: str) -> str | None:
    """Whether an earlier head, noted elsewhere, is still part of the chain."""
    entry = AuditEntry.objects.filter(number=number).first()
    if number == 0 or (entry is not None and entry.digest == digest):
        return None
    return f"Entry {number} is not the one that was noted ({digest[:12]}…): the chain was cut or made anew."


def _chain_problems() -> Iterator[str]:
    key = chain.key_from(settings.CODE_HASH_KEY)
    number, before = 0, chain.START
    for entry in AuditEntry.objects.order_by("number").iterator(PIECE):
        number += 1
        if entry.number != number:
            yield f"Entry {number} is missing: {entry.number} follows {number - 1}."
            number = entry.number
        elif chain.digest(key, before, facts_of(entry)) != entry.digest:
            yield f"Entry {number} is not what was written, or the one before it is not ({entry.source})."
        if entry.erased_at is None and chain.seal(key, entry.salt, private_of(entry)) != entry.sealed:
            yield f"Entry {number}: its reason or address was changed."
        before = entry.digest
    if head() != (number, before):
        yield f"The chain ends at {number}, but {head()[0]} entries were written."


def _source_problems() -> Iterator[str]:
    for name, source in _READERS.items():
        entries = AuditEntry.objects.filter(source=name).order_by("source_pk").iterator(PIECE)
        while piece := list(islice(entries, PIECE)):
            yield from _compare(name, piece)
        upto = AuditCursor.objects.filter(source=name).values_list("upto", flat=True).first() or 0
        done = AuditEntry.objects.filter(source=name, source_pk__lte=upto).values("source_pk")
        for pk in source.rows().filter(pk__lte=upto).exclude(pk__in=done).values_list("pk", flat=True).iterator():
            yield f"{name} {pk} has no entry: it was added later, or its entry was taken out."


def _compare(name: str, entries: Sequence[AuditEntry]) -> Iterator[str]:
    source = _READERS[name]
    rows = {row.pk: row for row in source.rows().filter(pk__in=[e.source_pk for e in entries])}
    for entry in entries:
        row = rows.get(entry.source_pk)
        if row is None:
            yield f"Entry {entry.number}: {name} {entry.source_pk} is gone."
        elif _kept(source.read(row)) != _kept_of(entry):
            yield f"Entry {entry.number}: {name} {entry.source_pk} was edited since."


def _kept(read: Reading) -> tuple[object, ...]:
    return (read.what, read.at, read.who_id, read.course_id, read.about_id, dict(read.facts))


def _kept_of(entry: AuditEntry) -> tuple[object, ...]:
    return (entry.what, entry.at, entry.who_id, entry.course_id, entry.about_id, entry.facts)
