"""The audit as people see it: filters, files, what is noted by looking, and no more questions as history grows."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone
from openpyxl import load_workbook

from courses import audit
from courses.audit import Kind
from courses.models import AuditEntry, AuditNote, User
from portal import auditing
from tests.conftest import Cast
from tests.pages.conftest import signed_in
from tests.pages.credits.conftest import Shop


def collect() -> None:
    auditing.collect(timezone.now())


@pytest.fixture
def instructor(cast: Cast) -> Client:
    return signed_in(cast.instructor.user)


@pytest.fixture
def operator(db: None) -> Client:
    return signed_in(User.objects.create_user("olga@demo.edu", full_name="Olga Operator", is_operator=True))


def listed(client: Client, query: str = "", url: str = "/c/dl19/staff/audit/") -> str:
    answer = client.get(f"{url}?{query}")
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_page_says_who_did_what_when_why_and_from_where(audited: Shop, instructor: Client) -> None:
    html = listed(instructor, "kind=reveal&person=Ada")
    for word in ("Shown", "Ada Student", "192.0.2.1"):
        assert word in html
    assert "Ben Other" not in html


@pytest.mark.parametrize(
    ("query", "rows"),
    [("kind=reveal", 2), ("kind=reveal&person=ben", 1), ("kind=reveal&person=nobody", 0), ("last=2019-01-01", 0)],
)
def test_filters_narrow_it(audited: Shop, instructor: Client, query: str, rows: int) -> None:
    assert listed(instructor, query).count('<tr id="entry-') == rows


def test_a_day_is_the_viewers_own_and_people_can_be_had_without_the_portals_own(cast: Cast, instructor: Client) -> None:
    evening = datetime(2026, 3, 2, 5, 30, tzinfo=UTC)  # still the first of March in California
    audit.note("by_hand", kind=Kind.DECISION, course=cast.course, who=cast.ta.user, now=evening)
    audit.note("by_itself", kind=Kind.MONEY, course=cast.course, now=evening)
    collect()
    instructor.cookies["tz"] = "America/Los_Angeles"
    assert listed(instructor, "first=2026-03-01&last=2026-03-01").count('<tr id="entry-') == 2
    assert listed(instructor, "first=2026-03-02").count('<tr id="entry-') == 0
    people = listed(instructor, "kind=people")
    assert ("By hand" in people, "By itself" in people) == (True, False)


def test_a_filter_that_cannot_be_read_is_said_next_to_it(audited: Shop, instructor: Client) -> None:
    answer = instructor.get("/c/dl19/staff/audit/?first=2026-02-02&last=2026-01-01")
    assert answer.status_code == 422
    assert "before the first one" in answer.content.decode()


def test_a_course_sees_its_own_and_the_installation_sees_all(
    audited: Shop, cast: Cast, instructor: Client, operator: Client
) -> None:
    audit.note("elsewhere", kind=Kind.DECISION, course=cast.other_course, now=timezone.now())
    audit.note("nowhere", kind=Kind.SIGN_IN, subject="nobody@demo.edu", now=timezone.now())
    collect()
    assert "Elsewhere" not in listed(instructor)
    everything = listed(operator, "", "/audit/")
    assert "Elsewhere" in everything
    assert "nobody@demo.edu" in everything


def test_older_entries_are_a_page_further(cast: Cast, instructor: Client) -> None:
    for n in range(130):
        audit.note(f"thing_{n}", kind=Kind.DECISION, course=cast.course, now=timezone.now() + timedelta(seconds=n))
    collect()
    first = listed(instructor)
    assert first.count('<tr id="entry-') == 100
    assert "before=31" in first
    assert listed(instructor, "before=31").count('<tr id="entry-') == 30


def test_the_questions_do_not_grow_with_history(cast: Cast, instructor: Client) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as found:
            listed(instructor)
        return len(found)

    audit.note("one", kind=Kind.LOOK, who=cast.ta.user, about=cast.student, now=timezone.now())
    collect()
    few = asked()
    for n in range(60):
        audit.note(f"n{n}", kind=Kind.LOOK, who=cast.ta.user, about=cast.student, now=timezone.now())
    collect()
    assert asked() == few <= 7


def test_the_files_hold_the_same_and_no_cell_is_a_formula(audited: Shop, cast: Cast, instructor: Client) -> None:
    audit.note("x", kind=Kind.DECISION, course=cast.course, why='=HYPERLINK("http://evil")', now=timezone.now())
    collect()
    answer = instructor.get("/c/dl19/staff/audit.csv")
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    expected = AuditEntry.objects.filter(course=cast.course).order_by("-number")
    assert [int(row["number"]) for row in rows] == list(expected.values_list("number", flat=True))
    assert rows[0]["why"].startswith("'=")
    sheet = load_workbook(io.BytesIO(instructor.get("/c/dl19/staff/audit.xlsx").content))["audit"]
    assert sheet.max_row == len(rows) + 1
    assert sheet["H2"].value == rows[0]["why"]
    assert sheet["H2"].data_type == "s"


def test_who_takes_the_audit_away_is_in_it(audited: Shop, instructor: Client, cast: Cast) -> None:
    instructor.get("/c/dl19/staff/audit.csv?kind=money")
    taken = AuditNote.objects.get(what="audit_exported")
    assert (taken.who, taken.course, taken.facts) == (
        cast.instructor.user,
        cast.course,
        {"as": "csv", "kind": "money"},
    )


def test_every_look_of_staff_at_a_students_page_is_a_row_and_ones_own_is_none(audited: Shop, cast: Cast) -> None:
    machine = audited.stage.launch(cast.other_student)
    ta = signed_in(cast.ta.user)
    for _n in range(2):
        ta.get(reverse("course_person", args=["dl19", cast.other_student.pk]))
    ta.get(reverse("course_person", args=["dl19", cast.ta.pk]))
    ta.get(reverse("machine", args=[machine.slug]))
    signed_in(cast.other_student.user).get(reverse("machine", args=[machine.slug]))
    looks = AuditNote.objects.filter(kind=Kind.LOOK)
    assert [(look.what, look.who, look.about, look.address) for look in looks] == [
        ("person_page", cast.ta.user, cast.other_student, "127.0.0.1"),
        ("person_page", cast.ta.user, cast.other_student, "127.0.0.1"),
        ("machine_page", cast.ta.user, cast.other_student, "127.0.0.1"),
    ]


def test_lists_that_are_taken_away_are_rows(audited: Shop, cast: Cast) -> None:
    ta = signed_in(cast.ta.user)
    for name in ("spend_csv", "credits_csv", "credits_xlsx"):
        ta.get(reverse(name, args=["dl19"]))
    assert list(AuditNote.objects.filter(kind=Kind.EXPORT).values_list("what", flat=True)) == [
        "spend_exported",
        "codes_exported",
        "codes_exported",
    ]


def test_an_empty_audit_says_what_will_be_in_it(cast: Cast, instructor: Client) -> None:
    assert "appear here within a minute" in listed(instructor)
