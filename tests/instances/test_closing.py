"""A course is closed as announced: stopped, archived, proved, only then deleted; whatever AWS says, whatever dies."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial

import pytest
from pytest_django.fixtures import Settings

from cloud.base import Refused
from courses.models import CourseEvent
from credits.models import CodeWait, Letter
from instances import closing, closing_statement, course_images, services, snapshots, sweeps
from instances.closing import ClosingRefused
from instances.closing_records import Closing
from instances.closing_rules import CopyStep
from instances.disk_rules import Standing
from instances.limits import PersonLimits
from instances.models import CourseImage, DiskSnapshot, Instance, Preset
from instances.refusals import LaunchRefused
from instances.restoring import request_restore
from instances.states import State
from instances.sweeps import closing as closing_round
from portal.closing_plan import plan
from spend.models import Charge, Hold
from spend.services import budget_of, set_amount
from tests.credits.conftest import make_batch
from tests.instances.closing_stage import (  # noqa: F401 - the fixture
    END,
    LAST,
    LOST,
    Why,
    announce,
    archive_of,
    at_the_end,
    rounds,
    short_notice,
    stopped,
)
from tests.instances.conftest import Stage, check_books, events, fresh


# ------------------------------------------------------------------ all of it
def test_from_the_announcement_to_the_final_statement(stage: Stage) -> None:
    cast, batch = stage.cast, make_batch(stage.cast.course)
    stage.now = END - timedelta(hours=30)
    off = stopped(stage)
    nightly = snapshots.request_snapshot(off, why=Why.NIGHTLY, who=None, now=stage.now)
    asked = stopped(stage, cast.other_student)
    own = snapshots.request_snapshot(asked, why=Why.ASKED, who=None, now=stage.now)
    staff = stopped(stage, cast.instructor)
    image = course_images.request_image(staff, "Spring", who=cast.instructor.user, now=stage.now)  # type: ignore[arg-type]
    rounds(stage, 3)
    image.refresh_from_db()
    course_images.make_default(image, [stage.preset], who=cast.instructor.user, now=stage.now)  # type: ignore[arg-type]
    stage.preset.refresh_from_db()
    stage.preset.images = {"us-east-1": image.image_id, "us-west-2": "ami-another"}
    stage.preset.save()
    row = announce(stage)
    assert Letter.objects.filter(key__startswith=f"closing/{row.pk}/2019-05-17").count() == 4
    rounds(stage, 2)
    assert len(stage.cloud.disks.kept) == 3  # two copies and the image's: nothing has happened
    stage.now = END - timedelta(minutes=3)
    on = stage.running(cast.ta)
    rounds(stage, 9)
    machines = (off, asked, staff, on)
    assert [fresh(one).state for one in machines] == ["terminated"] * 4
    assert stage.kept() == []
    assert all(archive_of(one).verified_at for one in machines)
    assert Letter.objects.filter(key__startswith=f"closing/{row.pk}/archived/").count() == 4
    copies = {one.pk: one.standing for one in DiskSnapshot.objects.all()}
    assert (copies[nightly.pk], copies[own.pk]) == (Standing.DELETED, Standing.KEPT)
    image.refresh_from_db()
    stage.preset.refresh_from_db()
    assert (image.standing, stage.preset.image_id) == (Standing.DELETED, "")
    assert stage.preset.images == {"us-west-2": "ami-another"}
    assert stage.cloud.disks.images_kept == {}
    batch.refresh_from_db()
    assert batch.closes_at
    assert batch.closes_at <= stage.now
    check_books()
    stage.later(2 * 24 * 3600)
    rounds(stage, 1)
    assert Letter.objects.filter(key__startswith=f"closing/{row.pk}/last-call/").count() == 4
    assert len(stage.cloud.disks.kept) == 5
    stage.later(3 * 24 * 3600)
    rounds(stage, 4)
    assert stage.cloud.disks.kept == {}
    row.refresh_from_db()
    assert row.finished_at
    assert row.statement
    spent = sum((one.amount_usd for one in Charge.objects.all()), Decimal(0))
    assert Decimal(row.statement["spent_usd"]) == spent
    assert sum((Decimal(usd) for _pk, usd in row.statement["people"]), Decimal(0)) == spent
    assert (row.statement["held_usd"], row.statement["nobodys_usd"]) == ("0.000000", "0.000000")
    assert row.statement["codes"] == [{"batch": "Credit for everyone", "n": 3, "usd": "300.00"}]
    assert Letter.objects.get(key__startswith=f"closing/{row.pk}/finished/").to == "ines@demo.edu"
    assert not Hold.objects.filter(closed_at=None).exists()
    check_books()


def test_a_machine_that_runs_saves_before_it_is_stopped(stage: Stage) -> None:
    stage.now = END - timedelta(hours=30)
    row = stage.running()
    announce(stage)
    stage.now = END
    Instance.objects.filter(pk=row.pk).update(
        lease_until=END + timedelta(hours=1), last_report_at=END, last_report={"agent_version": "3"}
    )
    sweeps.closings(stage.cloud, stage.now)
    assert fresh(row).state == State.RUNNING
    assert fresh(row).leaving["reason"] == "Stopped: the course is over."
    stage.later(300)
    sweeps.closings(stage.cloud, stage.now)
    assert fresh(row).state == State.STOPPING


def test_nobody_launches_or_starts_meanwhile(stage: Stage) -> None:
    row = at_the_end(stage)
    stage.cloud.disks.snapshot_seconds = 3600
    rounds(stage, 2)
    with pytest.raises(LaunchRefused, match="over"):
        services.request_start(fresh(row), who=row.owner.user, now=stage.now)
    with pytest.raises(LaunchRefused, match="over"):
        stage.click_launch(stage.cast.instructor)


def test_a_launch_of_the_last_second_is_stopped_archived_and_deleted_too(stage: Stage) -> None:
    announce(stage)
    stage.now = END - timedelta(seconds=1)
    row = stage.click_launch()
    stage.later(1)
    sweeps.closings(stage.cloud, stage.now)
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    rounds(stage, 3)
    assert stage.kept() == []
    check_books()


def test_who_has_a_later_last_day_is_left_alone_until_then_and_restores(stage: Stage) -> None:
    row = at_the_end(stage)
    rounds(stage, 4)
    assert fresh(row).state == State.TERMINATED
    PersonLimits.objects.create(enrollment=row.owner, ends_on=LAST + timedelta(days=3))
    new = request_restore(archive_of(row), stage.preset, who=row.owner.user, now=stage.now)
    services.launch(new.pk, cloud=stage.cloud, now=stage.now)
    rounds(stage, 4)
    assert fresh(new).state == State.RUNNING
    stage.later(3 * 24 * 3600)
    rounds(stage, 5)
    assert fresh(new).state == State.TERMINATED
    assert archive_of(fresh(new)).keep_until == END + timedelta(days=8)


# ------------------------------------------------------------------ nothing that was not archived
def test_an_archive_that_is_kept_as_told_takes_no_step_each_minute(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = at_the_end(stage)
    rounds(stage, 12)
    archive = archive_of(row)
    assert (archive.standing, fresh(row).state) == (Standing.KEPT, State.TERMINATED)
    taken: list[int] = []
    step = closing_round.step_of_copy

    def counted(closing_pk: int, copy_pk: int, now: datetime) -> CopyStep:
        taken.append(copy_pk)
        return step(closing_pk, copy_pk, now)

    monkeypatch.setattr(closing_round, "step_of_copy", counted)
    rounds(stage, 5)
    assert taken == []
    assert archive.keep_until
    stage.now = archive.keep_until
    rounds(stage)
    assert taken == [archive.pk]


def test_a_copy_that_never_completes_deletes_nothing(stage: Stage) -> None:
    row = at_the_end(stage)
    stage.cloud.disks.snapshot_seconds = 10**9
    for _day in range(2):
        stage.later(24 * 3600)
        rounds(stage, 2)
    assert fresh(row).state == State.STOPPED
    assert archive_of(row).standing == Standing.PENDING
    assert len(stage.cloud.disks.kept) == 1


@pytest.mark.parametrize("how", ["refused", "error"])
def test_what_aws_will_not_copy_stays_and_is_tried_again_in_an_hour(stage: Stage, how: str) -> None:
    row = at_the_end(stage)
    stage.cloud.disks.fails = how == "error"
    if how == "refused":
        stage.cloud.break_before("snapshot", Refused("no", code="SnapshotLimitExceeded"), times=1)
    rounds(stage, 2)
    stage.later(3000)
    rounds(stage, 2)
    assert fresh(row).state == State.STOPPED
    assert DiskSnapshot.objects.get().standing == Standing.FAILED
    assert stage.cloud.count("snapshot") == 1
    stage.cloud.disks.fails = False
    stage.later(600)
    rounds(stage, 4)
    assert fresh(row).state == State.TERMINATED
    assert archive_of(row).standing == Standing.KEPT
    check_books()


def test_without_money_the_disk_stays_and_staff_hear_of_it_once(stage: Stage) -> None:
    row = at_the_end(stage)
    sweeps.meter(stage.now)
    budget = budget_of(row.owner)
    set_amount(budget, budget.spent_usd + budget.held_usd, why="poor", who=None, now=stage.now)
    for _hour in range(3):
        rounds(stage, 2)
        stage.later(3600)
    assert fresh(row).state == State.STOPPED
    assert "cannot pay" in archive_of(row).reason
    assert [event.mail_to for event in events(row, "trouble")] == ["ines@demo.edu", "", ""]
    set_amount(budget, Decimal(100), why="enough", who=None, now=stage.now)
    rounds(stage, 4)
    assert fresh(row).state == State.TERMINATED


@pytest.mark.parametrize("how", ["gone", "smaller", "pending", "swapped"])
def test_an_archive_that_aws_does_not_vouch_for_deletes_nothing(stage: Stage, how: str) -> None:
    row = at_the_end(stage)
    sweeps.closings(stage.cloud, stage.now)
    sweeps.disks(stage.cloud, stage.now)
    archive = archive_of(row)
    assert archive.standing == Standing.KEPT
    there = stage.cloud.disks.kept
    if how == "gone":
        there.clear()
    else:
        kept = there[archive.cloud_id]
        if how == "smaller":
            kept.view = replace(kept.view, disk_gb=63)
        if how == "swapped":
            kept.view = replace(kept.view, key="another")
        if how == "pending":
            kept.done_at = stage.now + timedelta(days=1)
    sweeps.closings(stage.cloud, stage.now)
    sweeps.closings(stage.cloud, stage.now)
    assert fresh(row).state == State.STOPPED
    assert archive_of(row).reason
    assert archive_of(row).verified_at is None


def test_an_archive_that_vanishes_is_made_again_before_anything_is_deleted(stage: Stage) -> None:
    row = at_the_end(stage)
    stage.cloud.break_before("terminate", LOST, times=1)
    sweeps.closings(stage.cloud, stage.now)
    sweeps.disks(stage.cloud, stage.now)
    stage.cloud.disks.kept.clear()
    rounds(stage, 2)
    assert fresh(row).state == State.STOPPED
    stage.later(3600)
    rounds(stage, 12)  # it is looked for five minutes, then made again
    assert fresh(row).state == State.TERMINATED
    assert archive_of(row).cloud_id in stage.cloud.disks.kept
    assert DiskSnapshot.objects.filter(why=Why.CLOSING).count() == 2


def kept_image(stage: Stage) -> CourseImage:
    who = stage.cast.instructor
    stage.now = END - timedelta(hours=30)
    image = course_images.request_image(stopped(stage, who), "Spring", who=who.user, now=stage.now)
    rounds(stage, 3)
    image.refresh_from_db()
    return image


def image_of_both_courses(stage: Stage) -> CourseImage:
    image = kept_image(stage)
    course_images.make_default(image, [stage.preset], who=stage.cast.instructor.user, now=stage.now)
    copied = Preset.objects.get(pk=stage.preset.pk)
    copied.pk, copied.course = None, stage.cast.other_course
    copied.save()
    return image


def test_an_image_that_the_next_term_launches_from_becomes_that_courses(stage: Stage) -> None:
    image = image_of_both_courses(stage)
    last = LAST + timedelta(days=30)  # it is to be closed itself, and people launch until then
    boss = stage.cast.foreign_instructor.user
    closing.announce(stage.cast.other_course, last_day=last, keep_days=7, who=boss, now=stage.now)
    row = announce(stage)
    assert plan(row, stage.now).images == []
    stage.now = END
    rounds(stage, 9)
    image.refresh_from_db()
    stage.preset.refresh_from_db()
    assert (image.course, image.standing) == (stage.cast.other_course, Standing.KEPT)
    assert stage.preset.image_id == ""
    assert list(stage.cloud.disks.images_kept) == [image.image_id]
    assert not closing_statement.images_there(stage.cast.course).exists()


def test_of_two_courses_that_end_together_the_last_one_deletes_their_image(stage: Stage) -> None:
    image = image_of_both_courses(stage)
    announce(stage)
    boss = stage.cast.foreign_instructor.user
    closing.announce(stage.cast.other_course, last_day=LAST, keep_days=5, who=boss, now=stage.now)
    stage.now = END
    rounds(stage, 9)
    image.refresh_from_db()
    assert image.standing == Standing.DELETED
    assert stage.cloud.disks.images_kept == {}


def test_an_image_stays_while_a_machine_is_about_to_begin_with_it(stage: Stage) -> None:
    image = kept_image(stage)
    announce(stage)
    waits = Instance.objects.get(owner=stage.cast.instructor)
    where = {"course": stage.cast.other_course, "state": State.REQUESTED, "cloud_id": "", "image_id": image.image_id}
    Instance.objects.filter(pk=waits.pk).update(**where)
    later = END + timedelta(days=1)
    closing_round._images(Closing.objects.get(), stage.cloud, later)
    image.refresh_from_db()
    assert image.standing == Standing.KEPT
    Instance.objects.filter(pk=waits.pk).update(state=State.FAILED)
    closing_round._images(Closing.objects.get(), stage.cloud, later)
    image.refresh_from_db()
    assert image.standing == Standing.DELETING


# ------------------------------------------------------------------ announced, moved, called off
def test_it_is_announced_in_time_once_and_not_before_the_course_is_over(stage: Stage, settings: Settings) -> None:
    settings.CLOSING_NOTICE_DAYS = 14
    with pytest.raises(ClosingRefused, match="goes on until 17 May 2019"):
        announce(stage, last_day=LAST - timedelta(days=1))
    stage.now = END - timedelta(days=10)
    with pytest.raises(ClosingRefused, match="22 May 2019 at the earliest"):
        announce(stage)
    stage.now = END - timedelta(days=30)
    announce(stage)
    with pytest.raises(ClosingRefused, match="already"):
        announce(stage)
    assert CourseEvent.objects.get().why == "Closing announced"


def test_its_day_moves_with_a_letter_and_not_once_it_has_begun(stage: Stage) -> None:
    row = announce(stage, keep_days=8)
    who = stage.cast.instructor.user
    assert who
    move = partial(closing.change, row, who=who)
    later = LAST + timedelta(days=3)
    assert move(last_day=later, keep_days=8, now=stage.now)
    assert not move(last_day=later, keep_days=8, now=stage.now)
    assert Letter.objects.filter(key__contains="/2019-05-20/8/").count() == 4
    stage.now = END
    with pytest.raises(ClosingRefused, match="at the earliest"):
        move(last_day=LAST, keep_days=8, now=stage.now)
    stage.now = END + timedelta(days=3)
    with pytest.raises(ClosingRefused, match="begun"):
        move(last_day=later + timedelta(days=9), keep_days=8, now=stage.now)
    with pytest.raises(ClosingRefused, match="longer"):
        move(last_day=later, keep_days=7, now=stage.now)
    assert move(last_day=later, keep_days=60, now=stage.now)


def test_everybody_is_reminded_once(stage: Stage) -> None:
    row = announce(stage)
    stage.now = END - timedelta(days=3)
    sweeps.closings(stage.cloud, stage.now)
    sweeps.closings(stage.cloud, stage.now)
    assert Letter.objects.filter(key__startswith=f"closing/{row.pk}/reminder/").count() == 4


def test_called_off_nothing_more_is_deleted(stage: Stage) -> None:
    row = at_the_end(stage)
    sweeps.closings(stage.cloud, stage.now)
    assert closing.call_off(Closing.objects.get(), who=stage.cast.instructor.user, now=stage.now)  # type: ignore[arg-type]
    rounds(stage, 5)
    assert fresh(row).state == State.STOPPED


def test_a_course_that_was_made_longer_is_closed_after_its_new_end(stage: Stage) -> None:
    row = at_the_end(stage)
    course = stage.cast.course
    course.ends_on = LAST + timedelta(days=7)
    course.save()
    rounds(stage, 3)
    assert fresh(row).state == State.STOPPED
    stage.later(7 * 24 * 3600)
    rounds(stage, 4)
    assert fresh(row).state == State.TERMINATED


def test_who_waits_for_a_code_waits_no_longer(stage: Stage) -> None:
    batch = make_batch(stage.cast.course, codes=0)
    CodeWait.objects.create(batch=batch, seq=1, enrollment=stage.cast.student, at=stage.now)
    announce(stage)
    stage.now = END
    sweeps.closings(stage.cloud, stage.now)
    assert CodeWait.objects.get().why == "closed"
