"""Who sits down when, for how long, and how they leave: one semester of a course, drawn once from a seed. Pure.

Each probability has a name, in `BEHAVIOUR`. Nothing here knows the portal: what it does to people is in
`semester_crowd`.
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from demo.seed.calendar import TIMEZONE, Calendar, Work, calendar_around

BEHAVIOUR = {
    "forgets": 0.40,  # leaves the machine on when done
    "forgets_over_weekend": 0.55,  # the same, from Friday noon on
    "leaves_tab_open": 0.50,  # of those who forget: the browser goes on polling
    "trains_overnight": 0.12,  # the last thing they start runs for hours with nobody there
    "keeps_for_training": 0.50,  # of those: presses "keep" before leaving
    "hangs": 0.02,  # leaves a cell behind that waits for ever
    "goes_to_lunch": 0.15,  # in a sitting of two hours: a pause that may be longer than the quiet time
    "writes": 0.30,  # of the stretches of a sitting: types and runs nothing
    "writes_for_long": 0.08,  # an hour of typing without running anything
    "downloads": 0.10,  # begins with a data set of half an hour
    "hammers_keep": 0.05,  # of the people: answers every warning with "keep", needed or not
    "stops_when_warned": 0.15,  # of the warned: "ah, right"
    "tries_dearest": 0.10,  # of the people: asks for the dearest machine first
    "deletes_after_work": 0.60,  # deletes machine and disk when the homework is in
}
SPRING = date(2019, 4, 9)  # the day that leaves the demo's calendar where it was: spring 2019
ZONE = ZoneInfo(TIMEZONE)
# By the clock of the campus, for the hours from 0 to 23.
_HOURS = (8, 6, 4, 2, 1, 1, 1, 1, 2, 4, 6, 8, 9, 10, 11, 11, 11, 10, 10, 12, 15, 17, 16, 12)
PAPER_PERSON, CHEAT_PERSON = 7, 13
PAPER_AT, CHEAT_AT = datetime(2019, 5, 6, 20, tzinfo=ZONE), datetime(2019, 3, 4, 22, tzinfo=ZONE)
PAPER_MACHINES = 8
DEAREST = "multi-gpu"


class Does(StrEnum):
    CELLS = "cells"  # runs cells and reads what they say
    TYPES = "types"  # writes, runs nothing
    TRAINS = "trains"
    DOWNLOADS = "downloads"
    NOTHING = "nothing"
    TAB = "tab"  # nothing, with a browser that polls
    HANGS = "hangs"  # a cell that waits: the kernel says busy, nothing is used
    CHEATS = "cheats"  # a loop that only looks like work


WORK = frozenset({Does.CELLS, Does.TYPES, Does.TRAINS, Does.DOWNLOADS})  # what nobody may be stopped in


@dataclass(frozen=True, slots=True)
class Rates:
    """What the user's processes use, per second."""

    gpu: float = 0.0  # busy seconds
    cpu: float = 0.01  # seconds: a resting kernel
    io: float = 1e3  # bytes
    net: float = 1e3
    human: bool = False  # somebody types or clicks


RATES = {
    Does.CELLS: Rates(gpu=0.3, cpu=0.5, io=1e6, net=2e4, human=True),
    Does.TYPES: Rates(cpu=0.02, net=2e4, human=True),
    Does.TRAINS: Rates(gpu=0.95, cpu=1.05, io=3e6),
    Does.DOWNLOADS: Rates(cpu=0.08, io=5e6, net=5e6),
    Does.NOTHING: Rates(),
    Does.TAB: Rates(cpu=0.03, net=2e4),
    Does.HANGS: Rates(cpu=0.015),
    Does.CHEATS: Rates(gpu=1.0, cpu=1.0),
}


@dataclass(frozen=True, slots=True)
class Segment:
    does: Does
    minutes: float
    attended: bool = True


@dataclass(frozen=True, slots=True)
class Sitting:
    person: int
    at: datetime  # UTC
    preset: str
    segments: tuple[Segment, ...]
    by_hand: bool  # stops the machine when done; else leaves it
    leaves_after: float  # minutes after the last segment
    tab_open: bool = False
    keep_hours: int = 0  # pressed before the last segment
    dearest_first: bool = False
    machines: int = 1

    @property
    def minutes(self) -> float:
        return sum(segment.minutes for segment in self.segments)

    @property
    def ends_at(self) -> datetime:
        return self.at + timedelta(minutes=self.minutes + self.leaves_after)


@dataclass(frozen=True, slots=True)
class Person:
    number: int
    diligence: float
    lateness: float
    in_projects: bool
    hammers_keep: bool
    tries_dearest: bool


@dataclass(frozen=True, slots=True)
class Semester:
    calendar: Calendar
    people: Sequence[Person]
    sittings: Sequence[Sitting]  # by time
    starts_at: datetime
    ends_at: datetime


