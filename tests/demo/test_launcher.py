"""`make run` as a person meets it: it starts, says where to go, keeps its data, and leaves nothing behind."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.demo.running import ROOT, Launcher, free_base_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs Linux's /proc"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for the whole file: seeded by the first start, found again by the others."""
    return tmp_path_factory.mktemp("demo") / "var"


@contextmanager
def started(folder: Path) -> Iterator[Launcher]:
    found = Launcher.start(folder)
    try:
        found.wait_for_box()
        yield found
    finally:
        found.end()
        for pid in found.left():  # only when a test has failed
            os.kill(pid, signal.SIGKILL)


@pytest.fixture
def launcher(folder: Path) -> Iterator[Launcher]:
    with started(folder) as found:
        yield found


def reset(folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "LAMPLIGHTER_VAR": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", "demo.reset"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30
    )


def seeding_in(folder: Path) -> str:
    """What the last seeding said."""
    return (folder / "log" / "seed.log").read_text()


def people_in(folder: Path) -> int:
    with sqlite3.connect(folder / "lamplighter.sqlite3") as database:
        return int(database.execute("SELECT count(*) FROM courses_enrollment").fetchone()[0])


def test_it_comes_up_says_where_to_go_guards_its_folder_and_ctrl_c_leaves_nothing(
    folder: Path, launcher: Launcher
) -> None:
    said = launcher.said()
    for what in (launcher.url, "maya.lindqvist@demo.edu", "tess.moreau@demo.edu", "ines.valdez@demo.edu", "mailbox"):
        assert what in said
    assert "Ctrl-C" in said
    for path in ("/accounts/login/", "/health", "/demo/mailbox/"):
        assert urllib.request.urlopen(launcher.url + path, timeout=10).status == 200
    assert len(launcher.left()) >= 8  # launcher, warden, cloud, university, portal and its workers, gateway, celery

    check_the_folder_is_not_started_twice_nor_reset(folder, launcher)

    assert launcher.end(signal.SIGINT) == 0
    assert launcher.left() == set()
    assert "Traceback" not in launcher.said()
    assert "is seeded" in seeding_in(folder)


def check_the_folder_is_not_started_twice_nor_reset(folder: Path, launcher: Launcher) -> None:
    second = Launcher.start(folder)
    assert second.process.wait(20) == 1
    assert second.said().strip().count("\n") == 0
    assert "already runs" in second.said()
    refused = reset(folder)
    assert refused.returncode == 1
    assert str(launcher.process.pid) in refused.stdout
    assert people_in(folder) > 50


def test_a_second_start_finds_the_same_data_and_reports_a_child_that_dies(folder: Path) -> None:
    with sqlite3.connect(folder / "lamplighter.sqlite3") as database:
        database.execute("UPDATE courses_course SET term = 'kept from the last run'")
    before = people_in(folder)
    with started(folder) as again:
        assert people_in(folder) == before > 50
        assert "exists already" in seeding_in(folder)
        with sqlite3.connect(folder / "lamplighter.sqlite3") as database:
            assert database.execute("SELECT term FROM courses_course").fetchall() == [("kept from the last run",)]

        gateway = [pid for pid in again.left() if b"portal.live" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(gateway[0], signal.SIGKILL)
        assert again.process.wait(40) == 1
        assert "gateway ended by itself (by signal SIGKILL)" in again.said()
        assert "Uvicorn running" in again.said()  # the tail of its log
        assert again.left() == set()


def test_a_killed_launcher_takes_its_children_along(launcher: Launcher) -> None:
    assert len(launcher.left()) >= 8
    launcher.process.kill()
    launcher.process.wait()
    assert launcher.nothing_left_within(25), launcher.left()


def test_reset_forgets_the_demo_and_nothing_else(folder: Path) -> None:
    foreign = folder / "somebody-elses-file"
    foreign.write_text("precious")
    done = reset(folder)
    assert done.returncode == 0, done.stdout
    assert [path.name for path in folder.iterdir()] == ["somebody-elses-file"]


@pytest.mark.parametrize("offset", range(4))
def test_a_port_in_use_is_one_line_that_names_it(tmp_path: Path, offset: int) -> None:
    base = free_base_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", base + offset))
        taken.listen()
        found = Launcher.start(tmp_path / "var", base)
        assert found.process.wait(20) == 1
    assert found.said().strip().count("\n") == 0
    assert f"port {base + offset}" in found.said()
    assert "LAMPLIGHTER_PORT=" in found.said()


def test_a_wrong_port_is_one_line(tmp_path: Path) -> None:
    found = Launcher.start(tmp_path / "var", LAMPLIGHTER_PORT="eighty")
    assert found.process.wait(20) == 1
    assert found.said() == "Cannot start: LAMPLIGHTER_PORT must be a number from 1024 to 65531, not 'eighty'.\n"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = Launcher.start(tmp_path / "file" / "var")
    assert found.process.wait(20) == 1
    assert "cannot be written" in found.said()
    assert "Traceback" not in found.said()
