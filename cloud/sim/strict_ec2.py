"""EC2's instance actions, stricter than the base: what is asked is read here, `World` decides, moto writes the XML.

A launch parameter that is not simulated is refused, never ignored: a test would else teach a lie.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.responses import EC2Response

from cloud.sim.accounts import Account
from cloud.sim.base_server import BaseMachines
from cloud.sim.disks import Disks
from cloud.sim.errors import Ec2Error
from cloud.sim.listing import one_page, passes
from cloud.sim.machine import STATE_CODES, Machine, disk_gb_of
from cloud.sim.network import Network
from cloud.sim.rules import spot_price
from cloud.sim.world import Change, LaunchRequest

_KNOWN = {
    "ImageId",
    "InstanceType",
    "MinCount",
    "MaxCount",
    "SubnetId",
    "SecurityGroupId",
    "UserData",
    "ClientToken",
    "InstanceInitiatedShutdownBehavior",
    "MetadataOptions",
    "BlockDeviceMapping",
    "TagSpecification",
    "InstanceMarketOptions",
    "DryRun",
    "Action",
    "Version",
}
_KNOWN_MODIFY = {"InstanceId", "InstanceType", "Action", "Version"}
_USER_DATA_BYTES = 16384


def install(here: Callable[[EC2Response], Account]) -> None:
    """Puts our actions in the place of moto's, for the whole process. `here`: the account that a request is about."""

    def run_instances(self: EC2Response) -> ActionResult:
        mine = here(self)
        asked = _launch_request(self, mine.base, mine.network, mine.disks)
        return ActionResult(_reservation(mine.world.launch(asked), mine))

    def describe_instances(self: EC2Response) -> ActionResult:
        filters = self._filters_from_querystring()
        ids = self._get_param("InstanceIds", [])
        size = self._get_param("MaxResults")
        if ids and size is not None:
            text = "The parameter instancesSet cannot be used with the parameter maxResults"
            raise Ec2Error("InvalidParameterCombination", text)
        mine = here(self)
        with mine.world.lock:
            found = mine.world.find(ids) if ids else mine.world.listed()
            matching = [one for one in found if passes(one, mine.base.get(one.cloud_id), filters)]
            page, token = one_page(matching, size, self._get_param("NextToken"))
            return ActionResult({"Reservations": [_reservation(one, mine) for one in page], "NextToken": token})

    def start_instances(self: EC2Response) -> ActionResult:
        return _changes("StartingInstances", here(self).world.start(_ids(self)))

    def stop_instances(self: EC2Response) -> ActionResult:
        force = bool(self._get_param("Force", False))
        return _changes("StoppingInstances", here(self).world.stop(_ids(self), force=force))

    def terminate_instances(self: EC2Response) -> ActionResult:
        return _changes("TerminatingInstances", here(self).world.terminate(_ids(self)))

    for action in (run_instances, describe_instances, start_instances, stop_instances, terminate_instances):
        setattr(EC2Response, action.__name__, action)
    _install_changes(here)
    # The base says "pending" to every launch; a repeated one tells the state of the machine that it finds.
    EC2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER.pop("RunInstances.Reservation.Instances.Instance.State", None)


def _install_changes(here: Callable[[EC2Response], Account]) -> None:
    def reboot_instances(self: EC2Response) -> EmptyResult:
        here(self).world.restart(_ids(self))
        return EmptyResult()

    def modify_instance_attribute(self: EC2Response) -> EmptyResult:
        wanted = self._get_param("InstanceType", {})
        if not wanted or {key.split(".")[0] for key in self.querystring} - _KNOWN_MODIFY:
            raise Ec2Error("UnsupportedOperation", "Not simulated for ModifyInstanceAttribute: all but InstanceType")
        here(self).world.change_type(self._get_param("InstanceId") or "", wanted["Value"])
        return EmptyResult()

    def cancel_spot_instance_requests(self: EC2Response) -> ActionResult:
        ids: list[str] = self._get_param("SpotInstanceRequestIds", [])
        here(self).world.cancel_spot(ids)
        told = [{"SpotInstanceRequestId": one, "State": "cancelled"} for one in ids]
        return ActionResult({"CancelledSpotInstanceRequests": told})

    def describe_spot_price_history(self: EC2Response) -> ActionResult:
        zone, types = self._get_param("AvailabilityZone"), self._get_param("InstanceTypes", [])
        since = self._get_param("StartTime")
        told = [
            {
                "InstanceType": one,
                "AvailabilityZone": zone,
                "ProductDescription": "Linux/UNIX",
                "SpotPrice": str(spot_price(one)),
                "Timestamp": since,
            }
            for one in types
        ]
        return ActionResult({"SpotPriceHistory": told})

    actions = (reboot_instances, modify_instance_attribute, cancel_spot_instance_requests, describe_spot_price_history)
    for action in actions:
        setattr(EC2Response, action.__name__, action)


