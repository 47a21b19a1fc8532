"""How students really use machines, played once: late, at night, before deadlines, and often forgotten. Pure.

Answers with a plan of machines and runs. It knows no rows and no prices beyond USD per hour for the caps.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from demo.seed.calendar import Work

# By the clock of the campus, for the hours from 0 to 23: lectures in the morning, work in the evening and the night.
_HOURS = (8, 6, 4, 2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 10, 11, 11, 11, 10, 10, 12, 15, 17, 16, 12)
_MINUTE = timedelta(minutes=1)
WARNED_AFTER = 20 * _MINUTE  # unused for so long: warned; the limits of a course that does not have to be watched
_STOPPED_AFTER = 30 * _MINUTE
_PATIENCE = timedelta(hours=1)  # a sitting begins at most so much later than it was meant to


class Ending(StrEnum):
    BY_HAND = "by hand"
    FORGOTTEN = "forgotten"  # warned, then stopped by the guard
    KEPT = "kept"  # warned, kept on for some hours, then unused and stopped by the guard


@dataclass(slots=True)
class PlannedRun:
    asked_at: datetime
    started_at: datetime
    ready_at: datetime
    last_active_at: datetime
    ended_at: datetime
    ending: Ending
    false_alarms: list[datetime] = field(default_factory=list)  # warned, and used again
    kept_at: datetime | None = None
    kept_hours: int = 0


@dataclass(slots=True)
class PlannedMachine:
    person: int
    preset: str
    work: str
    runs: list[PlannedRun]
    deleted_at: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """What kind of student: all numbers around 1."""

    key: int
    diligence: float  # how often and how long they sit down
    lateness: float  # 0: spread over the week, 1: the last night
    forgetfulness: float  # share of runs that they leave on
    in_projects: bool  # runs the team's trainings


@dataclass(frozen=True, slots=True)
class Limits:
    """USD. Nobody's plan goes over `person_usd`: what the portal would have refused did not happen."""

    person_usd: float
    usd_hour: Mapping[str, float]  # by preset
    held_hours: float  # what a lease sets aside on top of what is spent


def student(rng: random.Random, key: int) -> Person:
    return Person(
        key=key,
        diligence=min(2.2, max(0.25, rng.lognormvariate(-0.05, 0.4))),
        lateness=rng.betavariate(3, 2),
        forgetfulness=rng.betavariate(2, 3),
        in_projects=rng.random() < 0.65,
    )


def assistant(key: int) -> Person:
    """Runs through each homework before it is handed in by others, quickly, and forgets nothing."""
    return Person(key=key, diligence=0.3, lateness=0, forgetfulness=0, in_projects=False)


def main_character(key: int) -> Person:
    """The student that the demo's visitor signs in as: has used everything, and has money left."""
    return Person(key=key, diligence=1.1, lateness=0.5, forgetfulness=0.5, in_projects=True)


def plan(
    rng: random.Random, crowd: Sequence[Person], work: Sequence[Work], limits: Limits, timezone: str, until: datetime
) -> list[PlannedMachine]:
    """Everything that happened before `until`, person by person, nothing of one person at the same time."""
    machines: list[PlannedMachine] = []
    for person in crowd:
        machines += _life(rng, person, work, limits, ZoneInfo(timezone), until)
    return sorted(machines, key=lambda machine: machine.runs[0].asked_at)


def _life(
    rng: random.Random, person: Person, work: Sequence[Work], limits: Limits, zone: ZoneInfo, until: datetime
) -> Iterator[PlannedMachine]:
    wanted = sorted(
        (start, i) for i, piece in enumerate(work) for start in _sittings(rng, person, piece, zone) if start < until
    )
    free_from, spent = datetime.min.replace(tzinfo=UTC), 0.0
    by_work: dict[int, list[PlannedRun]] = {}
    for start, i in wanted:
        if start + _PATIENCE < free_from:
            continue  # still at the machine
        rate = limits.usd_hour[work[i].preset]
        run = _run(rng, person, work[i], max(start, free_from))
        cost = rate * (run.ended_at - run.started_at).total_seconds() / 3600
        if run.ended_at >= until or spent + cost + rate * limits.held_hours > limits.person_usd:
            continue
        free_from = run.ended_at + rng.randint(10, 60) * _MINUTE
        spent += cost
        by_work.setdefault(i, []).append(run)
    for i, runs in by_work.items():
        for some in _split(rng, runs):
            yield PlannedMachine(person.key, work[i].preset, work[i].name, some, _deleted(rng, some[-1], until))


