"""Which column of a roster is what: by its headings, by what is remembered, else by what the cells look like. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

from courses.names import address_in, is_address, plain
from courses.roster import MANY, Columns, Field
from courses.tables import Table

_HEADINGS: dict[Field, tuple[str, ...]] = {
    Field.NAME: (
        "name",
        "student",
        "student name",
        "full name",
        "sortable name",
        "display name",
        "participant",
        "姓名",
        "名前",
        "nombre",
        "nom",
        "teilnehmer",
        "이름",
    ),
    Field.FIRST: ("first name", "given name", "firstname", "first", "preferred name", "forename", "vorname", "prénom"),
    Field.LAST: ("last name", "surname", "family name", "lastname", "last", "nachname", "apellidos"),
    Field.EMAIL: (
        "email",
        "e-mail",
        "email address",
        "e-mail address",
        "mail",
        "address",
        "邮箱",
        "电子邮件",
        "电子邮箱",
        "correo",
        "courriel",
        "メールアドレス",
    ),
    Field.LOGIN: ("sis login id", "login id", "login_id", "login", "username", "user name", "netid", "net id"),
    Field.KEY: (
        "sis user id",
        "sis_user_id",
        "student id",
        "sid",
        "student number",
        "sis id",
        "id number",
        "学号",
        "matrikelnummer",
    ),
    Field.ROLE: ("role", "roles", "enrollment role", "角色"),
    Field.STATUS: ("status", "enrollment status", "waitlist position", "waitlisted", "waitlist"),
    Field.SECTION: (
        "section",
        "sections",
        "section name",
        "lecture",
        "discussion",
        "laboratory",
        "seminar",
        "lec",
        "dis",
        "lab",
        "班级",
        "primary section",
        "secondary sections",
    ),
    Field.TEAM: ("team", "group", "team name", "group name", "project team", "小组", "gruppe", "equipo"),
}
_FIELD_OF = {heading: which for which, headings in _HEADINGS.items() for heading in headings}
_LOOKED_AT = 10  # rows before and with the headings
_EXAMPLES = 40  # rows that stand for a column without a heading

# (name, headings that must be there): how the file calls itself on our pages.
_FORMATS = (
    ("Canvas gradebook", ("student", "id", "section")),
    ("CalCentral roster", ("name", "student id", "email address", "units")),
    ("bCourses roster", ("name", "student id", "user id", "role", "email address")),
    ("Gradescope roster", ("sid", "email")),
)


def headings_of(table: Table) -> tuple[int, list[str]]:
    """Index of the row with the headings and their normalised texts; -1 and nothing when no row looks like one."""
    rows = [[_normal(cell) for cell in row.cells] for row in islice(table.rows, _LOOKED_AT)]
    known = [len({_FIELD_OF[cell] for cell in row if cell in _FIELD_OF}) for row in rows]
    best = max(range(len(rows)), key=lambda index: known[index], default=-1)
    alone = best >= 0 and known[best] == 1 and len([cell for cell in rows[best] if cell]) == 1
    if best < 0 or not (known[best] >= 2 or alone):
        return -1, []
    return best, rows[best]


def format_of(headings: Sequence[str]) -> str:
    """What made the file, as far as its headings tell; empty when they do not."""
    have = set(headings)
    return next((name for name, needed in _FORMATS if have.issuperset(needed)), "")


def guess(table: Table, domain: str = "") -> Columns:
    """By headings; in a file without, the column with the most addresses is the address, the wordiest one the name."""
    index, headings = headings_of(table)
    found = _by_heading(headings) if index >= 0 else {}
    if index >= 0 and Field.EMAIL not in found and Field.LOGIN not in found and "user id" in headings:
        found[Field.LOGIN] = (headings.index("user id"),)
    if Field.EMAIL not in found and Field.LOGIN not in found:
        found = {**_by_look(table, index), **found}
    return Columns(found, heading=index, domain=domain)


def _by_heading(headings: Sequence[str]) -> dict[Field, tuple[int, ...]]:
    found: dict[Field, tuple[int, ...]] = {}
    for column, heading in enumerate(headings):
        which = _FIELD_OF.get(heading)
        if which and (which not in found or which in MANY):
            found[which] = (*found.get(which, ()), column)
    if Field.NAME in found:
        found = {which: columns for which, columns in found.items() if which not in (Field.FIRST, Field.LAST)}
    return found


def _by_look(table: Table, heading: int) -> dict[Field, tuple[int, ...]]:
    rows = list(islice(table.rows[heading + 1 :], _EXAMPLES))
    columns = range(min(table.width, 60))

    cells = {column: [row.cells[column] if column < len(row.cells) else "" for row in rows] for column in columns}
    addresses = {column: sum(is_address(address_in(cell)[0]) for cell in cells[column]) for column in columns}
    best = max(columns, key=lambda column: addresses[column], default=None)
    if best is None or not addresses[best]:
        return {}
    found: dict[Field, tuple[int, ...]] = {Field.EMAIL: (best,)}
    wordy = {column: sum(_is_wordy(cell) for cell in cells[column]) for column in columns if column != best}
    name = max(wordy, key=lambda column: wordy[column], default=None)
    if name is not None and wordy[name]:
        found[Field.NAME] = (name,)
    return found


def _is_wordy(cell: str) -> bool:
    text = plain(cell)
    return any(char.isalpha() for char in text) and not any(char.isdigit() for char in text) and "@" not in text


def remembered(table: Table, saved: Iterable[tuple[Mapping[str, Sequence[str]], bool]], domain: str) -> Columns | None:
    """The first saved choice whose headings are all here, wherever they stand now: a gradebook grows each week."""
    index, headings = headings_of(table)
    for columns, roles in saved:
        wanted = {which: [h for h in names if h in headings] for which, names in columns.items()}
        if index >= 0 and columns and all(len(wanted[which]) == len(columns[which]) for which in columns):
            of = {Field(which): tuple(headings.index(h) for h in names) for which, names in wanted.items()}
            return Columns(of, heading=index, domain=domain, roles=roles)
    return None


def to_remember(table: Table, columns: Columns) -> dict[str, list[str]]:
    """The choice by headings. Empty when the file has none, or two columns of one heading: then there is no telling."""
    index, headings = headings_of(table)
    chosen = {which: [_at(headings, i) for i in indexes] for which, indexes in columns.of.items()}
    names = [name for several in chosen.values() for name in several]
    clear = index >= 0 and index == columns.heading and all(name and headings.count(name) == 1 for name in names)
    return {which.value: several for which, several in chosen.items()} if clear else {}


def described(table: Table, column: int, heading: int) -> str:
    """The column for a person who has to choose: its heading, and two cells."""
    rows = table.rows[heading + 1 :]
    texts = [plain(row.cells[column]) for row in islice(rows, 20) if column < len(row.cells)]
    examples = ", ".join(text[:24] for text in islice((t for t in texts if t), 2))
    title = plain(_at(table.rows[heading].cells, column))[:40] if heading >= 0 else ""
    return " · ".join(part for part in (title or f"{column + 1}", examples) if part)


def _at(cells: Sequence[str], index: int) -> str:
    return cells[index] if 0 <= index < len(cells) else ""


def _normal(cell: str) -> str:
    return plain(cell).casefold().rstrip(":*").strip()
