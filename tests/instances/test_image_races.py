"""An image is deleted at the moment at which it is made the default, or tried out on a machine."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db.models import QuerySet

from instances import course_images
from instances.disk_rules import Standing
from instances.models import CourseImage, Instance
from instances.refusals import LaunchRefused
from tests.instances.conftest import Stage
from tests.instances.test_course_images import saved
from tests.race import SOON, Outcome, after, race, slow_to_commit

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def without_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of images only: all other locks stand."""
    plain = QuerySet.select_for_update

    def unlocked(rows: Any, *args: Any, **more: Any) -> Any:
        return rows.all() if rows.model is CourseImage else plain(rows, *args, **more)

    monkeypatch.setattr(QuerySet, "select_for_update", unlocked)


Use = Callable[[Stage, CourseImage], None]


def default(stage: Stage, image: CourseImage) -> None:
    course_images.make_default(image, [stage.preset], who=stage.cast.ta.user, now=stage.now)


def tried(stage: Stage, image: CourseImage) -> None:
    course_images.try_out(image, stage.cast.instructor, stage.preset, who=stage.cast.ta.user, now=stage.now)


def so_it_is(stage: Stage, image: CourseImage) -> tuple[bool, bool]:
    """Is it there; does anything name it?"""
    image.refresh_from_db()
    stage.preset.refresh_from_db()
    is_named = stage.preset.image_id == image.image_id
    return image.standing == Standing.KEPT, is_named or Instance.objects.filter(image_id=image.image_id).exists()


def used_then_deleted(stage: Stage, image: CourseImage, use: Use) -> list[Outcome]:
    delete = partial(course_images.request_delete, image)
    return race([partial(slow_to_commit, partial(use, stage, image)), partial(after, SOON, delete)])


def deleted_then_used(stage: Stage, image: CourseImage, use: Use) -> list[Outcome]:
    delete = partial(course_images.request_delete, image)
    return race([partial(after, SOON, partial(use, stage, image)), partial(slow_to_commit, delete)])


@pytest.mark.parametrize("use", [default, tried])
def test_an_image_that_just_found_a_use_is_not_deleted(stage: Stage, use: Use) -> None:
    image = saved(stage)
    used, gone = used_then_deleted(stage, image, use)
    assert used.ok
    assert isinstance(gone.error, LaunchRefused)
    assert so_it_is(stage, image) == (True, True)


@pytest.mark.parametrize("use", [default, tried])
def test_an_image_that_is_just_being_deleted_finds_no_use(stage: Stage, use: Use) -> None:
    image = saved(stage)
    used, gone = deleted_then_used(stage, image, use)
    assert gone.ok
    assert isinstance(used.error, LaunchRefused)
    assert so_it_is(stage, image) == (False, False)


@pytest.mark.parametrize("use", [default, tried])
@pytest.mark.parametrize("order", [used_then_deleted, deleted_then_used])
def test_control_without_the_lock_what_is_deleted_is_named(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, order: Callable[[Stage, CourseImage, Use], list[Outcome]], use: Use
) -> None:
    image = saved(stage)
    without_lock(monkeypatch)
    used, gone = order(stage, image, use)
    assert used.ok
    assert gone.ok
    assert so_it_is(stage, image) == (False, True)
