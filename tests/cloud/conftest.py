"""The stage for the contract: the same wishes ("no capacity there", "lose the next answer") to both twins."""

import secrets
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

import pytest

from cloud.accounts import LinkedAccount
from cloud.base import Cloud, CloudState, LaunchSpec, MachineView, Transient
from cloud.fake import FakeCloud
from tests.simulated_aws import QUICK, SimulatedAws, aws_credentials, ec2_cloud, sim, simulated_aws, until

__all__ = ["aws_credentials", "ec2_cloud", "sim", "simulated_aws"]
SCARCE = "p6-b200.48xlarge"  # offered in one zone only


class Stage(Protocol):
    cloud: Cloud
    image_id: str

    def now(self) -> datetime: ...
    def wait(self, seconds: float) -> None: ...
    def become(self, cloud_id: str, state: CloudState) -> MachineView: ...
    def no_capacity(self, zone: str) -> None: ...
    def set_quota(self, vcpus: int) -> None: ...
    def throttle(self, op: str) -> None: ...
    def lose_answer(self, op: str) -> None: ...
    def heal(self) -> None: ...
    def hide_new_machines(self, seconds: float) -> None: ...
    def hide_new_images(self, seconds: float) -> None: ...
    def forget_after(self, seconds: float) -> None: ...
    def power_off(self, cloud_id: str) -> None: ...
    def running_seconds(self, cloud_id: str) -> float: ...
    def other_installation(self) -> Cloud: ...
    def set_quota_of(self, code: str, vcpus: int) -> None: ...
    def decide_quota(self, code: str, status: str) -> None: ...
    def know_parameter(self, name: str, image_id: str) -> None: ...
    def reprice(self, instance_type: str, usd: str) -> None: ...
    def calls(self, op: str) -> int: ...
    def slow_snapshots(self, seconds: float) -> None: ...
    def slow_boots(self, seconds: float) -> None: ...
    def link(self, account_id: str, external_id: str | None) -> LinkedAccount: ...
    def unlink(self, account: LinkedAccount) -> None: ...


def spec(stage: Stage, **changes: object) -> LaunchSpec:
    fields: dict[str, object] = {
        "token": secrets.token_hex(8),
        "name": "mcontract",
        "instance_type": "g4dn.xlarge",
        "zone": "us-east-1a",
        "image_id": stage.image_id,
        "disk_gb": 64,
        "user_data": "#cloud-config\n{}",
        "tags": {"owner": "e-17"},
    }
    return LaunchSpec(**{**fields, **changes})


