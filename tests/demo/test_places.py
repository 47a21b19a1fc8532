"""What the demo's processes find around them: never the shell's AWS keys, database or proxy."""

import os
import shutil
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from demo import launcher, warden
from demo.places import Places
from demo.university.__main__ import arguments

FOREIGN = {
    "AWS_ACCESS_KEY_ID": "AKIAREAL",
    "AWS_PROFILE": "work",
    "AWS_ENDPOINT_URL_EC2": "http://elsewhere",
    "DATABASE_URL": "postgres://real/database",
    "LAMPLIGHTER_SECRET_KEY": "production's",
    "https_proxy": "http://proxy:3128",
    "HTTP_PROXY": "http://proxy:3128",
    "PYTHONPATH": "/somewhere",
}


def test_nothing_of_the_shell_that_is_not_the_demos_gets_through(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in FOREIGN.items():
        monkeypatch.setenv(name, value)
    found = Places(tmp_path, 8000).environment("run")
    assert not set(FOREIGN.values()) & set(found.values())
    assert found["AWS_ACCESS_KEY_ID"] == "demo"
    assert found["AWS_ENDPOINT_URL"] == "http://127.0.0.1:8003"
    assert found["PATH"]


def test_the_shared_secret_is_made_once_and_readable_by_its_owner_alone(tmp_path: Path) -> None:
    places = Places(tmp_path, 8000)
    first = places.client_secret()
    assert places.client_secret() == first
    assert Places(tmp_path / "other", 8000).client_secret() != first
    assert (tmp_path / "university/client-secret.txt").stat().st_mode & 0o077 == 0


def test_the_university_takes_a_secret_that_looks_like_an_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = Places(tmp_path, 8000)
    places.client_secret()
    (tmp_path / "university/client-secret.txt").write_text("-one-in-64-begins-so")
    monkeypatch.setattr(sys, "argv", launcher.university(places)[1:])
    assert arguments().client_secret == "-one-in-64-begins-so"


def test_a_full_disk_is_said_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**10, 10**10, 3 * 2**20))
    with pytest.raises(launcher.CannotStart, match="3 MB left, 500 MB are needed"):
        launcher.prepare(Places(tmp_path, 21650))


def test_the_warden_forgets_groups_that_have_ended() -> None:
    assert warden.remaining(["10\n", "11\n", "-10\n", "12\n"]) == {11, 12}


def test_a_process_that_has_ended_and_was_not_waited_for_is_not_waited_for() -> None:
    child = subprocess.Popen(["true"], start_new_session=True)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    os.killpg(child.pid, 0)  # the system says it is there
    assert warden.alive({child.pid}) == set()
    child.wait()


def test_a_whole_group_is_ended_even_when_its_members_do_not_listen() -> None:
    deaf = "trap '' TERM; sleep 60 & wait; sleep 60"
    child = subprocess.Popen(["sh", "-c", deaf], start_new_session=True)
    time.sleep(0.3)
    assert warden.alive({child.pid}) == {child.pid}
    warden.end([child.pid], grace_seconds=0.5)
    assert warden.alive({child.pid}) == set()
    child.wait()
