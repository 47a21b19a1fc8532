"""On real processes: what a student can wait for, the end of it, and what is saved before a stop."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.loopback import address
from tests.machine.conftest import Collector, Lit, until
from tests.machine.notebook import Notebook

pytestmark = pytest.mark.alone

ADDRESS, ONE = address(41), "i-0doings"
ANSWER = {
    "lease_seconds_left": 3600,
    "kept_seconds_left": 0,
    "limits": {"quiet": 1800, "warn": 600, "blind": 900, "hung": 3600, "boot": 900, "of a newer portal": 1},
    "report_seconds": 1,
    "notice": "",
    "notice_url": "",
    "awaited": "",
    "stop_seconds_left": None,
    "save": {"script": "", "seconds": 5},
}


@pytest.fixture(scope="module")
def notebook(lit: Lit, collector: Collector) -> Notebook:
    collector.answer = dict(ANSWER)
    lit.boot(ONE, ADDRESS, collector.url)
    up = Notebook(ADDRESS)
    until(up.ready, 60)
    until(lambda: collector.reports)
    return up


@pytest.fixture(autouse=True)
def _usual_answer(collector: Collector) -> Iterator[None]:
    yield
    collector.answer = dict(ANSWER)


def doings(collector: Collector) -> list[dict]:
    return collector.reports[-1]["doings"]


def named(collector: Collector, name: str) -> dict | None:
    return next((one for one in doings(collector) if one["name"].startswith(name)), None)


def gpu(lit: Lit, percent: int, *pids: int) -> None:
    folder = lit.room.root(ONE) / "sim"
    folder.mkdir(exist_ok=True)
    (folder / "gpu_percent").write_text(str(percent))
    (folder / "gpu_pids").write_text("\n".join(map(str, pids)))


def in_a_terminal(notebook: Notebook, lit: Lit, command: str) -> int:
    """Types it; returns the program's process id."""
    mark = lit.room.root(ONE) / "home/ubuntu/pid"
    mark.unlink(missing_ok=True)
    notebook.type_in_terminal(f"{command} & echo $! >pid\r")
    until(lambda: mark.exists() and mark.read_text().strip())
    return int(mark.read_text())


def test_a_kernel_and_a_program_are_told_by_number_and_short_name(
    notebook: Notebook, collector: Collector, lit: Lit
) -> None:
    kernel = notebook.kernel()
    pid = in_a_terminal(notebook, lit, "python3 -c 'import time; time.sleep(600)' --secret-argument")
    until(lambda: named(collector, f"python3 ({pid})") and named(collector, "kernel 1"))
    found = named(collector, "kernel 1")
    assert found["id"] == f"k:{kernel.id[:12]}"
    assert found["busy"] is False
    assert "secret" not in json.dumps(collector.reports[-1])
    assert not named(collector, "bash")
    assert len(json.dumps(collector.reports[-1])) < 4096
    Path(f"/proc/{pid}").stat()
    in_a_terminal(notebook, lit, f"kill {pid}")
    until(lambda: not named(collector, f"python3 ({pid})"))


def test_which_of_them_uses_the_gpu_and_how_much(notebook: Notebook, collector: Collector, lit: Lit) -> None:
    kernel = notebook.kernel()
    pid = int(kernel.run("import os; print(os.getpid())"))
    gpu(lit, 64, pid)
    try:
        until(lambda: (named(collector, "kernel 1") or {}).get("gpu") and collector.reports[-1]["gpu_percent"] == 64)
        assert doings(collector)[0]["name"] == "kernel 1"
    finally:
        gpu(lit, 0)


def test_cpu_is_in_per_cent_of_one_core(notebook: Notebook, collector: Collector, lit: Lit) -> None:
    pid = in_a_terminal(notebook, lit, "timeout 6 sh -c 'while :; do :; done'")
    until(lambda: max((one["cpu"] for one in doings(collector)), default=0) > 5)
    assert doings(collector)[0]["cpu"] <= 130
    assert doings(collector)[0]["name"].startswith("timeout")
    in_a_terminal(notebook, lit, f"kill {pid}")


