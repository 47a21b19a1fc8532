"""A staff machine becomes the course's image; machines that there are keep what they run from."""

import pytest

from cloud.base import Refused, Transient
from instances import course_images, services
from instances.disk_rules import Standing
from instances.models import CourseImage, Instance
from instances.refusals import LaunchRefused
from tests.instances.conftest import Stage, fresh


def rounds(stage: Stage, n: int = 3) -> None:
    for _round in range(n):
        stage.later(60)
        course_images.images(stage.cloud, stage.now)


def stopped_of_staff(stage: Stage) -> Instance:
    row = stage.stop(stage.running(stage.cast.ta))
    stage.wait(1)
    return fresh(row)


def saved(stage: Stage) -> CourseImage:
    who = stage.cast.ta.user
    assert who
    made = course_images.request_image(stopped_of_staff(stage), "Spring", who=who, now=stage.now)
    rounds(stage)
    made.refresh_from_db()
    return made


def test_it_is_saved_tried_on_one_machine_and_made_the_default_and_nobody_elses_machine_changes(stage: Stage) -> None:
    students = stage.running()
    image = saved(stage)
    assert image.standing == Standing.KEPT
    assert image.image_id in stage.cloud.disks.images_kept
    tried = course_images.try_out(image, stage.cast.instructor, stage.preset, who=stage.cast.ta.user, now=stage.now)
    services.launch(tried.pk, cloud=stage.cloud, now=stage.now)
    assert stage.machine(tried).spec.image_id == image.image_id
    assert course_images.make_default(image, [stage.preset], who=stage.cast.ta.user, now=stage.now) == 1
    new = stage.running(stage.cast.other_student)
    assert stage.machine(new).spec.image_id == image.image_id
    assert stage.machine(students).spec.image_id == fresh(students).image_id == "ami-course"


@pytest.mark.parametrize("after", [False, True])
def test_a_lost_answer_makes_no_second_image(stage: Stage, after: bool) -> None:
    (stage.cloud.break_after if after else stage.cloud.break_before)("save_image", Transient("lost"))
    assert saved(stage).standing == Standing.KEPT
    assert len(stage.cloud.disks.images_kept) == 1


def test_a_students_disk_and_one_that_is_in_use_are_refused(stage: Stage) -> None:
    row = stage.running()
    with pytest.raises(LaunchRefused, match="course staff"):
        course_images.request_image(row, "x", who=stage.cast.ta.user, now=stage.now)
    mine = stage.running(stage.cast.ta)
    with pytest.raises(LaunchRefused, match="Stop the machine first"):
        course_images.request_image(mine, "x", who=stage.cast.ta.user, now=stage.now)


def test_what_aws_refuses_is_said(stage: Stage) -> None:
    stage.cloud.break_before("save_image", Refused("UnauthorizedOperation"))
    image = saved(stage)
    assert (image.standing, image.reason) == (Standing.FAILED, "UnauthorizedOperation")


def test_it_is_deleted_with_its_snapshot_but_not_while_a_preset_launches_from_it(stage: Stage) -> None:
    image = saved(stage)
    course_images.make_default(image, [stage.preset], who=stage.cast.ta.user, now=stage.now)
    with pytest.raises(LaunchRefused, match="launches from it"):
        course_images.request_delete(image)
    stage.preset.refresh_from_db()
    stage.preset.image_id = "ami-course"
    stage.preset.save()
    course_images.request_delete(image)
    rounds(stage)
    image.refresh_from_db()
    assert image.standing == Standing.DELETED
    assert stage.cloud.disks.images_kept == {}
    assert stage.cloud.disks.kept == {}
