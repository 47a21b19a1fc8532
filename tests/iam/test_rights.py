"""The portal's rights at AWS: each call of the product is allowed, no right is unused, what is not ours is refused."""

import json
import secrets
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cloud.accounts import Accounts
from cloud.base import Cloud, CloudState, LaunchSpec
from cloud.catalog import Catalog
from cloud.disks import Disks, SnapshotSpec, SnapshotState
from cloud.ec2 import Ec2Cloud
from cloud.quotas import NAMES
from tests.iam.asked import EC2, EC2_SHARED, OURS, Ear, requests_of
from tests.iam.policy import Policy, Request
from tests.simulated_aws import SimulatedAws, aws_credentials, sim, simulated_aws, until

__all__ = ["aws_credentials", "sim", "simulated_aws"]
IAM = Path(__file__).resolve().parents[2] / "deploy/iam"


class Witness:
    """Passes everything on and notes which methods of a protocol were used."""

    def __init__(self, real: Any, used: set[str]) -> None:
        self._real, self._used = real, used

    def __getattr__(self, name: str) -> Any:
        self._used.add(name)
        return getattr(self._real, name)


def policy(name: str, network: dict[str, Any]) -> Policy:
    text = (IAM / name).read_text()
    subnet, *more = sorted(network["subnets"].values())
    group = network["security_group"]
    filled = text.replace("REGION", "us-east-1").replace("SECURITY-GROUP", group).replace("ACCOUNT", "123456789012")
    document = json.loads(filled.replace("subnet/SUBNET", f"subnet/{subnet}"))
    for statement in document["Statement"]:  # one line for each subnet, as operations.md says
        found = statement["Resource"]
        if isinstance(found, list) and any("subnet/" in one for one in found):
            found += [f"{EC2}subnet/{one}" for one in more]
    return Policy(document)


@pytest.fixture
def heard(sim: SimulatedAws) -> tuple[Ear, set[str]]:
    """Everything that the product can ask the machines' door, asked once."""
    ear, used = Ear(), set()
    ask_everything(Ec2Cloud(sim.config("lamplighter"), ear.session), sim, used)
    return ear, used


def ask_everything(real: Ec2Cloud, sim: SimulatedAws, used: set[str]) -> None:
    cloud, disks, catalog = (Witness(one, used) for one in (real, real.disks, real.catalog))

    def reach(cloud_id: str, state: CloudState) -> None:
        until(lambda: {one.cloud_id: one.state for one in cloud.describe_all()}[cloud_id] is state)

    token = secrets.token_hex(8)
    [zone, *_more] = cloud.zones_offering("g4dn.xlarge")
    lasting = LaunchSpec(
        f"{token}-s", "mspot", "g4dn.xlarge", zone, sim.network["image_id"], 64, "", spot_usd_hour="0.526"
    )
    spot = cloud.run(lasting)
    cloud.cancel_spot([spot.spot_request])
    cloud.terminate([spot.cloud_id])
    spec = LaunchSpec(token, "mrights", "g4dn.xlarge", zone, sim.network["image_id"], 64, "", {"course": "dl19"})
    one = cloud.run(spec).cloud_id
    cloud.find_by_token(token)
    cloud.rehearse(spec)
    for minutes in (10, 20):
        cloud.schedule_stop(one, datetime.now(UTC) + timedelta(minutes=minutes))
    reach(one, CloudState.RUNNING)
    cloud.restart([one])
    cloud.stop([one])
    reach(one, CloudState.STOPPED)
    cloud.change_type(one, "g5.xlarge")
    cloud.start([one])
    reach(one, CloudState.RUNNING)
    cloud.stop([one], force=True)
    reach(one, CloudState.STOPPED)
    made = disks.snapshot(SnapshotSpec("s1", one, "mrights", {"course": "dl19"}))
    until(lambda: all(found.state is SnapshotState.COMPLETED for found in disks.snapshots()))
    name = secrets.token_hex(4)
    image = disks.image_of(made.snapshot_id, name=name)
    disks.image_of(made.snapshot_id, name=name)  # found by its name
    saved = disks.save_image(one, name=f"{name}-saved")
    for image_id in (image, saved):
        assert disks.image(image_id)
        disks.delete_image(image_id)
    assert disks.exist([made.snapshot_id])
    disks.delete_snapshots([made.snapshot_id])
    disks.images()
    ask_the_catalog(catalog, sim)
    enter_another_account(Witness(cloud.accounts, used), sim)
    cloud.cancel_scheduled_stop(one)
    cloud.terminate([one])


def enter_another_account(accounts: Any, sim: SimulatedAws) -> None:
    assert accounts.own_arn()
    account = sim.link("210987654321", secrets.token_hex(16))
    accounts.enter(account.role_arn, account.external_id)
    accounts.door(account).describe_all()


def ask_the_catalog(catalog: Any, sim: SimulatedAws) -> None:
    assert catalog.region
    for code in NAMES:
        catalog.quota(code)
    sim.fault("GetServiceQuota", "NoSuchResourceException")
    catalog.quota("L-DB2E81BA")
    catalog.ask_quota("L-DB2E81BA", 5000)
    catalog.quota_requests("L-DB2E81BA")
    catalog.image_named("/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-ubuntu-22.04/latest/ami-id")
    catalog.image_exists(sim.network["image_id"])
    catalog.price("g4dn.xlarge")
    catalog.gpu_machines()
    catalog.spot_prices("g4dn.xlarge", "us-east-1a", datetime.now(UTC))


def methods(*protocols: type) -> set[str]:
    return {
        name
        for protocol in protocols
        for name, member in vars(protocol).items()
        if not name.startswith("_") and (callable(member) or isinstance(member, property))
    }


