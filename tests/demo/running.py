"""Starts the real launcher for tests, in a folder and on ports of their own, and finds every process it left."""

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
START_SECONDS = 500  # beside other tests, on two busy processors


def free_base_port(host: str = "127.0.0.1") -> int:
    """The first of four neighbouring free ports, below the range that the system hands out by itself."""
    # From anywhere in it: a second run on this machine looks for its own at the same time, perhaps with the same seed.
    for base in random.SystemRandom().sample(range(21000, 32000, 4), 200):
        with_all = [socket.socket() for _ in range(4)]
        try:
            for n, probe in enumerate(with_all):
                probe.bind((host, base + n))
            return base
        except OSError:
            continue
        finally:
            for probe in with_all:
                probe.close()
    raise RuntimeError("no four free ports")


@dataclass
class Launcher:
    """One `make run`. Its output goes to a file, as a pipe that nobody reads would stop it."""

    folder: Path
    port: int
    process: "subprocess.Popen[bytes]"
    output: Path

    @classmethod
    def start(cls, folder: Path, port: int | None = None, **environment: str) -> "Launcher":
        port = port or free_base_port()
        handle, name = tempfile.mkstemp(prefix="launcher-", suffix=".txt")
        os.close(handle)
        output = Path(name)
        mark = {"LAMPLIGHTER_VAR": str(folder), "LAMPLIGHTER_PORT": str(port)}
        with output.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-u", "-m", "demo.launcher"],
                cwd=ROOT,
                env={**os.environ, **mark, **environment},
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return cls(folder, port, process, output)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def said(self) -> str:
        return self.output.read_text()

    def wait_for_box(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while "└" not in self.said():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the demo did not start:\n{self.said()}")
            time.sleep(0.1)

    def end(self, number: int = signal.SIGINT) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(40)

    def left(self) -> set[int]:
        """Every living process that carries this folder in its environment: whoever started it, whatever its group."""
        mark = f"LAMPLIGHTER_VAR={self.folder}".encode()
        found = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and mark in _environment(entry):
                found.add(int(entry.name))
        return found

    def nothing_left_within(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.left() and time.monotonic() < deadline:
            time.sleep(0.1)
        return not self.left()


def _environment(entry: Path) -> list[bytes]:
    try:
        return (entry / "environ").read_bytes().split(b"\0")
    except OSError:
        return []
