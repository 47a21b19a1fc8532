"""A copy that an image boots from is deleted all the same: with ours, whatever was lost; staff hear of another's."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

import pytest

from cloud.base import Transient
from instances import services, snapshots
from instances.disk_rules import Standing
from instances.models import DiskSnapshot, Instance
from instances.restoring import request_restore
from instances.states import State
from instances.sweeps import disks
from spend.models import Charge, Hold
from tests.instances.conftest import Stage, check_books, events, fresh
from tests.instances.test_disks import again, kept

LOST = Transient("connection closed")
WHENS = ["before", "after", "dies-before", "dies-after"]


def breaks(stage: Stage, op: str, when: str) -> None:
    broken = stage.cloud.break_before if when.endswith("before") else stage.cloud.break_after
    broken(op, KeyboardInterrupt() if when.startswith("dies") else LOST)


def survive(act: Callable[[], object]) -> None:
    with suppress(KeyboardInterrupt):
        act()


def restore(stage: Stage, made: DiskSnapshot) -> Instance:
    new = request_restore(again(made), stage.preset, who=made.owner.user, now=stage.now)
    survive(lambda: services.launch(new.pk, cloud=stage.cloud, now=stage.now))
    return fresh(new)


def call_off(stage: Stage, machine: Instance) -> None:
    services.request_terminate(machine, who=machine.owner.user, now=stage.now)
    services.terminate([machine.pk], cloud=stage.cloud, now=stage.now)
    assert fresh(machine).state == State.TERMINATED


def delete(stage: Stage, made: DiskSnapshot, minutes: int = 4) -> None:
    assert snapshots.request_delete(again(made), who=None, now=stage.now)
    survive(lambda: snapshots.delete(made.pk, cloud=stage.cloud, now=stage.now))
    for _minute in range(minutes):
        stage.later(60)
        survive(lambda: disks(stage.cloud, stage.now))


def assert_gone(stage: Stage, made: DiskSnapshot) -> None:
    assert again(made).standing == Standing.DELETED
    assert (stage.cloud.disks.kept, stage.cloud.disks.images_kept) == ({}, {})
    stage.wait(2)
    assert not Hold.objects.filter(key=made.key, closed_at=None).exists()
    check_books()


@pytest.mark.parametrize("when", WHENS)
def test_a_restore_whose_image_nobody_wrote_down_and_that_was_called_off_leaves_nothing(
    stage: Stage, when: str
) -> None:
    made = kept(stage)
    breaks(stage, "image_of", when)
    call_off(stage, restore(stage, made))
    assert again(made).image_id == ""
    assert len(stage.cloud.disks.images_kept) == when.endswith("after")
    delete(stage, made)
    assert_gone(stage, made)


@pytest.mark.parametrize("op", ["images", "delete_image", "delete_snapshots"])
@pytest.mark.parametrize("when", WHENS)
def test_and_neither_does_one_whose_deletion_breaks_as_well(stage: Stage, op: str, when: str) -> None:
    made = kept(stage)
    breaks(stage, "image_of", "dies-after")
    call_off(stage, restore(stage, made))
    breaks(stage, op, when)
    delete(stage, made)
    assert_gone(stage, made)


@pytest.mark.parametrize("when", WHENS)
def test_a_restore_that_broke_at_its_image_goes_on_with_one_image(stage: Stage, when: str) -> None:
    made = kept(stage)
    breaks(stage, "image_of", when)
    new = restore(stage, made)
    assert stage.wait(10, until=lambda: fresh(new).state == State.RUNNING)
    assert [*stage.cloud.disks.images_kept] == [again(made).image_id] == [fresh(new).image_id]
    check_books()


def test_an_image_that_is_listed_late_is_waited_for_by_a_restore(stage: Stage) -> None:
    made = kept(stage)
    stage.cloud.disks.hidden_seconds = 150
    breaks(stage, "image_of", "after")
    new = restore(stage, made)
    stage.wait(1)
    assert fresh(new).state == State.REQUESTED
    assert stage.wait(10, until=lambda: fresh(new).state == State.RUNNING)
    check_books()


def test_and_by_a_deletion(stage: Stage) -> None:
    made = kept(stage)
    stage.cloud.disks.hidden_seconds = 150
    breaks(stage, "image_of", "after")
    call_off(stage, restore(stage, made))
    delete(stage, made, minutes=5)
    assert_gone(stage, made)


# ------------------------------------------------------------------ an image that is not ours
def registered_by_hand(stage: Stage, made: DiskSnapshot) -> str:
    image_id = stage.cloud.disks.image_of(again(made).cloud_id, name="by-hand")
    stage.cloud.disks.images_kept[image_id].installation = ""
    return image_id


def test_a_copy_that_cannot_be_deleted_is_staffs_to_see_to_and_they_hear_of_it_once(stage: Stage) -> None:
    made = kept(stage)
    theirs = registered_by_hand(stage, made)
    assert snapshots.request_delete(again(made), who=None, now=stage.now)
    stage.wait(5 * 60, step=10)
    assert events(made.instance, "trouble") == []
    stage.wait(4 * 60, step=10)
    [told] = events(made.instance, "trouble")
    assert told.mail_to == "ines@demo.edu"
    assert made.slug in told.reason
    assert again(made).cloud_id in told.reason
    assert [*stage.cloud.disks.images_kept] == [theirs]
    assert again(made).standing == Standing.DELETING
    stage.cloud.disks.delete_image(theirs)
    stage.wait(2)
    assert_gone(stage, made)
    paid = sum(one.seconds for one in Charge.objects.filter(kind="snapshot", key=made.key))
    since, until = again(made).since, again(made).until
    assert since
    assert until
    assert timedelta(seconds=paid) == until - since  # AWS billed it as long


def test_what_is_only_not_answered_calls_nobody(stage: Stage) -> None:
    made = kept(stage)
    assert snapshots.request_delete(again(made), who=None, now=stage.now)
    stage.cloud.break_before("delete_snapshots", LOST, times=None)
    stage.wait(9 * 60, step=10)
    assert events(made.instance, "trouble") == []
    stage.cloud.heal()
    stage.wait(1)
    assert_gone(stage, made)
