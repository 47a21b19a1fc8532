"""Files really survive: what a machine of the machine room wrote is found on the one restored from its copy."""

import json
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.base import CloudState, LaunchSpec
from cloud.disks import SnapshotSpec, SnapshotState
from cloud.ec2 import Ec2Cloud
from tests.simulated_aws import QUICK, QUICK_DISKS, SimulatedAws, aws_credentials, until

__all__ = ["aws_credentials"]
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory, aws_credentials: None) -> Iterator[SimulatedAws]:
    running = SimulatedAws(tmp_path_factory.mktemp("aws"))
    running.change(**QUICK, **QUICK_DISKS)
    yield running
    running.stop()


def config(whose: str) -> str:
    """Says who it is at every birth, and counts its boots in its home directory."""
    boots = "#!/bin/sh\necho boot >> $HOME/boots\n"
    files = [
        {"path": "/etc/whose", "content": whose},
        {"path": "/var/lib/cloud/scripts/per-boot/count", "content": boots, "permissions": "0755"},
    ]
    return "#cloud-config\n" + json.dumps({"write_files": files})


def launch(cloud: Ec2Cloud, aws: SimulatedAws, whose: str, image_id: str = "") -> str:
    spec = LaunchSpec(
        token=secrets.token_hex(8),
        name=whose,
        instance_type="g4dn.xlarge",
        zone="us-east-1a",
        image_id=image_id or aws.network["image_id"],
        disk_gb=64,
        user_data=config(whose),
    )
    view = cloud.run(spec)
    reach(cloud, view.cloud_id, CloudState.RUNNING)
    return view.cloud_id


def reach(cloud: Ec2Cloud, cloud_id: str, state: CloudState) -> None:
    until(lambda: {one.cloud_id: one.state for one in cloud.describe_all()}[cloud_id] is state)


def disk(aws: SimulatedAws, cloud_id: str) -> Path:
    return aws.folder / "machines" / cloud_id


def boots(aws: SimulatedAws, cloud_id: str) -> int:
    file = disk(aws, cloud_id) / "home/ubuntu/boots"
    return file.read_text().count("boot") if file.exists() else 0


def test_files_survive_restart_stop_and_deletion_with_a_copy_and_die_with_delete(aws: SimulatedAws) -> None:
    cloud = aws.cloud()
    old = launch(cloud, aws, "mold")
    until(lambda: boots(aws, old) == 1)
    (disk(aws, old) / "home/ubuntu/work.txt").write_text("a term's work")
    cloud.restart([old])
    until(lambda: boots(aws, old) == 2)
    cloud.stop([old])
    reach(cloud, old, CloudState.STOPPED)
    made = cloud.disks.snapshot(SnapshotSpec("s1", old, "mold"))
    until(lambda: cloud.disks.snapshots()[0].state is SnapshotState.COMPLETED)
    cloud.terminate([old])
    reach(cloud, old, CloudState.TERMINATED)
    assert not disk(aws, old).exists()
    image_id = cloud.disks.image_of(made.snapshot_id, name="restored")
    new = launch(cloud, aws, "mnew", image_id)
    until(lambda: boots(aws, new) == 3)
    assert (disk(aws, new) / "home/ubuntu/work.txt").read_text() == "a term's work"
    assert (disk(aws, new) / "etc/whose").read_text() == "mnew"  # born again: its own secrets, not the old ones
    cloud.disks.delete_image(image_id)
    cloud.disks.delete_snapshots([made.snapshot_id])
    assert (disk(aws, new) / "home/ubuntu/work.txt").exists()


def test_copies_and_images_are_there_after_the_simulator_died(aws: SimulatedAws, tmp_path: Path) -> None:
    first = SimulatedAws(tmp_path / "aws", "--no-room")
    first.change(**QUICK, **QUICK_DISKS)
    cloud = first.cloud("kept")
    machine = launch(cloud, first, "mkept")
    cloud.stop([machine])
    reach(cloud, machine, CloudState.STOPPED)
    made = cloud.disks.snapshot(SnapshotSpec("s1", machine, "mkept"))
    until(lambda: cloud.disks.snapshots()[0].state is SnapshotState.COMPLETED)
    image_id = cloud.disks.image_of(made.snapshot_id, name="kept-image")
    first.stop()
    second = SimulatedAws(tmp_path / "aws", "--no-room")
    second.change(**QUICK)
    cloud = second.cloud("kept")
    assert [one.snapshot_id for one in cloud.disks.snapshots()] == [made.snapshot_id]
    assert [one.image_id for one in cloud.disks.images()] == [image_id]
    launch(cloud, second, "magain", image_id)
    second.stop()
