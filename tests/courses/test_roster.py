"""Each named format with its oddities is read to the same people, and every line is accounted for."""

import io
from collections.abc import Sequence

import pytest
from openpyxl import Workbook

from courses.roster import Columns, Field, Person, Read, Reason, Skip, people_in_lines, read_roster
from courses.roster_columns import format_of, guess, headings_of, remembered, to_remember
from courses.tables import read, read_text
from tests.courses.files import BCOURSES_OLD, CALCENTRAL, CANVAS, GRADESCOPE, PASTED, PLAIN


def roster(text: str, domain: str = "berkeley.edu", roles: bool = False) -> Read:
    table = read_text(text)
    columns = guess(table, domain)
    return read_roster(table, Columns(columns.of, columns.heading, domain, roles))


def told(people: Sequence[Person]) -> list[tuple[str, str]]:
    return [(p.name, p.email) for p in people]


def test_canvas_has_logins_two_lines_to_skip_and_a_name_like_a_formula() -> None:
    found = roster(CANVAS)
    assert told(found.people) == [
        ("Ada Lovelace", "ada@berkeley.edu"),
        ("José María Ibáñez", "jmibanez@berkeley.edu"),
        ('=HYPERLINK("http://x")', "evil@berkeley.edu"),
    ]
    assert found.skipped == [(2, Skip.POINTS_POSSIBLE), (6, Skip.TEST_STUDENT)]
    assert found.people[0].key == "3031234567"
    assert found.people[1].section == "STAT 157 LEC 001 and STAT 157 LAB 101"
    assert found.problems == []


def test_canvas_without_a_domain_says_so_for_each_line() -> None:
    assert {p.reason for p in roster(CANVAS, domain="").problems} == {Reason.NO_DOMAIN}


def test_bcourses_tells_who_waits_by_its_role_column() -> None:
    found = roster(BCOURSES_OLD)
    assert [(p.name, p.status) for p in found.people] == [
        ("Ada Lovelace", "active"),
        ("小明 王", "waitlisted"),
        ("Carlos Diaz", "active"),
    ]
    assert found.people[0].section == "LEC 001, DIS 101"
    assert found.people[0].key == "3031234567"


def test_calcentral_has_a_column_per_kind_of_section_and_a_place_on_the_waitlist() -> None:
    ada, tyler = roster(CALCENTRAL).people
    assert (ada.section, ada.status) == ("LEC 001, DIS 101", "")
    assert (tyler.section, tyler.status) == ("LEC 001", "waitlisted")


def test_gradescope_has_first_and_last_names_and_roles() -> None:
    assert [(p.name, p.role) for p in roster(GRADESCOPE).people] == [
        ("Ada Lovelace", "student"),
        ("Grace Hopper", "ta"),
        ("Alan Turing", "instructor"),
    ]


def test_addresses_alone_lack_names_and_say_so() -> None:
    assert [(p.number, p.reason) for p in roster(PLAIN).problems] == [(1, Reason.NO_NAME), (2, Reason.NO_NAME)]


def test_a_line_of_addresses_from_a_mail_program_is_one_person_each() -> None:
    found = roster(people_in_lines(PASTED))
    assert [p.name for p in found.people] == ["Ada Lovelace", "Ben Ohm", "Cy Sun"]


@pytest.mark.parametrize("text", [CANVAS, BCOURSES_OLD, CALCENTRAL, GRADESCOPE])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_encoding_and_delimiter_change_nothing(text: str, encoding: str, delimiter: str) -> None:
    plain = text if delimiter == "," else _with(text, delimiter)
    table = read(plain.encode(encoding))
    assert read_roster(table, guess(table, "berkeley.edu")).people == roster(text).people


def _with(text: str, delimiter: str) -> str:
    import csv

    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="\r\n").writerows(csv.reader(io.StringIO(text)))
    return out.getvalue()


def test_a_spreadsheet_with_a_title_above_its_headings_is_read_too() -> None:
    book, packed = Workbook(), io.BytesIO()
    assert book.active
    for row in (["Roster of STAT 157"], [], ["Name", "E-Mail"], ["Ada", "ada@x.edu"], ["=1+1", "b@x.edu"]):
        book.active.append(row)
    book.save(packed)
    table = read(packed.getvalue())
    found = read_roster(table, guess(table))
    assert [(p.number, p.name) for p in found.people] == [(4, "Ada"), (5, "=1+1")]


def test_without_headings_the_columns_are_known_by_their_look() -> None:
    assert told(roster("7,Ada Lovelace,ada@x.edu\n8,Ben Ohm,ben@x.edu\n").people) == [
        ("Ada Lovelace", "ada@x.edu"),
        ("Ben Ohm", "ben@x.edu"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("Ada,,Student,", Reason.NO_ADDRESS),
        ("Ada,n/a,Student,", Reason.BAD_ADDRESS),
        (",ada@x.edu,Student,", Reason.NO_NAME),
        (f"{'x' * 201},ada@x.edu,Student,", Reason.TOO_LONG),
        ("Ada,ada@x.edu,Wizard,", Reason.UNKNOWN_ROLE),
        ("Ada,ada@x.edu,Student,vanished", Reason.UNKNOWN_STATUS),
    ],
)
def test_what_cannot_be_taken_is_a_problem_with_its_line_and_reason(line: str, reason: Reason) -> None:
    found = roster(f"name,email,role,status\n{line}\nBen,ben@x.edu,Student,active\n")
    assert [(p.number, p.reason) for p in found.problems] == [(2, reason)]
    assert told(found.people) == [("Ben", "ben@x.edu")]


def test_one_person_in_two_sections_is_one_person_and_two_people_with_one_address_are_a_problem() -> None:
    found = roster("name,email,section\nAda,a@x.edu,1\nAda,a@x.edu,2\nEve,a@x.edu,1\n")
    assert [p.section for p in found.people] == ["1, 2"]
    assert found.joined == 1
    assert [(p.number, p.reason, p.text) for p in found.problems] == [(4, Reason.TWICE, "2")]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (CANVAS, "Canvas gradebook"),
        (BCOURSES_OLD, "bCourses roster"),
        (CALCENTRAL, "CalCentral roster"),
        (GRADESCOPE, "Gradescope roster"),
        (PLAIN, ""),
    ],
)
def test_a_file_says_what_made_it(text: str, name: str) -> None:
    assert format_of(headings_of(read_text(text))[1]) == name


def test_a_choice_is_remembered_by_headings_and_found_again_in_a_gradebook_that_grew() -> None:
    table = read_text(CANVAS)
    chosen = Columns({Field.NAME: (0,), Field.LOGIN: (2,)}, heading=0)
    saved = to_remember(table, chosen)
    grown = read_text(CANVAS.replace("Student,ID,", "Student,Nickname,ID,"))
    found = remembered(grown, [(saved, False)], "x.edu")
    assert found
    assert found.of == {Field.NAME: (0,), Field.LOGIN: (3,)}
    assert remembered(read_text(GRADESCOPE), [(saved, False)], "") is None
