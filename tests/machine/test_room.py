"""A machine lit for real: JupyterLab, agent and dead-man's timer as processes, from the user data of a launch."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud.sim.room import Room, RoomRefused, marked
from tests.loopback import address
from tests.machine.conftest import SECRET, Collector, Lit, until
from tests.machine.notebook import Notebook

pytestmark = [
    pytest.mark.alone,
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the machine room needs Linux"),
]

ONE, ADDRESS = "i-0room01", address(11)
ROOT = Path(__file__).resolve().parents[2]
ANSWER = {
    "lease_seconds_left": 3600,
    "kept_seconds_left": 0,
    "limits": {"quiet": 1800, "warn": 600, "blind": 900, "hung": 3600, "boot": 900, "unattended": None},
    "report_seconds": 1,
    "notice": "",
}


@pytest.fixture(scope="module")
def notebook(lit: Lit, collector: Collector, alone: "Alone") -> Notebook:
    """A machine that is up, in an environment that has secrets. Those that are alone burn down meanwhile."""
    collector.answer = dict(ANSWER)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_SECRET_ACCESS_KEY", "must-not-leak")
        patch.setenv("DATABASE_URL", "must-not-leak")
        lit.boot(ONE, ADDRESS, collector.url)
    up = Notebook(ADDRESS)
    until(up.ready, 20)
    return up


def next_reports(collector: Collector, count: int = 2) -> list[dict]:
    """The reports that come from now on."""
    seen = len(collector.reports)
    until(lambda: len(collector.reports) >= seen + count)
    return collector.reports[seen:]


def grown(collector: Collector, name: str, seconds: float) -> float:
    """By how much a counter grows in about so many seconds, per second."""
    first = next_reports(collector, 1)[-1]
    time.sleep(seconds)
    last = next_reports(collector, 1)[-1]
    return (last[name] - first[name]) / (last["uptime_s"] - first["uptime_s"])


# ------------------------------------------------------------------ the notebook
def test_jupyterlab_answers_with_its_token_only(notebook: Notebook) -> None:
    assert notebook.ready()
    assert notebook.call("/api/kernels", token="wrong") == 403
    assert notebook.call("/api/kernels", token="") == 403


def test_the_token_is_in_no_command_line(notebook: Notebook, lit: Lit) -> None:
    lines = [Path(f"/proc/{pid}/cmdline").read_text() for pid in marked(lit.room.root(ONE))]
    assert any("jupyter-lab" in line for line in lines)
    assert not any(notebook.token in line for line in lines)


def test_a_cell_runs_in_the_machines_own_home_and_knows_no_secret_of_the_portal(notebook: Notebook, lit: Lit) -> None:
    kernel = notebook.kernel()
    kernel.run("open('kept.txt', 'w').write('still here')")
    assert (lit.room.root(ONE) / "home/ubuntu/kept.txt").read_text() == "still here"
    known = json.loads(kernel.run("import json, os; print(json.dumps(dict(os.environ)))"))
    assert known["LAMPLIGHTER_MACHINE"] == ONE
    assert "must-not-leak" not in known.values()
    assert not {"AWS_SECRET_ACCESS_KEY", "DATABASE_URL", "LAMPLIGHTER_SECRET_KEY", "LAMPLIGHTER_DEMO"} & set(known)


def test_it_listens_on_its_own_address_only(notebook: Notebook) -> None:
    assert Notebook(address(109)).call("/api/status") == 0


# ------------------------------------------------------------------ the agent
def test_reports_tell_who_and_how_long(notebook: Notebook, collector: Collector) -> None:
    one, two = next_reports(collector)[:2]
    assert collector.secrets == {f"Bearer m0room01:{SECRET}"}
    assert one["boot_id"] == two["boot_id"]
    assert 0.5 < two["uptime_s"] - one["uptime_s"] < 5
    assert abs((two["uptime_s"] - one["uptime_s"]) - (two["at"] - one["at"])) < 1
    assert two["uptime_s"] < 120  # of this machine, not of the computer below it
    assert len(json.dumps(two)) < 1000


def test_a_quiet_machine_looks_quiet(notebook: Notebook, collector: Collector) -> None:
    """An idle kernel, JupyterLab itself and the agent stay far below the floor of a tenth of a core."""
    until(lambda: grown(collector, "cpu_s", 1) < 0.05, 60, "the kernel does not come to rest")
    assert grown(collector, "cpu_s", 3) < 0.05
    last = collector.reports[-1]
    assert (last["kernels_busy"], last["gpu_busy_s"], last["net_rx_bytes"]) == (0, 0, 0)


def test_asking_does_not_count_as_use(notebook: Notebook, collector: Collector) -> None:
    before = notebook.call("/api/status")["last_activity"]
    next_reports(collector, 3)  # each asks the notebook for its kernels
    assert notebook.call("/api/status")["last_activity"] == before


def test_a_busy_cell_raises_cpu_by_what_it_uses(notebook: Notebook, collector: Collector) -> None:
    kernel = notebook.kernel()
    kernel.run("import time")
    first = next_reports(collector, 1)[-1]
    kernel.run("t = time.process_time()\nwhile time.process_time() - t < 1.5: pass", seconds=60)
    last = next_reports(collector, 2)[-1]
    assert any(report["kernels_busy"] == 1 for report in collector.reports)
    assert 1.4 < last["cpu_s"] - first["cpu_s"] < 2.2


def test_a_sleeping_cell_only_says_busy(notebook: Notebook, collector: Collector) -> None:
    """Though it prints all the while: what a program prints is nobody's input."""
    kernel = notebook.kernel()
    kernel.send("import time\nfor n in range(8):\n    print(n, flush=True)\n    time.sleep(0.7)")
    until(lambda: collector.reports[-1]["kernels_busy"] == 1)
    first, last = next_reports(collector, 3)[::2]
    assert last["kernels_busy"] == 1
    assert last["cpu_s"] - first["cpu_s"] < 0.3
    assert last["human_age_s"] > first["human_age_s"]