def test_no_right_is_missing_and_none_is_unused(heard: tuple[Ear, set[str]], sim: SimulatedAws) -> None:
    ear, used = heard
    assert methods(Cloud, Disks, Catalog, Accounts) - {"catalog", "disks", "accounts"} <= used, (
        "a new verb of the door is not asked here"
    )
    rights = policy("portal-policy.json", sim.network)
    missing, granted = [], set()
    for request in ear.requests():
        found = rights.judge(request)
        granted |= set(found)
        if not found:
            missing.append(str(request))
    assert missing == []
    named = {(grant.sid, grant.action) for grant in rights.grants()}
    assert named - {(grant.sid, grant.action) for grant in granted} == set()
    resources = {(grant.sid, grant.resource) for grant in rights.grants()}
    idle = resources - {(grant.sid, grant.resource) for grant in granted}
    assert {one for one in idle if "subnet/" not in one[1]} == set()


LAUNCH: dict[str, Any] = {
    "InstanceType": "g4dn.xlarge",
    "ImageId": "ami-1",
    "SubnetId": "",
    "SecurityGroupIds": [],
    "MetadataOptions": {"HttpTokens": "required"},
    "BlockDeviceMappings": [{"Ebs": {"VolumeType": "gp3", "VolumeSize": 64, "Encrypted": True}}],
    "TagSpecifications": [
        {"ResourceType": kind, "Tags": [{"Key": "lamplighter:installation", "Value": "lamplighter"}]}
        for kind in ("instance", "volume", "network-interface")
    ],
}


def launches(sim: SimulatedAws, **changes: Any) -> bool:
    network = {"SubnetId": min(sim.network["subnets"].values()), "SecurityGroupIds": [sim.network["security_group"]]}
    rights = policy("portal-policy.json", sim.network)
    asked = requests_of("ec2", "RunInstances", {**LAUNCH, **network, **changes})
    return all(rights.judge(one) for one in asked)


@pytest.mark.parametrize(
    "changes",
    [
        {"InstanceType": "p5.48xlarge"},
        {"MetadataOptions": {}},
        {"TagSpecifications": []},
        {"SubnetId": "subnet-another"},
        {"SecurityGroupIds": ["sg-open-to-the-world"]},
        {"BlockDeviceMappings": [{"Ebs": {"VolumeType": "io2", "VolumeSize": 64, "Encrypted": True}}]},
        {"BlockDeviceMappings": [{"Ebs": {"VolumeType": "gp3", "VolumeSize": 16000, "Encrypted": True}}]},
        {"BlockDeviceMappings": [{"Ebs": {"VolumeType": "gp3", "VolumeSize": 64, "Encrypted": False}}]},
    ],
    ids=lambda changes: next(iter(changes)) + str(next(iter(changes.values())))[:40],
)
def test_a_launch_of_anything_else_is_refused_by_aws_itself(sim: SimulatedAws, changes: dict[str, Any]) -> None:
    assert launches(sim)
    assert not launches(sim, **changes)


@pytest.mark.parametrize(
    "request_",
    [
        Request("ec2:TerminateInstances", f"{EC2}instance/i-1"),  # not ours
        Request("ec2:StopInstances", f"{EC2}instance/i-1", {"aws:ResourceTag/lamplighter:installation": "another"}),
        Request("ec2:DeleteSnapshot", f"{EC2_SHARED}snapshot/snap-1"),
        Request("ec2:CreateSnapshots", f"{EC2}instance/i-1"),
        Request("ec2:CreateTags", f"{EC2}instance/i-1"),  # would make a stranger's machine ours
        Request("ec2:ModifyInstanceAttribute", f"{EC2}instance/i-1", {**OURS, "ec2:Attribute": "UserData"}),
        Request(
            "ec2:ModifyInstanceAttribute",
            f"{EC2}instance/i-1",
            {**OURS, "ec2:Attribute": "InstanceType", "ec2:Attribute/InstanceType": "p5.48xlarge"},
        ),
        Request("iam:PassRole", "arn:aws:iam::123456789012:role/admin", {"iam:PassedToService": "ec2.amazonaws.com"}),
        Request("scheduler:CreateSchedule", "arn:aws:scheduler:us-east-1:123456789012:schedule/default/others"),
        Request("iam:CreateUser", "*"),
        Request("ec2:PurchaseReservedInstancesOffering", "*"),
    ],
    ids=str,
)
def test_what_is_not_ours_is_out_of_reach(sim: SimulatedAws, request_: Request) -> None:
    assert policy("portal-policy.json", sim.network).judge(request_) == []


def test_the_stop_role_can_stop_ours_and_nothing_else(sim: SimulatedAws) -> None:
    rights = policy("scheduler-policy.json", sim.network)
    assert rights.judge(Request("ec2:StopInstances", f"{EC2}instance/i-1", OURS))
    assert not rights.judge(Request("ec2:StopInstances", f"{EC2}instance/i-1"))
    assert not rights.judge(Request("ec2:TerminateInstances", f"{EC2}instance/i-1", OURS))


def test_the_judge_itself_knows_deny_and_refuses_to_guess() -> None:
    allow: dict[str, Any] = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
    deny = {"Effect": "Deny", "Action": "ec2:Terminate*", "Resource": "*"}
    both = Policy({"Version": "2012-10-17", "Statement": [allow, deny]})
    assert both.judge(Request("ec2:StopInstances", "x"))
    assert not both.judge(Request("ec2:TerminateInstances", "x"))
    strange = Policy({"Version": "2012-10-17", "Statement": [{**allow, "Condition": {"IpAddress": {"k": "v"}}}]})
    with pytest.raises(NotImplementedError):
        strange.judge(Request("ec2:StopInstances", "x", {"k": "v"}))
