"""Processes that die at a chosen line of ours, and a cloud in memory that lives on in a process of its own."""

import concurrent.futures
import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from multiprocessing.managers import BaseManager
from pathlib import Path
from types import FrameType
from typing import Any

from django.db import connections

from cloud.fake import FakeCloud

ROOT = Path(__file__).resolve().parents[2]
OURS = (str(ROOT / "instances"), str(ROOT / "spend"))


# What the outside can see of a process: statements that write, commits and calls to the cloud. Between two of them a
# death is the same death, on whatever line; what was only read dies with the process.
SEEN_OUTSIDE = {
    ("execute", "django/db/backends/utils.py"),
    ("_commit", "django/db/backends/base/base.py"),
    ("_callmethod", "multiprocessing/managers.py"),
}


def dies_at_line(number: int, act: Callable[[], object]) -> bool:
    """Run `act` in a child that kills itself (SIGKILL) at the `number`-th line of ours that it executes.

    False when it ended before it came to so many lines. Fails when it ended with an error.
    """

    def on_line(line: int, _effects: int) -> None:
        if line == number:
            os.kill(os.getpid(), signal.SIGKILL)

    status = _in_child(lambda: _traced(act, on_line))
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0, "the child failed by itself"
    return False


def lines_of(act: Callable[[], object], *, every: bool) -> list[int]:
    """The lines to die at: every one, or the first after each thing that the outside can see."""
    lines: list[tuple[int, int]] = []
    receiver, sender = multiprocessing.Pipe(duplex=False)

    def run() -> None:
        _traced(act, lambda line, effects: lines.append((line, effects)))
        sender.send(lines)

    with concurrent.futures.ThreadPoolExecutor(1) as reader:
        found = reader.submit(receiver.recv)
        assert os.WEXITSTATUS(_in_child(run)) == 0, "the child failed by itself"
        told = found.result(30)
    if every:
        return [line for line, _effects in told]
    return [line for (line, now), (_line, before) in zip(told, [(0, -1), *told], strict=False) if now != before]


def _in_child(run: Callable[[], object]) -> int:
    """Its wait status."""
    connections.close_all()
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        run()
        connections.close_all()
        os._exit(0)
    except BaseException:
        sys.settrace(None)
        traceback.print_exc()
        os._exit(1)


def _traced(act: Callable[[], object], on_line: Callable[[int, int], None]) -> None:
    line = effects = 0

    def in_ours(_frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal line
        if event == "line":
            line += 1
            on_line(line, effects)
        return in_ours

    def on_call(frame: FrameType, _event: str, _arg: object) -> Any:
        nonlocal effects
        name, path = frame.f_code.co_name, frame.f_code.co_filename
        if path.startswith(OURS):
            return in_ours
        if any(name == seen and path.endswith(end) for seen, end in SEEN_OUTSIDE) and not _only_reads(frame):
            effects += 1
        return None

    sys.settrace(on_call)
    act()
    sys.settrace(None)


def _only_reads(frame: FrameType) -> bool:
    return str(frame.f_locals.get("sql", "")).startswith("SELECT")


class LivingCloud(FakeCloud):
    """The cloud in memory with a clock that is set, for use through a proxy."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        super().__init__(lambda: self._now)

    def later(self, seconds: float) -> datetime:
        self._now += timedelta(seconds=seconds)
        return self._now

    def later_to(self, now: datetime) -> None:
        """Never back: several processes may set it."""
        self._now = max(self._now, now)

    def truth(self) -> dict[str, tuple[str, str, float]]:
        """Slug, state and seconds run of every machine there ever was."""
        return {i: (m.spec.name, str(m.state), m.ran_seconds(self._now)) for i, m in self.machines.items()}


class _Manager(BaseManager):
    pass


_Manager.register("LivingCloud", LivingCloud)


@contextmanager
def living_cloud(now: datetime) -> Iterator[Any]:
    manager = _Manager()
    manager.start()
    try:
        yield manager.LivingCloud(now)  # type: ignore[attr-defined]
    finally:
        manager.shutdown()
