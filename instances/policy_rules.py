"""A course's rules for unused machines: everyday limits, dated windows ("crunch week"), the night. Pure.

Which limits hold at a moment, what is wrong with proposed ones, and how they are stored. Nothing here can lift the cap.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from instances.idle import Limits

MINUTE, HOUR, DAY = 60, 3600, 86400
# Seconds, by name: looser than these a guard is no guard, tighter it stops people at work.
BOUNDS: Mapping[str, tuple[int, int]] = {
    "quiet": (2 * MINUTE, 4 * HOUR),
    "warn": (1 * MINUTE, 1 * HOUR),
    "blind": (4 * MINUTE, 1 * HOUR),  # shorter, and two reports that are lost are silence
    "hung": (5 * MINUTE, 8 * HOUR),
    "boot": (3 * MINUTE, 30 * MINUTE),
    "keep_hours": (1, 24),
    "save": (5, 120),
    "unattended": (30 * MINUTE, 24 * HOUR),
}
WINDOW_QUIET_MOST = 8 * HOUR
WINDOW_DAYS_MOST = 21
WINDOWS_MOST = 8


@dataclass(frozen=True, slots=True)
class Window:
    """Other limits from one moment to another; None: as every day. Aware moments, seconds."""

    name: str
    starts_at: datetime
    ends_at: datetime
    quiet: int | None = None
    warn: int | None = None
    hung: int | None = None


@dataclass(frozen=True, slots=True)
class Night:
    """Each night in the course's zone: who is about to be stopped is asked "still training?" and has longer to answer.

    `begins` and `ends` are minutes of the day. With `unattended`, machines at work that nobody touched for so many
    seconds are asked as well; without it work needs no confirming.
    """

    begins: int
    ends: int
    quiet: int
    answer: int
    unattended: int | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    limits: Limits = field(default_factory=Limits)
    windows: Sequence[Window] = ()
    night: Night | None = None
    keep_hours: int = 12  # one click keeps a machine for so long at most
    save_script: str = ""  # runs on the machine before it is stopped
    save_seconds: int = 60  # and is cut off after so long


@dataclass(frozen=True, slots=True)
class InForce:
    """What holds now. `name` of the window, if one; `asks`: in the words of the night."""

    limits: Limits
    name: str = ""
    asks: bool = False


def in_force(rules: Rules, at: datetime, zone: str) -> InForce:
    """A dated window goes before the night: in crunch week the night is for work."""
    for window in rules.windows:
        if window.starts_at <= at < window.ends_at:
            return InForce(_with(rules.limits, quiet=window.quiet, warn=window.warn, hung=window.hung), window.name)
    night = rules.night
    if night is None or not is_night(night, at, zone):
        return InForce(rules.limits)
    return InForce(_at_night(rules.limits, night), asks=True)


def in_turn(rules: Rules, since: datetime, until: datetime, zone: str) -> dict[Limits, datetime]:
    """All limits that hold at `since` or at any moment from then to before `until`, each with the first such moment."""
    edges = {since, *(edge for edge in _edges(rules, since, until, zone) if since < edge < until)}
    found: dict[Limits, datetime] = {}
    for at in sorted(edges):
        found.setdefault(in_force(rules, at, zone).limits, at)
    if rules.night and _offset(since, zone) != _offset(until, zone):
        # The clocks change: an hour comes twice or never, and with it any edge of the night.
        for limits in (rules.limits, _at_night(rules.limits, rules.night)):
            found[limits] = since
    return found


def _edges(rules: Rules, since: datetime, until: datetime, zone: str) -> Iterator[datetime]:
    """The moments at which other limits may come into force; some more do no harm."""
    for window in rules.windows:
        yield from (window.starts_at, window.ends_at)
    if rules.night is None:
        return
    here = ZoneInfo(zone)
    day, last = since.astimezone(here).date(), until.astimezone(here).date()
    while day <= last:
        midnight = datetime(day.year, day.month, day.day, tzinfo=here)
        for minutes in (rules.night.begins, rules.night.ends):
            edge = midnight.replace(hour=minutes // 60, minute=minutes % 60)
            yield from (edge.replace(fold=fold).astimezone(UTC) for fold in (0, 1))
        day += timedelta(days=1)


def _offset(at: datetime, zone: str) -> timedelta | None:
    return at.astimezone(ZoneInfo(zone)).utcoffset()


def _at_night(limits: Limits, night: Night) -> Limits:
    return _with(limits, quiet=night.quiet, warn=night.answer, unattended=night.unattended)


def is_night(night: Night, at: datetime, zone: str) -> bool:
    local = at.astimezone(ZoneInfo(zone))
    minute = local.hour * 60 + local.minute
    if night.begins <= night.ends:
        return night.begins <= minute < night.ends
    return minute >= night.begins or minute < night.ends


def _with(limits: Limits, **changed: int | None) -> Limits:
    return replace(limits, **{name: float(value) for name, value in changed.items() if value is not None})


# ------------------------------------------------------------------ what is wrong with proposed rules
@dataclass(frozen=True, slots=True)
class Wrong:
    """`where`: "quiet", "windows.0.warn", "night.answer" …; `low` and `high` in the unit of the value."""

    where: str
    why: str  # bounds, warn, order, length, name, overlap, empty, many
    low: float = 0
    high: float = 0


def faults(rules: Rules) -> list[Wrong]:
    """Everything that is wrong with them; empty: they may hold."""
    limits = rules.limits
    everyday = [(name, getattr(limits, name)) for name in ("quiet", "warn", "blind", "hung", "boot")]
    found = [w for name, value in everyday for w in _outside(name, name, value)]
    found += _outside("keep_hours", "keep_hours", rules.keep_hours) + _outside("save", "save", rules.save_seconds)
    found += _short_of(limits.warn, limits.quiet, "warn")
    if len(rules.windows) > WINDOWS_MOST:
        found.append(Wrong("windows", "many", 0, WINDOWS_MOST))
    for n, window in enumerate(rules.windows):
        found += _wrong_window(f"windows.{n}", window, limits, rules.windows[:n])
    return found + (list(_wrong_night(rules.night)) if rules.night else [])


def _outside(where: str, name: str, value: float | None, most: float | None = None) -> list[Wrong]:
    low, high = BOUNDS[name]
    high = high if most is None else int(most)
    return [] if value is None or low <= value <= high else [Wrong(where, "bounds", low, high)]


def _short_of(warn: float, quiet: float, where: str) -> list[Wrong]:
    """A warning longer than half the quiet time would greet people at work."""
    return [Wrong(where, "warn", high=quiet / 2)] if warn > quiet / 2 else []


def _wrong_window(where: str, window: Window, limits: Limits, before: Sequence[Window]) -> list[Wrong]:
    found = [] if window.name.strip() else [Wrong(f"{where}.name", "name")]
    if window.ends_at <= window.starts_at:
        found.append(Wrong(f"{where}.ends_at", "order"))
    elif (window.ends_at - window.starts_at).total_seconds() > WINDOW_DAYS_MOST * DAY:
        found.append(Wrong(f"{where}.ends_at", "length", high=WINDOW_DAYS_MOST))
    if any(window.starts_at < other.ends_at and other.starts_at < window.ends_at for other in before):
        found.append(Wrong(f"{where}.starts_at", "overlap"))
    if window.quiet is None and window.warn is None and window.hung is None:
        found.append(Wrong(f"{where}.quiet", "empty"))
    found += _outside(f"{where}.quiet", "quiet", window.quiet, WINDOW_QUIET_MOST)
    found += _outside(f"{where}.warn", "warn", window.warn) + _outside(f"{where}.hung", "hung", window.hung)
    warn, quiet = window.warn or limits.warn, window.quiet or limits.quiet
    return found + _short_of(warn, quiet, f"{where}.{'quiet' if window.warn is None else 'warn'}")


def _wrong_night(night: Night) -> Iterator[Wrong]:
    if night.begins == night.ends:
        yield Wrong("night.ends", "order")
    yield from _outside("night.quiet", "quiet", night.quiet)
    yield from _outside("night.answer", "warn", night.answer)
    yield from _outside("night.unattended", "unattended", night.unattended)
    if night.answer > night.quiet:
        yield Wrong("night.answer", "warn", high=night.quiet)


# ------------------------------------------------------------------ stored
def to_json(rules: Rules) -> dict[str, Any]:
    """Plain values; `from_json` gives the same rules back."""
    told = asdict(rules)
    for window in told["windows"]:
        window["starts_at"], window["ends_at"] = window["starts_at"].isoformat(), window["ends_at"].isoformat()
    return {**told, "windows": list(told["windows"])}


def from_json(told: Mapping[str, Any]) -> Rules:
    """Fields that are not there hold as they are by default."""
    night = told.get("night")
    known = ("keep_hours", "save_script", "save_seconds")
    return Rules(
        limits=Limits(**told.get("limits", {})),
        windows=tuple(windows_from(told.get("windows", []))),
        night=Night(**night) if night else None,
        **{name: told[name] for name in known if name in told},
    )


def windows_from(told: Sequence[Mapping[str, Any]]) -> Iterator[Window]:
    for one in told:
        moments = {name: datetime.fromisoformat(one[name]) for name in ("starts_at", "ends_at")}
        yield Window(**{**one, **moments})