class FakeStage:
    """Virtual time: waiting costs nothing."""

    image_id = "ami-1"

    def __init__(self) -> None:
        self._now = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)
        self.cloud = FakeCloud(self.now, **QUICK)
        self.cloud.images = [self.image_id]
        self.cloud.offerings = {SCARCE: ["us-east-1b"]}

    def now(self) -> datetime:
        return self._now

    def wait(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    def become(self, cloud_id: str, state: CloudState) -> MachineView:
        self.wait(0.5)
        view = _listed(self.cloud)[cloud_id]
        assert view.state is state
        return view

    def no_capacity(self, zone: str) -> None:
        self.cloud.fill(zone=zone)

    def set_quota(self, vcpus: int) -> None:
        self.cloud.vcpu_quota = vcpus

    def throttle(self, op: str) -> None:
        self.cloud.break_before(op, Transient("Request limit exceeded.", code="RequestLimitExceeded"), times=None)

    def lose_answer(self, op: str) -> None:
        self.cloud.break_after(op, Transient("connection closed"))

    def heal(self) -> None:
        self.cloud.heal()
        self.cloud.empty()

    def hide_new_machines(self, seconds: float) -> None:
        self.cloud.hidden_seconds = seconds

    def hide_new_images(self, seconds: float) -> None:
        self.cloud.disks.hidden_seconds = seconds

    def forget_after(self, seconds: float) -> None:
        self.cloud.forgotten_seconds = seconds

    def power_off(self, cloud_id: str) -> None:
        self.cloud.power_off(cloud_id)

    def running_seconds(self, cloud_id: str) -> float:
        return self.cloud.ran_seconds(cloud_id)

    def other_installation(self) -> Cloud:
        return self.cloud.twin("another-portal")

    def set_quota_of(self, code: str, vcpus: int) -> None:
        self.cloud.catalog.vcpus[code] = vcpus

    def decide_quota(self, code: str, status: str) -> None:
        self.cloud.catalog.decide(code, status)

    def know_parameter(self, name: str, image_id: str) -> None:
        self.cloud.catalog.images[name] = image_id

    def reprice(self, instance_type: str, usd: str) -> None:
        self.cloud.catalog.prices[instance_type] = Decimal(usd)

    def calls(self, op: str) -> int:
        return self.cloud.count(op)

    def slow_boots(self, seconds: float) -> None:
        self.cloud.boot_seconds = seconds

    def link(self, account_id: str, external_id: str | None) -> LinkedAccount:
        role = f"arn:aws:iam::{account_id}:role/lamplighter-linked"
        self.cloud.accounts.open_role(role, account_id, external_id)
        zones = tuple((zone, f"subnet-{zone}") for zone in ("us-east-1a", "us-east-1b"))
        stops = f"arn:aws:iam::{account_id}:role/lamplighter-scheduler"
        return LinkedAccount(account_id, role, external_id or "", stops, zones, "sg-1")

    def unlink(self, account: LinkedAccount) -> None:
        self.cloud.accounts.delete_role(account.role_arn)

    def slow_snapshots(self, seconds: float) -> None:
        self.cloud.disks.snapshot_seconds = seconds


class SimStage:
    """The real wire protocol, in real time."""

    _OPS: Mapping[str, str] = {
        "run": "RunInstances",
        "stop": "StopInstances",
        "start": "StartInstances",
        "describe_all": "DescribeInstances",
        "schedule_stop": "CreateSchedule",
        "snapshot": "CreateSnapshots",
    }

    def __init__(self, sim: SimulatedAws) -> None:
        self._sim = sim
        self.cloud = sim.cloud()
        self.image_id = sim.network["image_id"]

    def now(self) -> datetime:
        return datetime.now(UTC)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def become(self, cloud_id: str, state: CloudState) -> MachineView:
        def there() -> MachineView | None:
            view = _listed(self.cloud)[cloud_id]
            return view if view.state is state else None

        return until(there)

    def no_capacity(self, zone: str) -> None:
        for op in ("RunInstances", "StartInstances"):
            self._sim.fault(op, "InsufficientInstanceCapacity", zone=zone, times=None)

    def set_quota(self, vcpus: int) -> None:
        """Above what other tests' machines use in this account."""
        used = sum(4 for one in self._sim.ask("GET", "machines") if one["state"] in ("pending", "running"))
        self._sim.change(vcpu_quota=used + vcpus)

    def throttle(self, op: str) -> None:
        self._sim.fault(self._OPS[op], "RequestLimitExceeded", times=None)

    def lose_answer(self, op: str) -> None:
        self._sim.fault(self._OPS[op], "ConnectionDropped", after=True)

    def heal(self) -> None:
        self._sim.heal()

    def hide_new_machines(self, seconds: float) -> None:
        self._sim.change(hidden_seconds=seconds)

    def hide_new_images(self, seconds: float) -> None:
        self._sim.change(hidden_image_seconds=seconds)

    def forget_after(self, seconds: float) -> None:
        self._sim.change(forget_seconds=seconds)

    def power_off(self, cloud_id: str) -> None:
        self._sim.power_off(cloud_id)

    def running_seconds(self, cloud_id: str) -> float:
        return float(self._sim.machine(cloud_id)["running_seconds"])

    def other_installation(self) -> Cloud:
        return self._sim.cloud()

    def set_quota_of(self, code: str, vcpus: int) -> None:
        self._sim.ask("POST", "quotas", {"code": code, "vcpus": vcpus})

    def decide_quota(self, code: str, status: str) -> None:
        self._sim.ask("POST", "quotas", {"code": code, "status": status})

    def know_parameter(self, name: str, image_id: str) -> None:
        self._sim.ask("POST", "parameters", {name: image_id})

    def reprice(self, instance_type: str, usd: str) -> None:
        self._sim.ask("POST", "prices", {instance_type: usd})

    def calls(self, op: str) -> int:
        return self._sim.calls().get(self._OPS[op], 0)

    def slow_boots(self, seconds: float) -> None:
        self._sim.change(boot_seconds=seconds)

    def link(self, account_id: str, external_id: str | None) -> LinkedAccount:
        return self._sim.link(account_id, external_id)

    def unlink(self, account: LinkedAccount) -> None:
        self._sim.unlink(account.account_id)

    def slow_snapshots(self, seconds: float) -> None:
        self._sim.change(snapshot_seconds=seconds)


def _listed(cloud: Cloud) -> dict[str, MachineView]:
    return {view.cloud_id: view for view in cloud.describe_all()}


@pytest.fixture(params=["fake", "aws"])
def stage(request: pytest.FixtureRequest) -> Iterator[Stage]:
    made: Stage = FakeStage() if request.param == "fake" else SimStage(request.getfixturevalue("sim"))
    yield made
    made.heal()
    made.cloud.terminate([view.cloud_id for view in made.cloud.describe_all()])
