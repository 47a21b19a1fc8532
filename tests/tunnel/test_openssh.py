"""SSH through the portal to Debian's own SSH server as it is configured there, with keys as the agent writes them."""

import contextlib
import hashlib
import os
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from cloud.sim import room
from courses.models import AuditNote, Enrollment, EnrollmentStatus
from instances import services, ssh_access
from instances.boot import user_data
from instances.models import Instance, Policy, SshKey
from tests.conftest import SSHD, Cast
from tests.gateway.conftest import HOST, ROOT, new_instance, wait_until
from tests.loopback import address
from tests.tunnel.conftest import SECONDS, Endpoint, new_dialler
from tests.tunnel.openssh import SHIPPED, Sshd, machine_with_sshd
from tests.tunnel.student import PORT, Student, let_in, settle, ssh_endpoint

__all__ = ["ssh_endpoint"]
pytestmark = [pytest.mark.ssh, pytest.mark.sshd]
MB = 2**20
DENIED = "Permission denied (publickey"  # Debian's own also asks for a password, Ubuntu's images for none
STAY = "echo here; exec cat"  # until somebody cuts it off


@pytest.fixture
def sshd() -> Iterator[Sshd]:
    with machine_with_sshd(address(211), PORT) as server:
        yield server


@pytest.fixture
def student(
    transactional_db: None, settings: Settings, cast: Cast, ssh_endpoint: Endpoint, sshd: Sshd, tmp_path: Path
) -> Iterator[Student]:
    ssh_endpoint.host.save()
    settings.SSH_ADDRESS = ssh_endpoint.address
    student = let_in(cast.student, new_instance(cast.student, sshd.where), tmp_path / "laptop")
    sshd.told(ssh_access.keys_for(student.machine))
    yield student
    settle()


def by(program: str, student: Student, *words: str) -> str:
    """The page's line, with another program of the same family: the jump is said in the same way."""
    found = ssh_access.line_for(student.machine)
    assert found
    _ssh, dash_j, jump, _target = found.command.split()
    return " ".join([program, dash_j, jump, *words])


def directly(student: Student, sshd: Sshd) -> "subprocess.CompletedProcess[str]":
    """As somebody could who is in the machines' network: what the machine itself says."""
    return student.run("id", line=f"ssh -p {sshd.port} {ssh_access.LOGIN}@{sshd.where}")


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# ------------------------------------------------------------------ the way
def test_a_command_runs_on_the_machine_as_its_user(student: Student, sshd: Sshd) -> None:
    answer = student.run("id -un; pwd; cat", said="what was typed")
    assert answer.stdout == f"{ssh_access.LOGIN}\n{sshd.home}\nwhat was typed", answer.stderr
    assert student.run("exit 7").returncode == 7
    assert student.run("echo so >&2; kill -9 $$").stderr.endswith("so\n")


def test_files_go_both_ways_by_scp_and_by_sftp(student: Student, sshd: Sshd) -> None:
    here, back = student.folder / "data.bin", student.folder / "back.bin"
    here.write_bytes(os.urandom(20 * MB))
    there = f"{ssh_access.LOGIN}@{student.machine.slug}"
    assert student.run(line=by("scp", student, "-q", str(here), f"{there}:up.bin")).returncode == 0
    assert digest(sshd.home / "up.bin") == digest(here)
    assert student.run(line=by("scp", student, "-q", f"{there}:up.bin", str(back))).returncode == 0
    assert digest(back) == digest(here)
    back.unlink()
    commands = f"put {here} again.bin\nget again.bin {back}\nls -l\n"
    answer = student.run(line=by("sftp", student, "-b", "-", there), said=commands)
    assert answer.returncode == 0, answer.stderr
    assert f"{20 * MB}" in answer.stdout
    assert digest(sshd.home / "again.bin") == digest(back) == digest(here)