def _sittings(rng: random.Random, person: Person, piece: Work, zone: ZoneInfo) -> Iterator[datetime]:
    """When this person sits down to this piece of work."""
    if not piece.preset or rng.random() > piece.share or (not piece.is_homework and not person.in_projects):
        return
    days = (piece.due_on - piece.handed_out_on).days
    first = datetime.combine(piece.handed_out_on, time(), zone)
    for _n in range(max(1, round(rng.gauss(piece.sessions * person.diligence, 1)))):
        # The later the person, the more of the time lies close to the deadline.
        share = rng.betavariate(1 + 4 * person.lateness, 1.2)
        day = first + timedelta(days=int(share * days))
        hour = rng.choices(range(24), _HOURS)[0]
        yield day.replace(hour=hour, minute=rng.randrange(60), second=rng.randrange(60)).astimezone(UTC)


def _run(rng: random.Random, person: Person, piece: Work, asked_at: datetime) -> PlannedRun:
    started_at = asked_at + timedelta(seconds=rng.randint(14, 40))
    ready_at = started_at + timedelta(seconds=rng.randint(70, 170))
    hours = min(26.0, piece.hours * person.diligence**0.5 * rng.lognormvariate(0, 0.45))
    last_active_at = ready_at + timedelta(seconds=max(360, round(hours * 3600)))
    run = PlannedRun(asked_at, started_at, ready_at, last_active_at, last_active_at, Ending.BY_HAND)
    _interrupt(rng, run, hours)
    _end(rng, person, run)
    return run


def _interrupt(rng: random.Random, run: PlannedRun, hours: float) -> None:
    """A long lunch: warned, and back before the stop."""
    if hours > 2 and rng.random() < 0.12:
        run.false_alarms.append(run.ready_at + timedelta(seconds=round(hours * 3600 * rng.uniform(0.3, 0.7))))


def _end(rng: random.Random, person: Person, run: PlannedRun) -> None:
    draw = rng.random()
    if draw < 0.06:
        run.ending = Ending.KEPT
        run.kept_at = run.last_active_at + WARNED_AFTER + rng.randint(1, 8) * _MINUTE
        run.kept_hours = rng.choice((2, 4, 8))
        run.last_active_at = run.kept_at + timedelta(seconds=round(run.kept_hours * 3600 * rng.uniform(0.5, 1.1)))
        quiet_from = max(run.last_active_at, run.kept_at + timedelta(hours=run.kept_hours))
        run.ended_at = quiet_from + _STOPPED_AFTER + timedelta(seconds=rng.randint(5, 60))
    elif draw < 0.06 + 0.8 * person.forgetfulness:
        run.ending = Ending.FORGOTTEN
        run.ended_at = run.last_active_at + _STOPPED_AFTER + timedelta(seconds=rng.randint(5, 60))
    else:
        run.ended_at = run.last_active_at + timedelta(seconds=rng.randint(30, 600))


def _split(rng: random.Random, runs: list[PlannedRun]) -> Iterator[list[PlannedRun]]:
    """Some keep one machine for the whole work, some delete it after two or three evenings and take a new one."""
    while runs:
        size = rng.choice((1, 1, 2, 2, 3))
        yield runs[:size]
        runs = runs[size:]


def _deleted(rng: random.Random, last: PlannedRun, until: datetime) -> datetime:
    """Mostly at once, sometimes days later: its disk costs until then."""
    later = timedelta(minutes=rng.randint(3, 40)) if rng.random() < 0.8 else timedelta(minutes=rng.randint(60, 2400))
    return min(last.ended_at + later, max(until, last.ended_at))


def warned_at(run: PlannedRun) -> datetime | None:
    """The warning that the guard's stop came after, if it was the guard."""
    if run.ending is Ending.BY_HAND:
        return None
    return run.ended_at - (_STOPPED_AFTER - WARNED_AFTER)


def first_warned_at(run: PlannedRun) -> datetime | None:
    """The warning that was answered with "keep it"."""
    return run.kept_at - timedelta(minutes=2) if run.kept_at else None
