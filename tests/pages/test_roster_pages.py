"""The roster's pages: a file changes nothing before it is confirmed, and then all of it; who leaves is out at once."""

import re
import time
from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from courses.events import CourseEvent
from courses.models import Enrollment, User
from credits import requests
from credits.drafts import ImportDraft
from credits.models import CreditRequest
from instances import sweeps
from instances.models import Instance, NotebookGrant
from portal import people
from spend.checks import check_books
from spend.defaults import set_defaults
from spend.models import Budget
from tests.conftest import Cast
from tests.courses.files import CANVAS
from tests.instances.conftest import Stage, fresh
from tests.pages.conftest import signed_in

HEAD = "name,email,section\n"
STUDENTS = HEAD + "Ada Student,ada@demo.edu,1\nBen Other,ben@demo.edu,\n"


@pytest.fixture
def ta(today: Stage, cast: Cast) -> Client:
    return signed_in(cast.ta.user)


@pytest.fixture
def instructor(today: Stage, cast: Cast) -> Client:
    return signed_in(cast.instructor.user)


def upload(client: Client, text: str | bytes) -> str:
    content = text.encode() if isinstance(text, str) else text
    answer = client.post(reverse("roster_import", args=["dl19"]), {"file": SimpleUploadedFile("roster.csv", content)})
    assert answer.status_code == 302, answer.content.decode()
    return answer["Location"]


def said(html: str) -> dict[str, str]:
    """The choices that the page offers as they stand."""
    found = {}
    for name, body in re.findall(r'<select name="(\w+)"[^>]*>(.*?)</select>', html, re.S):
        chosen = re.search(r'<option value="([^"]*)" selected', body)
        found[name] = chosen.group(1) if chosen else ""
    return found


def confirm(client: Client, step: str, **more: object) -> str:
    html = client.get(step).content.decode()
    return client.post(step, {**said(html), "confirm": "1", **more}, follow=True).content.decode()


def names(cast: Cast) -> set[str]:
    return set(cast.course.enrollments.values_list("name", flat=True))


def test_looking_changes_nothing_and_confirming_changes_all(ta: Client, cast: Cast) -> None:
    step = upload(ta, STUDENTS + "Cy Sun,cy@demo.edu,2\n,broken,\n")
    before = names(cast)
    html = ta.get(step).content.decode()
    assert "Cy Sun" in html
    assert "Line 5" in html
    assert names(cast) == before
    html = confirm(ta, step)
    assert "1 added, 1 changed, 1 as they were." in html
    assert "1 line was left out." in html
    assert names(cast) - before == {"Cy Sun"}
    assert Enrollment.objects.get(email="ada@demo.edu").section == "1"
    assert not ImportDraft.objects.exists()
    kinds = set(CourseEvent.objects.values_list("kind", flat=True))
    assert kinds == {"added", "changed", "imported"}


def test_new_people_get_a_budget_by_the_courses_defaults(ta: Client, cast: Cast) -> None:
    set_defaults(cast.course, team_usd=Decimal(200), person_usd=Decimal(70))
    confirm(ta, upload(ta, HEAD + "Cy Sun,cy@demo.edu,\nWu Wait,wu@demo.edu,\n"))
    assert Budget.objects.get(enrollment__email="cy@demo.edu").amount_usd == 70
    assert check_books() == []


def test_canvas_asks_for_the_domain_once_and_remembers_file_and_domain(ta: Client, cast: Cast) -> None:
    step = upload(ta, CANVAS)
    html = ta.get(step).content.decode()
    refused = ta.post(step, {**said(html), "confirm": "1"})
    assert refused.status_code == 422
    assert "Say which domain makes an address of a login" in refused.content.decode()
    assert not cast.course.enrollments.filter(name="Ada Lovelace").exists()
    confirm(ta, step, domain="@Berkeley.edu")
    assert cast.course.enrollments.get(name="Ada Lovelace").email == "ada@berkeley.edu"
    cast.course.refresh_from_db()
    assert cast.course.email_domain == "berkeley.edu"
    html = ta.get(upload(ta, CANVAS)).content.decode()
    assert "As you chose for the last file of this kind." in html
    assert 'value="berkeley.edu"' in html
    assert "the gradebook’s test student" in html


