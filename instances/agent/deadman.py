#!/usr/bin/env python3
"""Powers the machine off when its lease is over, whatever else is dead. Its own process: no network, no credentials.

It arms itself when it starts, at every boot; the agent moves the deadline with each answer of the portal. Time is
counted since boot, so that setting the clock changes nothing. What the agent shares with it lives here too.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid

ROOT = os.environ.get("LAMPLIGHTER_ROOT", "")  # before every absolute path; empty on a real machine
RUN = ROOT + "/run/lamplighter"  # in memory: gone after a reboot
MOST_AHEAD = 48 * 3600.0  # seconds; no answer, however wrong, arms it further than this


def uptime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def machine() -> dict:
    """What the portal wrote for this machine: who it is, where to report, how long its lease is."""
    with open(ROOT + "/etc/lamplighter/machine.json", encoding="utf-8") as file:
        return json.load(file)


def boot() -> tuple[str, float]:
    """The id of this boot, and the uptime at which it began (seconds)."""
    if not ROOT:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip(), 0.0
    if remembered("boot") is None:  # several machines share one kernel: each counts from its own boot
        remember("boot", f"{uuid.uuid4()} {uptime():.2f}")
    boot_id, began = (remembered("boot") or "").split()
    return boot_id, float(began)


def remember(name: str, text: str) -> None:
    """Keeps a text until the next boot; whole or not at all."""
    os.makedirs(RUN, mode=0o700, exist_ok=True)
    path = f"{RUN}/{name}"
    with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(file.name, path)


def remembered(name: str) -> str | None:
    try:
        with open(f"{RUN}/{name}", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return None


def arm(deadline: float) -> None:
    """`deadline` in seconds of uptime."""
    remember("deadline", f"{min(deadline, uptime() + MOST_AHEAD):.1f}")


def deadline_or(otherwise: float) -> float:
    """The armed deadline. Without a readable one: the one known before, so that deleting the file buys no time."""
    try:
        return float(remembered("deadline") or otherwise)
    except ValueError:
        return otherwise


def power_off(why: str) -> None:
    print(f"lamplighter: powering off: {why}", flush=True)  # noqa: T201
    subprocess.call(["shutdown", "-h", "now"])  # noqa: S607


def main() -> None:
    about = machine()
    began = boot()[1]
    deadline = deadline_or(began + about["lease_seconds"] + about["margin_seconds"])
    arm(deadline)
    while True:
        deadline = deadline_or(deadline)
        if uptime() >= deadline:
            power_off("the lease is over")
            time.sleep(20)  # and say it again if it was not heard
        time.sleep(1)


if __name__ == "__main__":
    main()
