"""How many machines will be wanted before a deadline: from how many ran at once before those that are over. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

LOOKS_BACK = 4  # deadlines; what was wanted in the first week says little about the last


@dataclass(frozen=True, slots=True)
class Stretch:
    """A run as far as it matters here; `ended_at` None: it goes on."""

    preset: str
    started_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Peak:
    """The most machines that ran at once, when, and which."""

    machines: int
    at: datetime | None
    presets: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Expected:
    """`likely` machines at once, between `low` and `high` at the deadlines before."""

    likely: int
    low: int
    high: int
    seen: int  # deadlines that it comes from


def peak_of(runs: Iterable[Stretch], since: datetime, until: datetime) -> Peak:
    """The first moment of `since <= t < until` at which the most ran. What ended at a moment no longer runs then."""
    moments = []
    for run in runs:
        start, end = max(run.started_at, since), min(run.ended_at or until, until)
        if start < end:
            moments += [(start, 1, run.preset), (end, -1, run.preset)]
    now: Counter[str] = Counter()
    best = Peak(0, None, {})
    for at, change, preset in sorted(moments):
        now[preset] += change
        if now.total() > best.machines:
            best = Peak(now.total(), at, {name: n for name, n in now.items() if n})
    return best


def expected(peaks: Sequence[int]) -> Expected | None:
    """From the peaks of past deadlines, the oldest first. None when there is none.

    Where next to nobody used a machine (an exam), the deadline says nothing about the others.
    """
    last = [peak for peak in peaks if 4 * peak >= max(peaks)][-LOOKS_BACK:]
    if not last:
        return None
    return Expected(round(median(last)), min(last), max(last), len(last))
