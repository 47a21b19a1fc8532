"""Who gets which page, where `tests/access` does not say it: what a refusal says, and who is out at once."""

import pytest
from django.test import Client
from django.urls import reverse

from credits.models import CodeBatch
from instances.models import Instance
from tests.conftest import Cast
from tests.instances.conftest import Stage, fresh
from tests.pages.conftest import signed_in


@pytest.fixture
def machine(today: Stage) -> Instance:
    return today.running()


def test_a_button_without_the_pages_own_token_does_nothing(machine: Instance, cast: Cast) -> None:
    client = Client(enforce_csrf_checks=True)
    assert cast.student.user
    client.force_login(cast.student.user)
    answer = client.post(reverse("machine_stop", args=[machine.slug]))
    assert answer.status_code == 403
    assert "Nothing was done" in answer.content.decode()
    assert fresh(machine).state == "running"


def test_a_live_part_tells_a_signed_out_page_so_instead_of_drawing_the_sign_in_page_into_it(
    machine: Instance, cast: Cast
) -> None:
    answer = Client().get(reverse("course_live", args=["dl19"]), headers={"HX-Request": "true"})
    assert answer.status_code == 401
    assert not answer.content


def test_another_courses_preset_and_codes_do_not_exist_here(cast: Cast, today: Stage, batch: CodeBatch) -> None:
    today.preset.course = cast.other_course
    today.preset.save()
    batch.course = cast.other_course
    batch.save()
    client = signed_in(cast.student.user)
    assert client.get(reverse("launch", args=["dl19", "homework"])).status_code == 404
    assert client.post(reverse("claim", args=["dl19", batch.pk])).status_code == 404


def test_who_dropped_the_course_is_out_at_once(machine: Instance, cast: Cast) -> None:
    client = signed_in(cast.student.user)
    assert client.get(reverse("machine", args=[machine.slug])).status_code == 200
    cast.student.status = "dropped"
    cast.student.save()
    assert client.get(reverse("machine", args=[machine.slug])).status_code == 404
    answer = client.get(reverse("home"))
    assert answer.status_code == 403
    assert "ada@demo.edu" in answer.content.decode()
