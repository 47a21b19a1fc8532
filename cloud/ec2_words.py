"""Between EC2's dictionaries and our words: a launch as request parameters, a described machine as `MachineView`.

Pure; talks to nobody.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from cloud.base import CloudState, LaunchSpec, MachineView
from cloud.user_data import packed

INSTALLATION_TAG = "lamplighter:installation"
_MOMENT = re.compile(r"\((\d{4}-\d\d-\d\d \d\d:\d\d:\d\d) (?:GMT|UTC)\)")
_GOING = frozenset({CloudState.PENDING, CloudState.RUNNING})
_TAGGED = ("instance", "volume", "network-interface")


def launch_parameters(
    spec: LaunchSpec, *, subnet: str, security_group: str, root_device: str, installation: str
) -> dict[str, Any]:
    """All of RunInstances. The same spec must always give the same request: AWS compares it under the token."""
    tags = {"Name": spec.name, INSTALLATION_TAG: installation, **spec.tags}
    kinds = (*_TAGGED, "spot-instances-request") if spec.spot_usd_hour else _TAGGED
    tag_list = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
    return {
        "ClientToken": spec.token,
        "MinCount": 1,
        "MaxCount": 1,
        "ImageId": spec.image_id,
        "InstanceType": spec.instance_type,
        "SubnetId": subnet,
        "SecurityGroupIds": [security_group],
        "UserData": packed(spec.user_data),
        # A poweroff from inside, by student, agent or dead-man's timer, keeps the disk.
        "InstanceInitiatedShutdownBehavior": "stop",
        # One hop: a container or a proxy on the machine cannot fetch the machine's identity.
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1, "HttpEndpoint": "enabled"},
        "BlockDeviceMappings": [
            {
                "DeviceName": root_device,
                "Ebs": {
                    "VolumeSize": spec.disk_gb,
                    "VolumeType": "gp3",
                    "Encrypted": True,
                    "DeleteOnTermination": True,
                },
            }
        ],
        "TagSpecifications": [{"ResourceType": kind, "Tags": tag_list} for kind in kinds],
        **_market(spec),
    }


def _market(spec: LaunchSpec) -> dict[str, Any]:
    """Taken back by AWS, a Spot machine is stopped and keeps its disk: that takes a request that lasts."""
    if not spec.spot_usd_hour:
        return {}
    options = {
        "MaxPrice": spec.spot_usd_hour,
        "SpotInstanceType": "persistent",
        "InstanceInterruptionBehavior": "stop",
    }
    return {"InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": options}}


def machine_views(pages: Iterable[Mapping[str, Any]]) -> list[MachineView]:
    return [
        machine_view(machine)
        for page in pages
        for reservation in page["Reservations"]
        for machine in reservation["Instances"]
    ]


def machine_view(machine: Mapping[str, Any]) -> MachineView:
    tags = {tag["Key"]: tag["Value"] for tag in machine.get("Tags", [])}
    state = CloudState(machine["State"]["Name"])
    transition = machine.get("StateTransitionReason") or ""
    return MachineView(
        cloud_id=machine["InstanceId"],
        name=tags.get("Name", ""),
        token=machine.get("ClientToken", ""),
        state=state,
        instance_type=machine["InstanceType"],
        zone=machine["Placement"]["AvailabilityZone"],
        image_id=machine["ImageId"],
        private_ip=machine.get("PrivateIpAddress") or None,
        launched_at=machine["LaunchTime"].astimezone(UTC),
        ended_at=None if state in _GOING else moment_in(transition),
        state_reason=machine.get("StateReason", {}).get("Message") or transition,
        tags=tags,
        spot_request=machine.get("SpotInstanceRequestId") or "",
    )


def moment_in(transition_reason: str) -> datetime | None:
    """`User initiated (2026-01-31 12:00:00 GMT)` → that moment in UTC; None when AWS gives none."""
    found = _MOMENT.search(transition_reason)
    if not found:
        return None
    return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