def test_who_is_not_in_the_file_stays_until_ticked(ta: Client, cast: Cast, today: Stage) -> None:
    machine = today.running()
    grant = NotebookGrant.objects.create(
        digest="d",
        instance=machine,
        user=machine.owner.user,
        session_key="s",
        created_at=today.now,
        expires_at=timezone.now() + timedelta(days=1),
    )
    asked = requests.ask(
        cast.student,
        amount_usd=Decimal(20),
        reason="More epochs, please: we are late.",
        for_team=False,
        who=cast.student.user,
        now=today.now,
    )
    only_ben = HEAD + "Ben Other,ben@demo.edu,\n"
    confirm(ta, upload(ta, only_ben))
    cast.student.refresh_from_db()
    assert cast.student.status == "active"
    html = ta.get(upload(ta, only_ben)).content.decode()
    assert "1 machine of theirs runs now." in html
    assert '<details id="gone" open>' in html  # few: nobody has to look for them
    spent = Budget.objects.get(enrollment=cast.student).spent_usd
    html = confirm(ta, upload(ta, only_ben), gone=[str(cast.student.pk), str(cast.ta.pk)])
    assert "1 person is closed. 1 machine is stopping." in html
    cast.student.refresh_from_db()
    cast.ta.refresh_from_db()
    assert (cast.student.status, cast.ta.status) == ("dropped", "active")
    assert fresh(machine).state == "stopping"
    grant.refresh_from_db()
    assert grant.revoked_at
    assert CreditRequest.objects.get(pk=asked.pk).status == "denied"
    sweeps.notices(timezone.now())
    assert any("no longer in this course" in letter.body for letter in mail.outbox)
    assert Budget.objects.get(enrollment=cast.student).spent_usd == spent
    assert signed_in(cast.student.user).get(reverse("course_home", args=["dl19"])).status_code == 404


def test_closing_and_letting_in_again_by_hand(ta: Client, cast: Cast) -> None:
    close = reverse("roster_close", args=["dl19", cast.student.pk])
    refused = ta.post(close, {"why": " "})
    assert refused.status_code == 422
    assert "Say why." in refused.content.decode()
    ta.post(close, {"why": "left the university"})
    cast.student.refresh_from_db()
    assert cast.student.status == "dropped"
    assert "left the university" in ta.get(reverse("roster_person", args=["dl19", cast.student.pk])).content.decode()
    ta.post(reverse("roster_reopen", args=["dl19", cast.student.pk]))
    cast.student.refresh_from_db()
    assert cast.student.status == "active"


def test_a_ta_neither_makes_nor_closes_staff_and_the_last_instructor_stays(
    ta: Client, instructor: Client, cast: Cast
) -> None:
    add = reverse("roster_add", args=["dl19"])
    ta.post(add, {"name": "Tara", "email": "tara@demo.edu", "role": "instructor"})
    assert cast.course.enrollments.get(email="tara@demo.edu").role == "student"
    ta.post(reverse("roster_close", args=["dl19", cast.instructor.pk]), {"why": "coup"})
    instructor.post(reverse("roster_close", args=["dl19", cast.instructor.pk]), {"why": "oops"})
    cast.instructor.refresh_from_db()
    assert cast.instructor.status == "active"
    instructor.post(add, {"name": "Tim", "email": "tim@demo.edu", "role": "ta"})
    assert cast.course.enrollments.get(email="tim@demo.edu").role == "ta"


def test_a_wrong_or_taken_address_is_said_at_its_field(ta: Client, cast: Cast) -> None:
    add = reverse("roster_add", args=["dl19"])
    for address, words in (("nowhere", "is no e-mail address"), ("ADA@demo.edu", "Ada Student")):
        answer = ta.post(add, {"name": "Cy", "email": address})
        assert answer.status_code == 422
        assert words in answer.content.decode()
        assert 'aria-describedby="id_email' in answer.content.decode()
    change = reverse("roster_person", args=["dl19", cast.student.pk])
    answer = ta.post(change, {"name": "Ada", "email": "ben@demo.edu"})
    assert (answer.status_code, "Ben Other" in answer.content.decode()) == (422, True)
    cast.student.refresh_from_db()
    assert cast.student.name == "Ada Student"


def test_who_has_signed_in_for_another_course_is_in_at_once(ta: Client, cast: Cast) -> None:
    other = User.objects.create_user("cy@demo.edu", full_name="Cy Sun")
    confirm(ta, upload(ta, HEAD + "Cy Sun,cy@demo.edu,\n"))
    assert signed_in(other).get(reverse("course_home", args=["dl19"])).status_code == 200


