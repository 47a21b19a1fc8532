"""Real processes that do something to the test database at the same instant. For tests with transactional_db.

    outcomes = race([partial(launch, 1), partial(launch, 2)])

Each function runs in a process of its own, with its own connection that is open before the start signal. The
processes are forks of the test: functions may be closures, and what the test has patched is patched there, too.
"""

import multiprocessing
import os
import pickle
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Barrier
from time import monotonic, sleep
from typing import Any

from django.db import connections, transaction

# Of two that meet: the second comes so many seconds after the first, which is not done before the pause is over.
SOON, PAUSE = 0.3, 1.0
_fork = multiprocessing.get_context("fork")


@dataclass(frozen=True)
class Outcome:
    """What one function returned, or what it raised."""

    value: Any = None
    error: BaseException | None = None

    @property
    def ok(self) -> bool:
        return self.error is None


def race(functions: Sequence[Callable[[], Any]], *, seconds: float = 60) -> list[Outcome]:
    """Run all at once; the outcomes in the order of the functions. Fails when one is not done after `seconds`."""
    connections.close_all()  # a connection must never be shared with a child
    start = _fork.Barrier(len(functions))
    pipes = [_fork.Pipe(duplex=False) for _f in functions]
    children = [
        _fork.Process(target=_child, args=(function, start, sender), daemon=True)
        for function, (_receiver, sender) in zip(functions, pipes, strict=True)
    ]
    for child in children:
        child.start()
    for _receiver, sender in pipes:
        sender.close()  # so that a killed child ends its pipe
    try:
        return [_receive(receiver, monotonic() + seconds) for receiver, _sender in pipes]
    finally:
        for child in children:
            child.kill()
            child.join()


def _child(function: Callable[[], Any], start: Barrier, sender: Connection) -> None:
    for connection in connections.all():
        connection.ensure_connection()
    start.wait(timeout=30)
    try:
        outcome = Outcome(value=function())
    except BaseException as error:
        outcome = Outcome(error=error)
    connections.close_all()
    sender.send_bytes(_pickled(outcome))
    sender.close()
    # Not through the interpreter's exit: pytest's own would run in every child.
    sys.stdout.flush()
    os._exit(0)


def _pickled(outcome: Outcome) -> bytes:
    """As it is when it survives the way; else the error's text."""
    try:
        data = pickle.dumps(outcome)
        pickle.loads(data)
    except Exception:
        said = "".join(traceback.format_exception(outcome.error)) if outcome.error else repr(outcome.value)
        return pickle.dumps(Outcome(error=RuntimeError(f"cannot be brought back from its process: {said}")))
    return data


def _receive(receiver: Connection, deadline: float) -> Outcome:
    if not wait([receiver], timeout=max(0, deadline - monotonic())):
        raise TimeoutError("a process of the race is not done: a deadlock?")
    try:
        found: Outcome = pickle.loads(receiver.recv_bytes())
    except EOFError:
        return Outcome(error=ChildProcessError("died without an answer"))
    return found


def after(seconds: float, act: Callable[[], Any]) -> Any:
    sleep(seconds)
    return act()


def slow_to_commit(act: Callable[[], Any]) -> Any:
    """All is written, and nobody sees it yet."""
    with transaction.atomic():
        done = act()
        sleep(PAUSE)
    return done
