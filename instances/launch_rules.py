"""May this person have this machine now, and what is AWS asked for, in which order? Pure; money is judged elsewhere."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from zoneinfo import ZoneInfo

from credits.entitlement import Rule

_MICRODOLLAR = Decimal("0.000001")
STAFF = frozenset({"ta", "instructor"})
MAY_LAUNCH = STAFF | {"student"}
EVERYBODY = Rule(roles=tuple(sorted(MAY_LAUNCH)))


class Refusal(StrEnum):
    NOT_ACTIVE = "not-active"  # dropped, or waiting for a place
    ROLE = "role"
    NOT_BEGUN = "not-begun"
    OVER = "over"
    DISABLED = "disabled"
    BARRED = "barred"  # this person may launch other presets only
    TOO_MANY = "too-many"
    NOT_FOR_YOU = "not-for-you"  # another role, section or team
    TEAM_FULL = "team-full"
    UNANSWERED = "unanswered"  # one was called off, and whether AWS has made it is not known yet
    NEEDS_APPROVAL = "needs-approval"
    NO_PRICE = "no-price"  # no type of the preset has a known price below its ceiling


@dataclass(frozen=True, slots=True)
class Person:
    role: str
    active: bool
    live_machines: int  # of this preset, that may cost money by the second
    unanswered: int = 0  # of these: called off, and AWS may have made them or not
    # Exceptions made for this person; None: the preset's own number.
    at_once: int | None = None
    is_extra: bool = False  # may have this preset although it is not offered
    is_barred: bool = False  # may have others only
    section: str = ""
    team: str | None = None  # its name
    team_machines: int = 0  # of this preset and all members
    team_unanswered: int = 0
    allowed: bool = False  # staff have said yes to one launch


@dataclass(frozen=True, slots=True)
class CourseDates:
    starts_on: date
    ends_on: date  # its last second still belongs to the course
    timezone: str


@dataclass(frozen=True, slots=True)
class Kind:
    """What of a preset decides. Prices in USD per hour; a type without one is unknown, never free."""

    enabled: bool
    per_person: int
    ceiling_usd_hour: Decimal
    prices: Sequence[tuple[str, Decimal | None]]  # by type, in order of preference
    audience: Rule = EVERYBODY
    per_team: int | None = None
    needs_approval: bool = False


@dataclass(frozen=True, slots=True)
class Candidate:
    """One question to AWS. `zone` is empty until AWS was asked where the type is offered."""

    instance_type: str
    zone: str
    usd_hour: Decimal

    def as_json(self) -> list[str]:
        return [self.instance_type, self.zone, str(self.usd_hour)]

    @classmethod
    def from_json(cls, value: Sequence[str]) -> "Candidate":
        return cls(value[0], value[1], Decimal(value[2]))


def refusal(person: Person, dates: CourseDates, kind: Kind, now: datetime) -> Refusal | None:
    """Why this person may not launch this now, or None."""
    return who_and_when(person, dates, now) or _which(person, kind)


def start_refusal(person: Person, dates: CourseDates, kind: Kind, now: datetime) -> Refusal | None:
    """Why a stopped machine may not run again. Whether it may be its owner's was decided when it was launched: what is
    on its disk is their work, also where the preset is offered no more, or to others. How many run at once was not."""
    barred = Refusal.BARRED if person.is_barred else None
    return who_and_when(person, dates, now) or barred or _is_full(person, kind)


def who_and_when(person: Person, dates: CourseDates, now: datetime) -> Refusal | None:
    """The part that can change while somebody waits in the queue."""
    if not person.active:
        return Refusal.NOT_ACTIVE
    if person.role not in MAY_LAUNCH:
        return Refusal.ROLE
    if now < start_of(dates.starts_on, dates.timezone):
        return Refusal.NOT_BEGUN
    return Refusal.OVER if now >= course_end(dates) else None


def _which(person: Person, kind: Kind) -> Refusal | None:
    if person.is_barred:
        return Refusal.BARRED
    if not kind.enabled and not person.is_extra:
        return Refusal.DISABLED
    if not person.is_extra and not _is_for(person, kind.audience):
        return Refusal.NOT_FOR_YOU
    full = _is_full(person, kind)
    if full:
        return full
    if not affordable(kind):
        return Refusal.NO_PRICE
    # Last: nobody is asked to allow what could not be launched anyway. Staff need nobody's leave.
    return Refusal.NEEDS_APPROVAL if kind.needs_approval and not (person.allowed or person.role in STAFF) else None


def _is_full(person: Person, kind: Kind) -> Refusal | None:
    """What may be there counts as there, or two could run where one is allowed; but it is not said to run."""
    most = kind.per_person if person.at_once is None else person.at_once
    if person.live_machines >= most:
        return Refusal.TOO_MANY if person.live_machines - person.unanswered >= most else Refusal.UNANSWERED
    most = kind.per_team if kind.per_team is not None and person.team is not None else person.team_machines + 1
    if person.team_machines >= most:
        return Refusal.TEAM_FULL if person.team_machines - person.team_unanswered >= most else Refusal.UNANSWERED
    return None


def _is_for(person: Person, rule: Rule) -> bool:
    if person.role in STAFF:  # who answers for a preset can try it out
        return True
    if person.role not in rule.roles or (rule.sections and person.section not in rule.sections):
        return False
    if rule.teams:
        return person.team in rule.teams
    return person.team is not None or not rule.with_team


def affordable(kind: Kind) -> list[Candidate]:
    """The types with a known price that is not above the ceiling, in order of preference."""
    return [
        Candidate(name, "", price)
        for name, price in kind.prices
        if price is not None and Decimal(0) < price <= kind.ceiling_usd_hour
    ]


def in_zones(wanted: Iterable[Candidate], zones: Mapping[str, Sequence[str]]) -> list[Candidate]:
    """The questions to AWS in order: the preferred type in all its zones, then the next type."""
    return [Candidate(c.instance_type, zone, c.usd_hour) for c in wanted for zone in zones.get(c.instance_type, ())]


def start_of(day: date, timezone: str) -> datetime:
    """The day's first moment there, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(timezone)).astimezone(UTC)


def course_end(dates: CourseDates) -> datetime:
    """The moment after the course's last second, UTC: no lease goes beyond it, disks are paid for until then."""
    return start_of(dates.ends_on + timedelta(days=1), dates.timezone)


def usd_for(usd_hour: Decimal, seconds: float) -> Decimal:
    """What to hold for so many seconds: rounded up, so that the charges always fit in."""
    return (usd_hour * Decimal(str(max(0.0, seconds))) / 3600).quantize(_MICRODOLLAR, ROUND_CEILING)
