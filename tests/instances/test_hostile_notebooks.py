"""Whatever a student serves on the notebook's port: the rounds end in time, and see the others' notebooks."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest
from aiohttp import ClientSession

from cloud.fake_loads import FakeLoads
from instances import sweeps
from instances.models import Instance, Preset, SweepBeat
from instances.sweeps import asking
from instances.sweeps.asking import Question, ask_all
from spend.models import Budget
from tests.instances.conftest import Stage, fresh
from tests.instances.hostile_notebooks import FLOODS, LIES, OK, PAUSE, SLOW, Notebook, well
from tests.loopback import address

HOSTILE = {**SLOW, **FLOODS, **LIES}
ENOUGH = 12.0  # seconds for a round, also on a computer that is busy with other things


@contextmanager
def served(names: list[str], *, last: int) -> Iterator[Notebook]:
    """Each of them at an address of its own, from 1 on; and one that answers well, whose number is `last`."""
    with ExitStack() as stack:
        for number, name in enumerate(names, 1):
            pause = PAUSE if name in SLOW else 0
            stack.enter_context(Notebook(address(number), HOSTILE[name], pause=pause))
        yield stack.enter_context(Notebook(address(last), well))


@contextmanager
def in_time(seconds: float = ENOUGH) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < seconds


def machines(stage: Stage, count: int) -> list[Instance]:
    """They run, each at an address of this test's own, and no notebook has answered yet."""
    Preset.objects.update(per_person=count)
    Budget.objects.update(amount_usd=5000)
    stage.notebook_answers = False
    rows = [stage.launch() for _n in range(count)]
    stage.repair()
    for number, row in enumerate(rows, 1):
        Instance.objects.filter(pk=row.pk).update(private_ip=address(number))
    return [fresh(row) for row in rows]


# ------------------------------------------------------------------ the rounds
def test_slow_and_hostile_notebooks_keep_no_other_from_being_ready_nor_the_round_from_its_end(stage: Stage) -> None:
    *hostile, good = rows = machines(stage, len(HOSTILE) + 1)
    stage.later(60)
    with served(list(HOSTILE), last=len(rows)), in_time():
        sweeps.repair(stage.cloud, stage.now)
    assert fresh(good).notebook_ready_at == stage.now
    assert SweepBeat.objects.get(name="repair").finished_at >= stage.now
    silent = {name for name, row in zip(HOSTILE, hostile, strict=True) if fresh(row).notebook_ready_at is None}
    assert silent >= {"status line, dripped", "head, dripped", "interim answers", "head without end", "nothing"}


def test_slow_and_hostile_notebooks_blind_the_second_eye_for_themselves_alone(stage: Stage) -> None:
    *hostile, good = rows = machines(stage, len(HOSTILE) + 1)
    Instance.objects.update(last_report_at=stage.now - timedelta(minutes=30))
    with served(list(HOSTILE), last=len(rows)), in_time():
        assert sweeps.look(FakeLoads(), stage.now) == len(rows)
    assert SweepBeat.objects.get(name="look").finished_at >= stage.now
    assert (fresh(good).eye_saw, fresh(good).last_active_at) == ("notebook", stage.now)
    assert {name: fresh(row).eye_saw for name, row in zip(HOSTILE, hostile, strict=True)} == dict.fromkeys(HOSTILE, "")


# ------------------------------------------------------------------ the questions
def test_what_is_asked_leaves_no_thread_and_no_open_file() -> None:
    threads, files = threading.active_count(), len(os.listdir("/proc/self/fd"))
    questions = [Question(f"{address(n)}:8888", "/api", "t", 1000) for n in range(1, len(HOSTILE) + 2)]
    with served(list(HOSTILE), last=len(questions)), in_time():
        assert ask_all(questions, 1.0)[-1] is not None
    deadline = time.monotonic() + 5  # the servers are threads of this process, too, and end when they notice
    while threading.active_count() > threads and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= threads
    assert len(os.listdir("/proc/self/fd")) <= files


def test_a_round_has_an_end_of_its_own_however_many_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "ROUND_SECONDS", 1.5)
    monkeypatch.setattr(asking, "AT_ONCE", 1)
    questions = [Question(f"{address(1)}:8888", "/api")] * 10
    with served(["nothing"], last=2), in_time(5.0):
        assert ask_all(questions, 1.0) == [None] * 10


def test_they_are_asked_in_another_order_each_time_and_told_in_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else, where a round is too short for all, the same ones would never be asked."""
    asked: list[str] = []

    async def ask(_session: ClientSession, question: Question) -> bytes:
        asked.append(question.path)
        return question.path.encode()

    monkeypatch.setattr(asking, "_ask", ask)
    paths = [f"/{n}" for n in range(50)]
    assert ask_all([Question("127.0.0.1:1", path) for path in paths], 1.0) == [path.encode() for path in paths]
    assert sorted(asked) == sorted(paths)
    assert asked != paths


def test_no_redirect_of_a_machine_is_followed() -> None:
    away = OK.replace(b"200 OK", b"302 Found") + b"Location: http://%b:8888/\r\n" % address(2).encode()
    with Notebook(address(1), lambda: iter([away + b"Content-Length: 0\r\n\r\n"])), served([], last=2) as inner:
        assert ask_all([Question(f"{address(1)}:8888", "/api", "t", 1000)], 1.0) == [None]
        assert inner.asked == []


def test_only_its_own_token_is_told_to_a_machine_and_nothing_packed_is_asked_for() -> None:
    with served([], last=1) as notebook:
        assert ask_all([Question(f"{address(1)}:8888", "/api", "its-token", 1000)], 1.0) != [None]
    [asked] = notebook.asked
    assert b"Authorization: token its-token" in asked
    assert b"Accept-Encoding: identity" in asked
