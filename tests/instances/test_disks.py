"""Files survive everything but "delete": copies, archive and restore, whatever AWS answers and whatever dies."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import mail

from cloud.base import Refused, Transient
from instances import services, snapshots
from instances.disk_rules import Standing
from instances.models import DiskPolicy, DiskSnapshot, Instance
from instances.restoring import request_restore
from instances.sweeps import disks
from spend.checks import check_books as differences
from spend.models import Charge, Hold
from spend.services import BudgetRefused
from tests.instances.conftest import Stage, check_books, events, fresh, held

Why = DiskSnapshot.Why
LOST = Transient("connection closed")


def stopped(stage: Stage) -> Instance:
    row = stage.stop(stage.running())
    stage.wait(1)
    assert fresh(row).state == "stopped"
    return fresh(row)


def ask(stage: Stage, row: Instance, **more: object) -> DiskSnapshot:
    made = snapshots.request_snapshot(fresh(row), why=Why.ASKED, who=row.owner.user, now=stage.now, **more)
    snapshots.take(made.pk, cloud=stage.cloud, now=stage.now)
    return made


def again(one: DiskSnapshot) -> DiskSnapshot:
    return DiskSnapshot.objects.get(pk=one.pk)


def snapshot_hours(one: DiskSnapshot) -> int:
    return sum(c.seconds for c in Charge.objects.filter(kind="snapshot", key=one.key))


def test_a_copy_is_held_for_then_kept_at_its_real_size_and_metered_until_it_is_deleted(stage: Stage) -> None:
    row = stopped(stage)
    one = ask(stage, row)
    whole = Hold.objects.get(key=one.key).amount_usd
    stage.wait(1)
    one = again(one)
    assert (one.standing, one.size_gb) == (Standing.KEPT, 16)  # of 64 GB
    assert Hold.objects.get(key=one.key).amount_usd * Decimal("3.9") < whole
    stage.wait(180, step=30)
    assert snapshots.request_delete(one, who=row.owner.user, now=stage.now)
    snapshots.delete(one.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(2)
    assert again(one).standing == Standing.DELETED
    assert stage.cloud.disks.kept == {}
    assert snapshot_hours(one) == 181 * 60
    assert Hold.objects.get(key=one.key).closed_at
    check_books()


def test_deleting_with_a_copy_stops_copies_and_only_then_deletes_and_the_copy_becomes_a_new_machine(
    stage: Stage,
) -> None:
    row = stage.running()
    one = snapshots.request_archive(row, why=Why.KEPT, who=row.owner.user, now=stage.now)
    services.stop([row.pk], cloud=stage.cloud, now=stage.now)
    stage.cloud.disks.snapshot_seconds = 150
    stage.wait(2)
    assert fresh(row).state == "stopped"
    assert again(one).standing == Standing.PENDING
    stage.wait(6)
    assert fresh(row).state == "terminated"
    assert stage.alive() == []
    assert again(one).standing == Standing.KEPT
    check_books()
    new = request_restore(again(one), stage.preset, who=row.owner.user, now=stage.now)
    services.launch(new.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(1)
    new = fresh(new)
    assert new.state == "running"
    [image] = stage.cloud.disks.images_kept.values()
    assert new.image_id == stage.machine(new).spec.image_id == image.view.image_id
    assert image.content.startswith(row.cloud_id)
    check_books()


@pytest.mark.parametrize("behind", [1, 45])
def test_aws_clock_may_go_behind_ours(stage: Stage, behind: int) -> None:
    row = stage.running()
    snapshots.request_archive(row, why=Why.KEPT, who=row.owner.user, now=stage.now)
    services.stop([row.pk], cloud=stage.cloud, now=stage.now)
    stage.cloud.disks._clock = lambda: stage.now - timedelta(seconds=behind)
    stage.wait(3)
    assert fresh(row).state == "terminated"
    check_books()


def test_a_round_that_began_before_the_machine_was_seen_at_rest_copies_it_at_rest(stage: Stage) -> None:
    row = stage.running()
    snapshots.request_archive(row, why=Why.KEPT, who=row.owner.user, now=stage.now)
    services.stop([row.pk], cloud=stage.cloud, now=stage.now)
    stage.later(30)
    began = stage.now - timedelta(seconds=2)
    stage.cloud.disks._clock = lambda: stage.now - timedelta(seconds=3)
    stage.repair()
    disks(stage.cloud, began)
    stage.wait(3)
    assert fresh(row).state == "terminated"


def test_a_copy_of_an_earlier_asking_that_shows_late_is_not_taken_for_one_at_rest(stage: Stage) -> None:
    row = stage.running()
    stage.cloud.disks.hidden_seconds, stage.cloud.disks.snapshot_seconds = 420, 600
    stage.cloud.break_after("snapshot", LOST)
    one = ask(stage, row)
    stage.stop(row)
    stage.cloud.break_before("snapshot", LOST)
    stage.wait(6)
    assert again(one).asked_at > fresh(row).state_since
    snapshots.request_archive(fresh(row), why=Why.KEPT, who=row.owner.user, now=stage.now)
    stage.wait(15)
    assert (again(one).standing, fresh(row).state) == (Standing.KEPT, "stopped")


def test_a_copy_that_fails_deletes_nothing_and_its_owner_hears_of_it(stage: Stage) -> None:
    row = stopped(stage)
    one = snapshots.request_archive(row, why=Why.KEPT, who=row.owner.user, now=stage.now)
    stage.cloud.disks.fails = True
    stage.wait(5)
    assert again(one).standing == Standing.FAILED
    assert fresh(row).state == "stopped"
    assert stage.cloud.disks.kept == {}
    assert "The disk is kept." in mail.outbox[-1].body
    assert Hold.objects.get(key=one.key).closed_at
    check_books()


def test_who_starts_the_machine_meanwhile_keeps_it(stage: Stage) -> None:
    row = stopped(stage)
    one = snapshots.request_archive(row, why=Why.KEPT, who=row.owner.user, now=stage.now)
    stage.cloud.disks.snapshot_seconds = 300
    stage.wait(1)
    services.request_start(fresh(row), who=row.owner.user, now=stage.now)
    services.start(row.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(10)
    stage.stop(row)
    stage.wait(5)
    assert fresh(row).state == "stopped"
    assert again(one).standing == Standing.KEPT


def test_one_copy_at_a_time_however_often_it_is_asked_for(stage: Stage) -> None:
    row = stopped(stage)
    first = ask(stage, row)
    assert snapshots.request_snapshot(row, why=Why.ASKED, who=None, now=stage.now).pk == first.pk
    assert len(stage.cloud.disks.kept) == 1


def test_without_money_there_is_no_copy_and_no_row(stage: Stage) -> None:
    row = stopped(stage)
    Instance.objects.filter(pk=row.pk).update(disk_gb=16000)
    with pytest.raises(BudgetRefused):
        snapshots.request_snapshot(fresh(row), why=Why.ASKED, who=None, now=stage.now)
    assert not DiskSnapshot.objects.exists()


@pytest.mark.parametrize("op", ["snapshot", "snapshots", "delete_snapshots"])
@pytest.mark.parametrize("when", ["before", "after", "dies-before", "dies-after"])
def test_any_single_fault_ends_with_one_copy_and_then_with_none(stage: Stage, op: str, when: str) -> None:
    row = stopped(stage)
    error = KeyboardInterrupt() if when.startswith("dies") else LOST
    breaks = stage.cloud.break_before if when.endswith("before") else stage.cloud.break_after
    breaks(op, error)

    def survive(act: object) -> None:
        try:
            act()  # type: ignore[operator]
        except KeyboardInterrupt:
            stage.later(100)

    made = snapshots.request_snapshot(row, why=Why.ASKED, who=None, now=stage.now)
    survive(lambda: snapshots.take(made.pk, cloud=stage.cloud, now=stage.now))
    for _minute in range(10):
        stage.later(60)
        survive(lambda: disks(stage.cloud, stage.now))
    assert again(made).standing == Standing.KEPT
    assert [*stage.cloud.disks.kept] == [again(made).cloud_id]
    snapshots.request_delete(again(made), who=None, now=stage.now)
    survive(lambda: snapshots.delete(made.pk, cloud=stage.cloud, now=stage.now))
    for _minute in range(3):
        stage.later(60)
        survive(lambda: disks(stage.cloud, stage.now))
    stage.wait(2)
    assert again(made).standing == Standing.DELETED
    assert stage.cloud.disks.kept == {}
    assert not Hold.objects.filter(key=made.key, closed_at=None).exists()
    check_books()


def test_an_answer_that_comes_after_another_was_asked_for_leaves_one_copy(stage: Stage) -> None:
    row = stopped(stage)
    made = snapshots.request_snapshot(row, why=Why.ASKED, who=None, now=stage.now)
    stage.cloud.break_after("snapshot", LOST)
    stage.cloud.disks.hidden_seconds = 900  # longer than AWS ever hid one
    snapshots.take(made.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(6)
    assert len(stage.cloud.disks.kept) == 2
    stage.cloud.disks.hidden_seconds = 0
    stage.wait(3)
    assert len(stage.cloud.disks.kept) == 1
    assert again(made).standing == Standing.KEPT


def kept(stage: Stage) -> DiskSnapshot:
    made = ask(stage, stopped(stage))
    stage.wait(2)
    assert again(made).standing == Standing.KEPT
    return made


def test_a_look_that_misses_a_copy_loses_nothing(stage: Stage) -> None:
    made = kept(stage)
    stage.later(3600)
    stage.cloud.disks.hidden_seconds = 9999
    stage.wait(4)
    stage.cloud.disks.hidden_seconds = 0
    stage.wait(4)
    assert again(made).standing == Standing.KEPT
    assert list(stage.cloud.disks.kept) == [again(made).cloud_id]
    assert again(made).absent_since is None


def test_a_copy_whose_tag_was_taken_off_is_there_and_paid_for_and_comes_back_with_it(stage: Stage) -> None:
    made = kept(stage)
    [truth] = stage.cloud.disks.kept.values()
    ours, truth.installation = truth.installation, "somebody's"
    stage.wait(190, step=10)
    assert again(made).standing == Standing.KEPT
    assert stage.now - again(made).seen_at < timedelta(minutes=90)
    truth.installation = ours
    stage.wait(90, step=10)
    assert list(stage.cloud.disks.kept) == [again(made).cloud_id]


def test_a_copy_that_is_gone_at_aws_is_believed_after_minutes_and_costs_until_it_was_last_seen(stage: Stage) -> None:
    made = kept(stage)
    last_seen = again(made).seen_at
    stage.cloud.disks.kept.clear()
    stage.later(3600)
    stage.wait(4)
    assert again(made).standing == Standing.KEPT
    stage.wait(4)
    assert (again(made).standing, again(made).until) == (Standing.DELETED, last_seen)
    assert [e.mail_to for e in events(made.instance, "trouble")] != []
    assert not Hold.objects.filter(key=made.key, closed_at=None).exists()
    check_books()


def test_a_copy_that_was_believed_gone_and_is_back_is_not_deleted(stage: Stage) -> None:
    made = kept(stage)
    truth = dict(stage.cloud.disks.kept)
    stage.cloud.disks.kept.clear()
    stage.later(3600)
    stage.wait(8)
    assert again(made).standing == Standing.DELETED
    stage.cloud.disks.kept.update(truth)
    ask(stage, made.instance)  # something to look at AWS for
    stage.wait(3)
    assert again(made).cloud_id in stage.cloud.disks.kept


# ------------------------------------------------------------------ the course's policy
def test_nightly_copies_are_made_of_what_changed_and_the_oldest_go(stage: Stage) -> None:
    DiskPolicy.objects.create(course=stage.cast.course, nightly_keep=2)
    row = stopped(stage)
    for _night in range(4):
        stage.later(24 * 3600)
        services.request_start(fresh(row), who=row.owner.user, now=stage.now)
        services.start(row.pk, cloud=stage.cloud, now=stage.now)
        stage.wait(3)
        stage.stop(row)
        stage.wait(4)
    kept = DiskSnapshot.objects.filter(standing=Standing.KEPT)
    assert kept.count() == 2
    assert len(stage.cloud.disks.kept) == 2
    stage.later(3 * 24 * 3600)
    stage.wait(3)
    assert DiskSnapshot.objects.filter(standing=Standing.KEPT).count() == 2  # nothing changed
    check_books()


def test_an_unused_disk_is_warned_about_then_archived_and_nobody_is_warned_twice(stage: Stage) -> None:
    DiskPolicy.objects.create(course=stage.cast.course, archive_days=14, archive_warn_days=3)
    row = stopped(stage)
    stage.later(11 * 24 * 3600)
    stage.wait(3)
    [warning] = events(row, "disk")
    assert warning.mail_to == row.owner.email
    assert "In 3 days" in warning.reason
    stage.later(3 * 24 * 3600)
    stage.wait(5)
    assert fresh(row).state == "terminated"
    assert DiskSnapshot.objects.get().why == Why.ARCHIVE
    assert held(row) == 0
    assert differences(None) == []


def test_who_starts_it_after_the_warning_keeps_the_disk(stage: Stage) -> None:
    DiskPolicy.objects.create(course=stage.cast.course, archive_days=14, archive_warn_days=3)
    row = stopped(stage)
    stage.later(11 * 24 * 3600)
    stage.wait(1)
    services.request_start(fresh(row), who=row.owner.user, now=stage.now)
    services.start(row.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(5)
    stage.stop(row)
    stage.later(4 * 24 * 3600)
    stage.wait(3)
    assert fresh(row).state == "stopped"
    assert not DiskSnapshot.objects.exists()


def test_a_disk_whose_copy_was_deleted_before_it_is_archived_all_the_same(stage: Stage) -> None:
    DiskPolicy.objects.create(course=stage.cast.course, archive_days=14, archive_warn_days=3)
    row = stage.stop(stage.running())
    stage.repair()
    copy = snapshots.request_archive(fresh(row), why=DiskSnapshot.Why.KEPT, who=None, now=stage.now)
    DiskSnapshot.objects.filter(pk=copy.pk).update(standing=Standing.KEPT)  # its round died here
    assert snapshots.request_delete(copy, who=row.owner.user, now=stage.now)
    disks(stage.cloud, stage.now + timedelta(days=15))
    assert fresh(row).archive_warned_at


def test_a_round_asks_aws_nothing_while_copies_only_lie_there(stage: Stage) -> None:
    ask(stage, stopped(stage))
    stage.wait(2)
    before = stage.cloud.count("snapshots")
    stage.wait(30)
    assert stage.cloud.count("snapshots") == before
    stage.now += timedelta(hours=1)
    stage.wait(1)
    assert stage.cloud.count("snapshots") == before + 1


def test_refused_by_aws_it_fails_with_the_reason(stage: Stage) -> None:
    row = stopped(stage)
    stage.cloud.break_before("snapshot", Refused("UnauthorizedOperation", code="UnauthorizedOperation"))
    made = ask(stage, row)
    assert again(made).standing == Standing.FAILED
    assert "UnauthorizedOperation" in again(made).reason
    assert not Hold.objects.filter(key=made.key, closed_at=None).exists()