def semester(seed: int, students: int, weeks: int) -> Semester:
    """`weeks` from the first day on; the calendar has sixteen and a half."""
    rng = random.Random(seed)
    calendar = calendar_around(SPRING)
    starts_at = datetime.combine(calendar.starts_on, time(), ZONE).astimezone(UTC)
    ends_at = starts_at + timedelta(weeks=weeks)
    people = [_person(rng, number) for number in range(students)]
    sittings = [one for person in people for one in _life(rng, person, calendar.work, ends_at)]
    sittings += [one for one in _specials(students) if one.at < ends_at]
    return Semester(calendar, people, sorted(sittings, key=lambda one: (one.at, one.person)), starts_at, ends_at)


def _person(rng: random.Random, number: int) -> Person:
    return Person(
        number=number,
        diligence=min(2.2, max(0.25, rng.lognormvariate(-0.05, 0.4))),
        lateness=rng.betavariate(3, 2),
        in_projects=rng.random() < 0.65,
        hammers_keep=rng.random() < BEHAVIOUR["hammers_keep"],
        tries_dearest=rng.random() < BEHAVIOUR["tries_dearest"],
    )


def _life(rng: random.Random, person: Person, work: Sequence[Work], until: datetime) -> Iterator[Sitting]:
    """One sitting after the other: nobody is at two machines at once."""
    wanted = sorted((at, i) for i, piece in enumerate(work) for at in _times(rng, person, piece) if at < until)
    free_from = datetime.min.replace(tzinfo=UTC)
    for at, i in wanted:
        sitting = _sitting(rng, person, work[i], at)
        if at < free_from or (person.number == CHEAT_PERSON and at >= CHEAT_AT):
            continue
        free_from = sitting.ends_at + timedelta(minutes=30)
        yield sitting


def _times(rng: random.Random, person: Person, piece: Work) -> Iterator[datetime]:
    if not piece.preset or rng.random() > piece.share or (not piece.is_homework and not person.in_projects):
        return
    days = (piece.due_on - piece.handed_out_on).days
    first = datetime.combine(piece.handed_out_on, time(), ZONE)
    for _n in range(max(1, round(rng.gauss(piece.sessions * person.diligence, 1)))):
        share = rng.betavariate(1 + 4 * person.lateness, 1.2)  # the later the person, the closer to the deadline
        day, hour = first + timedelta(days=int(share * days)), rng.choices(range(24), _HOURS)[0]
        yield day.replace(hour=hour, minute=rng.randrange(60), second=rng.randrange(60)).astimezone(UTC)


def _sitting(rng: random.Random, person: Person, piece: Work, at: datetime) -> Sitting:
    hours = min(12.0, piece.hours * person.diligence**0.5 * rng.lognormvariate(0, 0.45))
    segments = list(_segments(rng, hours * 60))
    local = at.astimezone(ZONE)
    weekend = (local.weekday() == 4 and local.hour >= 12) or local.weekday() > 4
    draw, keep_hours = rng.random(), 0
    by_hand = draw > BEHAVIOUR["forgets_over_weekend" if weekend else "forgets"]
    if rng.random() < BEHAVIOUR["trains_overnight"]:
        segments.append(Segment(Does.TRAINS, rng.uniform(240, 840), attended=False))
        by_hand = False
        keep_hours = rng.choice((4, 8)) if rng.random() < BEHAVIOUR["keeps_for_training"] else 0
    elif rng.random() < BEHAVIOUR["hangs"]:
        segments.append(Segment(Does.HANGS, 600, attended=False))
        by_hand = False
    return Sitting(
        person=person.number,
        at=at,
        preset=piece.preset,
        segments=tuple(segments),
        by_hand=by_hand,
        leaves_after=rng.uniform(0.5, 10),
        tab_open=rng.random() < BEHAVIOUR["leaves_tab_open"],
        keep_hours=keep_hours,
        dearest_first=person.tries_dearest and not piece.is_homework,
    )


def _segments(rng: random.Random, minutes: float) -> Iterator[Segment]:
    if rng.random() < BEHAVIOUR["downloads"]:
        yield Segment(Does.DOWNLOADS, rng.uniform(10, 45))
    lunch = minutes > 120 and rng.random() < BEHAVIOUR["goes_to_lunch"]
    while minutes > 0:
        block = min(minutes, rng.uniform(30, 90))
        minutes -= block
        writes = rng.random() < BEHAVIOUR["writes"]
        if writes and rng.random() < BEHAVIOUR["writes_for_long"] / BEHAVIOUR["writes"]:
            block = rng.uniform(60, 90)
        yield Segment(Does.TYPES if writes else Does.CELLS, block)
        if lunch and minutes > 0:
            lunch = False
            yield Segment(Does.NOTHING, rng.uniform(25, 90))


def _specials(students: int) -> Iterator[Sitting]:
    if students > PAPER_PERSON:
        trains = (Segment(Does.CELLS, 10), Segment(Does.TRAINS, 600, attended=False))
        at = PAPER_AT.astimezone(UTC)
        yield Sitting(PAPER_PERSON, at, "project", trains, False, 1, machines=PAPER_MACHINES)
    if students > CHEAT_PERSON:
        loop = (Segment(Does.CHEATS, 60 * 24 * 70, attended=True),)
        yield Sitting(CHEAT_PERSON, CHEAT_AT.astimezone(UTC), "homework", loop, False, 1)