def _ids(response: EC2Response) -> list[str]:
    ids: list[str] = response._get_param("InstanceIds", [])
    if not ids:
        raise Ec2Error("MissingParameter", "The request must contain the parameter InstanceId")
    return list(dict.fromkeys(ids))


def _changes(name: str, changes: list[Change]) -> ActionResult:
    told = [
        {"InstanceId": one.cloud_id, "CurrentState": _state(one.after), "PreviousState": _state(one.before)}
        for one in changes
    ]
    return ActionResult({name: told})


def _state(name: str) -> dict[str, Any]:
    return {"Code": STATE_CODES[name], "Name": name}


def _reservation(machine: Machine, mine: Account) -> dict[str, Any]:
    instance = mine.base.get(machine.cloud_id)
    return {"ReservationId": f"r-{machine.suffix}", "OwnerId": mine.number, "Groups": [], "Instances": [instance]}


def _launch_request(response: EC2Response, base: BaseMachines, network: Network, disks: Disks) -> LaunchRequest:
    _check_parameters(response)
    image_id, subnet = response._get_param("ImageId"), response._get_param("SubnetId")
    if image_id not in base.backend.amis:
        raise Ec2Error("InvalidAMIID.NotFound", f"The image id '[{image_id}]' does not exist")
    if subnet not in network.zone_of:
        raise Ec2Error("InvalidSubnetID.NotFound", f"The subnet ID '{subnet}' does not exist")
    mappings = response._parse_block_device_mapping()
    behavior = response._get_param("InstanceInitiatedShutdownBehavior") or "stop"
    if response._get_param("DryRun", False):
        raise Ec2Error("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
    return LaunchRequest(
        token=response._get_param("ClientToken") or "",
        fingerprint=_fingerprint(response),
        zone=network.zone_of[subnet],
        instance_type=response._get_param("InstanceType") or "m1.small",
        shutdown_behavior=behavior,
        launch={
            "image_id": image_id,
            "count": 1,
            "user_data": _user_data(response._get_param("UserData")),
            "security_group_names": [],
            "security_group_ids": response._get_param("SecurityGroupIds", []),
            "instance_type": response._get_param("InstanceType"),
            "is_instance_type_default": False,
            "region_name": response.region,
            "subnet_id": subnet,
            "tags": response._parse_tag_specification(),
            "block_device_mappings": mappings,
            "instance_initiated_shutdown_behavior": behavior,
            "metadata_options": response._get_param("MetadataOptions", {}),
            "client_token": response._get_param("ClientToken") or "",
        },
        spot=_is_spot(response),
        disk_from=disks.source_of(image_id, disk_gb_of(mappings)),
    )


def _is_spot(response: EC2Response) -> bool:
    """Lasting requests whose machines are stopped when they are taken back; nothing else is simulated."""
    market = response._get_param("InstanceMarketOptions", {})
    if not market:
        return False
    options = market.get("SpotOptions", {})
    kind = (market.get("MarketType"), options.get("SpotInstanceType"), options.get("InstanceInterruptionBehavior"))
    if kind != ("spot", "persistent", "stop"):
        raise Ec2Error("UnsupportedOperation", f"Not simulated: a market of {kind}")
    instance_type = response._get_param("InstanceType")
    if Decimal(options.get("MaxPrice", "0")) < spot_price(instance_type):
        raise Ec2Error("SpotMaxPriceTooLow", f"Your Spot request price is lower than {spot_price(instance_type)}.")
    return True


def _check_parameters(response: EC2Response) -> None:
    unknown = {key.split(".")[0] for key in response.querystring} - _KNOWN
    if unknown:
        raise Ec2Error("UnsupportedOperation", f"Not simulated for RunInstances: {', '.join(sorted(unknown))}")
    if (response._get_param("MinCount"), response._get_param("MaxCount")) != (1, 1):
        raise Ec2Error("UnsupportedOperation", "Not simulated: more than one machine in one RunInstances")


def _user_data(encoded: str | bytes | None) -> str:
    text = encoded.decode("ascii") if isinstance(encoded, bytes) else str(encoded or "")
    try:
        size = len(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        raise Ec2Error("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.") from None
    if size > _USER_DATA_BYTES:
        raise Ec2Error("InvalidParameterValue", f"User data is limited to {_USER_DATA_BYTES} bytes")
    return text


def _fingerprint(response: EC2Response) -> str:
    asked = {key: value for key, value in response.querystring.items() if key not in ("Action", "Version")}
    return hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()
