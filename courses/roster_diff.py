"""What a roster file would change: added, changed, gone, the same, problems. Pure; nothing is decided here, only told.

Nobody is gone because a line is missing: who is not in the file is listed, and stays until staff say otherwise.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from courses.roster import Person, Problem, Read, Reason, Skip

STAFF = frozenset({"ta", "instructor"})
APPOINTED = STAFF | {"sponsor"}  # an instructor says so; a file alone makes nobody one of them


@dataclass(frozen=True, slots=True)
class Known:
    """A roster line as it stands."""

    pk: int
    email: str
    name: str
    key: str
    role: str
    status: str
    section: str
    team: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    known: Known
    number: int
    what: tuple[tuple[str, str, str], ...]  # (field, before, after)


@dataclass(frozen=True, slots=True)
class Diff:
    added: list[Person] = field(default_factory=list)
    changed: list[Change] = field(default_factory=list)
    gone: list[Known] = field(default_factory=list)
    same: int = 0
    problems: list[Problem] = field(default_factory=list)
    skipped: list[tuple[int, Skip]] = field(default_factory=list)
    joined: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.added or self.changed)


def compare(read: Read, known: Sequence[Known], *, roles: bool, by_instructor: bool) -> Diff:
    """`roles`: staff said that roles come from the file. Only an instructor lets staff in or changes their lines."""
    rules = _Rules(known, roles, by_instructor)
    found = Diff(problems=list(read.problems), skipped=read.skipped, joined=read.joined)
    # A line that is wrong still names its person: who has a problem is not gone.
    named = {problem.email for problem in read.problems}
    matched: dict[int, int] = {}  # line -> number of the row that is about it
    same = 0
    for person in read.people:
        line = rules.match(person)
        reason, text = rules.wrong(person, line, matched)
        if line is not None:
            matched.setdefault(line.pk, person.number)
        what = tuple(rules.changes(person, line)) if line else ()
        if reason:
            found.problems.append(Problem(person.number, reason, text, person.email))
        elif line is None:
            found.added.append(person)
        elif what:
            found.changed.append(Change(line, person.number, what))
        else:
            same += 1
    found.gone.extend(k for k in known if k.pk not in matched and _can_go(k) and k.email not in named)
    found.problems.sort(key=lambda problem: problem.number)
    return replace(found, same=same)


class _Rules:
    """The roster as it stands, and who asks."""

    def __init__(self, known: Sequence[Known], roles: bool, by_instructor: bool) -> None:
        self.by_email = {line.email.lower(): line for line in known}
        self.by_key = {line.key: line for line in known if line.key}
        self.roles, self.by_instructor = roles, by_instructor

    def match(self, person: Person) -> Known | None:
        """By address; by the university's own number when the address is new here."""
        return self.by_email.get(person.email) or self.by_key.get(person.key)

    def wrong(self, person: Person, line: Known | None, matched: Mapping[int, int]) -> tuple[Reason | None, str]:
        if line and self._is_another(person, line):
            return Reason.TWO_PEOPLE, line.name
        if line and line.pk in matched:
            return Reason.TWICE, str(matched[line.pk])
        if self._appoints(person, line) and not (self.roles and self.by_instructor):
            return (Reason.NOT_YOURS if self.roles else Reason.ROLE_NOT_CONFIRMED), person.role
        if line and line.role in STAFF and not self.by_instructor and list(self.changes(person, line)):
            return Reason.NOT_YOURS, line.name
        return None, ""

    def _is_another(self, person: Person, line: Known) -> bool:
        """The address belongs to one line and the number to another, or the line has another number."""
        other = self.by_key.get(person.key)
        numbers_differ = bool(line.key and person.key and line.key != person.key)
        return numbers_differ or (other is not None and other.pk != line.pk)

    def _appoints(self, person: Person, line: Known | None) -> bool:
        return person.role in APPOINTED and (line is None or (self.roles and line.role != person.role))

    def changes(self, person: Person, line: Known) -> Iterable[tuple[str, str, str]]:
        """What the file leaves empty changes nothing."""
        told = {"email": person.email, "name": person.name, "key": person.key, "section": person.section}
        told["team"] = person.team
        if self.roles:
            told["role"] = person.role
        # A file without a status still says that the person is in it: whoever was dropped is back.
        told["status"] = person.status or ("active" if line.status == "dropped" else "")
        for name, after in told.items():
            before = getattr(line, name)
            if after and after != before:
                yield name, before, after


def _can_go(line: Known) -> bool:
    return line.role == "student" and line.status != "dropped"
