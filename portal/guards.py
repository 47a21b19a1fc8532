"""Is the portal's own guard awake? The age of each sweep, for the health check and the staff page."""

from dataclasses import dataclass
from datetime import UTC, datetime

from instances.models import SweepBeat

SWEEPS = ("repair", "accounts", "meter", "look", "idle", "lease", "queue", "disks", "drills", "notices")
LATE_PERIODS = 5  # one lost round is normal, five are an outage
# When this process began. What was off has swept nothing since then: that is no outage until there was time for it.
STARTED_AT = datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Guard:
    name: str
    last_at: datetime | None
    age_seconds: float | None  # None: it has never ended well
    late: bool
    starting: bool  # it has not ended since this process began, and is not late for that yet


def guards(now: datetime, period_seconds: int) -> list[Guard]:
    """One per sweep, in a fixed order. One query."""
    beats = {beat.name: beat.finished_at for beat in SweepBeat.objects.filter(name__in=SWEEPS)}
    return [_guard(name, beats.get(name), now, period_seconds) for name in SWEEPS]


def _guard(name: str, last_at: datetime | None, now: datetime, period_seconds: int) -> Guard:
    expected_since = max(last_at or STARTED_AT, STARTED_AT)
    late = (now - expected_since).total_seconds() > LATE_PERIODS * period_seconds
    age = round((now - last_at).total_seconds(), 1) if last_at else None
    return Guard(name, last_at, age, late, starting=not late and (last_at is None or last_at < STARTED_AT))
