"""A real endpoint process, and machines that dial it with the very script and the SSH client of a real machine."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.utils import timezone
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker

from instances import dialing
from instances.models import Instance, MachineTunnel, TunnelHost
from instances.reaching import notebook_at
from tests.conftest import Cast
from tests.gateway.conftest import (  # noqa: F401 - fixtures
    HOST,
    ROOT,
    database_url,
    gateway,
    gateway_process,
    machine,
    new_instance,
    wait_until,
)
from tests.gateway.fake_machine import FakeMachine
from tests.instances.conftest import stage  # noqa: F401
from tests.loopback import address, free_port

NOWHERE = "10.255.255.1"  # where nobody gets to: only the tunnel leads to the machine
SCRIPT = ROOT / "instances" / "agent" / "tunnel.sh"
SECONDS = 30.0  # on a busy machine


@dataclass
class Endpoint:
    port: int
    inside: str
    process: "subprocess.Popen[bytes]"
    output: Path
    host: TunnelHost = field(init=False)

    @property
    def address(self) -> str:
        return f"{HOST}:{self.port}"

    @property
    def log(self) -> str:
        return self.output.read_text(errors="replace")


@contextlib.contextmanager
def started_endpoint(inside: str, patch: str = "") -> Iterator[Endpoint]:
    """`patch`: Python that changes its constants first, for tests that must not wait for minutes."""
    port = free_port()
    environment = os.environ | {
        "DATABASE_URL": database_url(),
        "LAMPLIGHTER_DEMO": "1",
        "LAMPLIGHTER_TUNNEL_LISTEN": f"{HOST}:{port}",
        "LAMPLIGHTER_TUNNEL_INSIDE": inside,
        "LAMPLIGHTER_SSH_ADDRESS": f"{HOST}:{port}",
        "DJANGO_SETTINGS_MODULE": "portal.settings",
    }
    start = f"import django, runpy; django.setup(); {patch}; runpy.run_module('portal.tunnel', run_name='__main__')"
    command = [sys.executable, "-c", start] if patch else [sys.executable, "-m", "portal.tunnel"]
    with tempfile.NamedTemporaryFile(prefix="endpoint-", suffix=".log") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        endpoint = Endpoint(port, inside, process, Path(log.name))
        try:
            wait_until(lambda: "may dial in" in endpoint.log or process.poll() is not None, "it listens", SECONDS)
            assert process.poll() is None, endpoint.log
            endpoint.host = TunnelHost.objects.get()
            yield endpoint
        finally:
            process.send_signal(signal.SIGCONT)
            process.terminate()
            process.wait(20)


@pytest.fixture(scope="session")
def endpoint_process(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Endpoint]:
    with django_db_blocker.unblock(), started_endpoint(address(3)) as endpoint:
        TunnelHost.objects.all().delete()  # each test begins with empty tables
        yield endpoint


@pytest.fixture
def endpoint(transactional_db: None, settings: Settings, endpoint_process: Endpoint) -> Endpoint:
    endpoint_process.host.save()  # the tables are emptied between two tests, its memory is not
    settings.DIAL_OUT, settings.TUNNEL_ADDRESS = ["*"], endpoint_process.address
    return endpoint_process


@dataclass
class Dialler:
    """The machine's side: its disk, and what runs there to dial."""

    instance: Instance
    root: Path
    bind: str

    @property
    def folder(self) -> Path:
        return self.root / dialing.FOLDER.lstrip("/")

    def lay_out(self) -> None:
        for path, text in dialing.files_for(self.instance).items():
            file = self.root / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch(mode=0o600)
            file.write_text(text)

    @contextlib.contextmanager
    def dialling(self, ssh_port: int = 22) -> "Iterator[subprocess.Popen[str]]":
        """`ssh_port`: where the machine's own SSH server is here, 22 being not everybody's to listen at."""
        environment = {"PATH": os.environ["PATH"], "LAMPLIGHTER_ROOT": str(self.root), "LAMPLIGHTER_BIND": self.bind}
        text = SCRIPT.read_text()
        assert text.count(':22"') == 1
        command = ["sh", "-c", text.replace(':22"', f':{ssh_port}"'), str(SCRIPT)]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
        try:
            yield process
        finally:
            process.kill()
            process.communicate(timeout=20)

    def stands(self) -> bool:
        return notebook_at(Instance.objects.get(pk=self.instance.pk), timezone.now()) is not None

    def connection(self) -> str:
        return MachineTunnel.objects.get(instance=self.instance).connection

    def wait(self) -> None:
        wait_until(self.stands, "the machine has dialled in", SECONDS)

    def ssh(self, *words: str, user: str = "", key: Path | None = None, source: str = HOST) -> list[str]:
        """A command of the real client, with this machine's key and whatever an attacker adds."""
        values = dict(re.findall(r"^(\w+)=(.*)$", (self.folder / "where").read_text(), re.M))
        known = f"UserKnownHostsFile={self.folder / 'known_hosts'}"
        options = ["BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "HostKeyAlias=lamplighter-tunnel"]
        options += [
            known,
            "StrictHostKeyChecking=yes",
            "ExitOnForwardFailure=yes",
            f"User={user or self.instance.slug}",
        ]
        flat = [word for option in options for word in ("-o", option)]
        target = ["-i", str(key or self.folder / "key"), "-b", source, "-p", values["TUNNEL_PORT"]]
        return ["ssh", "-F", "/dev/null", *flat, *target, *words[:-1], values["TUNNEL_HOST"], *words[-1:]]

    def run(self, *words: str, seconds: float = SECONDS, **more: str) -> "subprocess.CompletedProcess[str]":
        """The last of `words` is the remote command, empty for none."""
        command = [word for word in self.ssh(*(words or ("",)), **more) if word]  # type: ignore[arg-type]
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)


def new_dialler(instance: Instance, folder: Path, bind: str) -> Dialler:
    dialing.prepare(instance)
    Instance.objects.filter(pk=instance.pk).update(private_ip=NOWHERE)
    dialler = Dialler(Instance.objects.select_related("tunnel").get(pk=instance.pk), folder / instance.slug, bind)
    dialler.lay_out()
    return dialler


@pytest.fixture
def dialler(cast: Cast, endpoint: Endpoint, machine: FakeMachine, tmp_path: Path) -> Dialler:  # noqa: F811
    return new_dialler(new_instance(cast.student, NOWHERE), tmp_path, machine.address)


@pytest.fixture
def other(cast: Cast, endpoint: Endpoint, machine: FakeMachine, tmp_path: Path) -> Dialler:  # noqa: F811
    return new_dialler(new_instance(cast.other_student, NOWHERE), tmp_path, machine.address)


def database_port() -> int:
    return int(django_settings.DATABASES["default"].get("PORT") or 5432)
