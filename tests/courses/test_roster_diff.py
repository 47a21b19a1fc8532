"""What a file would change: nobody is gone because a line is missing, and nobody becomes staff by a file alone."""

import pytest

from courses.roster import Person, Problem, Read, Reason
from courses.roster_diff import Diff, Known, compare

ADA = Known(1, "ada@x.edu", "Ada Lovelace", "111", "student", "active", "1")
BEN = Known(2, "ben@x.edu", "Ben Ohm", "", "student", "active", "1")
TESS = Known(3, "tess@x.edu", "Tess A.", "", "ta", "active", "")
GONE = Known(4, "eve@x.edu", "Eve", "", "student", "dropped", "")
ALL = [ADA, BEN, TESS, GONE]


def person(email: str = "ada@x.edu", name: str = "Ada Lovelace", **more: str) -> Person:
    return Person(2, email, name, **more)


def diff(
    *people: Person, roles: bool = False, by_instructor: bool = True, problems: list[Problem] | None = None
) -> Diff:
    return compare(Read(list(people), problems or []), ALL, roles=roles, by_instructor=by_instructor)


def test_who_is_new_is_added_and_who_is_missing_is_listed_students_alone() -> None:
    found = diff(person(), person("cy@x.edu", "Cy"))
    assert [p.email for p in found.added] == ["cy@x.edu"]
    assert found.gone == [BEN]
    assert found.same == 1


def test_an_empty_cell_erases_nothing() -> None:
    assert diff(person(section="", key="")).changed == []


@pytest.mark.parametrize(
    ("said", "what"),
    [
        (person(name="Ada King"), ("name", "Ada Lovelace", "Ada King")),
        (person(section="2"), ("section", "1", "2")),
        (person(status="waitlisted"), ("status", "active", "waitlisted")),
        (person(email="ada.king@x.edu", key="111"), ("email", "ada@x.edu", "ada.king@x.edu")),
    ],
)
def test_what_the_file_says_otherwise_is_a_change(said: Person, what: tuple[str, str, str]) -> None:
    [change] = diff(said).changed
    assert change.what == (what,)
    assert diff(said).added == []


def test_who_was_dropped_and_is_in_the_file_is_back() -> None:
    [change] = diff(person("eve@x.edu", "Eve")).changed
    assert change.what == (("status", "dropped", "active"),)


def test_an_address_of_one_with_the_number_of_another_is_left_to_people() -> None:
    [problem] = diff(person("ben@x.edu", "Ben Ohm", key="111")).problems
    assert problem.reason is Reason.TWO_PEOPLE
    [problem] = diff(person(key="999")).problems
    assert problem.reason is Reason.TWO_PEOPLE


def test_two_lines_for_one_person_by_address_and_by_number_are_one_change_and_one_problem() -> None:
    found = diff(person(), Person(3, "ada.king@x.edu", "Ada King", key="111"))
    assert [(p.number, p.reason) for p in found.problems] == [(3, Reason.TWICE)]


def test_a_file_makes_nobody_staff_unless_an_instructor_says_so() -> None:
    tara = person("tara@x.edu", "Tara", role="ta")
    assert diff(tara).problems[0].reason is Reason.ROLE_NOT_CONFIRMED
    assert diff(tara, roles=True, by_instructor=False).problems[0].reason is Reason.NOT_YOURS
    assert diff(tara, roles=True).added == [tara]
    # Who is here already keeps the role that they have.
    assert diff(person(role="instructor")).same == 1
    assert diff(person(role="instructor"), roles=True).changed[0].what == (("role", "student", "instructor"),)


def test_a_ta_changes_no_line_of_staff() -> None:
    [problem] = diff(person("tess@x.edu", "Tess Else"), by_instructor=False).problems
    assert problem.reason is Reason.NOT_YOURS
    assert diff(person("tess@x.edu", "Tess Else")).changed


def test_whose_line_is_wrong_is_not_gone() -> None:
    wrong = [Problem(5, Reason.UNKNOWN_STATUS, "odd", email="ben@x.edu")]
    assert diff(person(), problems=wrong).gone == []


def test_a_sponsor_of_our_own_export_stays_and_a_file_alone_makes_none() -> None:
    known = [ADA, Known(5, "sol@x.edu", "Sol", "", "sponsor", "active", "")]
    read = Read([person(role="student"), person("sol@x.edu", "Sol", role="sponsor")], [])
    again = compare(read, known, roles=False, by_instructor=False)
    assert (again.same, again.problems, again.changed) == (2, [], [])
    [problem] = diff(person("new@x.edu", "New", role="sponsor")).problems
    assert problem.reason is Reason.ROLE_NOT_CONFIRMED
    [problem] = diff(person(role="sponsor"), roles=True, by_instructor=False).problems
    assert problem.reason is Reason.NOT_YOURS
