"""What disks do that outlive their machine, and a machine that is restarted or changes its type: over both twins."""

import secrets

import pytest

from cloud.base import CloudState, NotFound, Outcome, Refused, Transient, WrongState
from cloud.disks import SnapshotSpec, SnapshotState, SnapshotView
from tests.cloud.conftest import Stage, spec

pytestmark = pytest.mark.alone


def running(stage: Stage) -> str:
    view = stage.cloud.run(spec(stage))
    stage.become(view.cloud_id, CloudState.RUNNING)
    return view.cloud_id


def stopped(stage: Stage) -> str:
    cloud_id = running(stage)
    stage.cloud.stop([cloud_id])
    stage.become(cloud_id, CloudState.STOPPED)
    return cloud_id


def take(stage: Stage, cloud_id: str, key: str = "") -> SnapshotView:
    return stage.cloud.disks.snapshot(
        SnapshotSpec(key or secrets.token_hex(4), cloud_id, "mcontract", {"owner": "e-17"})
    )


def listed(stage: Stage) -> dict[str, SnapshotView]:
    return {view.key: view for view in stage.cloud.disks.snapshots()}


def test_a_snapshot_is_pending_then_completed_and_found_by_its_key(stage: Stage) -> None:
    stage.slow_snapshots(0.4)
    made = take(stage, running(stage), "s1")
    assert (made.key, made.state, made.disk_gb) == ("s1", SnapshotState.PENDING, 64)
    assert listed(stage)["s1"].state is SnapshotState.PENDING
    stage.wait(0.6)
    found = listed(stage)["s1"]
    assert (found.snapshot_id, found.state) == (made.snapshot_id, SnapshotState.COMPLETED)
    assert found.stored_bytes
    assert found.stored_bytes <= 64 * 2**30
    assert found.started_at == made.started_at


def test_asked_twice_there_are_two_because_aws_has_no_token_here(stage: Stage) -> None:
    cloud_id = running(stage)
    assert take(stage, cloud_id, "s2").snapshot_id != take(stage, cloud_id, "s2").snapshot_id
    assert [view.key for view in stage.cloud.disks.snapshots()].count("s2") == 2


def test_of_a_machine_that_is_booting_or_gone_there_is_none(stage: Stage) -> None:
    stage.slow_boots(10)
    view = stage.cloud.run(spec(stage))
    with pytest.raises(WrongState):
        take(stage, view.cloud_id)
    with pytest.raises(NotFound):
        take(stage, "i-0123456789abcdef0")


def test_it_outlives_its_machine_and_is_deleted_once(stage: Stage) -> None:
    cloud_id = stopped(stage)
    made = take(stage, cloud_id, "s3")
    stage.cloud.terminate([cloud_id])
    stage.become(cloud_id, CloudState.TERMINATED)
    assert "s3" in listed(stage)
    assert stage.cloud.disks.delete_snapshots([made.snapshot_id]) == [Outcome(made.snapshot_id)]
    [again] = stage.cloud.disks.delete_snapshots([made.snapshot_id])
    assert isinstance(again.error, NotFound)
    assert "s3" not in listed(stage)


def test_what_exists_is_told_by_its_id_whatever_its_tags(stage: Stage) -> None:
    made = take(stage, running(stage), "s5").snapshot_id
    others = stage.other_installation().disks
    assert others.exist([made, "snap-0123456789abcdef0"]) == {made}
    stage.cloud.disks.delete_snapshots([made])
    assert others.exist([made]) == set()


def test_an_image_is_told_by_its_id_whatever_its_tags_and_before_it_is_listed(stage: Stage) -> None:
    image_id = stage.cloud.disks.save_image(stopped(stage), name=f"by-id-{secrets.token_hex(4)}")
    stage.hide_new_images(60)
    for disks in (stage.cloud.disks, stage.other_installation().disks):
        assert image_id not in [one.image_id for one in disks.images()]
        found = disks.image(image_id)
        assert found
        assert (found.image_id, found.failed) == (image_id, False)
        assert disks.image("ami-0123456789abcdef0") is None
    stage.hide_new_images(0)
    stage.cloud.disks.delete_image(image_id)
    assert stage.cloud.disks.image(image_id) is None


def test_another_portals_snapshots_are_not_seen(stage: Stage) -> None:
    take(stage, running(stage), "s4")
    assert stage.other_installation().disks.snapshots() == []