def test_a_port_of_the_machine_is_reached_through_ones_own_connection(student: Student) -> None:
    """TensorBoard, say. It goes inside what is encrypted, so the endpoint neither sees nor hinders it."""
    with socket.create_server((HOST, 0)) as board:
        target = f"{HOST}:{board.getsockname()[1]}"
        line = by("ssh", student, "-W", target, f"{ssh_access.LOGIN}@{student.machine.slug}")
        with subprocess.Popen(student.command(line=line), stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ssh:
            wire, _from = board.accept()
            with wire:
                wire.sendall(b"a curve\n")
                assert ssh.stdout
                assert ssh.stdout.readline() == b"a curve\n"
            ssh.kill()


def test_the_agent_of_ones_keys_is_never_offered_to_the_endpoint(student: Student, sshd: Sshd) -> None:
    """With -A the machine gets it, as its student says; the jump host on the way does not."""
    started = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    words = dict(word.split("=", 1) for word in started.replace(";", "\n").splitlines() if "=" in word)
    try:
        agent = {"SSH_AUTH_SOCK": words["SSH_AUTH_SOCK"]}
        subprocess.run(["ssh-add", "-q", str(student.folder / "id")], env=os.environ | agent, check=True)
        offered = ("-A", "-o", "IdentityAgent=SSH_AUTH_SOCK")
        line = by("ssh", student, *offered, f"{ssh_access.LOGIN}@{student.machine.slug}")
        command = student.command('test -S "$SSH_AUTH_SOCK" && echo there', line=line)
        answer = subprocess.run(command, env=os.environ | agent, capture_output=True, text=True, timeout=60)
        assert answer.stdout == "there\n", answer.stderr
        straight = student.command(
            "true", line=f"ssh -A -o IdentityAgent=SSH_AUTH_SOCK -p {ssh_port(student)} {student.machine.slug}@{HOST}"
        )
        refused = subprocess.run(straight, env=os.environ | agent, capture_output=True, text=True, timeout=60)
        assert "This door only leads on" in refused.stderr
    finally:
        subprocess.run(["kill", words["SSH_AGENT_PID"]], check=True)


def ssh_port(student: Student) -> str:
    return str(ssh_access.settings.SSH_ADDRESS).rpartition(":")[2]


def test_a_machine_that_dials_out_with_its_own_script_is_reached_by_its_tunnel(
    student: Student, settings: Settings, ssh_endpoint: Endpoint, sshd: Sshd, tmp_path: Path
) -> None:
    """`tunnel.sh` offers port 22 of the machine: here its SSH server has another, so that word alone is changed."""
    settings.DIAL_OUT, settings.TUNNEL_ADDRESS = ["*"], ssh_endpoint.address
    dialler = new_dialler(student.machine, tmp_path, sshd.where)
    student.machine.refresh_from_db()
    assert student.run("id").returncode != 0  # it has not dialled
    with dialler.dialling(ssh_port=sshd.port):
        dialler.wait()
        assert student.run("id -un").stdout == f"{ssh_access.LOGIN}\n"
        noise = os.urandom(3 * MB)
        (sshd.home / "model").write_bytes(noise)
        heard = subprocess.run(student.command("cat model"), capture_output=True, timeout=60, stdin=subprocess.DEVNULL)
        assert heard.stdout == noise


# ------------------------------------------------------------------ how the keys come there
@contextlib.contextmanager
def booted(machine: Instance, portal: str, where: str) -> Iterator[Sshd]:
    """From its user data in a machine room; its SSH server's user is whoever runs the room, with a home on its disk."""
    cloud_id = "i-0sshd"
    with tempfile.TemporaryDirectory(prefix="sshd-") as folder:
        building = room.Room(Path(folder) / "room", lambda _cloud_id: None)
        home = building.root(cloud_id) / "home/ubuntu"
        jupyter = home / ".lamplighter/bin/jupyter-lab"
        jupyter.parent.mkdir(parents=True)
        jupyter.write_text("#!/bin/sh\nexec sleep 600\n")  # JupyterLab has tests of its own
        jupyter.chmod(0o755)
        sshd = Sshd(Path(folder), home, where, PORT, os.getuid())
        sshd.lay_out()
        try:
            building.boot(cloud_id, where, user_data(machine, Policy(report_seconds=1), report_url=portal))
            with sshd.running():
                yield sshd
        finally:
            building.close()


def test_a_key_goes_from_the_page_to_the_machine_with_its_agents_report_and_off_again(
    transactional_db: None,
    settings: Settings,
    cast: Cast,
    ssh_endpoint: Endpoint,
    live_server: LiveServer,
    tmp_path: Path,
) -> None:
    """The whole way: the page, the row, the agent's report to a real portal, its file, the server that reads it."""
    ssh_endpoint.host.save()
    settings.SSH_ADDRESS = ssh_endpoint.address
    where, machine = address(212), new_instance(cast.student, address(212))
    student = let_in(cast.student, machine, tmp_path / "laptop")
    SshKey.objects.all().delete()
    browser = Client()
    assert cast.student.user
    browser.force_login(cast.student.user)
    with booted(machine, live_server.url, where) as sshd:
        assert not (sshd.home / ".ssh").exists()
        browser.post(reverse("ssh_key_add"), {"public_key": (student.folder / "id.pub").read_text()})
        wait_until(lambda: student.run("id -un").stdout == f"{ssh_access.LOGIN}\n", "the key has come", SECONDS)
        assert directly(student, sshd).returncode == 0
        with student.staying(STAY, "here\n") as process:
            browser.post(reverse("ssh_key_remove", args=[SshKey.objects.get().pk]))
            wait_until(lambda: process.poll() is not None, "what is open has ended", SECONDS)
        assert "Permission denied (publickey)" in student.run("id").stderr
        wait_until(lambda: directly(student, sshd).returncode != 0, "the machine has forgotten it", SECONDS)
    settle()


def test_what_the_agent_writes_is_what_sshd_takes_whatever_the_home_was_like(student: Student, sshd: Sshd) -> None:
    """sshd reads no list that others could have written: rights and owner must be right, in any `.ssh`."""
    key = ssh_access.keys_for(student.machine)
    written = sshd.home / ".ssh/authorized_keys2"
    assert (written.stat().st_uid, written.stat().st_mode & 0o777) == (sshd.uid, 0o600)
    assert (written.parent.stat().st_uid, written.parent.stat().st_mode & 0o777) == (sshd.uid, 0o700)
    (sshd.home / ".ssh/authorized_keys").write_text("# the student's own list\n")
    sshd.told([])
    assert directly(student, sshd).returncode != 0
    written.unlink()
    written.parent.chmod(0o775)  # as a `umask 002` leaves it
    sshd.told(key)
    assert directly(student, sshd).returncode == 0, sshd.log


def test_somebody_elses_key_is_refused_by_the_endpoint_and_by_the_machine(
    student: Student, sshd: Sshd, cast: Cast, tmp_path: Path
) -> None:
    """They are in the same team, have a machine of their own, and know the line of this one."""
    other = let_in(cast.other_student, new_instance(cast.other_student, address(213)), tmp_path / "theirs")
    found = ssh_access.line_for(student.machine)
    assert found
    assert "Permission denied (publickey)" in other.run("id", line=found.command).stderr
    mine = f"{other.machine.slug}@{ssh_access.settings.SSH_ADDRESS}"
    through = other.run("id", line=f"ssh -J {mine} {ssh_access.LOGIN}@{student.machine.slug}")
    assert "administratively prohibited" in through.stderr
    assert DENIED in directly(other, sshd).stderr
    assert "Accepted" not in sshd.log


@pytest.mark.parametrize("user", ["root", "sshd", "ubuntu2"])
def test_as_nobody_else_than_the_machines_user(student: Student, user: str) -> None:
    jump = f"{student.machine.slug}@{ssh_access.settings.SSH_ADDRESS}"
    answer = student.run("id", line=f"ssh -J {jump} {user}@{student.machine.slug}")
    assert DENIED in answer.stderr


def test_the_configuration_that_machines_have_reads_the_agents_file_and_asks_for_keys(sshd: Sshd) -> None:
    """No image of ours edits sshd's configuration. What its defaults say is what the agent relies on."""
    assert subprocess.run(sshd.command("-t"), env=os.environ | sshd.environment).returncode == 0
    for config in (SHIPPED, "/dev/null"):
        command = [SSHD or "", "-T", "-f", config, "-o", f"HostKey={sshd.folder}/host"]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        assert "authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2" in said
        assert {"strictmodes yes", "pubkeyauthentication yes", "allowtcpforwarding yes"} <= set(said)


def test_nothing_that_is_laid_out_on_a_machine_edits_its_ssh_server() -> None:
    """Else `sshd -t` must be asked about that, too."""
    for laid_out in ("instances/agent", "deploy/ami", "cloud/user_data.py", "instances/boot.py"):
        found = subprocess.run(["grep", "-rl", "sshd_config", str(ROOT / laid_out)], capture_output=True, text=True)
        assert found.stdout == ""


# ------------------------------------------------------------------ the end
def sign_out_everywhere(student: Student) -> None:
    browser = Client()
    assert student.owner.user
    browser.force_login(student.owner.user)
    assert browser.post(reverse("sign_out_everywhere")).status_code == 302


def drop(student: Student) -> None:
    Enrollment.objects.filter(pk=student.owner.pk).update(status=EnrollmentStatus.DROPPED)


def terminate(student: Student) -> None:
    assert services.request_terminate(student.machine, who=student.owner.user, now=timezone.now())


def remove_key(student: Student) -> None:
    assert student.owner.user
    keys = list(SshKey.objects.all())
    ssh_access.remove_keys(student.owner.user, keys, address=None, now=timezone.now())


@pytest.mark.parametrize("end", [sign_out_everywhere, drop, terminate, remove_key])
def test_what_ends_the_right_to_it_cuts_it_off_within_seconds(
    student: Student, sshd: Sshd, end: Callable[[Student], None]
) -> None:
    with student.staying(STAY, "here\n") as process:
        end(student)
        wait_until(lambda: process.poll() is not None, "it is cut off", 10)
        assert process.returncode == 255
    assert student.run("id").returncode == 255
    assert sshd.log.count("Accepted publickey for ubuntu") == 1
    wait_until(lambda: AuditNote.objects.filter(what="ssh_closed").exists(), "its end is written down", SECONDS)


def test_a_client_that_is_cut_off_in_a_transfer_leaves_no_server_process_behind(student: Student, sshd: Sshd) -> None:
    with student.staying("echo here; exec cat /dev/zero", "here\n"):
        wait_until(lambda: bool(sshd.sessions()), "it sends", SECONDS)
    wait_until(lambda: not sshd.sessions(), "the machine's side has ended, too", SECONDS)
