"""A call that makes a machine run is over, whatever AWS answers, before others take its process for dead."""

from cloud.base import Transient
from cloud.ec2 import Ec2Cloud, Ec2Config
from instances.repair import CALL_SECONDS
from tests.simulated_aws import SimulatedAws, aws_credentials, ec2_cloud, sim, simulated_aws

__all__ = ["aws_credentials", "ec2_cloud", "sim", "simulated_aws"]
BACK_OFF = 20  # seconds, botocore's longest between two attempts


def test_a_start_is_repeated_as_seldom_as_a_launch(sim: SimulatedAws) -> None:
    cloud = sim.cloud(attempts=4, launch_attempts=2)
    sim.fault("StartInstances", "ServiceUnavailable", times=None)
    [outcome] = cloud.start(["i-0123456789abcdef0"])
    assert isinstance(outcome.error, Transient)
    assert sim.calls()["StartInstances"] == 2


def test_at_its_slowest_it_is_shorter_than_its_turn(aws_credentials: None) -> None:
    patience = Ec2Cloud(Ec2Config("us-east-1", {}, "sg-1", "arn", "test"))._launcher.meta.config
    attempts = patience.retries["total_max_attempts"]
    slowest = attempts * (patience.connect_timeout + patience.read_timeout) + (attempts - 1) * BACK_OFF
    assert slowest < CALL_SECONDS
