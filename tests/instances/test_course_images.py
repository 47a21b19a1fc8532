"""A staff machine becomes the course's image; machines that there are keep what they run from."""

from dataclasses import replace

import pytest
from pytest_django.fixtures import Settings

from cloud.base import AccountBlocked, CloudError, NotFound, Refused, Transient
from instances import closing_statement, course_images, services, sweeps
from instances.disk_rules import Standing
from instances.models import CourseImage, Instance, Preset
from instances.refusals import LaunchRefused
from instances.states import State
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


# ------------------------------------------------------------------ what AWS has, whatever was heard of it
LATE = 150


def wanted(stage: Stage) -> CourseImage:
    who = stage.cast.ta.user
    assert who
    return course_images.request_image(stopped_of_staff(stage), "Spring", who=who, now=stage.now)


def standing(image: CourseImage) -> str:
    image.refresh_from_db()
    return image.standing


def deleted_with_all_it_is_made_of(stage: Stage, image: CourseImage) -> bool:
    course_images.request_delete(image)
    rounds(stage)
    return standing(image) == Standing.DELETED and stage.cloud.disks.images_kept == stage.cloud.disks.kept == {}


@pytest.mark.parametrize(
    "error",
    [
        AccountBlocked("our clock is wrong", code="RequestExpired"),
        AccountBlocked("rotated", code="AuthFailure"),
        Refused("UnauthorizedOperation", code="UnauthorizedOperation"),
        Transient("lost"),
    ],
)
def test_a_look_that_fails_says_nothing_of_an_image_that_aws_makes(stage: Stage, error: CloudError) -> None:
    image = wanted(stage)
    rounds(stage, 1)
    assert standing(image) == Standing.PENDING
    stage.cloud.break_before("images", error)
    rounds(stage, 1)
    assert standing(image) == Standing.PENDING
    assert closing_statement.images_there(image.course).exists()
    rounds(stage, 1)
    assert standing(image) == Standing.KEPT
    assert deleted_with_all_it_is_made_of(stage, image)


def test_while_the_account_is_blocked_an_image_waits(stage: Stage) -> None:
    image = wanted(stage)
    stage.cloud.break_before("save_image", AccountBlocked("our clock is wrong", code="RequestExpired"), times=2)
    rounds(stage, 2)
    assert standing(image) == Standing.WANTED
    rounds(stage, 2)
    assert standing(image) == Standing.KEPT


def test_an_image_whose_answer_was_lost_and_that_is_listed_late_is_found(stage: Stage) -> None:
    image = wanted(stage)
    stage.cloud.disks.hidden_seconds = LATE
    stage.cloud.break_after("save_image", Transient("lost"))
    rounds(stage, 2)
    assert standing(image) == Standing.WANTED
    rounds(stage)
    assert standing(image) == Standing.KEPT
    assert deleted_with_all_it_is_made_of(stage, image)


def test_an_image_that_was_made_before_its_machine_went_is_found(stage: Stage) -> None:
    """Its answer was lost; asked again, AWS knows no such machine, and does not look at the name."""
    image = wanted(stage)
    stage.cloud.break_after("save_image", Transient("lost"))
    rounds(stage, 1)
    stage.cloud.break_before("save_image", NotFound("no such machine", code="InvalidInstanceID.NotFound"), times=None)
    stage.cloud.break_before("images", Transient("lost"))
    rounds(stage, 1)
    assert standing(image) == Standing.WANTED
    rounds(stage)
    assert standing(image) == Standing.KEPT
    assert deleted_with_all_it_is_made_of(stage, image)


def test_what_aws_says_that_it_could_not_make_has_failed(stage: Stage) -> None:
    image = wanted(stage)
    rounds(stage, 1)
    [made] = stage.cloud.disks.images_kept.values()
    made.view = replace(made.view, available=False, failed=True)
    stage.cloud.break_before("delete_snapshots", Transient("busy"))
    rounds(stage, 1)
    assert standing(image) == Standing.PENDING  # nothing of it is forgotten that is still paid for
    rounds(stage, 7)
    assert standing(image) == Standing.FAILED
    assert stage.cloud.disks.images_kept == stage.cloud.disks.kept == {}


def pending(stage: Stage) -> CourseImage:
    """AWS is making it, and has listed it."""
    image = wanted(stage)
    rounds(stage, 1)
    [made] = stage.cloud.disks.images_kept.values()
    made.view = replace(made.view, available=False)
    rounds(stage, 1)
    assert standing(image) == Standing.PENDING
    return image


