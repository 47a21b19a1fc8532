"""The simulated AWS: what it adds to its base, what it remembers, and that nobody from outside can use it."""

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cloud.base import CloudState, MachineView, NoCapacity, Transient
from cloud.ec2 import Ec2Cloud
from tests.cloud.conftest import SimStage, spec
from tests.simulated_aws import QUICK, SimulatedAws, until

pytestmark = pytest.mark.alone

ARGUMENTS = ("--no-room", "--boot-seconds", "0.2", "--stop-seconds", "0.2")


def boto(sim: SimulatedAws, service: str = "ec2") -> Any:
    return boto3.client(service, region_name="us-east-1", endpoint_url=sim.url)


def code_of(call: Any, **parameters: Any) -> str:
    with pytest.raises(ClientError) as refused:
        call(**parameters)
    return str(refused.value.response["Error"]["Code"])


def running(sim: SimulatedAws, cloud: Ec2Cloud, **changes: object) -> MachineView:
    stage = SimStage(sim)
    view = cloud.run(spec(stage, **changes))
    stage.cloud = cloud
    return stage.become(view.cloud_id, CloudState.RUNNING)


# ------------------------------------------------------------------ what a launch really asks for


def test_a_launch_asks_for_the_safe_machine_and_the_disk_that_is_paid_for(sim: SimulatedAws) -> None:
    cloud = sim.cloud("shape")
    view = running(sim, cloud)
    (machine,) = boto(sim).describe_instances(InstanceIds=[view.cloud_id])["Reservations"][0]["Instances"]
    assert machine["MetadataOptions"]["HttpTokens"] == "required"
    assert machine["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
    assert [group["GroupId"] for group in machine["SecurityGroups"]] == [sim.network["security_group"]]
    assert machine["BlockDeviceMappings"][0]["DeviceName"] == machine["RootDeviceName"]
    assert machine["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"] is True
    (volume,) = boto(sim).describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [view.cloud_id]}])[
        "Volumes"
    ]
    assert (volume["Size"], volume["VolumeType"], volume["Encrypted"]) == (64, "gp3", True)
    expected = {"Name": "mcontract", "lamplighter:installation": "shape", "owner": "e-17"}
    interface = machine["NetworkInterfaces"][0]["NetworkInterfaceId"]
    for resource in (view.cloud_id, volume["VolumeId"], interface):
        tags = boto(sim).describe_tags(Filters=[{"Name": "resource-id", "Values": [resource]}])["Tags"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == expected


def test_the_disk_goes_with_the_machine(sim: SimulatedAws, ec2_cloud: Ec2Cloud) -> None:
    view = running(sim, ec2_cloud)
    volume = f"vol-{view.cloud_id.removeprefix('i-')}"
    assert boto(sim).describe_volumes(VolumeIds=[volume])["Volumes"]
    ec2_cloud.terminate([view.cloud_id])
    until(lambda: sim.machine(view.cloud_id)["state"] == "terminated")
    assert code_of(boto(sim).describe_volumes, VolumeIds=[volume]) == "InvalidVolume.NotFound"


# ------------------------------------------------------------------ stricter than the base


def test_one_bad_id_fails_the_whole_call_and_nothing_is_stopped(sim: SimulatedAws, ec2_cloud: Ec2Cloud) -> None:
    view = running(sim, ec2_cloud)
    asked = [view.cloud_id, "i-0123456789abcdef0"]
    assert code_of(boto(sim).stop_instances, InstanceIds=asked) == "InvalidInstanceID.NotFound"
    assert code_of(boto(sim).stop_instances, InstanceIds=[view.cloud_id, "i-xyz"]) == "InvalidInstanceID.Malformed"
    assert sim.machine(view.cloud_id)["state"] == "running"


def test_pages_are_counted_in_machines(sim: SimulatedAws, ec2_cloud: Ec2Cloud) -> None:
    for _number in range(10):
        ec2_cloud.run(spec(SimStage(sim)))
    mine = [{"Name": "tag:lamplighter:installation", "Values": [ec2_cloud.config.installation]}]
    first = boto(sim).describe_instances(MaxResults=5, Filters=mine)
    second = boto(sim).describe_instances(MaxResults=5, Filters=mine, NextToken=first["NextToken"])
    assert [len(page["Reservations"]) for page in (first, second)] == [5, 5]
    assert "NextToken" not in second
    for wrong in ({"MaxResults": 2000}, {"NextToken": "bogus"}, {"Filters": [{"Name": "moon", "Values": ["full"]}]}):
        assert code_of(boto(sim).describe_instances, **wrong) == "InvalidParameterValue"


def test_what_is_not_simulated_is_refused_and_not_ignored(sim: SimulatedAws) -> None:
    subnet = next(iter(sim.network["subnets"].values()))
    asked = {"ImageId": sim.network["image_id"], "InstanceType": "g4dn.xlarge", "SubnetId": subnet}
    call = boto(sim).run_instances
    assert code_of(call, MinCount=1, MaxCount=1, KeyName="mine", **asked) == "UnsupportedOperation"
    assert code_of(call, MinCount=1, MaxCount=5, **asked) == "UnsupportedOperation"
    too_long = {"UserData": "x" * 16385}
    assert code_of(call, MinCount=1, MaxCount=1, **too_long, **asked) == "InvalidParameterValue"


def test_a_fault_strikes_where_and_as_often_as_it_was_asked(sim: SimulatedAws, ec2_cloud: Ec2Cloud) -> None:
    stage = SimStage(sim)
    sim.fault("RunInstances", "InsufficientInstanceCapacity", zone="us-east-1a", instance_type="g4dn.xlarge")
    ec2_cloud.run(spec(stage, zone="us-east-1b"))
    ec2_cloud.run(spec(stage, instance_type="g5.xlarge"))
    with pytest.raises(NoCapacity):
        ec2_cloud.run(spec(stage))
    ec2_cloud.run(spec(stage))
    assert sim.calls()["RunInstances"] == 4


def test_a_timer_that_is_taken_away_in_the_moment_it_is_moved_stands_all_the_same(
    sim: SimulatedAws, ec2_cloud: Ec2Cloud
) -> None:
    """It ran, or somebody else cancelled it: between AWS's "there is one" and our "move it"."""
    machine, other = "i-0123456789abcdef0", sim.cloud(ec2_cloud.config.installation)
    ec2_cloud.schedule_stop(machine, datetime.now(UTC) + timedelta(hours=1))
    moved: list[str] = []

    def taken_away(**_call: object) -> None:
        moved.append(machine)
        other.cancel_scheduled_stop(machine)

    ec2_cloud._scheduler.meta.events.register("before-call.scheduler.UpdateSchedule", taken_away)
    ec2_cloud.schedule_stop(machine, datetime.now(UTC) + timedelta(hours=2))
    assert moved == [machine]
    name = f"{ec2_cloud.config.installation}-stop-{machine}"
    schedule = boto(sim, "scheduler").get_schedule(Name=name)
    due = datetime.strptime(schedule["ScheduleExpression"], "at(%Y-%m-%dT%H:%M:%S)").replace(tzinfo=UTC)
    assert due - datetime.now(UTC) > timedelta(minutes=90)
    ec2_cloud.cancel_scheduled_stop(machine)


def test_a_schedule_into_the_past_or_nowhere_is_refused(sim: SimulatedAws, ec2_cloud: Ec2Cloud) -> None:
    call = boto(sim, "scheduler").create_schedule
    target = {"Arn": "arn:aws:scheduler:::aws-sdk:ec2:stopInstances", "RoleArn": sim.network["scheduler_role_arn"]}
    asked = {"Name": "late", "FlexibleTimeWindow": {"Mode": "OFF"}, "Target": target}
    for wrong in ("at(2020-01-01T00:00:00)", "at(tomorrow)", "sometimes"):
        assert code_of(call, ScheduleExpression=wrong, **asked) == "ValidationException"


def test_the_guard_that_is_set_too_late_is_due_in_a_minute(sim: SimulatedAws, ec2_cloud: Ec2Cloud) -> None:
    ec2_cloud.schedule_stop("i-0123456789abcdef0", datetime(2020, 1, 1, tzinfo=UTC))
    name = f"{ec2_cloud.config.installation}-stop-i-0123456789abcdef0"
    schedule = boto(sim, "scheduler").get_schedule(Name=name)
    due = datetime.strptime(schedule["ScheduleExpression"], "at(%Y-%m-%dT%H:%M:%S)").replace(tzinfo=UTC)
    assert timedelta(seconds=50) < due - datetime.now(UTC) < timedelta(seconds=62)
    assert json.loads(schedule["Target"]["Input"]) == {"InstanceIds": ["i-0123456789abcdef0"]}
    assert schedule["Target"]["RoleArn"] == sim.network["scheduler_role_arn"]
    ec2_cloud.cancel_scheduled_stop("i-0123456789abcdef0")


def test_latency_makes_a_slow_cloud_a_transient_error(sim: SimulatedAws) -> None:
    impatient = sim.cloud(timeout_seconds=0.3)
    sim.change(latency_ms=800)
    with pytest.raises(Transient):
        impatient.describe_all()
    sim.change(latency_ms=0)
    assert impatient.describe_all() == []


def test_no_server_at_all_is_transient(sim: SimulatedAws) -> None:
    nowhere = sim.cloud(endpoint_url="http://127.0.0.1:9")
    with pytest.raises(Transient):
        nowhere.describe_all()


# ------------------------------------------------------------------ restart


@pytest.fixture
def folder(tmp_path: Path, aws_credentials: None) -> Path:
    return tmp_path / "aws"


@pytest.mark.slow
def test_everything_is_there_again_after_a_restart(folder: Path) -> None:
    first = SimulatedAws(folder, *ARGUMENTS)
    cloud = first.cloud("walk")
    stage = SimStage(first)
    asked = spec(stage)
    up = running(first, cloud, token=asked.token)
    down = running(first, cloud)
    gone = running(first, cloud)
    cloud.stop([down.cloud_id])
    cloud.terminate([gone.cloud_id])
    until(lambda: first.machine(gone.cloud_id)["state"] == "terminated")
    until(lambda: first.machine(down.cloud_id)["state"] == "stopped")
    cloud.schedule_stop(up.cloud_id, datetime.now(UTC) + timedelta(hours=1))
    volumes = {one["VolumeId"]: one["Tags"] for one in boto(first).describe_volumes()["Volumes"]}
    before = {view.cloud_id: view for view in cloud.describe_all()}
    assert first.stop() == 0

    second = SimulatedAws(folder, *ARGUMENTS)
    try:
        cloud = second.cloud("walk")
        after = {view.cloud_id: view for view in cloud.describe_all()}
        assert second.network == first.network
        assert after[down.cloud_id] == before[down.cloud_id]
        assert after[gone.cloud_id].state is CloudState.TERMINATED
        assert after[gone.cloud_id].ended_at == before[gone.cloud_id].ended_at
        assert after[up.cloud_id].private_ip == up.private_ip
        assert after[up.cloud_id].tags == up.tags
        assert {one["VolumeId"]: one["Tags"] for one in boto(second).describe_volumes()["Volumes"]} == volumes
        name = f"walk-stop-{up.cloud_id}"
        assert boto(second, "scheduler").get_schedule(Name=name)["ActionAfterCompletion"] == "DELETE"
        assert cloud.run(asked).cloud_id == up.cloud_id
        assert running(second, cloud).cloud_id not in after
        cloud.start([up.cloud_id])
        until(lambda: second.machine(up.cloud_id)["state"] == "running")
    finally:
        second.stop()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_machine_that_was_up_when_the_simulator_died_is_stopped_and_says_when(
    folder: Path, how: signal.Signals
) -> None:
    first = SimulatedAws(folder, *ARGUMENTS)
    view = running(first, first.cloud("walk"))
    time.sleep(1.5)
    died_at = datetime.now(UTC)
    first.stop(how)
    time.sleep(1.5)
    second = SimulatedAws(folder, *ARGUMENTS)
    try:
        (found,) = second.cloud("walk").describe_all()
        assert found.state is CloudState.STOPPED
        assert found.state_reason.startswith("Server.ScheduledStop")
        assert found.ended_at is not None
        assert died_at - timedelta(seconds=2.5) <= found.ended_at <= died_at + timedelta(seconds=1)
        truth = second.machine(view.cloud_id)["running_seconds"]
        assert abs(truth - (found.ended_at - found.launched_at).total_seconds()) <= 1.5
    finally:
        second.stop()


@pytest.mark.slow
def test_a_schedule_that_came_due_while_nobody_was_there_runs_at_the_restart(folder: Path) -> None:
    first = SimulatedAws(folder, *ARGUMENTS)
    cloud = first.cloud("walk")
    view = running(first, cloud)
    cloud.schedule_stop(view.cloud_id, datetime.now(UTC) + timedelta(seconds=1))
    first.stop(signal.SIGKILL)
    time.sleep(1.5)
    second = SimulatedAws(folder, *ARGUMENTS)
    try:
        name = f"walk-stop-{view.cloud_id}"
        until(lambda: name not in [one["Name"] for one in boto(second, "scheduler").list_schedules()["Schedules"]])
        assert second.machine(view.cloud_id)["state"] == "stopped"
    finally:
        second.stop()


# ------------------------------------------------------------------ its own process


def test_it_refuses_to_serve_the_world(folder: Path) -> None:
    command = [sys.executable, "-m", "cloud.sim", "--host", "0.0.0.0", "--port", "0", "--folder", str(folder)]
    ended = subprocess.run([*command, "--no-room"], capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode != 0
    assert "loopback" in ended.stderr


def test_a_page_that_names_this_computer_otherwise_is_turned_away(sim: SimulatedAws) -> None:
    request = urllib.request.Request(f"{sim.url}/sim/machines", headers={"Host": "evil.example:80"})
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=5)
    assert refused.value.code == 403


def test_no_web_page_steers_it_whatever_it_calls_this_computer(sim: SimulatedAws) -> None:
    """A form on any page can post to 127.0.0.1; its browser then says from where."""
    for path in ("/sim/power-off", "/"):
        request = urllib.request.Request(sim.url + path, data=b"{}", headers={"Origin": "http://evil.example"})
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(request, timeout=5)
        assert refused.value.code == 403


def test_it_ends_when_the_process_that_started_it_ends(folder: Path) -> None:
    launcher = (
        "import subprocess, sys, time\n"
        f"child = subprocess.Popen([sys.executable, '-m', 'cloud.sim', '--port', '0', '--folder', {str(folder)!r}, "
        "'--no-room'], stdout=subprocess.PIPE)\n"
        "child.stdout.readline(); print(child.pid, flush=True); time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", launcher], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    until(lambda: not _alive(child))


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


@pytest.mark.parametrize("wrong", [{"moon": 1}, {"boot_seconds": "soon"}])
def test_a_wrong_setting_is_told_and_changes_nothing(sim: SimulatedAws, wrong: dict[str, object]) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        sim.ask("POST", "settings", wrong)
    assert refused.value.code == 400
    assert "error" in json.load(refused.value)
    assert sim.ask("GET", "settings")["boot_seconds"] == QUICK["boot_seconds"]
