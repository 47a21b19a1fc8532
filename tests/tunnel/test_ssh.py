"""SSH for those who ask: with the line that the page shows and the real client, to the own running machine alone."""

import asyncio
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from courses.models import AuditNote, Enrollment, EnrollmentStatus
from instances import ssh_access
from instances.models import CourseSsh, Instance, SshKey
from instances.states import State
from instances.tunnel import rows
from tests.conftest import Cast
from tests.gateway.conftest import HOST, new_instance, wait_until
from tests.loopback import address
from tests.tunnel.conftest import SECONDS, Endpoint, database_port, new_dialler, started_endpoint
from tests.tunnel.student import PATCH, PORT, Student, let_in, settle, ssh_endpoint

__all__ = ["ssh_endpoint"]
pytestmark = pytest.mark.ssh


class Sshd:
    """A machine's SSH server: lets everybody in who comes that far, and does as it is told."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.visits = 0
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        key = asyncssh.generate_private_key("ssh-ed25519")
        self._server = asyncio.run_coroutine_threadsafe(self._start(key), self._loop).result(20)

    async def _start(self, key: asyncssh.SSHKey) -> asyncssh.SSHAcceptor:
        return await asyncssh.create_server(
            _Anybody,
            self.where,
            PORT,
            config=None,
            server_host_keys=[key],
            gss_host=None,
            process_factory=self._process,
        )

    async def _process(self, process: "asyncssh.SSHServerProcess[str]") -> None:
        self.visits += 1
        process.stdout.write(f"the machine heard: {process.command}\n")
        if process.command == "stay":
            await process.stdin.read()
        process.exit(0)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)


class _Anybody(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return False


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    server = Sshd(address(210))
    yield server
    server.close()


@pytest.fixture
def student(
    transactional_db: None,
    settings: Settings,
    cast: Cast,
    ssh_endpoint: Endpoint,
    sshd: Sshd,
    tmp_path: Path,
) -> Iterator[Student]:
    ssh_endpoint.host.save()
    settings.SSH_ADDRESS = ssh_endpoint.address
    yield let_in(cast.student, new_instance(cast.student, sshd.where), tmp_path / "laptop")
    settle()


def put(student: Student, **facts: object) -> None:
    Instance.objects.filter(pk=student.machine.pk).update(**facts)


# ------------------------------------------------------------------ the way
def test_the_line_of_the_page_leads_to_the_machine_and_leaves_two_rows(student: Student) -> None:
    answer = student.run("hello")
    assert answer.stdout == "the machine heard: hello\n", answer.stderr
    wait_until(lambda: AuditNote.objects.filter(what="ssh_closed").exists(), "its end is written down", SECONDS)
    began, over = AuditNote.objects.filter(what__startswith="ssh_").exclude(what="ssh_key_added").order_by("pk")
    assert (began.what, began.who, began.about, began.address) == (
        "ssh_opened",
        student.owner.user,
        student.owner,
        HOST,
    )
    assert began.facts["machine"] == student.machine.slug
    assert began.facts["since"] == over.facts["since"] <= over.facts["until"]
    assert SshKey.objects.get().last_used_at is not None


def test_a_machine_that_dials_out_is_reached_by_its_own_tunnel(
    student: Student, settings: Settings, cast: Cast, ssh_endpoint: Endpoint, sshd: Sshd, tmp_path: Path
) -> None:
    settings.DIAL_OUT, settings.TUNNEL_ADDRESS = ["*"], ssh_endpoint.address
    dialler = new_dialler(student.machine, tmp_path, HOST)
    student.machine.refresh_from_db()
    forwards = ["-N", "-R", f"8888:{HOST}:9", "-R", f"22:{sshd.where}:{PORT}", ""]
    assert student.run("hello").returncode != 0  # it has not dialled
    with subprocess.Popen([word for word in dialler.ssh(*forwards) if word]) as tunnel:
        dialler.wait()
        assert student.run("hello").stdout == "the machine heard: hello\n"
        tunnel.kill()


# ------------------------------------------------------------------ not
@pytest.mark.parametrize(
    ("state", "said"),
    [
        (State.STOPPED, "is stopped. Start it: http"),
        (State.LAUNCHING, "still starting"),
        (State.TERMINATED, "any more"),
    ],
)
def test_a_machine_that_is_not_on_says_why_and_what_to_do(student: Student, state: State, said: str) -> None:
    put(student, state=state)
    answer = student.run("hello")
    assert answer.returncode == 255
    assert said in answer.stderr


def test_not_before_the_providers_own_timer_stands(student: Student) -> None:
    put(student, guard_until=None)
    assert "still starting" in student.run("hello").stderr


def test_only_the_owner(student: Student, cast: Cast, sshd: Sshd) -> None:
    """A key of somebody else in the course, staff included, and one of nobody, open no machine but their own."""
    visits = sshd.visits
    for person in (cast.other_student, cast.instructor):
        text = student.make_key()
        assert "Permission denied (publickey)" in student.run("hello").stderr
        assert person.user
        ssh_access.add_key(person.user, text, address=None, now=timezone.now())
        assert "Permission denied (publickey)" in student.run("hello").stderr
    assert sshd.visits == visits


def test_it_is_off_until_staff_switch_it_on(student: Student) -> None:
    line = " ".join(student.command("hello")[3:-1])
    CourseSsh.objects.all().delete()
    assert ssh_access.line_for(student.machine) is None
    assert "Permission denied" in student.run("hello", line=f"ssh {line}").stderr


def test_it_leads_to_that_one_port_of_that_one_machine(student: Student, cast: Cast, sshd: Sshd) -> None:
    other = new_instance(cast.other_student, sshd.where)
    place = ssh_access.settings.SSH_ADDRESS.rpartition(":")
    door = f"ssh -p {place[2]} -l {student.machine.slug} {place[0]}"
    own = student.machine.slug
    targets = [f"{HOST}:{database_port()}", f"{sshd.where}:{PORT}", f"{other.slug}:22", f"{own}:8888", f"../{own}:22"]
    for target in targets:
        answer = student.run(line=door.replace("ssh ", f"ssh -W {target} ", 1))
        assert "stdio forwarding failed" in answer.stderr
        assert "administratively prohibited" in answer.stderr
    for words in (["id"], ["-s", "sftp"]):
        answer = student.run(*words, line=door)
        assert answer.returncode != 0
        assert f"ssh -J {own}@" in answer.stderr  # what to do instead
    listens = student.run(line=door.replace("ssh ", "ssh -N -o ExitOnForwardFailure=yes -R 8888:127.0.0.1:1 ", 1))
    assert listens.returncode == 255


# ------------------------------------------------------------------ the end
def ended(process: "subprocess.Popen[str]") -> bool:
    wait_until(lambda: process.poll() is not None, "the connection has ended", SECONDS)
    return process.returncode != 0


def test_it_ends_when_the_machine_stops(student: Student) -> None:
    with student.staying() as process:
        put(student, state=State.STOPPING)
        assert ended(process)
    wait_until(lambda: AuditNote.objects.filter(what="ssh_closed").exists(), "it is written down", SECONDS)


def test_an_endpoint_that_is_restarted_writes_down_whom_it_cut_off(student: Student, settings: Settings) -> None:
    with started_endpoint(address(8), PATCH) as second:
        settings.SSH_ADDRESS = second.address
        with student.staying() as process:
            second.process.terminate()
            assert ended(process)
            assert second.process.wait(20) == 0
    assert AuditNote.objects.filter(what="ssh_closed").count() == 1


def test_without_an_address_in_the_settings_it_is_off_for_everybody(student: Student, settings: Settings) -> None:
    key = SshKey.objects.get(user=student.owner.user).public_key
    assert rows.visitor(student.machine.slug, key)
    settings.SSH_ADDRESS = ""
    assert rows.visitor(student.machine.slug, key) is None
    assert rows.still_welcome({student.machine.slug}) == set()


def test_it_ends_when_its_person_leaves_the_course(student: Student) -> None:
    with student.staying() as process:
        Enrollment.objects.filter(pk=student.owner.pk).update(status=EnrollmentStatus.DROPPED)
        assert ended(process)
    assert "Permission denied" in student.run("hello").stderr


def test_it_ends_when_staff_switch_it_off(student: Student) -> None:
    with student.staying() as process:
        CourseSsh.objects.update(on=False)
        assert ended(process)


def test_signing_out_everywhere_ends_it_and_takes_the_keys(student: Student) -> None:
    browser = Client()
    assert student.owner.user
    browser.force_login(student.owner.user)
    with student.staying() as process:
        assert browser.post(reverse("sign_out_everywhere")).status_code == 302
        assert ended(process)
    assert not SshKey.objects.exists()
    assert "Permission denied" in student.run("hello").stderr


def test_a_key_that_was_removed_opens_nothing(student: Student) -> None:
    browser = Client()
    assert student.owner.user
    browser.force_login(student.owner.user)
    with student.staying() as process:
        browser.post(reverse("ssh_key_remove", args=[SshKey.objects.get().pk]))
        assert ended(process)