def test_an_interrupt_ends_a_cell(notebook: Notebook, collector: Collector) -> None:
    kernel = notebook.kernel()
    kernel.send("import time\ntime.sleep(600)")
    until(lambda: collector.reports[-1]["kernels_busy"] == 1)
    notebook.call(f"/api/kernels/{kernel.id}/interrupt", "POST")
    until(lambda: collector.reports[-1]["kernels_busy"] == 0)


def test_typing_is_a_person_and_output_is_not(notebook: Notebook, collector: Collector, lit: Lit) -> None:
    terminal = notebook.type_in_terminal("while sleep 0.3; do date; done\r")
    until(lambda: collector.reports[-1]["human_age_s"] is not None and collector.reports[-1]["human_age_s"] < 3)
    time.sleep(9)  # the kernel notes the time of input in steps of 8 seconds
    first, last = next_reports(collector, 2)[:2]
    assert last["human_age_s"] > first["human_age_s"] > 5
    terminal.send(json.dumps(["stdin", "\x03"]))
    time.sleep(0.3)
    terminal.send(json.dumps(["stdin", "touch typed\r"]))
    until((lit.room.root(ONE) / "home/ubuntu/typed").exists)
    assert next_reports(collector, 2)[-1]["human_age_s"] < 5
    terminal.close()


def test_work_in_a_terminal_counts_even_in_short_lived_children(
    notebook: Notebook, collector: Collector, lit: Lit
) -> None:
    """No kernel, and no single process lives long enough to be seen twice: as make and shell scripts do."""
    home = lit.room.root(ONE) / "home/ubuntu"
    (home / "many.sh").write_text("for n in $(seq 150); do seq 100000 >/dev/null; done; times >t; mv t used\n")
    first = next_reports(collector, 1)[-1]
    terminal = notebook.type_in_terminal("sh many.sh\r")
    until((home / "used").exists, 60)
    last = next_reports(collector, 2)[-1]
    terminal.close()
    used = sum(60 * float(m) + float(s) for m, s in re.findall(r"(\d+)m([\d.]+)s", (home / "used").read_text()))
    assert used > 0.1
    assert used * 0.8 < last["cpu_s"] - first["cpu_s"] < used + 1


def test_gpu_seconds_are_sampled_each_second(notebook: Notebook, collector: Collector, lit: Lit) -> None:
    switch = lit.room.root(ONE) / "sim/gpu_percent"
    switch.parent.mkdir(exist_ok=True)
    switch.write_text("93")
    try:
        assert 0.5 < grown(collector, "gpu_busy_s", 2) < 1.5
    finally:
        switch.write_text("0")


def test_the_notice_of_the_portal_reaches_every_terminal_once(
    notebook: Notebook, collector: Collector, lit: Lit
) -> None:
    collector.answer = {**ANSWER, "notice": "It stops at 18:40."}
    next_reports(collector, 3)
    collector.answer = dict(ANSWER)
    assert (lit.room.root(ONE) / "run/wall").read_text().count("It stops at 18:40.") == 1


