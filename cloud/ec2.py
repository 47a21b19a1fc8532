"""The door to AWS's machines: EC2, and EventBridge Scheduler for timed stops. Other boto3 is only in `aws_billing.py`.

Keeps no state but a cache of what hardly changes. Every error leaves as a `CloudError`.
"""

import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config

from cloud.accounts import LinkedAccount
from cloud.aws_accounts import AwsAccounts
from cloud.base import LaunchSpec, MachineView, NotOffered, Outcome, Refused
from cloud.batches import say_to_each
from cloud.ec2_catalog import PRICE_LIST_REGION, Ec2Catalog
from cloud.ec2_disks import Ec2Disks
from cloud.ec2_errors import our_words
from cloud.ec2_words import INSTALLATION_TAG, launch_parameters, machine_view, machine_views

_DAY_SECONDS = 24 * 3600
_LATE_SECONDS = 60
_STOP_TARGET = "arn:aws:scheduler:::aws-sdk:ec2:stopInstances"


@dataclass(frozen=True, slots=True)
class Ec2Config:
    region: str
    subnets: Mapping[str, str]  # zone → subnet id
    security_group: str
    scheduler_role_arn: str
    installation: str  # the tag's value that marks what is ours
    endpoint_url: str | None = None
    attempts: int = 4  # of one API call, the first included
    # Few: AWS answers "no capacity" with HTTP 500, which boto3 repeats in the same zone while a student waits.
    launch_attempts: int = 2
    page_size: int = 1000
    timeout_seconds: float = 20

    def __post_init__(self) -> None:
        """Raises ValueError: a name that AWS refuses would show only when the first guard is set."""
        if not re.fullmatch(r"[0-9A-Za-z_.-]{1,38}", self.installation):
            raise ValueError(f"The installation's name {self.installation!r} is no part of a schedule's name.")


@dataclass(slots=True)
class _Remembered:
    """What AWS hardly ever changes, so that a launch does not ask again."""

    root_devices: dict[str, str] = field(default_factory=dict)  # by image id; an image never changes
    zones: dict[str, tuple[float, list[str]]] = field(default_factory=dict)  # by type: (monotonic seconds, zones)


