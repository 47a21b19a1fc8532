"""A batch is made and its facts are corrected. For whom it is, and when it is open, is in `opening.py`."""

from dataclasses import dataclass, fields
from datetime import date, datetime
from decimal import Decimal

from django.db import transaction
from django.utils.translation import gettext as _

from courses.models import Course, User
from credits import entitlement, holding
from credits.models import BatchEvent, CodeBatch, CreditCode


class BatchRefused(ValueError):
    """Its text is for staff."""


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """What is printed on the codes, so to speak."""

    name: str
    value_usd: Decimal  # per code
    purpose: str
    promotion: str = ""
    redeem_by: date | None = None
    expires_on: date | None = None
    replace_at_once: bool = True


def create_batch(course: Course, facts: BatchFacts, *, who: User | None, now: datetime) -> CodeBatch:
    """Closed until somebody opens it: nobody claims before staff have seen whom it covers."""
    closes_at = now if facts.purpose in entitlement.CLAIMABLE else None
    batch = CodeBatch.objects.create(course=course, closes_at=closes_at, **_values(facts))
    _note(batch, _values(facts), who, now)
    return batch


def change_batch(batch: CodeBatch, facts: BatchFacts, *, who: User | None, now: datetime) -> bool:
    """False when nothing is different. Raises `BatchRefused` when codes given out would change their meaning."""
    with transaction.atomic():
        row = holding.locked_batch(batch.pk)
        different = {name: value for name, value in _values(facts).items() if getattr(row, name) != value}
        if different.keys() & {"purpose", "value_usd"} and _has_given(row):
            raise BatchRefused(
                _("Codes of this batch are given out, so value and purpose stay. Bring others in as another batch.")
            )
        for name, value in different.items():
            setattr(row, name, value)
        if different:
            row.save(update_fields=tuple(different))
            _note(row, different, who, now)
    batch.refresh_from_db()
    return bool(different)


def _values(facts: BatchFacts) -> dict[str, object]:
    return {field.name: getattr(facts, field.name) for field in fields(facts)}


def _has_given(batch: CodeBatch) -> bool:
    return (
        batch.codes.exclude(status=CreditCode.Status.AVAILABLE).exists() or batch.waits.filter(closed_at=None).exists()
    )


def _note(batch: CodeBatch, values: dict[str, object], who: User | None, now: datetime) -> None:
    facts = {name: value if isinstance(value, bool | None) else str(value) for name, value in values.items()}
    BatchEvent.objects.create(batch=batch, verb=BatchEvent.Verb.FACTS, who=who, facts=facts, at=now)
