"""What every outbox shares: who sends a row, and when it is tried again. Two workers send none twice; none is lost.

Only a process that dies between sending and writing that down sends one again.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from django.db.models import F, Model, Q, QuerySet

LEASE = timedelta(minutes=5)  # longer than the time-out of one sending: whoever took it is dead
TOO_LATE = timedelta(days=14)  # nobody is helped by an older one
_LONGEST_PAUSE = timedelta(hours=6)


@dataclass(slots=True)
class Clock:
    """The round's own time: a slow server must not make its leases look longer than they are."""

    started: datetime
    began: float = field(default_factory=monotonic)

    def seconds(self) -> float:
        return monotonic() - self.began

    def now(self) -> datetime:
        return self.started + timedelta(seconds=self.seconds())


def due(model: type[Model], now: datetime) -> QuerySet[Any]:
    """Rows with `created_at`, `sent_at`, `claimed_until`, `attempts` that are not sent, and that nobody sends now."""
    free = Q(claimed_until=None) | Q(claimed_until__lte=now)
    rows: QuerySet[Any] = model._default_manager.filter(free, sent_at=None, created_at__gte=now - TOO_LATE)
    return rows.order_by("pk")


def take(row: Any, now: datetime) -> bool:
    """False: another worker has it."""
    free = due(type(row), now).filter(pk=row.pk)
    return bool(free.update(claimed_until=now + LEASE, attempts=F("attempts") + 1))


def pause(attempts: int) -> timedelta:
    """Until the next attempt after so many."""
    return min(timedelta(minutes=1) * 2 ** min(attempts, 10), _LONGEST_PAUSE)