def test_an_absurd_answer_does_not_hurt_the_agent(notebook: Notebook, collector: Collector) -> None:
    for absurd in ({"limits": {"nonsense": 1}}, {"lease_seconds_left": "soon"}, {"limits": 3}, None):
        collector.answer = absurd
        next_reports(collector, 1)
    collector.answer = dict(ANSWER)
    pid = collector.reports[-1]["boot_id"]
    assert next_reports(collector)[-1]["boot_id"] == pid


# ------------------------------------------------------------------ off and on again
def test_halt_ends_every_process_and_the_next_boot_finds_the_files(
    notebook: Notebook, collector: Collector, lit: Lit
) -> None:
    root = lit.room.root(ONE)
    kernel = notebook.kernel()
    kernel.run("open('kept.txt', 'w').write('still here')")
    hidden = kernel.run(
        "import subprocess; p = subprocess.Popen(['setsid', 'env', '-i', 'sleep', '600']); print(p.pid)"
    )
    subprocess.run(["kill", "-0", hidden.strip()], check=True)
    first_boot = next_reports(collector, 1)[-1]["boot_id"]
    lit.room.halt(ONE)
    assert marked(root) == set()
    assert not Path(f"/proc/{hidden.strip()}").exists()
    assert not notebook.ready()
    assert ONE not in lit.off  # it was told to: nobody powered it off from inside
    seen = len(collector.reports)
    lit.boot(ONE, ADDRESS, collector.url)
    until(notebook.ready, 20)
    until(lambda: len(collector.reports) > seen)
    assert collector.reports[-1]["boot_id"] != first_boot
    assert collector.reports[-1]["uptime_s"] < 20
    assert notebook.kernel().run("print(open('kept.txt').read())").strip() == "still here"


def test_shutdown_from_inside_powers_the_machine_off_and_nothing_else(notebook: Notebook, lit: Lit) -> None:
    notebook.kernel().send("import os; os.system('shutdown -h now')")
    until(lambda: ONE in lit.off)
    assert marked(lit.room.root(ONE)) == set()
    lit.room.erase(ONE)
    assert not lit.room.root(ONE).exists()


# ------------------------------------------------------------------ the machine alone
def agents_of(lit: Lit, cloud_id: str) -> set[int]:
    pids = marked(lit.room.root(cloud_id))
    return {pid for pid in pids if "lamplighter_agent" in Path(f"/proc/{pid}/cmdline").read_text()}


def kill_agent(lit: Lit, cloud_id: str) -> None:
    """The agent, and before it what would start it again."""
    agents = agents_of(lit, cloud_id)
    assert len(agents) == 1
    parents = {int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]) for pid in agents}
    for pid in [*parents, *agents]:
        os.kill(pid, signal.SIGKILL)


@dataclass
class Alone:
    """Machines without a portal, all at once; when each was booted, and the last time one heard of a lease."""

    rearmed: float
    last_heard: float
    unheard: float
    unused: float


NOBODY = "http://127.0.0.1:9"  # refuses


@pytest.fixture(scope="module")
def alone(lit: Lit) -> Alone:
    """i-0rearmed was given a longer lease, then portal and agent die. i-0unheard never reached anybody, and its agent
    and its deadline are removed. i-0over is told that its lease is over. i-0unused is never used."""
    portal, late = Collector({**ANSWER, "lease_seconds_left": 7}), Collector(ANSWER, lease_ends=time.monotonic())
    unheard = lit.boot(lit.without_notebook("i-0unheard"), address(13), NOBODY, lease=6)
    rearmed = lit.boot(lit.without_notebook("i-0rearmed"), address(12), portal.url, lease=6)
    lit.boot(lit.without_notebook("i-0over"), address(14), late.url, lease=3600)
    unused = lit.boot(lit.without_notebook("i-0unused"), address(15), NOBODY, quiet_seconds=6, warn_seconds=3)
    deadline = lit.room.root("i-0unheard") / "run/lamplighter/deadline"
    until(lambda: deadline.exists() and agents_of(lit, "i-0unheard"))
    kill_agent(lit, "i-0unheard")
    deadline.unlink()
    until(lambda: len(portal.reports) >= 3)
    kill_agent(lit, "i-0rearmed")
    portal.close()
    until(lambda: "i-0over" in lit.off)
    late.close()
    return Alone(rearmed, portal.reports[-1]["at"], unheard, unused)


