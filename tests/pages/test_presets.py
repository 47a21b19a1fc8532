"""Presets are changed by staff: what could never be launched is refused at its field, what runs stays as it is."""

from decimal import Decimal

import pytest
from django.test import Client
from django.urls import reverse

from courses.events import CourseEvent
from instances.models import Preset
from tests.conftest import Cast
from tests.instances.conftest import Stage, fresh
from tests.pages.conftest import signed_in

FACTS = {
    "name": "Project: A10G 24 GB",
    "purpose": "For the project.",
    "type_0": "g5.xlarge",
    "image_id": "ami-0123456789abcdef0",
    "disk_gb": "100",
    "lease_minutes": "120",
    "per_person": "2",
    "enabled": "on",
}


@pytest.fixture
def ta(today: Stage, cast: Cast) -> Client:
    return signed_in(cast.ta.user)


def said(preset: Preset) -> dict[str, object]:
    types = {f"type_{n}": name for n, name in enumerate(preset.instance_types)}
    return {**FACTS, "name": preset.name, "purpose": preset.purpose, "image_id": preset.image_id, **types}


def test_a_new_preset_is_offered_at_its_price(ta: Client, cast: Cast) -> None:
    assert ta.post(reverse("preset_new", args=["dl19"]), FACTS).status_code == 302
    made = Preset.objects.get(slug="project-a10g-24-gb")
    assert (made.ceiling_usd_hour, made.lease_seconds, made.position) == (Decimal("1.006"), 7200, 1)
    assert "Project: A10G 24 GB" in ta.get(reverse("presets", args=["dl19"])).content.decode()
    assert (
        "Project: A10G 24 GB"
        in signed_in(cast.student.user).get(reverse("course_home", args=["dl19"])).content.decode()
    )
    ta.post(reverse("preset_new", args=["dl19"]), FACTS)
    assert Preset.objects.filter(slug="project-a10g-24-gb-2").exists()


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        ({"ceiling_usd_hour": "1.00"}, "ceiling_usd_hour", "g5.xlarge costs $1.006 an hour"),
        ({"type_0": "p5e.48xlarge"}, "type_0", "not one of the available choices"),
        ({"type_1": "g5.xlarge"}, "type_1", "This type is chosen already."),
        ({"type_0": ""}, "type_0", "required"),
        ({"image_id": "ami-mine"}, "image_id", "An AMI looks like"),
        ({"image_id": ""}, "image_id", "Say which image"),
        ({"disk_gb": "4"}, "disk_gb", "greater than or equal to 8"),
        ({"lease_minutes": "5"}, "lease_minutes", "greater than or equal to 15"),
        ({"per_person": "0"}, "per_person", "greater than or equal to 1"),
    ],
)
def test_what_could_never_be_launched_is_refused_at_its_field(
    ta: Client, wrong: dict[str, str], field: str, words: str
) -> None:
    answer = ta.post(reverse("preset_new", args=["dl19"]), {**FACTS, **wrong})
    html = answer.content.decode()
    assert answer.status_code == 422
    assert words in html
    assert f'id="id_{field}_error"' in html
    assert Preset.objects.count() == 1


def test_a_change_is_a_row_and_holds_for_launches_from_now_on(ta: Client, today: Stage) -> None:
    machine = today.running()
    change = reverse("preset", args=["dl19", "homework"])
    assert ta.get(change).status_code == 200
    ta.post(change, {**said(today.preset), "disk_gb": "200", "ceiling_usd_hour": "1.00"})
    today.preset.refresh_from_db()
    assert (today.preset.disk_gb, fresh(machine).disk_gb) == (200, 64)
    assert CourseEvent.objects.get(kind="preset").facts["disk_gb"] == [64, 200]
    answer = ta.post(change, {**said(today.preset), "disk_gb": "200", "ceiling_usd_hour": "1.00"}, follow=True)
    assert "Nothing was different." in answer.content.decode()


def test_a_type_that_has_lost_its_price_is_shown_and_cannot_stay(ta: Client, today: Stage) -> None:
    Preset.objects.update(instance_types=["p9.huge"])
    assert "No price below the ceiling" in ta.get(reverse("presets", args=["dl19"])).content.decode()
    change = reverse("preset", args=["dl19", "homework"])
    assert "p9.huge: no price" in ta.get(change).content.decode()
    answer = ta.post(change, {**FACTS, "type_0": "p9.huge", "image_id": "ami-course"})
    assert (answer.status_code, "There is no price for this type" in answer.content.decode()) == (422, True)
