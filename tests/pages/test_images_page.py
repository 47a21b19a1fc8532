"""The staff's page of images says of each what launches begin with, and offers to delete only what nothing names."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from instances.disk_rules import Standing
from instances.models import CourseImage, Instance, Preset
from instances.services import request_launch
from tests.conftest import Cast
from tests.instances.conftest import Stage
from tests.pages.conftest import signed_in

DELETE = 'value="delete"'


@pytest.fixture
def ta(today: Stage, cast: Cast) -> Client:
    return signed_in(cast.ta.user)


@pytest.fixture
def image(today: Stage, cast: Cast) -> CourseImage:
    now = timezone.now()
    machine = request_launch(cast.ta, today.preset, who=cast.ta.user, now=now)
    Instance.objects.update(state="stopped", cloud_id="i-1")
    facts = {"title": "Spring", "size_gb": 64, "usd_hour": 0, "image_id": "ami-spring", "standing": Standing.KEPT}
    return CourseImage.objects.create(course=cast.course, instance=machine, wanted_at=now, **facts)


def desk(ta: Client) -> str:
    return " ".join(ta.get(reverse("images_desk", args=["dl19"])).content.decode().split())


def press(ta: Client, image: CourseImage, what: str) -> str:
    address = reverse("image_verb", args=["dl19", image.pk])
    return ta.post(address, {"what": what, "preset": "homework"}, follow=True).content.decode()


def test_default_is_said_of_what_launches_begin_with(ta: Client, today: Stage, image: CourseImage, cast: Cast) -> None:
    Preset.objects.update(images={"us-east-1": "ami-old"}, image_id="ami-spring")
    page = desk(ta)
    assert "Default of:" not in page
    assert "Named too, behind another image of this region: “Homework: T4 16 GB”" in page
    assert DELETE not in page
    assert "1 presets launch from it from now on." in press(ta, image, "default")
    assert "Default of: “Homework: T4 16 GB”" in desk(ta)
    assert request_launch(cast.student, today.preset, who=None, now=timezone.now()).image_id == "ami-spring"
    Preset.objects.update(images={"us-east-1": "ami-old"}, image_id="")
    page = desk(ta)
    assert "Default of:" not in page
    assert "Machines that are about to begin with it: 1" in page
    assert DELETE not in page
    assert "One machine that is about to start begins with it." in press(ta, image, "delete")


def test_a_preset_that_is_not_offered_keeps_its_image_and_is_named(
    ta: Client, today: Stage, image: CourseImage
) -> None:
    Preset.objects.update(image_id="ami-spring", enabled=False)
    assert "Default of: “Homework: T4 16 GB”" in desk(ta)
    assert "It is named by “Homework: T4 16 GB”." in press(ta, image, "delete")
    image.refresh_from_db()
    assert image.standing == Standing.KEPT


def test_what_nothing_names_can_be_deleted_there(ta: Client, today: Stage, image: CourseImage) -> None:
    assert DELETE in desk(ta)
    assert "The image is being deleted." in press(ta, image, "delete")
    image.refresh_from_db()
    assert image.standing == Standing.DELETING


def test_the_page_asks_as_much_with_many_images_as_with_one(ta: Client, image: CourseImage) -> None:
    with CaptureQueriesContext(connection) as few:
        desk(ta)
    for n in range(9):
        CourseImage.objects.create(
            course=image.course, instance=image.instance, title=f"{n}", size_gb=64, usd_hour=0, image_id=f"ami-{n}",
            standing=Standing.KEPT, wanted_at=image.wanted_at,
        )  # fmt: skip
    with CaptureQueriesContext(connection) as many:
        desk(ta)
    assert len(many) == len(few)
