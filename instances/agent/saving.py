"""Before a stop: open notebooks are saved by their tabs, and the course's script runs, cut off after its time.

Never holds a stop up. What it uses is no work of the user's: it runs in the agent's own session.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import subprocess
import threading
import time
from collections.abc import Callable

from deadman import ROOT, uptime

NOTICE = ROOT + "/opt/lamplighter/lab/lamplighter/static/notice.json"
TABS = 15.0  # seconds for the tabs before the script: they look every few seconds
LATE = 60.0  # a hidden tab looks once a minute


class Saver:
    def __init__(self) -> None:
        self.last: dict | None = None  # how the last one went
        self._count = 0
        self._told = ("", "")
        self._thread: threading.Thread | None = None
        self.tell("", "")

    def tell(self, text: str, url: str) -> None:
        """What every open JupyterLab shows; its extension (lab.js) reads this file."""
        self._told = (text, url)
        with contextlib.suppress(OSError), open(NOTICE + ".new", "w", encoding="utf-8") as file:
            json.dump({"text": text, "url": url, "save": self._count}, file)
        with contextlib.suppress(OSError):
            os.replace(NOTICE + ".new", NOTICE)

    @staticmethod
    def lead(limit: float, left: float) -> float:
        """So many seconds before the stop it has to begin."""
        return min(limit + TABS + LATE, max(limit + 5.0, left * 0.8))

    def begin(self, script: str, limit: float) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._save, args=(script, limit), daemon=True)
            self._thread.start()

    def finish(self, script: str, limit: float) -> None:
        """The same, and waits for it, as long as it may take."""
        self.begin(script, limit)
        if self._thread is not None:
            self._thread.join(limit + TABS + 5.0)

    def _save(self, script: str, limit: float) -> None:
        self._count += 1
        self.tell(*self._told)
        began = uptime()
        time.sleep(min(TABS, limit / 2))
        code = run(script, limit) if script else None
        self.last = {"n": self._count, "at": uptime(), "exit": code, "seconds": round(uptime() - began, 1)}


def run(script: str, limit: float) -> int:
    """Its exit status; -1 when it was cut off or could not be run."""
    as_user, home = _user()
    try:
        child = subprocess.Popen(  # noqa: S603 - the course's own script
            ["/bin/sh", "-c", script], cwd=home, env={**os.environ, "HOME": home}, preexec_fn=as_user,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return -1
    try:
        return child.wait(limit)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        return -1


def carry(about: dict, program: str) -> subprocess.Popen[str]:
    """Packs its student's files as the student: in a session of its own it counts as what it is, work of theirs."""
    as_user, home = _user(os.setsid)
    child = subprocess.Popen(  # noqa: S603 - the portal's own program
        ["/usr/bin/env", "python3", "-c", program], env={**os.environ, "HOME": home}, preexec_fn=as_user,
        stdin=subprocess.PIPE, text=True,
    )  # fmt: skip
    if child.stdin is not None:
        with contextlib.suppress(OSError), child.stdin as told:
            told.write(json.dumps({**about, "home": home}))
    return child


def _user(apart: Callable[[], None] = os.setpgrp) -> tuple[Callable[[], None], str]:
    """Becomes the one whose notebook it is, in a group of its own so that nothing of it is left over."""
    name = os.environ.get("LAMPLIGHTER_OWNER", "")
    if os.geteuid() != 0 or ROOT or not name:
        return apart, os.environ.get("HOME", "/")
    user = pwd.getpwnam(name)

    def become() -> None:
        apart()
        os.initgroups(name, user.pw_gid)
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    return become, user.pw_dir