def test_another_persons_list_and_a_list_of_codes_are_not_there(ta: Client, instructor: Client, cast: Cast) -> None:
    step = upload(ta, STUDENTS)
    answer = instructor.get(step)
    assert (answer.status_code, answer["Location"]) == (302, reverse("roster_import", args=["dl19"]))
    draft = ImportDraft.objects.get()
    assert ta.get(reverse("credits_import_map", args=["dl19", draft.pk])).status_code == 302
    assert b"Ada Student" not in bytes(draft.sealed, "ascii")


def test_a_roster_goes_out_harmless_and_comes_back_the_same(ta: Client, cast: Cast) -> None:
    Enrollment.objects.filter(pk=cast.student.pk).update(name="=1+1", section="@x", roster_key="-7")
    text = ta.get(reverse("roster_csv", args=["dl19"])).content.decode()
    assert "'=1+1" in text
    assert not re.search(r"(^|,)[=@+-]", text, re.M)
    assert "Nothing in this list is new." in ta.get(upload(ta, text)).content.decode()
    packed = ta.get(reverse("roster_xlsx", args=["dl19"])).content
    assert "Nothing in this list is new." in ta.get(upload(ta, packed)).content.decode()


def test_a_list_without_a_column_of_names_is_told_so_at_the_columns(ta: Client, cast: Cast) -> None:
    where = upload(ta, b"Name,Email\nNia New,nia@demo.edu\n")
    answer = ta.post(where, {"name": "", "email": "1", "heading": "0", "confirm": "1"})
    assert answer.status_code == 422
    assert "Say which column holds the name" in answer.content.decode()
    assert "Change the roster so" not in answer.content.decode()
    assert not cast.course.enrollments.filter(email="nia@demo.edu").exists()


def test_a_pasted_line_from_a_mail_program_is_people(ta: Client, cast: Cast) -> None:
    pasted = {"pasted": "Cy Sun <cy@demo.edu>, Di Moon <di@demo.edu>"}
    step = ta.post(reverse("roster_import", args=["dl19"]), pasted)["Location"]
    confirm(ta, step)
    assert {"Cy Sun", "Di Moon"} <= names(cast)


def crowd(cast: Cast, people_: int) -> None:
    Enrollment.objects.bulk_create(
        Enrollment(course=cast.course, email=f"s{n}@demo.edu", name=f"Student {n}") for n in range(people_)
    )


def test_the_pages_ask_the_same_number_of_questions_for_any_number_of_people(ta: Client, cast: Cast) -> None:
    def asked() -> dict[str, int]:
        step = upload(ta, HEAD + "Ada Student,ada@demo.edu,1\n")
        pages = {
            "roster": reverse("roster", args=["dl19"]),
            "person": reverse("roster_person", args=["dl19", cast.student.pk]),
            "csv": reverse("roster_csv", args=["dl19"]),
            "map": step,
        }
        found = {}
        for name, url in pages.items():
            with CaptureQueriesContext(connection) as queries:
                assert ta.get(url).status_code == 200
            found[name] = len(queries)
        return found

    few = asked()
    crowd(cast, 60)
    assert asked() == few
    assert max(few.values()) <= 8


def test_five_thousand_lines_are_looked_at_in_two_seconds_and_come_in_whole(ta: Client, cast: Cast) -> None:
    crowd(cast, 2500)
    lines = [f"Student {n},s{n}@demo.edu,{n % 7}" for n in range(5000)]
    step = upload(ta, HEAD + "\n".join(lines))
    began = time.process_time()
    html = ta.get(step).content.decode()
    assert time.process_time() - began < 2
    assert "2500 people are added" in html
    confirm(ta, step)
    assert cast.course.enrollments.count() == 5000 + 4


def test_an_import_that_fails_in_the_middle_leaves_nothing(
    ta: Client, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_defaults(cast.course, team_usd=Decimal(200), person_usd=Decimal(70))
    step = upload(ta, HEAD + "Cy Sun,cy@demo.edu,\n")
    html = ta.get(step).content.decode()

    def broken(*_args: object, **_more: object) -> int:
        raise RuntimeError("the power is gone")

    monkeypatch.setattr(people, "open_missing", broken)
    with pytest.raises(RuntimeError):
        ta.post(step, {**said(html), "confirm": "1", "gone": [str(cast.student.pk)]})
    assert "Cy Sun" not in names(cast)
    cast.student.refresh_from_db()
    assert cast.student.status == "active"
    assert ImportDraft.objects.exists()
    assert not CourseEvent.objects.exists()
    assert Instance.objects.count() == 0
