"""Work goes on elsewhere: the disk becomes a new machine, the old one goes, nothing is lost or doubled on the way."""

from decimal import Decimal

import pytest
from django.core import mail

from instances import moving_on, services, snapshots, sweeps
from instances.disk_rules import Standing
from instances.models import DiskSnapshot, Instance, Preset
from instances.refusals import LaunchRefused
from tests.instances.conftest import Stage, check_books, fresh


@pytest.fixture
def other(stage: Stage) -> Preset:
    return Preset.objects.create(
        course=stage.preset.course,
        slug="elsewhere",
        name="Elsewhere",
        instance_types=["g5.xlarge"],
        image_id=stage.preset.image_id,
        ceiling_usd_hour=Decimal("1.2"),
        disk_gb=32,
        lease_seconds=3600,
    )


def stopped(stage: Stage) -> Instance:
    row = stage.running()
    stage.stop(row)
    stage.wait(2)
    return fresh(row)


def asked(stage: Stage, row: Instance, preset: Preset) -> DiskSnapshot:
    return moving_on.request_move_on(row, preset, who=row.owner.user, now=stage.now)


def new_ones(row: Instance) -> list[Instance]:
    return list(Instance.objects.filter(owner=row.owner).exclude(pk=row.pk))


def test_what_aws_took_back_goes_on_as_another_kind_on_demand_with_its_files(stage: Stage, other: Preset) -> None:
    Preset.objects.filter(pk=stage.preset.pk).update(market=Preset.Market.SPOT)
    stage.preset.refresh_from_db()
    row = stage.running()
    stage.cloud.reclaim(row.cloud_id)
    stage.wait(2)
    asked(stage, fresh(row), other)
    stage.wait(8)
    assert fresh(row).state == "terminated"
    [new] = new_ones(row)
    assert (new.state, new.instance_type, new.spot, new.disk_gb) == ("running", "g5.xlarge", False, row.disk_gb)
    [image] = stage.cloud.disks.images_kept.values()
    assert new.image_id == image.view.image_id
    assert image.content.startswith(row.cloud_id)
    assert len(stage.kept()) == 1
    assert f"Goes on from {row.slug}" in "".join(letter.body for letter in mail.outbox)
    check_books()


def test_before_its_copy_is_complete_nothing_is_deleted_or_launched(stage: Stage, other: Preset) -> None:
    row = stopped(stage)
    stage.cloud.disks.snapshot_seconds = 10**6
    asked(stage, row, other)
    stage.wait(10)
    assert fresh(row).state == "stopped"
    assert new_ones(row) == []


def test_started_again_it_stays_where_it_is(stage: Stage, other: Preset) -> None:
    row = stopped(stage)
    stage.cloud.disks.snapshot_seconds = 300
    asked(stage, row, other)
    services.request_start(row, who=row.owner.user, now=stage.now)
    stage.wait(12)
    assert fresh(row).state == "running"
    assert new_ones(row) == []
    check_books()


def test_a_copy_that_fails_leaves_the_disk(stage: Stage, other: Preset) -> None:
    row = stopped(stage)
    stage.cloud.disks.fails = True
    one = asked(stage, row, other)
    stage.wait(5)
    one.refresh_from_db()
    assert (one.standing, one.go_on_as) == (Standing.FAILED, None)
    assert fresh(row).state == "stopped"
    assert "The disk is kept." in mail.outbox[-1].body


def test_refused_in_the_end_the_copy_stays_and_its_owner_reads_why(stage: Stage, other: Preset) -> None:
    row = stopped(stage)
    one = asked(stage, row, other)
    Preset.objects.filter(pk=other.pk).update(enabled=False)
    stage.wait(8)
    one.refresh_from_db()
    assert (one.standing, one.go_on_as) == (Standing.KEPT, None)
    assert new_ones(row) == []
    assert "It could not go on as a Elsewhere" in mail.outbox[-1].body
    check_books()


def test_two_rounds_at_once_and_a_death_in_between_make_one_machine(
    stage: Stage, other: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = stopped(stage)
    asked(stage, row, other)

    def dies(*_args: object, **_more: object) -> None:
        raise RuntimeError("the process died here")

    with monkeypatch.context() as broken:
        broken.setattr(moving_on, "request_restore", dies)
        stage.wait(8)
    assert new_ones(row) == []
    [seen] = moving_on.due()
    [seen_too] = moving_on.due()
    assert moving_on.go_on(seen, now=stage.now)
    assert moving_on.go_on(seen_too, now=stage.now) is None
    assert len(new_ones(row)) == 1
    check_books()


def test_a_copy_begun_while_it_ran_is_not_what_the_work_goes_on_from(stage: Stage, other: Preset) -> None:
    row = stage.running()
    stage.cloud.disks.snapshot_seconds = 600
    early = snapshots.request_snapshot(row, why=DiskSnapshot.Why.ASKED, who=row.owner.user, now=stage.now)
    stage.wait(1)
    stage.stop(row)
    stage.wait(2)
    with pytest.raises(LaunchRefused, match="begun while it ran"):
        asked(stage, fresh(row), other)
    early.refresh_from_db()
    assert (early.go_on_as, early.then_delete) == (None, False)
    stage.wait(12)
    asked(stage, fresh(row), other)
    stage.wait(15)
    [new] = new_ones(row)
    assert new.restored_from != early


def test_deleting_the_machine_calls_it_off(stage: Stage, other: Preset) -> None:
    row = stopped(stage)
    stage.cloud.disks.snapshot_seconds = 300
    asked(stage, row, other)
    stage.wait(1)
    moving_on.call_off(row)
    services.request_terminate(fresh(row), who=row.owner.user, now=stage.now)
    stage.wait(10)
    assert fresh(row).state == "terminated"
    assert new_ones(row) == []


def test_the_copy_stays_until_the_new_machine_runs(stage: Stage, other: Preset) -> None:
    row = stopped(stage)
    one = asked(stage, row, other)
    stage.cloud.fill()
    stage.wait(8)
    one.refresh_from_db()
    [new] = new_ones(row)
    assert (new.state, one.standing) == ("requested", Standing.KEPT)
    assert snapshots.is_needed(one)
    assert not snapshots.request_delete(one, who=row.owner.user, now=stage.now)
    stage.cloud.empty()
    for _minute in range(5):
        stage.later(60)
        sweeps.queue(stage.cloud, stage.now)
        stage.repair()
    assert fresh(new).state == "running"
    assert snapshots.request_delete(one, who=row.owner.user, now=stage.now)


def test_only_a_disk_at_rest_moves(stage: Stage, other: Preset) -> None:
    row = stage.running()
    with pytest.raises(LaunchRefused, match="Stop the machine first"):
        asked(stage, row, other)
    assert not DiskSnapshot.objects.exists()
