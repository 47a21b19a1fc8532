"""All of the portal is killed while a machine runs: the machine puts itself out when its lease ends."""

import os
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, expect

from demo.people import SECOND_STUDENT
from tests.demo.running import Launcher
from tests.walk.people import Person

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]
LEASE_SECONDS = 45
PORTAL = ("granian", "portal.live", "celery")  # pages, gateway, worker and beat


def command_of(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def processes(demo: Launcher, *words: str) -> list[int]:
    return [pid for pid in demo.left() if any(word in command_of(pid) for word in words)]


def machine_at_the_cloud(demo: Launcher, slug: str) -> dict[str, Any]:
    """What the cloud itself says: ours are dead."""
    told = requests.get(f"http://127.0.0.1:{demo.port + 3}/sim/machines", timeout=10).json()
    return next(machine for machine in told if machine["token"].startswith(slug))


def shorten_leases(demo: Launcher) -> None:
    with sqlite3.connect(demo.folder / "lamplighter.sqlite3", timeout=20) as database:
        database.execute("UPDATE instances_preset SET lease_seconds = ?", (LEASE_SECONDS,))


def test_a_machine_outlives_no_lease_when_the_portal_is_dead(demo: Launcher, browser: Browser, album: Path) -> None:
    shorten_leases(demo)
    student = Person(browser, demo.url, album)
    student.go("/")
    student.sign_in_as(SECOND_STUDENT)
    student.page.get_by_role("link", name="Launch Homework: T4").click()
    student.page.get_by_role("button", name="Launch", exact=True).click()
    expect(student.page.locator("main")).to_contain_text("The notebook was ready", timeout=90_000)
    slug = student.page.url.rstrip("/").rsplit("/", 1)[-1]

    # The launcher would end the cloud, too, when it sees its children die: it must not look.
    for pid in processes(demo, "demo.launcher", "demo.warden"):
        os.kill(pid, signal.SIGSTOP)
    try:
        for pid in processes(demo, *PORTAL):
            os.kill(pid, signal.SIGKILL)
        assert machine_at_the_cloud(demo, slug)["state"] == "running"
        deadline = time.monotonic() + 300
        while machine_at_the_cloud(demo, slug)["state"] != "stopped":
            assert time.monotonic() < deadline, machine_at_the_cloud(demo, slug)
            time.sleep(1)
        # By the machine itself, before AWS's own schedule would have done it.
        assert machine_at_the_cloud(demo, slug)["reason"] == "Client.InstanceInitiatedShutdown"
    finally:
        for pid in processes(demo, "demo.launcher", "demo.warden"):
            os.kill(pid, signal.SIGCONT)
