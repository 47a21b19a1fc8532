"""Broken, hostile and senseless files: each is refused with a reason or read whole, and no line is lost or doubled.

FUZZ_FILES says how many (`make fuzz-roster`: 10,000). Half are mutations of real ones, half come from nothing.
"""

import os
import random
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from courses.roster import Columns, people_in_lines, read_roster
from courses.roster_columns import described, guess, remembered, to_remember
from courses.roster_diff import Known, compare
from courses.tables import NotATable, read
from tests.courses.files import REAL

FILES = int(os.environ.get("FUZZ_FILES", "300"))
KNOWN = [
    Known(1, "ada@berkeley.edu", "Ada Lovelace", "3031234567", "student", "active", ""),
    Known(2, "grace@berkeley.edu", "Grace Hopper", "", "ta", "active", ""),
    Known(3, "gone@berkeley.edu", "Gone", "", "student", "dropped", ""),
]
ODD = [b"\x00", b'"', b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\n\n", b",", b"\t", b"=cmd|'/C calc'!A0", b"\xd8\x00"]


def told(content: bytes) -> None:
    """All that a door does with a file, short of the database."""
    try:
        table = read(content)
    except NotATable:
        return
    columns = guess(table, "berkeley.edu")
    for chosen in (columns, Columns(columns.of, -1, "", roles=True)):
        found = read_roster(table, chosen)
        numbers = [p.number for p in found.people] + [p.number for p in found.problems]
        numbers += [number for number, _skip in found.skipped]
        below = [row.number for row in table.rows[chosen.heading + 1 :]]
        # Every line is somewhere, once; those that were joined stand with their first.
        assert len(numbers) + found.joined == len(below)
        assert set(numbers) <= set(below)
        emails = [p.email for p in found.people]
        assert len(set(emails)) == len(emails)
        assert all(p.name and len(p.name) <= 200 and len(p.email) <= 254 for p in found.people)
        diff = compare(found, KNOWN, roles=chosen.roles, by_instructor=True)
        taken = len(diff.added) + len(diff.changed) + diff.same
        assert taken + len(diff.problems) == len(found.people) + len(found.problems)
        assert all(known.status != "dropped" for known in diff.gone)
    for column in range(min(table.width, 60)):
        assert described(table, column, columns.heading)
    saved = to_remember(table, columns)
    if saved:
        again = remembered(table, [(saved, False)], "berkeley.edu")
        assert again
        assert again.of == columns.of


def mutated(rng: random.Random) -> bytes:
    content = bytearray(rng.choice(REAL).encode(rng.choice(["utf-8", "utf-8-sig", "utf-16", "cp1252"]), "replace"))
    for _n in range(rng.randint(1, 8)):
        rng.choice(MUTATIONS)(rng, content)
    return bytes(content)


def _drop(rng: random.Random, content: bytearray) -> None:
    start = rng.randrange(len(content) + 1)
    del content[start : start + rng.randint(1, 20)]


def _insert(rng: random.Random, content: bytearray) -> None:
    start = rng.randrange(len(content) + 1)
    content[start:start] = rng.choice(ODD)


def _flip(rng: random.Random, content: bytearray) -> None:
    if content:
        content[rng.randrange(len(content))] = rng.randrange(256)


def _double(rng: random.Random, content: bytearray) -> None:
    lines = bytes(content).split(b"\n")
    line = rng.choice(lines)
    lines.insert(rng.randrange(len(lines) + 1), line)
    content[:] = b"\n".join(lines)


def _shuffle_cells(rng: random.Random, content: bytearray) -> None:
    lines = bytes(content).split(b"\n")
    index = rng.randrange(len(lines))
    cells = lines[index].split(b",")
    rng.shuffle(cells)
    lines[index] = b",".join(cells)
    content[:] = b"\n".join(lines)


MUTATIONS: list[Callable[[random.Random, bytearray], None]] = [_drop, _insert, _flip, _double, _shuffle_cells]


def test_mutations_of_real_files_are_refused_or_read_whole() -> None:
    rng = random.Random(157)
    for _n in range(FILES // 2):
        told(mutated(rng))


CELLS = st.text(max_size=12) | st.sampled_from(
    ["Name", "Email", "SIS Login ID", "Role", "Section", "ada@x.edu", "Test Student", "W", "3", "Lovelace, Ada", "=1+1"]
)


@settings(max_examples=max(1, FILES // 4), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(rows=st.lists(st.lists(CELLS, max_size=6), max_size=12), delimiter=st.sampled_from([",", ";", "\t"]))
def test_tables_of_anything_are_refused_or_read_whole(rows: list[list[str]], delimiter: str) -> None:
    text = "\n".join(delimiter.join(row) for row in rows)
    told(text.encode("utf-8", "surrogatepass"))
    told(people_in_lines(text).encode("utf-8", "replace"))


@settings(max_examples=max(1, FILES // 4), deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
@given(content=st.binary(max_size=400) | st.builds(lambda tail: b"PK\x03\x04" + tail, st.binary(max_size=200)))
def test_bytes_that_mean_nothing_are_refused_or_read_whole(content: bytes) -> None:
    told(content)
