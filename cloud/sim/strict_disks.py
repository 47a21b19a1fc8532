"""EC2's actions on snapshots and images: what is asked is read here, `Disks` decides, moto writes the XML."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.responses import EC2Response

from cloud.sim.accounts import Account
from cloud.sim.disks import Disks, Image, Snapshot
from cloud.sim.errors import Ec2Error
from cloud.sim.machine import Machine

_LARGEST = 1000


Here = Callable[[EC2Response], Account]


def install(here: Here) -> None:
    """Puts our actions in the place of moto's, for the whole process."""
    _install_snapshots(here)
    _install_images(here)


def _install_snapshots(here: Here) -> None:
    def create_snapshots(self: EC2Response) -> ActionResult:
        asked = self._get_param("InstanceSpecification", {})
        mine = here(self)
        [machine] = mine.world.find([asked.get("InstanceId", "")])
        tags = self._parse_tag_specification().get("snapshot", {})
        found = mine.disks.take(machine, tags, self._get_param("Description") or "")
        return ActionResult({"Snapshots": [_snapshot(found, mine.number) | {"State": "pending"}]})

    def describe_snapshots(self: EC2Response) -> ActionResult:
        _only_own(self, "OwnerIds")
        now = datetime.now(UTC).timestamp()
        filters = self._filters_from_querystring()
        mine = here(self)
        with mine.disks.lock:
            found = list(mine.disks.snapshots.values())
            all_of_them = [(_snapshot(one, mine.number) | {"State": one.state(now)}, one.tags) for one in found]
        told = [
            one
            for one, tags in all_of_them
            if _fits(filters, tags, **{"status": one["State"], "snapshot-id": one["SnapshotId"]})
        ]
        page, token = _page(self, told)
        return ActionResult({"Snapshots": page, "NextToken": token})

    def delete_snapshot(self: EC2Response) -> EmptyResult:
        here(self).disks.delete(self._get_param("SnapshotId") or "")
        return EmptyResult()

    for action in (create_snapshots, describe_snapshots, delete_snapshot):
        setattr(EC2Response, action.__name__, action)


def _install_images(here: Here) -> None:
    def register_image(self: EC2Response) -> ActionResult:
        root = _root_of(self)
        tags = self._parse_tag_specification().get("image", {})
        image = here(self).disks.register(self._get_param("Name"), root["Ebs"]["SnapshotId"], root["DeviceName"], tags)
        return ActionResult({"ImageId": image.image_id})

    def create_image(self: EC2Response) -> ActionResult:
        mine = here(self)
        [machine] = mine.world.find([self._get_param("InstanceId") or ""])
        _check_reboot(self, machine)
        tags = self._parse_tag_specification()
        image = mine.disks.save(machine, self._get_param("Name"), tags.get("image", {}), tags.get("snapshot", {}))
        return ActionResult({"ImageId": image.image_id})

    def deregister_image(self: EC2Response) -> ActionResult:
        here(self).disks.deregister(self._get_param("ImageId") or "")
        return ActionResult({"Return": True})

    base_images = EC2Response.describe_images

    def describe_images(self: EC2Response) -> ActionResult:
        mine = here(self)
        ids, filters = self._get_param("ImageIds", []), self._filters_from_querystring()
        if ids and not set(ids) <= set(mine.disks.images):
            return base_images(self)
        told = _own_images(mine, ids, filters)
        if ids:
            return ActionResult({"Images": told})
        _only_own(self, "Owners")
        page, token = _page(self, told)
        return ActionResult({"Images": page, "NextToken": token})

    for action in (register_image, create_image, deregister_image, describe_images):
        setattr(EC2Response, action.__name__, action)


def _root_of(response: EC2Response) -> dict[str, Any]:
    [root] = response._get_param("BlockDeviceMappings", [])
    if root["DeviceName"] != response._get_param("RootDeviceName"):
        raise Ec2Error("InvalidBlockDeviceMapping", "The root device is not among the block devices.")
    return dict(root)


def _check_reboot(response: EC2Response, machine: Machine) -> None:
    if machine.state == "running" and not response._get_param("NoReboot", False):
        raise Ec2Error("UnsupportedOperation", "Not simulated: an image of a running machine with a reboot")


def _own_images(mine: Account, ids: list[str], filters: dict[str, list[str]]) -> list[dict[str, Any]]:
    chosen = [one for one in mine.disks.images.values() if (one.image_id in ids if ids else mine.disks.is_listed(one))]
    return [_image(mine.disks, one, mine.number) for one in chosen if _fits(filters, one.tags, name=one.name)]


def _only_own(response: EC2Response, name: str) -> None:
    """Everybody's public ones are not simulated: to ask for them would take minutes at AWS."""
    if response._get_param(name, []) != ["self"]:
        raise Ec2Error("UnsupportedOperation", f"Not simulated: {name} other than self")


def _fits(filters: dict[str, list[str]], tags: dict[str, str], **values: str) -> bool:
    for name, wanted in filters.items():
        if name.startswith("tag:"):
            value = tags.get(name.removeprefix("tag:"))
        elif name in values:
            value = values[name]
        else:
            raise Ec2Error("InvalidParameterValue", f"The filter '{name}' is invalid")
        if value not in wanted:
            return False
    return True


def _page(response: EC2Response, told: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str | None]:
    size = int(response._get_param("MaxResults") or _LARGEST)
    if not 5 <= size <= _LARGEST:
        raise Ec2Error("InvalidParameterValue", f"Value ( {size} ) for parameter maxResults is invalid.")
    first = int(response._get_param("NextToken") or 0)
    return told[first : first + size], str(first + size) if first + size < len(told) else None


def _tag_list(tags: dict[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _snapshot(one: Snapshot, owner: str) -> dict[str, Any]:
    return {
        "SnapshotId": one.snapshot_id,
        "VolumeId": one.volume_id,
        "VolumeSize": one.disk_gb,
        "FullSnapshotSizeInBytes": one.stored_bytes,
        "Description": one.description,
        "StartTime": datetime.fromtimestamp(one.started_at, UTC),
        "OwnerId": owner,
        "Encrypted": True,
        "Tags": _tag_list(one.tags),
    }


def _image(disks: Disks, one: Image, owner: str) -> dict[str, Any]:
    disk = {"SnapshotId": one.snapshot_id, "VolumeSize": one.disk_gb, "VolumeType": "gp3", "DeleteOnTermination": True}
    return {
        "ImageId": one.image_id,
        "Name": one.name,
        "State": disks.state_of(one),
        "OwnerId": owner,
        "Architecture": "x86_64",
        "RootDeviceName": one.root_device,
        "RootDeviceType": "ebs",
        "VirtualizationType": "hvm",
        "CreationDate": datetime.fromtimestamp(one.created_at, UTC),
        "BlockDeviceMappings": [{"DeviceName": one.root_device, "Ebs": disk}],
        "Tags": _tag_list(one.tags),
    }
