"""Closing the term: the dry run first, then announced to everybody, and the statement in the end."""

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from courses.models import User
from credits.models import CodeBatch, Letter
from instances.closing_records import Closing
from instances.models import DiskSnapshot
from instances.states import State
from tests.instances.conftest import Stage, fresh
from tests.pages.conftest import signed_in
from tests.pages.test_course_home import text_of

URL = "/c/dl19/staff/closing/"


@pytest.fixture
def staff(today: Stage) -> Client:
    return signed_in(today.cast.instructor.user)


def said(today: Stage, **other: object) -> dict[str, object]:
    return {"last_day": today.cast.course.ends_on, "keep_days": 30, "read": "on", **other}


def test_the_dry_run_says_what_would_go_and_what_each_gets_and_changes_nothing(
    today: Stage, staff: Client, batch: CodeBatch
) -> None:
    row = today.running()
    off = today.stop(today.running(today.cast.other_student))
    today.repair()
    DiskSnapshot.objects.create(
        instance=off, owner=off.owner, course=off.course, standing="kept", size_gb=16, usd_hour=0, wanted_at=today.now
    )
    text = text_of(staff.get(URL).content.decode())
    assert "Machines to stop 1" in text
    assert "Disks to archive, then delete 2 128 GB" in text
    assert "Their archives cost at most $6.31" in text
    assert "Copies to keep until then 1 16 GB" in text
    assert "Welcome credit: 3 unclaimed, worth $300.00" in text
    assert "Ada Student" in text
    assert "Stopped, archived, proved, deleted" in text
    assert "64 GB · Archived, proved, deleted" in text
    assert (fresh(row).state, fresh(off).state) == (State.RUNNING, State.STOPPED)
    assert not Closing.objects.exists()
    assert not Letter.objects.exists()


@pytest.mark.parametrize(
    ("other", "error"),
    [
        ({"read": ""}, "Read the dry run"),
        ({"keep_days": 3}, "greater than or equal to 7"),
        ({"last_day": "2019-05-17"}, "The course goes on until"),
    ],
)
def test_refused_it_says_why_and_announces_nothing(
    today: Stage, staff: Client, other: dict[str, str], error: str
) -> None:
    answer = staff.post(URL, said(today, **other))
    assert answer.status_code == 422
    assert error in text_of(answer.content.decode())
    assert not Closing.objects.exists()


def test_announced_everybody_reads_what_becomes_of_their_files_and_called_off_nobody_does(
    today: Stage, staff: Client
) -> None:
    assert staff.post(URL, said(today)).status_code == 302
    assert Letter.objects.filter(key__startswith="closing/").count() == 4
    student = signed_in(today.cast.student.user)
    for url in ("/c/dl19/", "/me/", URL):
        client = staff if url == URL else student
        text = text_of(client.get(url).content.decode())
        assert "Deep Learning closes when" in text, url
        assert "Download what you want to keep" in text, url
    page = staff.post(URL, said(today, keep_days=60), follow=True).content.decode()
    assert "Everybody of the course is told" in page
    assert staff.post(reverse("closing_call_off", args=["dl19"])).status_code == 302
    assert "closes when" not in student.get("/c/dl19/").content.decode()
    staff.post(reverse("closing_call_off", args=["dl19"]))
    assert Letter.objects.filter(subject__contains="not closed as announced").count() == 4


def test_an_operator_closes_a_course_and_sees_none_of_its_people(today: Stage) -> None:
    today.running()
    operator = User.objects.create_user("olga@demo.edu", full_name="Olga Operator", is_operator=True)
    client = signed_in(operator)
    text = text_of(client.get(URL).content.decode())
    assert "Machines to stop 1" in text
    assert "Ada Student" not in text
    assert client.post(URL, said(today)).status_code == 302


def test_carried_out_and_finished_it_shows_the_statement(today: Stage, staff: Client, settings: Settings) -> None:
    course = today.cast.course
    course.ends_on = (timezone.now() - timedelta(days=2)).date()
    course.save()
    row = Closing.objects.create(course=course, last_day=course.ends_on, keep_days=30, announced_at=today.now)
    text = text_of(staff.get(URL).content.decode())
    assert "Being carried out" in text
    assert "Statement so far Spent $0.00" in text
    assert "Deep Learning is closed." in text
    told = {
        "as_of": today.now.isoformat(),
        "people": [[today.cast.student.pk, "12.345678"]],
        "codes": [],
        "archived": 3,
    }
    usd = {"budget_usd": "500", "spent_usd": "12.355678", "held_usd": "0", "left_usd": "487.64", "nobodys_usd": "0.01"}
    Closing.objects.filter(pk=row.pk).update(finished_at=today.now, statement={**told, **usd})
    text = text_of(staff.get(URL).content.decode())
    assert "Final statement Spent $12.36" in text
    assert "Ada Student $12.35" in text
    assert "corrections to AWS’s bill $0.01" in text
