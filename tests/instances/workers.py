"""Real Celery workers as processes of their own, on the test's database, the test's Redis and the simulated AWS."""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celery import Celery
from django.conf import settings
from django.db import connection

from cloud.ec2 import Ec2Cloud
from portal.celery import ROUNDS
from tests.simulated_aws import SimulatedAws, until

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Farm:
    """Two queues of its own, for clicks and rounds, and the workers on both. Its machines are those of one
    installation."""

    sim: SimulatedAws
    folder: Path
    name: str = field(default_factory=lambda: f"test-{secrets.token_hex(4)}")
    broker: str = field(default_factory=lambda: os.environ["LAMPLIGHTER_TEST_REDIS_URL"])
    workers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.app = Celery(broker=self.broker)
        self.cloud: Ec2Cloud = self.sim.cloud(self.name)

    @property
    def rounds(self) -> str:
        return f"{self.name}-{ROUNDS}"

    def send(self, task: str, *args: Any, queue: str = "") -> None:
        self.app.send_task(f"instances.tasks.{task}", args, queue=queue or self.name)

    def hire(self, count: int = 1, *, concurrency: int = 4) -> None:
        """Start so many workers and wait until each has said that it is ready."""
        for _n in range(count):
            log = self.folder / f"worker-{len(self.workers)}.log"
            options = ("--loglevel", "INFO", "--concurrency", str(concurrency), "-Q", f"{self.name},{self.rounds}")
            node = f"w{secrets.token_hex(4)}@%h"
            command = [sys.executable, "-m", "celery", "-A", "portal", "worker", "-n", node, *options]
            with log.open("wb") as out:
                worker = subprocess.Popen(
                    command, cwd=ROOT, env=self._environment(), stdout=out, stderr=out, start_new_session=True
                )
            self.workers.append(worker)
        for number in range(len(self.workers) - count, len(self.workers)):
            self._wait_ready(number)

    def kill(self) -> None:
        """SIGKILL for every worker and all its children, in the middle of whatever they do."""
        for worker in self.workers:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait()

    def forget_messages(self) -> None:
        """What a killed worker had taken comes back only after an hour: too late to matter, so it never comes."""
        with self.app.connection_for_write() as link:
            for queue in (self.name, self.rounds):
                link.default_channel.queue_purge(queue)

    def machines(self) -> list[dict[str, Any]]:
        """The truth about this installation's machines."""
        ours = {view.cloud_id for view in self.cloud.describe_all()}
        return [one for one in self.sim.ask("GET", "machines") if one["cloud_id"] in ours]

    def _wait_ready(self, number: int) -> None:
        log = self.folder / f"worker-{number}.log"
        try:
            until(lambda: b" ready." in log.read_bytes() or self.workers[number].poll() is not None, 60)
            assert self.workers[number].poll() is None
        except AssertionError as error:
            raise RuntimeError(f"a worker did not start:\n{log.read_text()}") from error

    def _environment(self) -> dict[str, str]:
        told = connection.settings_dict
        place = f"{told['HOST'] or '127.0.0.1'}:{told['PORT'] or 5432}"
        secret = f":{told['PASSWORD']}" if told["PASSWORD"] else ""
        network = self.sim.network
        return os.environ | {
            "DATABASE_URL": f"postgres://{told['USER']}{secret}@{place}/{told['NAME']}",
            "LAMPLIGHTER_DEMO": "1",
            "LAMPLIGHTER_VAR": str(self.folder),
            "LAMPLIGHTER_BROKER_URL": self.broker,
            "LAMPLIGHTER_CLOUD": "cloud.ec2.Ec2Cloud",
            "LAMPLIGHTER_INSTALLATION": self.name,
            "LAMPLIGHTER_CODE_KEYS": ",".join(settings.CODE_KEYS),
            "LAMPLIGHTER_AWS_SUBNETS": ",".join(f"{zone}={net}" for zone, net in network["subnets"].items()),
            "LAMPLIGHTER_AWS_SECURITY_GROUP": network["security_group"],
            "LAMPLIGHTER_AWS_SCHEDULER_ROLE_ARN": network["scheduler_role_arn"],
            "AWS_ENDPOINT_URL": self.sim.url,
            "AWS_REGION": "us-east-1",
        }


@contextmanager
def farm(sim: SimulatedAws, folder: Path) -> Iterator[Farm]:
    found = Farm(sim, folder)
    try:
        yield found
    finally:
        found.kill()
        found.forget_messages()
