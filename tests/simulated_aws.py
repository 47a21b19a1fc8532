"""The simulated AWS for tests: started once, without machine room. Import `sim` and `ec2_cloud` to use them.

Tests are kept apart by the installation's name: each `ec2_cloud` sees only its own machines.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import pytest

from cloud.accounts import LinkedAccount
from cloud.ec2 import Ec2Cloud, Ec2Config

_START_SECONDS = 30
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "simulated", "AWS_SECRET_ACCESS_KEY": "simulated"}
QUICK = {"boot_seconds": 0.2, "stop_seconds": 0.2}
QUICK_DISKS = {"snapshot_seconds": 0.2}


@cache
def _session() -> boto3.session.Session:
    return boto3.session.Session(region_name="us-east-1")


class SimulatedAws:
    """One running simulator and its control pages."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "network.json").unlink(missing_ok=True)
        command = [sys.executable, "-m", "cloud.sim", "--port", "0", "--folder", str(folder), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        first_line = self.process.stdout.readline()
        if " on http" not in first_line:
            raise RuntimeError(f"The simulated AWS did not start: {first_line}")
        self.url = first_line.split(" on ")[1].strip()
        self.network: dict[str, Any] = json.loads((folder / "network.json").read_text())

    def ask(self, method: str, page: str, body: Any = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/sim/{page}", data=content, method=method)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def change(self, **settings: float) -> None:
        self.ask("POST", "settings", settings)

    def fault(self, op: str, code: str, **details: Any) -> None:
        self.ask("POST", "faults", {"op": op, "code": code, **details})

    def heal(self) -> None:
        self.ask("DELETE", "faults")

    def calls(self) -> dict[str, int]:
        return dict(self.ask("GET", "calls"))

    def machine(self, cloud_id: str) -> dict[str, Any]:
        """The truth about one machine, running seconds included."""
        return next(one for one in self.ask("GET", "machines") if one["cloud_id"] == cloud_id)

    def power_off(self, cloud_id: str) -> None:
        self.ask("POST", "power-off", {"cloud_id": cloud_id})

    def link(self, account_id: str, external_id: str | None) -> LinkedAccount:
        """As if the template was deployed in that account. Without an external id its role has no condition."""
        told = self.ask("POST", "accounts", {"account_id": account_id, "external_id": external_id})
        return LinkedAccount(
            account_id=account_id,
            role_arn=told["role_arn"],
            external_id=external_id or "",
            scheduler_role_arn=told["scheduler_role_arn"],
            subnets=tuple(sorted(told["subnets"].items())),
            security_group=told["security_group"],
        )

    def unlink(self, account_id: str) -> None:
        self.ask("DELETE", "accounts", {"account_id": account_id})

    def config(self, installation: str = "") -> Ec2Config:
        return Ec2Config(
            region="us-east-1",
            subnets=self.network["subnets"],
            security_group=self.network["security_group"],
            scheduler_role_arn=self.network["scheduler_role_arn"],
            installation=installation or f"test-{secrets.token_hex(4)}",
            endpoint_url=self.url,
            attempts=1,
            launch_attempts=1,
            page_size=5,
        )

    def cloud(self, installation: str = "", **changes: Any) -> Ec2Cloud:
        return Ec2Cloud(replace(self.config(installation), **changes), _session())

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(20)


def until(true: Callable[[], Any], seconds: float = 15) -> Any:
    """Waits for it; what it returned."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"Not within {seconds} s")


@pytest.fixture(scope="session")
def aws_credentials() -> Iterator[None]:
    kept = {name: os.environ.get(name) for name in _CREDENTIALS}
    os.environ.update(_CREDENTIALS)
    yield
    for name, value in kept.items():
        os.environ.pop(name) if value is None else os.environ.update({name: value})


@pytest.fixture(scope="session")
def simulated_aws(tmp_path_factory: pytest.TempPathFactory, aws_credentials: None) -> Iterator[SimulatedAws]:
    running = SimulatedAws(tmp_path_factory.mktemp("aws"), "--no-room")
    yield running
    running.stop()


@pytest.fixture
def sim(simulated_aws: SimulatedAws) -> Iterator[SimulatedAws]:
    """The running simulator: quick, without faults, with its counters at zero."""
    before = simulated_aws.ask("GET", "settings")
    simulated_aws.change(**QUICK, **QUICK_DISKS)
    simulated_aws.ask("DELETE", "calls")
    yield simulated_aws
    simulated_aws.heal()
    simulated_aws.change(**before)


@pytest.fixture
def ec2_cloud(sim: SimulatedAws) -> Ec2Cloud:
    return sim.cloud()