def test_what_somebody_deregistered_at_aws_before_it_was_complete_has_failed_after_minutes(stage: Stage) -> None:
    image = pending(stage)
    stage.cloud.disks.delete_image(image.image_id)
    rounds(stage, 5)
    assert (standing(image), stage.cloud.count("image")) == (Standing.PENDING, 0)
    rounds(stage, 1)
    assert standing(image) == Standing.FAILED
    assert "somebody deleted it there" in image.reason
    assert stage.cloud.disks.kept == {}  # what AWS had begun for it
    assert not closing_statement.images_there(image.course).exists()  # the closing goes on


@pytest.mark.parametrize(
    "error",
    [Refused("UnauthorizedOperation", code="UnauthorizedOperation"), Transient("lost"), AccountBlocked("clock")],
)
def test_that_it_cannot_be_asked_for_by_its_id_says_nothing_of_it(stage: Stage, error: CloudError) -> None:
    image = pending(stage)
    stage.cloud.disks.hidden_seconds = 9999
    stage.cloud.break_before("image", error, times=3)
    rounds(stage, 9)
    assert standing(image) == Standing.PENDING


def test_looks_that_fail_are_no_looks_that_missed_it(stage: Stage) -> None:
    image = pending(stage)
    stage.cloud.break_before("images", Transient("lost"), times=20)
    rounds(stage, 20)
    assert (standing(image), image.absent_since) == (Standing.PENDING, None)


def test_an_image_that_looks_missed_and_that_is_there_is_kept(stage: Stage) -> None:
    """Listed late; or somebody took its tag off: it is there, and is paid for."""
    image = pending(stage)
    stage.cloud.disks.hidden_seconds = 9999
    rounds(stage, 3)
    stage.cloud.disks.hidden_seconds = 0
    rounds(stage, 1)
    assert (standing(image), image.absent_since) == (Standing.PENDING, None)
    [made] = stage.cloud.disks.images_kept.values()
    made.view, made.installation = replace(made.view, available=True), "somebody's"
    rounds(stage, 6)
    assert (standing(image), image.absent_since) == (Standing.KEPT, None)


def named(stage: Stage, **how: object) -> None:
    """How the preset names its image, from now on."""
    Preset.objects.filter(pk=stage.preset.pk).update(**{"image_id": "", "images": {}, "image_parameters": [], **how})
    stage.preset.refresh_from_db()


def make_default(stage: Stage, image: CourseImage) -> int:
    return course_images.make_default(image, [stage.preset], who=stage.cast.ta.user, now=stage.now)


@pytest.mark.parametrize(
    "how",
    [
        {"images": {"us-east-1": "ami-old", "us-west-2": "ami-west"}},
        {"images": {"us-east-1": "ami-old", "us-west-2": "ami-west"}, "image_id": "ami-older"},
        {"images": {"us-west-2": "ami-west"}, "image_id": "ami-old"},
        {"image_parameters": ["/course/ami-id"]},
    ],
)
def test_the_default_is_what_launches_begin_with_however_the_preset_named_its_image(
    stage: Stage, how: dict[str, object]
) -> None:
    stage.cloud.catalog.images["/course/ami-id"] = "ami-old"
    image = saved(stage)
    named(stage, **how)
    assert make_default(stage, image) == 1
    stage.preset.refresh_from_db()
    assert stage.machine(stage.launch()).spec.image_id == image.image_id
    assert make_default(stage, image) == 1  # said twice, it is as true
    stage.preset.refresh_from_db()
    assert stage.preset.images.get("us-west-2") == ("ami-west" if "images" in how else None)  # another region's


def test_a_preset_whose_disk_is_too_small_is_not_counted(stage: Stage) -> None:
    image = saved(stage)
    Preset.objects.update(disk_gb=image.size_gb - 1)
    assert make_default(stage, image) == 0


# ------------------------------------------------------------------ deleting
def test_what_a_default_replaced_can_be_deleted(stage: Stage) -> None:
    old = saved(stage)
    named(stage, images={"us-east-1": "ami-old"}, image_id="ami-older")
    make_default(stage, old)
    new = CourseImage.objects.create(**values_of(old, image_id="ami-new", standing=Standing.KEPT))
    make_default(stage, new)
    course_images.request_delete(old)
    with pytest.raises(LaunchRefused, match="Homework: T4 16 GB"):
        course_images.request_delete(new)


def values_of(image: CourseImage, **more: object) -> dict[str, object]:
    same = ("course", "title", "instance", "wanted_at", "size_gb", "usd_hour")
    return {**{name: getattr(image, name) for name in same}, **more}


