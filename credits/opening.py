"""Staff decide for whom a batch is and when it is open. Each decision is a row with who and why."""

from datetime import datetime

from django.db import transaction
from django.utils.translation import gettext as _

from courses.models import User
from credits import entitlement, holding, queue
from credits.entitlement import Rule
from credits.models import BatchEvent, CodeBatch

Verb = BatchEvent.Verb


class BadTimes(ValueError):
    """Its text is for staff."""


def open_now(batch: CodeBatch, *, who: User | None, why: str, now: datetime) -> bool:
    """Claims are taken from now on; a closing time to come stays. False when it is open already."""
    with transaction.atomic():
        row = holding.locked_batch(batch.pk)
        starts = row.opens_at is None or row.opens_at <= now
        if starts and (row.closes_at is None or row.closes_at > now):
            return False
        closes_at = row.closes_at if row.closes_at and row.closes_at > now else None
        _set_times(row, row.opens_at if starts else now, closes_at, Verb.OPENED, who, why, now)
    batch.refresh_from_db()
    return True


def close_now(batch: CodeBatch, *, who: User | None, why: str, now: datetime) -> bool:
    """No more claims; who has a place in the queue keeps it. False when it is closed already."""
    with transaction.atomic():
        row = holding.locked_batch(batch.pk)
        if row.closes_at and row.closes_at <= now:
            return False
        # Closed before it ever opened: the opening that was planned must not open it again.
        opens_at = None if row.opens_at and row.opens_at > now else row.opens_at
        _set_times(row, opens_at, now, Verb.CLOSED, who, why, now)
    batch.refresh_from_db()
    return True


def schedule(
    batch: CodeBatch,
    *,
    opens_at: datetime | None,
    closes_at: datetime | None,
    who: User | None,
    why: str,
    now: datetime,
) -> None:
    """From when to when; None is "at once" and "never". Raises `BadTimes`."""
    if opens_at and closes_at and closes_at <= opens_at:
        raise BadTimes(_("It would close before it opens."))
    with transaction.atomic():
        row = holding.locked_batch(batch.pk)
        _set_times(row, opens_at, closes_at, Verb.SCHEDULED, who, why, now)
    batch.refresh_from_db()


def set_rule(batch: CodeBatch, rule: Rule, *, who: User | None, why: str, now: datetime) -> None:
    """Who may claim from now on. Codes that are claimed stay; places that it no longer covers are closed.

    Raises `BadRule`.
    """
    entitlement.parse(rule.as_data())
    with transaction.atomic():
        row = holding.locked_batch(batch.pk)
        row.rule = rule.as_data()
        row.save(update_fields=("rule",))
        BatchEvent.objects.create(batch=row, verb=Verb.RULE, who=who, why=why[:300], facts=row.rule, at=now)
    batch.refresh_from_db()
    queue.close_lost_places(batch, now)


def _set_times(
    row: CodeBatch,
    opens_at: datetime | None,
    closes_at: datetime | None,
    verb: BatchEvent.Verb,
    who: User | None,
    why: str,
    now: datetime,
) -> None:
    row.opens_at, row.closes_at = opens_at, closes_at
    row.save(update_fields=("opens_at", "closes_at"))
    facts = {name: at.isoformat() if at else None for name, at in (("opens_at", opens_at), ("closes_at", closes_at))}
    BatchEvent.objects.create(batch=row, verb=verb, who=who, why=why[:300], facts=facts, at=now)
