"""Another quiet time, replayed over what runs were used for: what it would have saved, whom interrupted. Pure.

Of each run: after a use and the quiet time without another one the machine would have been off, until its next use.
Both the quiet time that held and the one that is asked about are replayed by the same rule, so that like is compared
with like; an end that a person, the lease, its budget or AWS made stays where it was.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from instances.guard_names import Guard
from instances.idle import Cause
from instances.trace import KEPT, KERNEL, WORK, Trace, uses

SWEEP_SECONDS = 60.0  # on average a stop is so late: half a report, half a round, the call
RESTART_SECONDS = 180.0  # who finds the machine off waits so long, and pays for the boot
CLOCKS_DIFFER = 60.0  # at most; AWS tells whole seconds by its own
_UNUSED = (Cause.QUIET, Cause.HUNG)  # not: nobody confirmed its work, its reports stopped, AWS took it back


@dataclass(frozen=True, slots=True)
class Past:
    """One run that is over. Seconds since it began; USD per hour of running."""

    seconds: float
    usd_hour: Decimal
    trace: Trace
    by_rule: bool  # it ended because it was not used


def as_unused(ended_by: str, ended_at: float, warning: Mapping[str, Any] | None) -> bool:
    """Whether a run ended because it was not used: the machine's own watch did it; or the portal's rounds, which end
    leases, too, so the moment that they had warned of must have come. `warning`: facts of the one that stood then."""
    if ended_by != Guard.SWEEPS or not warning:
        return ended_by == Guard.WATCH
    announced = warning.get("stops_at")
    return warning.get("cause") in _UNUSED and announced is not None and announced <= ended_at + CLOCKS_DIFFER


@dataclass(frozen=True, slots=True)
class Replay:
    quiet_seconds: float
    runs: int
    usd: Decimal  # what those runs would have cost
    interrupted: int  # times that somebody would have found the machine off
    stops: int


def replay(past: Iterable[Past], quiet_seconds: float) -> Replay:
    """What all these runs would have come to with this quiet time."""
    runs = stops = interrupted = 0
    usd = Decimal(0)
    for one in past:
        seconds, off, found_off = _one(one, quiet_seconds)
        runs, stops, interrupted = runs + 1, stops + off, interrupted + found_off
        usd += one.usd_hour * Decimal(str(round(seconds, 3))) / 3600
    return Replay(quiet_seconds, runs, usd, interrupted, stops)


def _one(past: Past, quiet: float) -> tuple[float, int, int]:
    """Seconds of running, stops, and how often it would have been found off."""
    busy = uses(past.trace, WORK | {KEPT, KERNEL})
    end = past.seconds
    if not busy:
        off_at = quiet + SWEEP_SECONDS
        return (off_at, 1, 0) if past.by_rule or off_at < end else (end, 0, 0)
    on, stops, found_off = 0.0, 0, 0
    for (start, stop), after in zip([(0.0, 0.0), *busy], [start for start, _stop in busy], strict=False):
        gap = after - stop
        on += stop - start
        if gap > quiet + SWEEP_SECONDS:
            on += quiet + SWEEP_SECONDS + RESTART_SECONDS
            stops, found_off = stops + 1, found_off + 1
        else:
            on += gap
    last_start, last_stop = busy[-1]
    on += last_stop - last_start
    tail = quiet + SWEEP_SECONDS
    if past.by_rule or end - last_stop > tail:
        return on + tail, stops + 1, found_off
    return on + max(0.0, end - last_stop), stops, found_off


def compare(past: Sequence[Past], now_seconds: float, others: Iterable[float]) -> list[tuple[Replay, Decimal, int]]:
    """Each other quiet time beside the one that holds now: USD saved (negative: more), and how many more times somebody
    would have been interrupted."""
    base = replay(past, now_seconds)
    found = [replay(past, quiet) for quiet in others]
    return [(one, base.usd - one.usd, one.interrupted - base.interrupted) for one in found]
