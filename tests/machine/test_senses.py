"""What the agent sees: CPU that is never lost nor counted twice when processes end, and a GPU second by second.

Runs the very text that user data carries, unpacked like on a machine.
"""

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.machine.conftest import until

pytestmark = [pytest.mark.alone, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")]


@pytest.fixture(scope="module")
def senses(house: Callable[[str], ModuleType]) -> ModuleType:
    return house("senses")


@pytest.fixture
def start() -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Starts a process of the machine's user, in a session of its own like a kernel."""
    started = []

    def begin(*command: str) -> "subprocess.Popen[bytes]":
        env = {"PATH": os.environ["PATH"], "LAMPLIGHTER_MACHINE": "i-0senses"}
        started.append(subprocess.Popen(command, env=env, start_new_session=True, stdout=subprocess.DEVNULL))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def watch(senses: ModuleType, process: "subprocess.Popen[bytes]", looks_every: float) -> tuple[float, float]:
    """(CPU seconds as the agent counts them, as the kernel tells at the end)."""
    table, ticks = senses.user_processes(), 0
    before = os.times()
    while process.poll() is None:
        time.sleep(looks_every)
        after = senses.user_processes()
        used, _moved = senses.used_between(table, after)
        assert used >= 0
        ticks, table = ticks + used, after
    after_all = os.times()
    truth = after_all.children_user + after_all.children_system - before.children_user - before.children_system
    return ticks / senses.TICKS, truth


SHORT = "end=$(($(date +%s) + 2)); while [ $(date +%s) -lt $end ]; do seq 100000 >/dev/null; done; sleep 0.7"
NESTED = "for n in 1 2 3; do sh -c 'seq 4000000; sh -c \"seq 4000000\"; seq 4000000' >/dev/null; done; sleep 0.7"


@pytest.mark.parametrize("script", [SHORT, NESTED], ids=["many short children", "grandchildren that end in between"])
@pytest.mark.parametrize("looks_every", [0.1, 0.5])
def test_ended_children_are_counted_once(senses: ModuleType, start: Callable, script: str, looks_every: float) -> None:
    counted, truth = watch(senses, start("sh", "-c", f"{script}; true"), looks_every)
    assert truth > 0.1
    assert 0.8 * truth - 0.1 <= counted <= truth + 0.1


def test_a_process_that_ends_takes_nothing_back(senses: ModuleType) -> None:
    def table(**own: int) -> dict:
        return {(int(k[1:]), 1): senses.Process(1, 0, ticks, 0, ticks * 10) for k, ticks in own.items()}

    assert senses.used_between(table(p7=500, p8=100), table(p8=130)) == (30, 300)
    assert senses.used_between(table(p7=500), {(7, 2): senses.Process(1, 0, 3, 0, 0)}) == (3, 0)  # the number came back
    assert senses.used_between(table(p7=500), table()) == (0, 0)


def test_a_parent_that_waits_for_a_seen_child_does_not_count_it_again(senses: ModuleType) -> None:
    before = {
        (10, 1): senses.Process(1, 0, 5, 0, 0),
        (11, 1): senses.Process(10, 0, 100, 40, 0),
        (12, 1): senses.Process(11, 0, 60, 0, 0),
    }
    after = {(10, 1): senses.Process(1, 0, 6, 100 + 40 + 60 + 9, 0)}
    assert senses.used_between(before, after)[0] == 1 + 9


def test_only_processes_of_this_machine_count(senses: ModuleType, start: Callable) -> None:
    ours = start("sleep", "30")
    other = subprocess.Popen(["sleep", "30"], env={"LAMPLIGHTER_MACHINE": "i-0other"}, start_new_session=True)
    try:
        until(lambda: Path(f"/proc/{ours.pid}/comm").read_text() == "sleep\n")
        seen = {pid for pid, _start in senses.user_processes()}
        assert ours.pid in seen
        assert not seen & {other.pid, os.getpid(), 1}
    finally:
        other.kill()
        other.wait()


def test_on_a_real_machine_people_and_containers_count_and_the_system_does_not(
    senses: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(senses, "MARK", "")
    groups = {
        "0::/system.slice/snapd.service": False,
        "0::/system.slice/lamplighter-notebook.service": True,  # sudo in a terminal
        "0::/system.slice/lamplighter-agent.service": False,
        "0::/user.slice/user-1000.slice/session-4.scope": True,
        "0::/system.slice/docker-9f8.scope": True,
    }
    if os.getuid() == 0:
        for group, counts in groups.items():
            monkeypatch.setattr(senses, "read", lambda path, group=group: group if path.endswith("cgroup") else "")
            assert senses.is_users(os.getpid()) is counts, group
    monkeypatch.setattr(senses.os, "stat", lambda _path: os.stat_result((0, 0, 0, 0, 1000, 0, 0, 0, 0, 0)))
    commands = {"python\0-m\0ipykernel": True, "/opt/conda/bin/python\0/opt/conda/bin/jupyter-lab\0--x": False}
    for command, counts in commands.items():
        monkeypatch.setattr(senses, "read", lambda path, c=command: c if path.endswith("cmdline") else "")
        assert senses.is_users(4242) is counts, command


# ------------------------------------------------------------------ GPU
def fake_smi(folder: Path, script: str) -> str:
    tool = folder / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def test_a_second_is_busy_when_any_gpu_is(senses: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["0, 0", "1, 0", "0, 4", "1, 99", "0, [N/A]", "1, 7", "0, 0", "1, 0", "0, 100", "1, 0"]
    monkeypatch.setenv("PATH", fake_smi(tmp_path, "printf '" + "\\n".join(lines) + "\\n'; exec sleep 60"))
    gpu = senses.Gpu()
    until(lambda: gpu.line_at is not None)
    until(lambda: gpu.busy_s >= 3)
    time.sleep(0.2)
    assert gpu.seconds() == 3
    gpu.child.kill()


def test_a_stuck_gpu_is_unknown_and_its_reader_replaced(
    senses: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", fake_smi(tmp_path, "echo '0, 50'; exec sleep 60"))
    monkeypatch.setattr(senses, "GPU_SILENCE", 0.3)
    monkeypatch.setattr(senses, "GPU_RETRY", 0.2)
    gpu = senses.Gpu()
    until(lambda: gpu.line_at is not None)
    stuck = gpu.child
    until(lambda: gpu.seconds() is None, 3)
    until(lambda: stuck.poll() is not None, 3)
    until(lambda: gpu.child is not stuck, 10)
    until(lambda: gpu.busy_s == 2, 5)
    gpu.child.kill()


def test_a_machine_without_a_working_gpu_has_an_idle_one(
    senses: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", fake_smi(tmp_path, "echo 'No devices were found'; exit 6"))
    assert senses.Gpu().seconds() == 0


def test_keys_typed_in_a_login_session_are_somebodys_doing_and_what_it_prints_is_not(senses: ModuleType) -> None:
    """As sshd makes it: a session with a terminal of its own, which the notebook knows nothing of."""
    number, keyboard = pty.fork()
    if not number:
        os.execvp("sh", ["sh", "-c", "while read line; do echo printed; done"])
    stdin = f"/proc/{number}/fd/0"
    try:
        until(lambda: os.readlink(stdin).startswith("/dev/pts/"), why="it has its terminal")
        path = os.readlink(stdin)
        people = senses.People("http://127.0.0.1:9", "t")

        def look() -> float | None:
            people.look(senses.user_processes())
            return people.at

        # It was opened a minute ago: a terminal tells of what is typed in steps of eight seconds.
        os.utime(path, (time.time() - 60, os.stat(path).st_mtime))
        until(lambda: path in (look(), people._seen)[1], why="its terminal is seen")
        people.at = None
        assert look() is None  # open, and nobody types
        os.write(keyboard, b"ls\n")
        until(look, why="typing is seen")
    finally:
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)
        os.close(keyboard)
