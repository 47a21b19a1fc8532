"""The audit's collector: reads every source's new rows, each exactly once, and appends them to the chain.

One transaction, one lock (the head): two collectors at once take turns, and the second finds nothing new. A row that
cannot be read is left for the next round and stops no other.
"""

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from courses import chain
from courses.models import AuditCursor, AuditEntry, AuditHead
from portal.audit_sources import SOURCES, Reading, Source

log = logging.getLogger(__name__)
MOST = 500  # rows of one source in one transaction
ROUNDS = 10  # transactions in one go: the work of a sweep is bounded, whatever waits
# No transaction of ours is open so long: a row with a smaller number that is not there by then never comes.
SETTLED = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class _Found:
    source: Source
    pk: int
    reading: Reading


def collect(now: datetime) -> int:
    """Appends what is new; returns how many entries."""
    appended = 0
    for _round in range(ROUNDS):
        more = _collect_once(now)
        appended += more
        if more < MOST:
            break
    if appended:
        head = AuditHead.objects.get(pk=1)
        # In the log as well: who deletes the chain's end from the database cannot delete this line.
        log.info("audit: %d entries, head %d %s", appended, head.number, head.digest)
    return appended


@transaction.atomic
def _collect_once(now: datetime) -> int:
    head, _new = AuditHead.objects.select_for_update().get_or_create(pk=1, defaults={"digest": chain.START})
    found: list[_Found] = []
    for source in SOURCES:
        found += _unread(source, now)
    # As they happened, as far as one round sees it.
    found.sort(key=lambda one: (one.reading.at, one.source.name, one.pk))
    key = chain.key_from(settings.CODE_HASH_KEY)
    entries = []
    for one in found:
        entries.append(entry := _entry(one, head, key, now))
        head.number, head.digest = entry.number, entry.digest
    AuditEntry.objects.bulk_create(entries, batch_size=MOST)
    head.save()
    return len(entries)


def _unread(source: Source, now: datetime) -> list[_Found]:
    """The rows of one table that have no entry, oldest first, and the table's mark moved on when there are no more."""
    cursor, _new = AuditCursor.objects.get_or_create(source=source.name)
    done = AuditEntry.objects.filter(source=source.name, source_pk__gt=cursor.upto)
    rows = source.rows().filter(pk__gt=cursor.upto).exclude(pk__in=done.values("source_pk")).order_by("pk")
    new = list(rows[:MOST])
    if source.grows and len(new) < MOST:
        settled = done.filter(recorded_at__lt=now - SETTLED).aggregate(most=Max("source_pk"))["most"]
        unreadable = min((row.pk for row in new), default=None)
        if settled and (unreadable is None or settled < unreadable):
            AuditCursor.objects.filter(pk=source.name).update(upto=settled)
    return _readings(source, new)


def _readings(source: Source, rows: Sequence[Any]) -> list[_Found]:
    found = []
    for row in rows:
        try:
            found.append(_Found(source, row.pk, source.read(row)))
        except Exception:
            log.exception("audit: %s %s cannot be read; the others go on", source.name, row.pk)
    return found


def _entry(one: _Found, head: AuditHead, key: bytes, now: datetime) -> AuditEntry:
    read, salt = one.reading, secrets.token_hex(16)
    entry = AuditEntry(
        number=head.number + 1,
        kind=read.kind,
        what=read.what,
        facts=dict(read.facts),
        at=read.at,
        source=one.source.name,
        source_pk=one.pk,
        who_id=read.who_id,
        course_id=read.course_id,
        about_id=read.about_id,
        recorded_at=now,
        why=read.why,
        subject=read.subject,
        address=read.address,
        salt=salt,
    )
    entry.sealed = chain.seal(key, salt, private_of(entry))
    entry.digest = chain.digest(key, head.digest, facts_of(entry))
    return entry


def private_of(entry: AuditEntry) -> dict[str, object]:
    """What the seal covers."""
    return {"why": entry.why, "subject": entry.subject, "address": str(entry.address or "")}


def facts_of(entry: AuditEntry) -> dict[str, object]:
    """What the digest covers: all that is never forgotten."""
    return {
        "number": entry.number,
        "kind": str(entry.kind),
        "what": str(entry.what),
        "facts": entry.facts,
        "at": _utc(entry.at),
        "source": entry.source,
        "source_pk": entry.source_pk,
        "who": entry.who_id,
        "course": entry.course_id,
        "about": entry.about_id,
        "recorded_at": _utc(entry.recorded_at),
        "sealed": entry.sealed,
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
