"""Is the portal's own guard awake? The age of each sweep, for the health check and the staff page."""

from dataclasses import dataclass
from datetime import datetime

from instances.models import SweepBeat

SWEEPS = ("repair", "meter", "look", "idle", "lease", "queue", "disks", "drills", "notices")
LATE_PERIODS = 5  # one lost round is normal, five are an outage


@dataclass(frozen=True, slots=True)
class Guard:
    name: str
    last_at: datetime | None
    age_seconds: float | None  # None: it has never ended well
    late: bool


def guards(now: datetime, period_seconds: int) -> list[Guard]:
    """One per sweep, in a fixed order. One query."""
    beats = {beat.name: beat.finished_at for beat in SweepBeat.objects.filter(name__in=SWEEPS)}
    return [_guard(name, beats.get(name), now, period_seconds) for name in SWEEPS]


def _guard(name: str, last_at: datetime | None, now: datetime, period_seconds: int) -> Guard:
    if last_at is None:
        return Guard(name, None, None, late=True)
    age = round((now - last_at).total_seconds(), 1)
    return Guard(name, last_at, age, late=age > LATE_PERIODS * period_seconds)
