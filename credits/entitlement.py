"""Who may claim from which batch, and when. Pure: words for people are in `words.py`, rows in `coverage.py`."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

_ROLES = frozenset({"student", "ta", "instructor", "sponsor"})
CLAIMABLE = frozenset({"everyone", "teams"})  # prizes and reserve are given by staff


class Refusal(StrEnum):
    NOT_FOR_YOU = "not for you"
    NOT_ENROLLED = "not enrolled"  # dropped, or still on the waitlist
    OTHER_SECTION = "other section"
    NO_TEAM = "no team"
    OTHER_TEAM = "other team"
    ENROLLED_LATE = "enrolled late"
    USED = "used"  # there was one, and it is neither in hand nor back in stock
    NOT_OPEN_YET = "not open yet"
    CLOSED = "closed"
    EXPIRED = "expired"
    EMPTY = "empty"


class BadRule(ValueError):
    """Its text names the part of the rule that cannot be read; `part` is its key."""

    def __init__(self, part: str, said: str) -> None:
        super().__init__(f"{part}: {said}")
        self.part = part


@dataclass(frozen=True, slots=True)
class Rule:
    """What staff say about a batch. An empty list of names means: any."""

    roles: tuple[str, ...] = ("student",)
    sections: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()  # by name
    with_team: bool = False
    enrolled_before: date | None = None  # in the course's time zone; who came on that day is too late
    waitlist: bool = False  # True: people on the waitlist may claim as well

    def as_data(self) -> dict[str, object]:
        """For the batch's column; `parse` reads it back."""
        return {
            "roles": list(self.roles),
            "sections": list(self.sections),
            "teams": list(self.teams),
            "with_team": self.with_team,
            "enrolled_before": self.enrolled_before.isoformat() if self.enrolled_before else None,
            "waitlist": self.waitlist,
        }


def parse(data: object) -> Rule:
    """The rule that a batch's column or a form says. Raises `BadRule`: what is not understood never means "anybody"."""
    if not isinstance(data, dict):
        raise BadRule("rule", "not an object")
    rest = dict(data)
    rule = Rule(
        roles=_names("roles", rest.pop("roles", ("student",))),
        sections=_names("sections", rest.pop("sections", ())),
        teams=_names("teams", rest.pop("teams", ())),
        with_team=_flag("with_team", rest.pop("with_team", False)),
        enrolled_before=_day("enrolled_before", rest.pop("enrolled_before", None)),
        waitlist=_flag("waitlist", rest.pop("waitlist", False)),
    )
    if rest:
        raise BadRule(str(next(iter(rest))), "unknown")
    if not rule.roles or set(rule.roles) - _ROLES:
        raise BadRule("roles", f"must be some of {', '.join(sorted(_ROLES))}")
    return rule


def _names(part: str, value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise BadRule(part, "not a list")
    names = list(value)
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise BadRule(part, "not a list of names")
    return tuple(dict.fromkeys(name.strip() for name in names))


def _flag(part: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise BadRule(part, "neither true nor false")
    return value


def _day(part: str, value: object) -> date | None:
    if value is None or value == "":
        return None
    try:
        return date.fromisoformat(str(value))
    except ValueError as error:
        raise BadRule(part, "not a date like 2019-02-01") from error


@dataclass(frozen=True, slots=True)
class Terms:
    """The batch's side."""

    purpose: str
    opens_at: datetime | None
    closes_at: datetime | None
    redeem_by: date | None  # the last day, inclusive, in UTC
    rule: Rule = Rule()


@dataclass(frozen=True, slots=True)
class Claimant:
    """The roster line's side."""

    role: str
    status: str
    section: str
    team: str | None  # its name
    enrolled_on: date  # in the course's time zone


def refusal(terms: Terms, claimant: Claimant, now: datetime) -> Refusal | None:
    """None: this person may claim one code now, if one is free."""
    return not_covered(terms, claimant) or not_now(terms, now)


def not_covered(terms: Terms, claimant: Claimant) -> Refusal | None:
    """None: the rule is for this person, today or later."""
    if terms.purpose not in CLAIMABLE or claimant.role not in terms.rule.roles:
        return Refusal.NOT_FOR_YOU
    if claimant.status != "active" and not (terms.rule.waitlist and claimant.status == "waitlisted"):
        return Refusal.NOT_ENROLLED
    return _outside(terms, claimant)


def _outside(terms: Terms, claimant: Claimant) -> Refusal | None:
    rule = terms.rule
    found = (
        (Refusal.OTHER_SECTION, rule.sections and claimant.section not in rule.sections),
        (Refusal.NO_TEAM, needs_team(terms) and claimant.team is None),
        (Refusal.OTHER_TEAM, rule.teams and claimant.team not in rule.teams),
        (Refusal.ENROLLED_LATE, rule.enrolled_before and claimant.enrolled_on >= rule.enrolled_before),
    )
    return next((refusal for refusal, is_so in found if is_so), None)


def needs_team(terms: Terms) -> bool:
    return terms.purpose == "teams" or terms.rule.with_team or bool(terms.rule.teams)


def not_now(terms: Terms, now: datetime) -> Refusal | None:
    if terms.opens_at and now < terms.opens_at:
        return Refusal.NOT_OPEN_YET
    if terms.closes_at and now >= terms.closes_at:
        return Refusal.CLOSED
    return expired(terms.redeem_by, now)


def expired(redeem_by: date | None, now: datetime) -> Refusal | None:
    """A code that AWS no longer takes is worse than none: it makes an e-mail."""
    return Refusal.EXPIRED if redeem_by and now.date() > redeem_by else None