def test_the_end_of_a_program_is_reported_once_saving_is_over(
    notebook: Notebook, collector: Collector, lit: Lit
) -> None:
    home = lit.room.root(ONE) / "home/ubuntu"
    pid = in_a_terminal(notebook, lit, "sleep 600")
    until(lambda: named(collector, f"sleep ({pid})"))
    task = named(collector, f"sleep ({pid})")["id"]
    script = {"script": "cp pid saved-pid; exit 3", "seconds": 2}
    collector.answer = {**ANSWER, "awaited": task, "save": script}
    seen = len(collector.reports)
    until(lambda: len(collector.reports) > seen + 2)
    assert collector.reports[-1]["done"] is None
    in_a_terminal(notebook, lit, f"kill {pid}")
    until(lambda: collector.reports[-1]["done"] is not None, 60)
    assert collector.reports[-1]["done"]["task"] == task
    assert collector.reports[-1]["saved"]["exit"] == 3
    assert (home / "saved-pid").exists()


def test_saving_begins_in_time_and_what_hangs_is_cut_off(notebook: Notebook, collector: Collector, lit: Lit) -> None:
    home = lit.room.root(ONE) / "home/ubuntu"
    cpu = collector.reports[-1]["cpu_s"]
    before = (collector.reports[-1]["saved"] or {"n": 0})["n"]
    hangs = "touch began; while :; do :; done"
    collector.answer = {**ANSWER, "stop_seconds_left": 6, "save": {"script": hangs, "seconds": 2}}
    until((home / "began").exists, 60)
    until(lambda: (collector.reports[-1]["saved"] or {"n": 0})["n"] == before + 1, 60)
    told = collector.reports[-1]["saved"]
    assert told["exit"] == -1
    assert told["seconds"] < 30
    time.sleep(2)
    assert collector.reports[-1]["saved"]["n"] == before + 1  # once for one stop
    # It used a whole core for two seconds, and that is no work of the student's.
    assert collector.reports[-1]["cpu_s"] - cpu < 1


def test_a_stop_by_a_click_saves_at_once_and_once(notebook: Notebook, collector: Collector, lit: Lit) -> None:
    home, before = lit.room.root(ONE) / "home/ubuntu", (collector.reports[-1]["saved"] or {"n": 0})["n"]
    collector.answer, seen = dict(ANSWER), len(collector.reports)
    until(lambda: len(collector.reports) > seen + 1)  # it knows that the stop of the test before is called off
    told = {"script": "touch clicked", "seconds": 2, "now": True}
    collector.answer = {**ANSWER, "stop_seconds_left": 600, "save": told}
    until((home / "clicked").exists, 60)
    until(lambda: (collector.reports[-1]["saved"] or {"n": 0})["n"] == before + 1, 60)
    assert collector.reports[-1]["saved"]["exit"] == 0
    collector.answer = dict(ANSWER)


def test_a_stop_that_is_called_off_saves_nothing(notebook: Notebook, collector: Collector, lit: Lit) -> None:
    before = (collector.reports[-1]["saved"] or {"n": 0})["n"]
    collector.answer = {**ANSWER, "stop_seconds_left": 600}
    seen = len(collector.reports)
    until(lambda: len(collector.reports) > seen + 2)
    assert (collector.reports[-1]["saved"] or {"n": 0})["n"] == before


def test_the_notice_lies_where_jupyterlab_finds_it(notebook: Notebook, collector: Collector, lit: Lit) -> None:
    link = "http://portal/keep/x"
    collector.answer = {**ANSWER, "notice": "It stops at 18:40.", "notice_url": link}
    until(lambda: notebook.call("/lab/extensions/lamplighter/static/notice.json")["text"] == "It stops at 18:40.")
    assert notebook.call("/lab/extensions/lamplighter/static/notice.json")["url"] == link
    collector.answer = dict(ANSWER)
    until(lambda: notebook.call("/lab/extensions/lamplighter/static/notice.json")["text"] == "")