class Ec2Cloud:
    def __init__(self, config: Ec2Config, session: boto3.session.Session | None = None) -> None:
        """A session may serve several clouds: EC2's description, which it reads, takes a fifth of a second."""
        self.config = config
        session = session or boto3.session.Session(region_name=config.region)
        self._ec2 = self._client(session, "ec2", config.attempts)
        self._launcher = self._client(session, "ec2", config.launch_attempts)
        self._scheduler = self._client(session, "scheduler", config.attempts)
        self._remembered = _Remembered()
        self.catalog = Ec2Catalog(
            region=config.region,
            installation=config.installation,
            ec2=self._ec2,
            quotas=self._client(session, "service-quotas", config.attempts),
            ssm=self._client(session, "ssm", config.attempts),
            pricing=self._client(session, "pricing", config.attempts, region=PRICE_LIST_REGION),
        )
        self.disks = Ec2Disks(self._ec2, installation=config.installation, page_size=config.page_size)
        self.accounts = AwsAccounts(
            session,
            lambda inside, service: self._client(inside, service, config.attempts, region=config.region),
            self._door,
            name=config.installation,
        )

    def _door(self, account: LinkedAccount, session: boto3.session.Session) -> "Ec2Cloud":
        there = replace(
            self.config,
            subnets=dict(account.subnets),
            security_group=account.security_group,
            scheduler_role_arn=account.scheduler_role_arn,
        )
        return Ec2Cloud(there, session)

    def _client(self, session: Any, service: str, attempts: int, region: str | None = None) -> Any:
        config = Config(
            connect_timeout=5,
            read_timeout=self.config.timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": attempts},
            max_pool_connections=20,
            user_agent_extra="lamplighter",
        )
        return session.client(service, region_name=region, endpoint_url=self.config.endpoint_url, config=config)

    # -------------------------------------------------------------- launching and looking
    def run(self, spec: LaunchSpec) -> MachineView:
        with our_words():
            parameters = self._parameters(spec)
            try:
                with our_words():
                    answer = self._launcher.run_instances(**parameters)
            except NotOffered:
                self._forget_zone(spec.instance_type, spec.zone)
                raise
        return machine_view(answer["Instances"][0])

    def rehearse(self, spec: LaunchSpec) -> None:
        try:
            with our_words():
                self._launcher.run_instances(**self._parameters(spec), DryRun=True)
        except Refused as error:
            if error.code != "DryRunOperation":
                raise

    def _parameters(self, spec: LaunchSpec) -> dict[str, Any]:
        subnet = self.config.subnets.get(spec.zone)
        if subnet is None:
            raise NotOffered(f"There is no subnet of ours in {spec.zone}.", code="NoSubnet")
        return launch_parameters(
            spec,
            subnet=subnet,
            security_group=self.config.security_group,
            root_device=self._root_device(spec.image_id),
            installation=self.config.installation,
        )

    def _forget_zone(self, instance_type: str, zone: str) -> None:
        """AWS's list said that it offers the type there, and it does not: not asked there again today."""
        read_at, zones = self._remembered.zones.get(instance_type, (time.monotonic(), list(self.config.subnets)))
        self._remembered.zones[instance_type] = (read_at, [one for one in zones if one != zone])

    def _root_device(self, image_id: str) -> str:
        """A disk under another name than the image's own would be a second disk, and the root too small."""
        known = self._remembered.root_devices
        if image_id not in known:
            images = self._ec2.describe_images(ImageIds=[image_id])["Images"]
            if not images:
                raise Refused(f"The image {image_id} does not exist.", code="InvalidAMIID.NotFound")
            known[image_id] = images[0]["RootDeviceName"]
        return known[image_id]

    def find_by_token(self, token: str) -> MachineView | None:
        found = self._describe({"Name": "client-token", "Values": [token]})
        return min(found, key=lambda view: view.launched_at) if found else None

    def describe_all(self) -> list[MachineView]:
        return self._describe()

    def _describe(self, *filters: dict[str, Any]) -> list[MachineView]:
        ours = {"Name": f"tag:{INSTALLATION_TAG}", "Values": [self.config.installation]}
        with our_words():
            pages = self._ec2.get_paginator("describe_instances").paginate(
                Filters=[ours, *filters], PaginationConfig={"PageSize": self.config.page_size}
            )
            return machine_views(pages)

    # -------------------------------------------------------------- orders
    def start(self, cloud_ids: Sequence[str]) -> list[Outcome]:
        # As few attempts as a launch: over before `calling.py` takes its process for dead and frees what is held.
        return self._order(cloud_ids, self._launcher.start_instances)

    def stop(self, cloud_ids: Sequence[str], *, force: bool = False) -> list[Outcome]:
        return self._order(cloud_ids, self._ec2.stop_instances, Force=force)

    def terminate(self, cloud_ids: Sequence[str]) -> list[Outcome]:
        return self._order(cloud_ids, self._ec2.terminate_instances)

    def restart(self, cloud_ids: Sequence[str]) -> list[Outcome]:
        return self._order(cloud_ids, self._ec2.reboot_instances)

    def change_type(self, cloud_id: str, instance_type: str) -> None:
        with our_words():
            self._ec2.modify_instance_attribute(InstanceId=cloud_id, InstanceType={"Value": instance_type})

    def cancel_spot(self, request_ids: Sequence[str]) -> list[Outcome]:
        def call(ids: list[str]) -> None:
            with our_words():
                self._ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=ids)

        return say_to_each(request_ids, call)

    def _order(self, cloud_ids: Sequence[str], operation: Any, **parameters: Any) -> list[Outcome]:
        def call(ids: list[str]) -> None:
            with our_words():
                operation(InstanceIds=ids, **parameters)

        return say_to_each(cloud_ids, call)

    # -------------------------------------------------------------- AWS's own timed stop
    def schedule_stop(self, cloud_id: str, at: datetime) -> None:
        now = datetime.now(UTC)
        schedule = self._schedule(cloud_id, at if at > now else now + timedelta(seconds=_LATE_SECONDS))
        with our_words():
            try:
                self._scheduler.create_schedule(**schedule)
            except self._scheduler.exceptions.ConflictException:
                self._move_schedule(schedule)

    def _move_schedule(self, schedule: dict[str, Any]) -> None:
        try:
            self._scheduler.update_schedule(**schedule)
        except self._scheduler.exceptions.ResourceNotFoundException:
            self._scheduler.create_schedule(**schedule)  # it ran, or was taken away, in between

    def _schedule(self, cloud_id: str, at: datetime) -> dict[str, Any]:
        whole = datetime.fromtimestamp(math.ceil(at.timestamp()), UTC)  # never before `at`: that was promised
        return {
            "Name": self._schedule_name(cloud_id),
            "ScheduleExpression": f"at({whole:%Y-%m-%dT%H:%M:%S})",
            "ScheduleExpressionTimezone": "UTC",
            "FlexibleTimeWindow": {"Mode": "OFF"},
            "ActionAfterCompletion": "DELETE",
            "Target": {
                "Arn": _STOP_TARGET,
                "RoleArn": self.config.scheduler_role_arn,
                "Input": json.dumps({"InstanceIds": [cloud_id]}),
                # A machine that is just booting cannot be stopped: it is tried again for a day.
                "RetryPolicy": {"MaximumEventAgeInSeconds": _DAY_SECONDS, "MaximumRetryAttempts": 185},
            },
        }

    def _schedule_name(self, cloud_id: str) -> str:
        return f"{self.config.installation}-stop-{cloud_id}"

    def cancel_scheduled_stop(self, cloud_id: str) -> None:
        with our_words():
            try:
                self._scheduler.delete_schedule(Name=self._schedule_name(cloud_id))
            except self._scheduler.exceptions.ResourceNotFoundException:
                return  # it ran, or there never was one

    # -------------------------------------------------------------- offerings
    def zones_offering(self, instance_type: str) -> list[str]:
        read_at, zones = self._remembered.zones.get(instance_type, (-math.inf, []))
        if time.monotonic() - read_at < _DAY_SECONDS:
            return list(zones)
        with our_words():
            pages = self._ec2.get_paginator("describe_instance_type_offerings").paginate(
                LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [instance_type]}]
            )
            offered = {offer["Location"] for page in pages for offer in page["InstanceTypeOfferings"]}
        zones = [zone for zone in self.config.subnets if zone in offered]
        self._remembered.zones[instance_type] = (time.monotonic(), zones)
        return list(zones)