def test_with_portal_and_agent_dead_the_timer_powers_off_when_the_last_lease_it_heard_of_ends(
    lit: Lit, alone: Alone
) -> None:
    until(lambda: "i-0rearmed" in lit.off)
    assert lit.off["i-0rearmed"] - alone.rearmed > 6 + 2  # when its first lease and the margin were over
    assert 7 + 2 - 1 <= lit.off["i-0rearmed"] - alone.last_heard <= 7 + 2 + 4


def test_a_machine_that_never_reached_anybody_ends_with_its_first_lease(lit: Lit, alone: Alone) -> None:
    until(lambda: "i-0unheard" in lit.off)
    assert 6 + 2 <= lit.off["i-0unheard"] - alone.unheard <= 6 + 2 + 6


def test_reporting_does_not_push_a_lease_on_that_is_over(lit: Lit, alone: Alone) -> None:
    assert "i-0over" in lit.off


def test_an_unused_machine_warns_and_then_puts_itself_out(lit: Lit, alone: Alone) -> None:
    until(lambda: "i-0unused" in lit.off)
    tabs = 15  # seconds that open notebooks have to save themselves, before the machine puts itself out
    assert 6 + 1 <= lit.off["i-0unused"] - alone.unused <= 6 + 1 + tabs + 8
    assert "powers off" in (lit.room.root("i-0unused") / "run/wall").read_text()


# ------------------------------------------------------------------ the room
def test_only_loopback_addresses_are_lit(lit: Lit) -> None:
    for elsewhere in ("10.0.0.7", "0.0.0.0", "192.168.1.4"):
        with pytest.raises(RoomRefused, match="shell"):
            lit.room.boot("i-0open", elsewhere, "")
    assert not lit.room.root("i-0open").exists()
    with pytest.raises(RoomRefused):
        lit.room.boot("../out", address(19), "")


def config(**parts: object) -> str:
    return "#cloud-config\n" + json.dumps(parts)


def test_what_is_done_once_is_done_once_and_what_is_per_boot_each_time(lit: Lit) -> None:
    def count(word: str) -> list[str]:
        return ["sh", "-c", f"echo {word} >> $HOME/order"]

    script = {"path": "/var/lib/cloud/scripts/per-boot/x", "permissions": "0755"}
    per_boot = {**script, "content": "#!/bin/sh\necho per-boot >> $HOME/order\n"}
    text = config(bootcmd=[count("bootcmd")], write_files=[per_boot], runcmd=["echo runcmd >> $HOME/order"])
    order = lit.room.root("i-0once") / "home/ubuntu/order"
    for boots, expected in ((1, "bootcmd per-boot runcmd"), (2, "bootcmd per-boot runcmd bootcmd per-boot")):
        lit.room.boot("i-0once", address(16), text)
        until(lambda words=expected: order.exists() and order.read_text().split() == words.split(), why=f"boot {boots}")
        lit.room.halt("i-0once")


@pytest.mark.parametrize(
    "text",
    [
        config(write_files=[{"path": "/../../escaped", "content": "x"}]),
        config(write_files=[{"path": "/x", "content": "x", "encoding": "rot13"}]),
        "#!/bin/sh\ntouch /tmp/escaped\n",
        "#cloud-config\nwrite_files: [yaml]",
    ],
)
def test_bad_user_data_leaves_a_machine_that_is_on_and_does_nothing(lit: Lit, text: str) -> None:
    lit.room.erase("i-0bad")
    lit.room.boot("i-0bad", address(17), text)
    until(lambda: "cloud-init:" in lit.log("i-0bad", "cloud-init-output"))
    assert "i-0bad" not in lit.off
    assert not list(lit.room.folder.rglob("escaped"))
    lit.room.halt("i-0bad", force=True)


def test_a_new_room_ends_what_a_dead_one_left_burning(tmp_path: Path) -> None:
    text = config(runcmd=["sleep 600 & setsid sleep 601 &"])
    code = (
        "import sys, time; from cloud.sim.room import Room; r = Room(sys.argv[1], print);"
        f"r.boot('i-0left', '{address(18)}', sys.argv[2]); time.sleep(600)"
    )
    dead = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), text], cwd=ROOT)
    until(lambda: len(marked(tmp_path)) >= 3)
    dead.kill()
    dead.wait()
    assert len(marked(tmp_path)) >= 3
    Room(tmp_path, print).close()
    assert marked(tmp_path) == set()
