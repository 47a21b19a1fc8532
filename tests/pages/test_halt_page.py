"""The kill switch's page: what it would save, done and undone in place, and told on everybody's page meanwhile."""

import pytest
from django.test import Client
from django.urls import reverse

from courses.models import User
from instances.halts import Halt
from instances.states import State
from tests.instances.conftest import Stage, fresh
from tests.pages.conftest import heard_of, signed_in

URL = "/c/dl19/staff/halt/"


@pytest.fixture
def staff(today: Stage) -> Client:
    return signed_in(today.cast.instructor.user)


def test_before_it_acts_it_shows_what_is_saved_and_who_works(today: Stage, staff: Client) -> None:
    busy, idle = today.running(), today.running(today.cast.other_student)
    heard_of(busy, minutes_ago=0)
    heard_of(idle, minutes_ago=25)
    page = staff.get(URL).content.decode()
    assert "Ada Student" in page
    assert "Of these in use</dt><dd>1</dd>" in page
    assert fresh(busy).state == State.RUNNING


def test_without_a_reason_nothing_is_done(today: Stage, staff: Client) -> None:
    answer = staff.post(URL, {"reach": "all", "why": " "})
    assert answer.status_code == 422
    assert not Halt.objects.exists()


def test_pulled_and_undone_in_place_with_a_word_on_every_page(today: Stage, staff: Client) -> None:
    row = today.running()
    student = signed_in(today.cast.student.user)
    assert staff.post(URL, {"reach": "all", "why": "the bill"}).status_code == 302
    assert fresh(row).state == State.STOPPING
    for client, url in ((student, "/c/dl19/"), (staff, "/c/dl19/staff/"), (student, f"/machines/{row.slug}/")):
        page = client.get(url).content.decode()
        assert "Ines Structor: the bill" in page, url
    launch = reverse("launch", args=["dl19", "homework"])
    asked = student.get(launch).content.decode()
    assert 'large" disabled>' in asked, "a button that would be refused is not offered"
    assert "the bill" in student.post(launch).content.decode()
    page = staff.get(URL).content.decode()
    assert "Undo, and start the same machines again" in page
    made = Halt.objects.get()
    assert student.post(reverse("course_halt_lift", args=["dl19", made.pk])).status_code == 404
    staff.post(reverse("course_halt_lift", args=["dl19", made.pk]), {"restart": "no"})
    assert "Ines Structor: the bill" not in student.get("/c/dl19/").content.decode()


def test_the_installations_switch_is_its_operators_and_binds_every_course(today: Stage, staff: Client) -> None:
    operator = User.objects.create_user("olga@demo.edu", full_name="Olga Operator", is_operator=True)
    assert staff.get("/halt/").status_code == 404
    client = signed_in(operator)
    assert client.get("/halt/").status_code == 200
    client.post("/halt/", {"reach": "all", "why": "account in danger"})
    made = Halt.objects.get()
    assert "Olga Operator: account in danger" in signed_in(today.cast.student.user).get("/c/dl19/").content.decode()
    assert "Only who runs this installation can undo it." in staff.get(URL).content.decode()
    assert staff.post(reverse("halt_all_lift", args=[made.pk])).status_code == 404
    client.post(reverse("halt_all_lift", args=[made.pk]), {"restart": "yes"})
    assert Halt.objects.get().restart
