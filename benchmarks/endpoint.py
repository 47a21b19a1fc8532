"""The AWS that `bench-sweep` asks: a simulated one of its own, or whatever runs at AWS_ENDPOINT_URL.

What is done here is the benchmark's own business, on a client of its own: it is neither counted nor measured.
"""

import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
PORT = int(os.environ.get("BENCH_PORT", "21900"))
FILL_SECONDS = 900
_AT_ONCE = 500


@dataclass
class Endpoint:
    url: str
    installation: str
    is_simulator: bool  # it has control pages: delay, faults, its own count of calls
    cloud_ids: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            os.environ.setdefault(name, "simulated")
        import boto3

        self.ec2 = boto3.client("ec2", region_name="us-east-1", endpoint_url=self.url)

    def config(self):
        from cloud.ec2 import Ec2Config

        return Ec2Config(
            region="us-east-1",
            subnets={},
            security_group="",
            scheduler_role_arn="arn:aws:iam::123456789012:role/lamplighter-scheduler",
            installation=self.installation,
            endpoint_url=self.url,
        )

    # -------------------------------------------------------------- machines
    def launch(self, machines: int) -> None:
        """Many at a time where the endpoint can."""
        network = self.ask("GET", "network") if self.is_simulator else self._network()
        if self.is_simulator:
            self.ask("POST", "settings", {"vcpu_quota": 10**9})
        step = 1 if self.is_simulator else 100
        while len(self.cloud_ids) < machines:
            count = min(step, machines - len(self.cloud_ids))
            tags = [{"Key": "lamplighter:installation", "Value": self.installation}]
            made = self.ec2.run_instances(
                ImageId=network["image_id"],
                SubnetId=network["subnet"] if "subnet" in network else next(iter(network["subnets"].values())),
                InstanceType="g4dn.xlarge",
                MinCount=count,
                MaxCount=count,
                TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
            )
            self.cloud_ids += [one["InstanceId"] for one in made["Instances"]]
        self.wait_until_running(self.cloud_ids)

    def _network(self) -> dict[str, str]:
        images = self.ec2.describe_images()["Images"]
        subnets = self.ec2.describe_subnets()["Subnets"]
        if not images or not subnets:
            raise SystemExit(f"{self.url} has no image or no subnet to launch {self.installation} with.")
        return {"image_id": images[0]["ImageId"], "subnet": subnets[0]["SubnetId"]}

    def start(self, cloud_ids: Sequence[str]) -> None:
        for first in range(0, len(cloud_ids), _AT_ONCE):
            self._start(list(cloud_ids[first : first + _AT_ONCE]))
        self.wait_until_running(cloud_ids)

    def _start(self, cloud_ids: list[str]) -> None:
        """What is still stopping cannot be started."""
        end = time.monotonic() + 60
        while True:
            try:
                self.ec2.start_instances(InstanceIds=cloud_ids)
                return
            except self.ec2.exceptions.ClientError as error:
                if error.response["Error"]["Code"] != "IncorrectInstanceState" or time.monotonic() > end:
                    raise
            time.sleep(0.2)

    def wait_until_running(self, cloud_ids: Sequence[str]) -> None:
        end = time.monotonic() + 60
        while set(cloud_ids) - set(self.running()):
            if time.monotonic() > end:
                raise SystemExit(f"Not all machines run after a minute at {self.url}")
            time.sleep(0.2)

    def terminate(self, cloud_ids: Sequence[str]) -> None:
        for first in range(0, len(cloud_ids), _AT_ONCE):
            self.ec2.terminate_instances(InstanceIds=list(cloud_ids[first : first + _AT_ONCE]))

    def running(self) -> list[str]:
        if self.is_simulator:  # many times quicker than a describe
            return [one["cloud_id"] for one in self.ask("GET", "machines") if one["state"] == "running"]
        ours = {"Name": "tag:lamplighter:installation", "Values": [self.installation]}
        up = {"Name": "instance-state-name", "Values": ["running"]}
        pages = self.ec2.get_paginator("describe_instances").paginate(Filters=[ours, up])
        return [one["InstanceId"] for page in pages for group in page["Reservations"] for one in group["Instances"]]

    # -------------------------------------------------------------- control pages
    def ask(self, method: str, page: str, body: Any = None) -> Any:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/sim/{page}", data=content, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def delay(self, milliseconds: int) -> None:
        if self.is_simulator:
            self.ask("POST", "settings", {"latency_ms": milliseconds})

    def fault(self, op: str, code: str, *, times: int) -> None:
        self.ask("POST", "faults", {"op": op, "code": code, "times": times})

    def reset_calls(self) -> None:
        if self.is_simulator:
            self.ask("DELETE", "calls")

    def calls(self) -> Counter[str] | None:
        return Counter(self.ask("GET", "calls")) if self.is_simulator else None


@contextmanager
def own_endpoint(machines: int, port: int = PORT) -> Iterator[Endpoint]:
    """A simulated AWS that starts with so many machines, as a process of its own."""
    installation = f"bench-{secrets.token_hex(4)}"
    with tempfile.TemporaryDirectory(prefix="lamplighter-bench-aws-") as folder:
        command = [sys.executable, "-m", "benchmarks.crowd", str(port), folder, str(machines), installation]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            cloud_ids = _crowd(Path(folder) / "crowd.json", process)
            yield Endpoint(f"http://127.0.0.1:{port}", installation, True, cloud_ids)
        finally:
            process.terminate()
            process.wait(30)


def _crowd(file: Path, process: subprocess.Popen[bytes]) -> list[str]:
    end = time.monotonic() + FILL_SECONDS
    while not file.exists():
        if process.poll() is not None or time.monotonic() > end:
            raise SystemExit("The simulated AWS did not start.")
        time.sleep(0.2)
    found: list[str] = json.loads(file.read_text())
    return found


@contextmanager
def running_endpoint(url: str, machines: int) -> Iterator[Endpoint]:
    """Machines of this run are launched there, and terminated at the end."""
    if (urlsplit(url).hostname or "").endswith(".amazonaws.com"):
        raise SystemExit("This starts thousands of machines: not at AWS itself.")
    endpoint = Endpoint(url.rstrip("/"), f"bench-{secrets.token_hex(4)}", False)
    try:
        endpoint.is_simulator = bool(endpoint.ask("GET", "health").get("ok"))
    except (OSError, ValueError):
        endpoint.is_simulator = False
    try:
        endpoint.launch(machines)
        yield endpoint
    finally:
        endpoint.terminate(endpoint.cloud_ids)
