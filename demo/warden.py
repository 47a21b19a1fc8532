"""Outlives the launcher by a moment: when the launcher is gone, however it went, ends every process group it started.

The launcher holds the writing end of our standard input. It writes the number of each group that it starts, and the
same number with a minus when that group has ended. End of file means that the launcher is gone: after an orderly
stop there is nothing left to do; after a kill there is all of it.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

PROC = Path("/proc")  # Linux; elsewhere signal 0 must do
GRACE_SECONDS = 10.0


def remaining(lines: Iterable[str]) -> set[int]:
    groups: set[int] = set()
    for line in lines:
        number = int(line)
        groups.add(number) if number > 0 else groups.discard(-number)
    return groups


def alive(groups: Iterable[int]) -> set[int]:
    """Those with a process that still runs. One that has ended and was never waited for does not run.

    Such a one answers to signal 0 all the same; in a container whose first process waits for nobody, for ever.
    """
    if PROC.exists():
        return _running_groups() & set(groups)
    found = set()
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, 0)
            found.add(group)
    return found


def _running_groups() -> set[int]:
    found = set()
    for path in PROC.glob("[0-9]*/stat"):
        with suppress(OSError):
            # "number (name) state parent group ...", and the name may hold blanks and brackets itself
            state, _parent, group = path.read_text().rpartition(")")[2].split()[:3]
            if state not in "ZX":
                found.add(int(group))
    return found


def end(groups: Iterable[int], *, grace_seconds: float = GRACE_SECONDS, hurry: Callable[[], bool] = bool) -> None:
    """Asks each group to stop, waits, and kills what is left. `hurry` cuts the waiting short."""
    left = alive(groups)
    for sent in (signal.SIGTERM, signal.SIGKILL):
        for group in left:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(group, sent)
        deadline = time.monotonic() + grace_seconds
        while (left := alive(left)) and time.monotonic() < deadline and not hurry():
            time.sleep(0.05)


def main() -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    end(remaining(sys.stdin))


if __name__ == "__main__":
    main()
