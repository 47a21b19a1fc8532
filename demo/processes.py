"""Starts, watches and ends the demo's processes. Does not know what any of them is for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from demo import warden

LOG_BYTES = 5_000_000  # at a start a longer log is put aside; one older one is kept


class Stopped(Exception):
    """A person asked for the end."""


class ChildEnded(Exception):
    """A process that should run has ended by itself, or a step has failed."""

    def __init__(self, name: str, code: int, log: Path) -> None:
        how = f"by signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        super().__init__(f"{name} ended by itself ({how}).")
        self.log = log


class Family:
    """Every process of one run, each the leader of its own group: a group is ended as a whole, grandchildren too."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.environment = dict(environment)
        self.logs = folder / "log"
        self.logs.mkdir(parents=True, exist_ok=True)
        self.lasting: dict[str, subprocess.Popen[bytes]] = {}
        self.step: subprocess.Popen[bytes] | None = None
        self.asked_to_stop = 0
        reading, self.leash = os.pipe()  # no child inherits our end, so it closes when we die
        self.warden = subprocess.Popen(
            [sys.executable, "-m", "demo.warden"], stdin=reading, env=self.environment, start_new_session=True
        )
        os.close(reading)

    def on_signal(self, _number: int, _frame: object) -> None:
        """Only counts: the loops below look, so that no process is started and forgotten."""
        self.asked_to_stop += 1

    def start(self, name: str, command: Sequence[str]) -> None:
        self.lasting[name] = self._spawn(name, command)

    def run(self, name: str, command: Sequence[str]) -> None:
        """Starts a step and waits for its good end. Raises ChildEnded or Stopped."""
        self.step = self._spawn(name, command)
        while (code := self.step.poll()) is None:
            self.check()
            time.sleep(0.05)
        self._tell_warden(-self.step.pid)
        self.step = None
        if code:
            raise ChildEnded(name, code, self._log(name))

    def check(self) -> None:
        """Raises ChildEnded for the first that should run and does not, Stopped when a person asked for the end."""
        if self.asked_to_stop:
            raise Stopped
        for name, child in [*self.lasting.items(), ("warden", self.warden)]:
            code = child.poll()
            if code is not None:
                raise ChildEnded(name, code, self._log(name))

    def stop(self) -> None:
        """Ends all of them; a second Ctrl-C does not wait for anybody's good manners."""
        children = [*self.lasting.values(), *([self.step] if self.step else [])]
        asked = self.asked_to_stop

        def hurry() -> bool:
            for child in children:
                child.poll()  # a child that nobody has waited for still counts as alive
            return self.asked_to_stop > asked

        warden.end([child.pid for child in reversed(children)], hurry=hurry)
        os.close(self.leash)
        self.warden.wait()

    def _spawn(self, name: str, command: Sequence[str]) -> "subprocess.Popen[bytes]":
        path = self._log(name)
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.old"))
        with path.open("ab") as log:
            log.write(f"\n=== {time.strftime('%Y-%m-%d %H:%M:%S')} {name}\n".encode())
            log.flush()
            child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self.environment,
                start_new_session=True,  # Ctrl-C in the terminal reaches the launcher alone
            )
        self._tell_warden(child.pid)
        return child

    def _tell_warden(self, number: int) -> None:
        with suppress(OSError):  # the next check() says that the warden is gone
            os.write(self.leash, f"{number}\n".encode())

    def _log(self, name: str) -> Path:
        return self.logs / f"{name}.log"


def tail(log: Path, lines: int = 15) -> str:
    """The end of a log, for a person who has to find out why."""
    with suppress(OSError):
        return "\n".join(f"    {line}" for line in log.read_text(errors="replace").splitlines()[-lines:])
    return ""
