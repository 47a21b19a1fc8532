"""The same sittings without the portal: machines by hand in the console, and with the alarm that tutorials advise.

By hand, what is left on runs until its student sits down again or the monthly bill is read. The alarm stops a machine
when each of the last twelve means of five minutes is below 5 % CPU: in percent of all processors, of which these have
four. It warns nobody, and knows no budget.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from benchmarks.semester_people import RATES, WORK, ZONE, Does, Sitting

BOOT = 3.0  # minutes
PERIOD, PERIODS, ALARM_PCT = 5, 12, 5.0  # minutes
VCPU = 4
RESTART = 5.0  # minutes until somebody who was stopped at work is at work again
MINUTE = timedelta(minutes=1)


@dataclass(slots=True)
class Tally:
    """Hours of machines that are on, and of these the hours in which somebody's work goes on."""

    on: float = 0.0
    work: float = 0.0
    usd: float = 0.0
    wasted_usd: float = 0.0
    working_stopped: int = 0

    def add(self, on_minutes: float, work_minutes: float, usd_hour: float) -> None:
        self.on += on_minutes / 60
        self.work += work_minutes / 60
        self.usd += usd_hour * on_minutes / 60
        self.wasted_usd += usd_hour * (on_minutes - work_minutes) / 60


def by_hand(sittings: Sequence[Sitting], usd_hour: dict[str, float], ends_at: datetime) -> Tally:
    found = Tally()
    for sitting, found_at in _with_discovery(sittings, ends_at):
        work = sum(s.minutes for s in sitting.segments if s.does in WORK)
        on = BOOT + (found_at - sitting.at) / MINUTE
        for _n in range(sitting.machines):
            found.add(on, work, usd_hour[sitting.preset])
    return found


def with_alarm(sittings: Sequence[Sitting], usd_hour: dict[str, float], ends_at: datetime) -> Tally:
    found = Tally()
    for sitting, found_at in _with_discovery(sittings, ends_at):
        for _n in range(sitting.machines):
            _alarmed(found, sitting, (found_at - sitting.at) / MINUTE, usd_hour[sitting.preset])
    return found


def _with_discovery(sittings: Sequence[Sitting], ends_at: datetime) -> list[tuple[Sitting, datetime]]:
    """When each machine is off by its student's own hand, or somebody notices that it is on."""
    by_person: dict[int, list[Sitting]] = {}
    for sitting in sittings:
        by_person.setdefault(sitting.person, []).append(sitting)
    found = []
    for some in by_person.values():
        for sitting, after in zip(some, [*some[1:], None], strict=True):
            noticed = min(_bill_after(sitting.ends_at), ends_at)
            if after is not None:
                noticed = min(noticed, max(after.at, sitting.ends_at))
            found.append((sitting, min(sitting.ends_at, ends_at) if sitting.by_hand else noticed))
    return found


def _bill_after(at: datetime) -> datetime:
    """The third of the next month, nine o'clock."""
    local = at.astimezone(ZONE)
    year, month = (local.year + 1, 1) if local.month == 12 else (local.year, local.month + 1)
    return datetime(year, month, 3, 9, tzinfo=ZONE)


def _alarmed(found: Tally, sitting: Sitting, most: float, usd_hour: float) -> None:
    """Minute by minute. Whoever is stopped at work starts again, if there."""
    minutes = [(s.does, s.attended) for s in sitting.segments for _m in range(max(1, round(s.minutes)))]
    last = Does.TAB if sitting.tab_open and not sitting.by_hand else Does.NOTHING
    on = work = position = low = 0
    period = 0.0
    while on < int(most):
        does, _there = minutes[position] if position < len(minutes) else (last, False)
        position += 1
        on += 1
        work += does in WORK
        period += 100 * RATES[does].cpu / VCPU
        if on % PERIOD:
            continue
        low, period = (low + 1 if period / PERIOD < ALARM_PCT else 0), 0.0
        if low < PERIODS:
            continue
        found.working_stopped += does in WORK
        if not any(there for _does, there in minutes[position:]):
            break
        low = 0
        on += int(RESTART)
    found.add(BOOT + on, work, usd_hour)
