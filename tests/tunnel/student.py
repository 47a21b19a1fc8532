"""A student's own computer: a key, the page's line, and the client programs that everybody has."""

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.utils import timezone
from pytest_django.plugin import DjangoDbBlocker

from courses.models import AuditNote, Enrollment
from instances import ssh_access
from instances.models import CourseSsh, Instance, TunnelHost
from tests.gateway.conftest import wait_until
from tests.loopback import address, free_port
from tests.tunnel.conftest import SECONDS, Endpoint, started_endpoint

PORT = free_port()  # of the machines' SSH servers here: 22 is not everybody's to listen at
PATCH = f"from instances.tunnel import visits; visits.SSH_PORT = {PORT}"


@dataclass
class Student:
    folder: Path
    machine: Instance
    owner: Enrollment

    def make_key(self, *kind: str) -> str:
        (self.folder / "id").unlink(missing_ok=True)
        command = ["ssh-keygen", "-q", *(kind or ("-t", "ed25519")), "-N", "", "-C", "ada@laptop", "-f"]
        subprocess.run([*command, str(self.folder / "id")], check=True)
        return (self.folder / "id.pub").read_text()

    def command(self, *words: str, line: str = "") -> list[str]:
        """The page's own line, with a configuration of the client that keeps to this folder."""
        found = ssh_access.line_for(self.machine)
        said = line or (found.command if found else "")
        program, *rest = said.split()
        return [program, "-F", str(self._config()), *rest, *words]

    def _config(self) -> Path:
        config = self.folder / "config"
        config.write_text(
            f"IdentityFile {self.folder}/id\nIdentitiesOnly yes\nIdentityAgent none\nBatchMode yes\n"
            f"UserKnownHostsFile {self.folder}/known_hosts\nGlobalKnownHostsFile /dev/null\n"
            "StrictHostKeyChecking accept-new\n"
        )
        return config

    def run(self, *words: str, line: str = "", said: str | None = None) -> "subprocess.CompletedProcess[str]":
        command = self.command(*words, line=line)
        heard = {"stdin": subprocess.DEVNULL} if said is None else {"input": said}
        return subprocess.run(command, capture_output=True, text=True, timeout=60, **heard)  # type: ignore[call-overload,no-any-return]

    @contextlib.contextmanager
    def staying(
        self, word: str = "stay", hears: str = "the machine heard: stay\n"
    ) -> "Iterator[subprocess.Popen[str]]":
        """A connection that is open and stays so."""
        pipe = subprocess.PIPE
        with subprocess.Popen(self.command(word), stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
            try:
                assert process.stdout
                assert process.stdout.readline() == hears
                yield process
            finally:
                process.kill()


@pytest.fixture(scope="module")
def ssh_endpoint(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Endpoint]:
    with django_db_blocker.unblock(), started_endpoint(address(7), PATCH) as endpoint:
        TunnelHost.objects.all().delete()  # each test begins with empty tables
        yield endpoint


def let_in(owner: Enrollment, machine: Instance, folder: Path) -> Student:
    """Of a course that has SSH on, with a key on the account's page."""
    CourseSsh.objects.get_or_create(course=owner.course, defaults={"on": True, "at": timezone.now()})
    folder.mkdir(exist_ok=True)
    student = Student(folder, machine, owner)
    assert owner.user
    ssh_access.add_key(owner.user, student.make_key(), address=None, now=timezone.now())
    return student


def settle() -> None:
    """The endpoint writes down each end by itself, also that of a test: the tables are emptied next."""
    told = AuditNote.objects.filter(what__in=("ssh_opened", "ssh_closed"))

    def all_over() -> bool:
        return told.filter(what="ssh_opened").count() == told.filter(what="ssh_closed").count()

    wait_until(all_over, "every end is written down", SECONDS)