def test_an_image_of_a_snapshot_launches_a_machine_and_keeps_the_snapshot_from_deletion(stage: Stage) -> None:
    made = take(stage, stopped(stage))
    name = f"restore-{secrets.token_hex(4)}"
    stage.wait(0.3)
    image_id = stage.cloud.disks.image_of(made.snapshot_id, name=name)
    assert stage.cloud.disks.image_of(made.snapshot_id, name=name) == image_id  # said twice
    view = stage.cloud.run(spec(stage, image_id=image_id))
    assert view.image_id == image_id
    [held] = stage.cloud.disks.delete_snapshots([made.snapshot_id])
    assert isinstance(held.error, WrongState)
    stage.cloud.disks.delete_image(image_id)
    stage.cloud.disks.delete_image(image_id)  # no error when there is none
    assert stage.cloud.disks.delete_snapshots([made.snapshot_id]) == [Outcome(made.snapshot_id)]
    stage.become(view.cloud_id, CloudState.RUNNING)


def test_there_is_no_image_of_a_snapshot_that_is_not_completed(stage: Stage) -> None:
    stage.slow_snapshots(60)
    made = take(stage, stopped(stage))
    with pytest.raises((Refused, NotFound)):
        stage.cloud.disks.image_of(made.snapshot_id, name=f"early-{secrets.token_hex(4)}")


def test_a_machine_is_saved_as_an_image_with_its_size(stage: Stage) -> None:
    name = f"course-{secrets.token_hex(4)}"
    cloud_id = stopped(stage)
    image_id = stage.cloud.disks.save_image(cloud_id, name=name)
    assert stage.cloud.disks.save_image(cloud_id, name=name) == image_id
    stage.wait(0.5)
    found = {one.image_id: one for one in stage.cloud.disks.images()}[image_id]
    assert (found.name, found.available, found.disk_gb) == (name, True, 64)
    assert len(found.snapshot_ids) == 1
    stage.cloud.disks.delete_image(image_id)


@pytest.mark.parametrize("of", ["snapshot", "machine"])
def test_an_image_whose_name_is_taken_and_that_is_not_listed_yet_is_no_refusal(stage: Stage, of: str) -> None:
    """Its answer was lost: asked again at once, AWS knows the name before it lists the image."""
    name, cloud_id = f"late-{secrets.token_hex(4)}", stopped(stage)
    made = take(stage, cloud_id)
    stage.wait(0.3)
    disks = stage.cloud.disks

    def ask() -> str:
        if of == "snapshot":
            return disks.image_of(made.snapshot_id, name=name)
        return disks.save_image(cloud_id, name=name)

    image_id = ask()
    stage.hide_new_images(60)
    assert name not in [one.name for one in disks.images()]
    with pytest.raises(Transient):
        ask()
    stage.hide_new_images(0)
    assert ask() == image_id
    disks.delete_image(image_id)


def test_throttled_snapshots_are_transient(stage: Stage) -> None:
    cloud_id = running(stage)
    stage.throttle("snapshot")
    with pytest.raises(Transient):
        take(stage, cloud_id)
    stage.heal()


# ------------------------------------------------------------------ restart and another type
def test_a_restart_ends_no_run(stage: Stage) -> None:
    cloud_id = running(stage)
    before = {view.cloud_id: view for view in stage.cloud.describe_all()}[cloud_id]
    assert stage.cloud.restart([cloud_id]) == [Outcome(cloud_id)]
    stage.wait(0.3)
    after = {view.cloud_id: view for view in stage.cloud.describe_all()}[cloud_id]
    assert (after.state, after.launched_at, after.private_ip) == (
        CloudState.RUNNING,
        before.launched_at,
        before.private_ip,
    )


def test_what_does_not_run_is_not_restarted(stage: Stage) -> None:
    [outcome] = stage.cloud.restart([stopped(stage)])
    assert isinstance(outcome.error, WrongState)


def test_a_stopped_machine_takes_another_type_and_starts_with_it(stage: Stage) -> None:
    cloud_id = stopped(stage)
    stage.cloud.change_type(cloud_id, "g5.xlarge")
    stage.cloud.change_type(cloud_id, "g5.xlarge")
    stage.cloud.start([cloud_id])
    assert stage.become(cloud_id, CloudState.RUNNING).instance_type == "g5.xlarge"
    with pytest.raises(WrongState):
        stage.cloud.change_type(cloud_id, "g4dn.xlarge")


def test_an_unknown_type_is_refused(stage: Stage) -> None:
    with pytest.raises(Refused):
        stage.cloud.change_type(stopped(stage), "g99.huge")
