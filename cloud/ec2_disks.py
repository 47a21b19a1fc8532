"""The door to AWS's snapshots and images. Keeps no state; every error leaves as a `CloudError`."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from cloud.base import CloudError, Outcome, Refused, Transient
from cloud.disks import ImageView, SnapshotSpec, SnapshotState, SnapshotView
from cloud.ec2_errors import our_words
from cloud.ec2_words import INSTALLATION_TAG

SNAPSHOT_TAG = "lamplighter:snapshot"
_TAKEN = "InvalidAMIName.Duplicate"


class Ec2Disks:
    def __init__(self, ec2: Any, *, installation: str, page_size: int) -> None:
        self._ec2 = ec2
        self._installation = installation
        self._page_size = page_size

    # -------------------------------------------------------------- snapshots
    def snapshot(self, spec: SnapshotSpec) -> SnapshotView:
        tags = {"Name": spec.name, SNAPSHOT_TAG: spec.key, **spec.tags}
        with our_words():
            answer = self._ec2.create_snapshots(
                InstanceSpecification={"InstanceId": spec.cloud_id, "ExcludeBootVolume": False},
                Description=f"Lamplighter: disk of {spec.name}",
                TagSpecifications=[self._tagged("snapshot", tags)],
            )
        return _view(answer["Snapshots"][0])

    def snapshots(self) -> list[SnapshotView]:
        with our_words():
            pages = self._ec2.get_paginator("describe_snapshots").paginate(
                OwnerIds=["self"], Filters=[self._ours()], PaginationConfig={"PageSize": self._page_size}
            )
            return [_view(one) for page in pages for one in page["Snapshots"]]

    def exist(self, snapshot_ids: Sequence[str]) -> set[str]:
        by_id = {"Name": "snapshot-id", "Values": list(snapshot_ids)}
        with our_words():
            pages = self._ec2.get_paginator("describe_snapshots").paginate(OwnerIds=["self"], Filters=[by_id])
            return {one["SnapshotId"] for page in pages for one in page["Snapshots"]}

    def delete_snapshots(self, snapshot_ids: Sequence[str]) -> list[Outcome]:
        return [Outcome(one, self._delete_snapshot(one)) for one in dict.fromkeys(snapshot_ids)]

    def _delete_snapshot(self, snapshot_id: str) -> CloudError | None:
        try:
            with our_words():
                self._ec2.delete_snapshot(SnapshotId=snapshot_id)
        except CloudError as error:
            return error
        return None

    # -------------------------------------------------------------- images
    def image_of(self, snapshot_id: str, *, name: str) -> str:
        return self._named(name, self._register, snapshot_id)

    def save_image(self, cloud_id: str, *, name: str) -> str:
        return self._named(name, self._create, cloud_id)

    def _named(self, name: str, make: Any, of: str) -> str:
        """AWS takes each name once in an account: what was asked for before is found by it."""
        try:
            with our_words():
                image_id: str = make(of, name)
        except Refused as error:
            if error.code != _TAKEN:
                raise
            return self._by_name(name)
        return image_id

    def _by_name(self, name: str) -> str:
        with our_words():
            found = self._ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": [name]}])["Images"]
        if not found:
            # A new one is listed late. Taken for a refusal, it would be given up, and lie there for ever.
            raise Transient(f"The image {name} is there and not listed yet.", code=_TAKEN)
        return str(found[0]["ImageId"])

    def _register(self, snapshot_id: str, name: str) -> str:
        root = {"SnapshotId": snapshot_id, "VolumeType": "gp3", "DeleteOnTermination": True}
        answer = self._ec2.register_image(
            Name=name,
            Description=f"Lamplighter: {snapshot_id}",
            Architecture="x86_64",
            VirtualizationType="hvm",
            EnaSupport=True,
            RootDeviceName="/dev/sda1",
            BlockDeviceMappings=[{"DeviceName": "/dev/sda1", "Ebs": root}],
            TagSpecifications=[self._tagged("image", {"Name": name})],
        )
        return str(answer["ImageId"])

    def _create(self, cloud_id: str, name: str) -> str:
        kinds = ("image", "snapshot")
        answer = self._ec2.create_image(
            InstanceId=cloud_id,
            Name=name,
            NoReboot=True,  # it is stopped; a machine that was started meanwhile is not to be rebooted under its user
            TagSpecifications=[self._tagged(kind, {"Name": name}) for kind in kinds],
        )
        return str(answer["ImageId"])

    def images(self) -> list[ImageView]:
        with our_words():
            pages = self._ec2.get_paginator("describe_images").paginate(
                Owners=["self"], Filters=[self._ours()], PaginationConfig={"PageSize": self._page_size}
            )
            return [_image(one) for page in pages for one in page["Images"]]

    def image(self, image_id: str) -> ImageView | None:
        try:
            with our_words():
                # A disabled one is there, and paid for.
                found = self._ec2.describe_images(ImageIds=[image_id], IncludeDisabled=True)["Images"]
        except Refused as error:
            if error.code.startswith("InvalidAMIID"):
                return None
            raise
        return next((_image(one) for one in found if one["State"] != "deregistered"), None)

    def delete_image(self, image_id: str) -> None:
        try:
            with our_words():
                self._ec2.deregister_image(ImageId=image_id)
        except Refused as error:
            if not error.code.startswith("InvalidAMIID"):
                raise

    def _ours(self) -> dict[str, Any]:
        return {"Name": f"tag:{INSTALLATION_TAG}", "Values": [self._installation]}

    def _tagged(self, kind: str, tags: Mapping[str, str]) -> dict[str, Any]:
        whole = {INSTALLATION_TAG: self._installation, **tags}
        return {"ResourceType": kind, "Tags": [{"Key": key, "Value": whole[key]} for key in sorted(whole)]}


def _view(told: Mapping[str, Any]) -> SnapshotView:
    tags = {tag["Key"]: tag["Value"] for tag in told.get("Tags", [])}
    state = told["State"]
    known = {"pending": SnapshotState.PENDING, "completed": SnapshotState.COMPLETED}
    return SnapshotView(
        snapshot_id=told["SnapshotId"],
        key=tags.get(SNAPSHOT_TAG, ""),
        state=known.get(state, SnapshotState.ERROR),
        disk_gb=told["VolumeSize"],
        stored_bytes=told.get("FullSnapshotSizeInBytes") or None,
        started_at=told["StartTime"].astimezone(UTC),
    )


def _image(told: Mapping[str, Any]) -> ImageView:
    disks = [one["Ebs"] for one in told.get("BlockDeviceMappings", []) if "Ebs" in one]
    return ImageView(
        image_id=told["ImageId"],
        name=told.get("Name", ""),
        available=told["State"] == "available",
        failed=told["State"] in ("failed", "error", "invalid"),
        snapshot_ids=[disk["SnapshotId"] for disk in disks if disk.get("SnapshotId")],
        disk_gb=sum(disk.get("VolumeSize", 0) for disk in disks),
        created_at=datetime.fromisoformat(told["CreationDate"]).astimezone(UTC),
    )