@pytest.mark.parametrize("elsewhere", [False, True])
def test_an_image_that_any_preset_names_is_not_deleted_and_all_of_them_are_told(stage: Stage, elsewhere: bool) -> None:
    image = saved(stage)
    named(stage, images={"us-east-1": image.image_id, "us-west-2": "ami-west"}, image_id="ami-course")
    other = stage.cast.other_course if elsewhere else stage.cast.course  # its presets were copied to the next term
    like = {"slug": "project", "name": "Project", "ceiling_usd_hour": 1, "enabled": False}
    Preset.objects.create(course=other, image_id=image.image_id, **like)
    with pytest.raises(LaunchRefused) as refused:
        course_images.request_delete(image)
    assert "“Homework: T4 16 GB”" in str(refused.value)
    assert ("“Project” (Computer Vision)" if elsewhere else "“Project”") in str(refused.value)
    image.refresh_from_db()
    assert image.standing == Standing.KEPT


def test_a_name_beneath_another_image_keeps_it_too(stage: Stage) -> None:
    """Whoever takes that line away launches from it."""
    image = saved(stage)
    named(stage, images={"us-east-1": "ami-east"}, image_id=image.image_id)
    with pytest.raises(LaunchRefused, match="Homework: T4 16 GB"):
        course_images.request_delete(image)
    use = course_images.uses([image])[image.pk]
    assert (use.default_of, use.named_by) == ([], ["“Homework: T4 16 GB”"])


def test_what_stands_for_another_region_is_no_use_of_it(stage: Stage, settings: Settings) -> None:
    image = saved(stage)
    named(stage, images={"us-west-2": image.image_id}, image_id="ami-course")
    assert not course_images.uses([image])[image.pk].any
    settings.AWS_REGION = "us-west-2"
    assert course_images.uses([image])[image.pk].default_of == ["“Homework: T4 16 GB”"]


def test_an_image_that_is_not_made_yet_is_nobodys(stage: Stage) -> None:
    """It has no id; nor has a preset that names a parameter, or a launch whose parameter is not read yet."""
    row = stopped_of_staff(stage)
    made = course_images.request_image(row, "Spring", who=stage.cast.ta.user, now=stage.now)
    named(stage, image_parameters=["/course/ami-id"])
    assert stage.click_launch().image_id == ""
    assert not course_images.uses([made])[made.pk].any


def test_an_image_that_a_launch_in_the_queue_begins_with_is_not_deleted_until_it_runs(stage: Stage) -> None:
    image = saved(stage)
    named(stage, images={"us-east-1": image.image_id})
    stage.cloud.fill()
    asked = stage.click_launch()
    waiting = stage.launch(stage.cast.other_student)
    named(stage, image_id="ami-course")
    for row in (asked, waiting):
        assert (fresh(row).state, fresh(row).image_id) == (State.REQUESTED, image.image_id)
    with pytest.raises(LaunchRefused, match="2 machines"):
        course_images.request_delete(image)
    stage.cloud.empty()
    services.launch(asked.pk, cloud=stage.cloud, now=stage.now)
    stage.later(600)
    sweeps.queue(stage.cloud, stage.now)
    assert {stage.machine(row).spec.image_id for row in (asked, waiting)} == {image.image_id}
    course_images.request_delete(image)
    rounds(stage)
    image.refresh_from_db()
    assert image.standing == Standing.DELETED


def test_an_image_that_is_being_tried_out_is_not_deleted_and_one_that_was_called_off_keeps_nothing(
    stage: Stage,
) -> None:
    image = saved(stage)
    who = stage.cast.ta.user
    tried = course_images.try_out(image, stage.cast.instructor, stage.preset, who=who, now=stage.now)
    assert course_images.uses([image])[image.pk].launches == 1
    with pytest.raises(LaunchRefused, match="One machine"):
        course_images.request_delete(image)
    services.request_terminate(tried, who=who, now=stage.now)
    course_images.request_delete(image)


def test_what_is_being_deleted_is_neither_tried_nor_made_the_default(stage: Stage) -> None:
    """The page is older than the click on "delete"."""
    seen, image = (one := saved(stage)), CourseImage.objects.get(pk=one.pk)
    course_images.request_delete(image)
    with pytest.raises(LaunchRefused, match="not ready"):
        make_default(stage, seen)
    with pytest.raises(LaunchRefused, match="not ready"):
        course_images.try_out(seen, stage.cast.instructor, stage.preset, who=stage.cast.ta.user, now=stage.now)
    stage.preset.refresh_from_db()
    assert stage.preset.image_id == "ami-course"
    assert not Instance.objects.filter(image_id=image.image_id).exists()


def test_it_is_deleted_with_its_snapshot_but_not_while_a_preset_launches_from_it(stage: Stage) -> None:
    image = saved(stage)
    course_images.make_default(image, [stage.preset], who=stage.cast.ta.user, now=stage.now)
    with pytest.raises(LaunchRefused, match="Homework: T4 16 GB"):
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
