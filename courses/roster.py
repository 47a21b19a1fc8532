"""A roster out of a table: which column is what, and each row as a person, a line to skip, or a problem. Pure.

Knows who is in the file, not who is on the roster already: that is `roster_diff.py`; guessing is `roster_columns.py`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from courses.names import LONGEST_NAME, address_in, full_name, is_address, plain
from courses.tables import Row, Table

LONGEST_SECTION = 60
LONGEST_KEY = 60
LONGEST_TEAM = 120


class Field(StrEnum):
    NAME = "name"
    FIRST = "first"
    LAST = "last"
    EMAIL = "email"
    LOGIN = "login"  # an address once the course's domain is added
    KEY = "key"  # the university's own number for the person: recognises a line whose address has changed
    ROLE = "role"
    STATUS = "status"
    SECTION = "section"
    TEAM = "team"


MANY = frozenset({Field.SECTION, Field.STATUS})  # may be spread over several columns


class Reason(StrEnum):
    """Why a line cannot be taken."""

    NO_ADDRESS = "no address"
    BAD_ADDRESS = "bad address"
    NO_DOMAIN = "no domain"
    NO_NAME = "no name"
    TOO_LONG = "too long"
    UNKNOWN_ROLE = "unknown role"
    UNKNOWN_STATUS = "unknown status"
    ROLE_NOT_CONFIRMED = "role not confirmed"
    TWICE = "twice"
    TWO_PEOPLE = "two people"  # address of one, number of another
    NOT_YOURS = "not yours"  # the line of a member of staff, and the asker is a TA


class Skip(StrEnum):
    POINTS_POSSIBLE = "points possible"  # Canvas's second line
    TEST_STUDENT = "test student"  # Canvas's pretended person


@dataclass(frozen=True, slots=True)
class Columns:
    """What staff say (or leave as guessed) about the table."""

    of: Mapping[Field, tuple[int, ...]]  # from 0
    heading: int = -1  # index of the row with the headings; -1: none. What comes before it is a title.
    domain: str = ""  # what makes an address of a login
    roles: bool = False  # take TAs and instructors from the file, too

    @property
    def needs_domain(self) -> bool:
        return Field.EMAIL not in self.of and Field.LOGIN in self.of


@dataclass(frozen=True, slots=True)
class Person:
    """One person of the file. Empty: the file does not say."""

    number: int
    email: str
    name: str
    key: str = ""
    role: str = ""
    status: str = ""
    section: str = ""
    team: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    number: int
    reason: Reason
    text: str = ""  # the cell that it is about
    email: str = ""  # of the person, when that much could be read


@dataclass(frozen=True, slots=True)
class Read:
    """Every row below the heading is in exactly one list, or was joined with an earlier row of the same person."""

    people: list[Person] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    skipped: list[tuple[int, Skip]] = field(default_factory=list)
    joined: int = 0


ROLES = {
    "student": ("student", "learner", "studentenrollment", "s", "学生", "audit"),
    "ta": ("ta", "teaching assistant", "teaching fellow", "gsi", "reader", "grader", "tutor", "taenrollment", "助教"),
    "instructor": ("instructor", "teacher", "lead instructor", "professor", "faculty", "teacherenrollment", "教师"),
    "auditor": ("auditor", "guest auditor", "guest", "observer", "observerenrollment"),  # as our own export says it
    "sponsor": ("sponsor",),  # no other system knows them: our own export, brought in again
}
STATUSES = {
    "active": ("active", "enrolled", "registered", "e", "c", "concurrent", "completed", "accepted", "invited", "no"),
    "waitlisted": ("waitlisted", "waitlist", "waiting", "w", "yes"),
    "dropped": ("dropped", "inactive", "withdrawn", "d", "deleted", "concluded"),
}
_ROLE_OF = {word: role for role, words in ROLES.items() for word in words}
_STATUS_OF = {word: status for status, words in STATUSES.items() for word in words}
_POINTS = "points possible"
_TEST = frozenset({"student, test", "test student", "test, student"})


def read_roster(table: Table, columns: Columns) -> Read:
    """Every row of the table, by these columns. Raises nothing: what cannot be read is a problem with its line."""
    found = Read()
    seen: dict[str, int] = {}
    joined = 0
    for row in table.rows[columns.heading + 1 :]:
        outcome = _person(row, columns)
        if isinstance(outcome, Skip):
            found.skipped.append((row.number, outcome))
        elif isinstance(outcome, Problem):
            found.problems.append(outcome)
        elif outcome.email not in seen:
            seen[outcome.email] = len(found.people)
            found.people.append(outcome)
        else:
            first = found.people[seen[outcome.email]]
            both = _both(first, outcome)
            if both is None:
                found.problems.append(Problem(row.number, Reason.TWICE, str(first.number), outcome.email))
            else:
                found.people[seen[outcome.email]] = both
                joined += 1
    return replace(found, joined=joined)


def _both(first: Person, second: Person) -> Person | None:
    """One person in two rows, as files with a row per section have them; None when the rows contradict each other."""
    same = (first.name, first.role, first.status, first.team) == (second.name, second.role, second.status, second.team)
    if not same or (first.key and second.key and first.key != second.key):
        return None
    parts = list(dict.fromkeys(part for part in (first.section, second.section) if part))
    return replace(first, section=", ".join(parts)[:LONGEST_SECTION], key=first.key or second.key)


def _person(row: Row, columns: Columns) -> Person | Problem | Skip:
    cells = {which: [_cell(row, index) for index in indexes] for which, indexes in columns.of.items()}
    skip = _skipped(cells)
    if skip:
        return skip
    email, name = address_in(_first(cells, Field.EMAIL))
    if not email:
        email = _from_login(_first(cells, Field.LOGIN), columns.domain)
    name = _name(cells) or full_name(name)
    wrong = _wrong_address(row, email, cells, columns) or _wrong_name(row, name, email)
    if wrong:
        return wrong
    return _rest(row, Person(row.number, email, name), cells, columns)


def _skipped(cells: Mapping[Field, list[str]]) -> Skip | None:
    name = plain(_first(cells, Field.NAME)).casefold()
    if name == _POINTS:
        return Skip.POINTS_POSSIBLE
    first, last = (plain(_first(cells, part)).casefold() for part in (Field.FIRST, Field.LAST))
    if name in _TEST or (not name and {first, last} == {"test", "student"}):
        return Skip.TEST_STUDENT
    return None


def _from_login(cell: str, domain: str) -> str:
    login = plain(cell).lower()
    return login if "@" in login or not domain or not login else f"{login}@{domain}"


def _wrong_address(row: Row, email: str, cells: Mapping[Field, list[str]], columns: Columns) -> Problem | None:
    if not email:
        return Problem(row.number, Reason.NO_ADDRESS)
    if "@" not in email and not _first(cells, Field.EMAIL).strip() and not columns.domain:
        return Problem(row.number, Reason.NO_DOMAIN, email[:80])
    return None if is_address(email) else Problem(row.number, Reason.BAD_ADDRESS, email[:80])


def _wrong_name(row: Row, name: str, email: str) -> Problem | None:
    if not name:
        return Problem(row.number, Reason.NO_NAME, email=email)
    return Problem(row.number, Reason.TOO_LONG, name[:80], email) if len(name) > LONGEST_NAME else None


def _rest(row: Row, person: Person, cells: Mapping[Field, list[str]], columns: Columns) -> Person | Problem:
    """Role, status, section, number and team."""
    said = plain(_first(cells, Field.ROLE)).casefold()
    role = _ROLE_OF.get(said, "")
    status = _STATUS_OF.get(said, "") if len(said) == 1 and not role else ""  # E, W, C: Berkeley's role column
    if said and not role and not status:
        return Problem(row.number, Reason.UNKNOWN_ROLE, said[:80], person.email)
    for cell in cells.get(Field.STATUS, ()):
        told = _status(plain(cell).casefold())
        if told is None:
            return Problem(row.number, Reason.UNKNOWN_STATUS, plain(cell)[:80], person.email)
        status = told or status
    section = ", ".join(dict.fromkeys(part for part in map(plain, cells.get(Field.SECTION, ())) if part))
    key, team = plain(_first(cells, Field.KEY)), plain(_first(cells, Field.TEAM))
    if len(key) > LONGEST_KEY or len(team) > LONGEST_TEAM:
        return Problem(row.number, Reason.TOO_LONG, max(key, team, key=len)[:80], person.email)
    role = role or ("student" if Field.ROLE in columns.of else "")
    return replace(person, key=key, role=role, status=status, section=section[:LONGEST_SECTION], team=team)


def _status(said: str) -> str | None:
    """A word, or a place on the waitlist; empty: nothing said. None: not understood."""
    if not said or said == "0":
        return ""
    return "waitlisted" if said.isdecimal() else _STATUS_OF.get(said)


def _name(cells: Mapping[Field, list[str]]) -> str:
    parts = [plain(_first(cells, part)) for part in (Field.FIRST, Field.LAST)]
    return full_name(_first(cells, Field.NAME)) or " ".join(part for part in parts if part)


def _first(cells: Mapping[Field, list[str]], which: Field) -> str:
    found = cells.get(which)
    return found[0] if found else ""


def _cell(row: Row, index: int) -> str:
    return row.cells[index] if 0 <= index < len(row.cells) else ""


def people_in_lines(text: str) -> str:
    """A line of addresses as a mail program copies them (`Ada <a@x>, Ben <b@x>`), one person a line."""

    def lines() -> Iterator[str]:
        for line in text.splitlines():
            several = line.count("@") > 1 and "\t" not in line
            yield line.replace(">,", ">\n").replace(">;", ">\n").replace("; ", "\n") if several else line

    return "\n".join(lines())
