"""What goes on on this machine: GPU, the user's processes, network, people. Only looks, judges nothing.

Reads counters and short program names, never contents: no file names, no arguments, no output leave this file.
Python 3.8, nothing else.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass

from deadman import uptime
from idle import Work

GPU_SILENCE = 30.0  # seconds without a line after which nvidia-smi counts as stuck
GPU_RETRY = 5.0
TICKS = os.sysconf("SC_CLK_TCK")
# In a machine room many machines share one kernel; there the environment tells whose a process is.
MARK = os.environ.get("LAMPLIGHTER_MACHINE", "")
USER_GROUPS = ("user.slice", "lamplighter-notebook", "docker", "libpod")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the notebook is never behind a proxy


def read(path: str) -> str:
    """The file's text; empty if it is gone or not ours to read, as processes end at any moment."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


# ------------------------------------------------------------------ GPU
class Gpu:
    """Counts the seconds in which any GPU was busy. One reading a minute would miss most of them."""

    def __init__(self) -> None:
        self.busy_s = 0
        self._percents: list[int] = []
        self.line_at: float | None = None
        self.child: subprocess.Popen[str] | None = None
        if shutil.which("nvidia-smi"):
            threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        ask = ["nvidia-smi", "--query-gpu=index,utilization.gpu", "--format=csv,noheader,nounits", "-l", "1"]
        while True:
            try:
                self.child = subprocess.Popen(ask, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)  # noqa: S603
                self._follow(self.child)
                self.child.wait()
            except OSError:
                pass
            time.sleep(GPU_RETRY)

    def _follow(self, child: subprocess.Popen[str]) -> None:
        counted = False
        for line in child.stdout or ():
            index, _comma, percent = line.partition(",")
            if index.strip() == "0":
                counted = False  # a new second begins
            self.line_at = uptime()
            if percent.strip().isdigit():
                self._percents.append(int(percent))
            if not counted and percent.strip() not in ("", "0") and percent.strip().isdigit():
                self.busy_s, counted = self.busy_s + 1, True

    def percent(self) -> int | None:
        """How busy the GPUs were since this was asked last, on the average; None without a reading."""
        taken, self._percents = self._percents, []
        return round(sum(taken) / len(taken)) if taken else None

    def seconds(self) -> int | None:
        """None when a GPU that was readable no longer is: unknown, which is not idle."""
        if self.line_at is None or uptime() - self.line_at < GPU_SILENCE:
            return self.busy_s
        if self.child is not None and self.child.poll() is None:
            self.child.kill()  # stuck: start another one
        return None


# ------------------------------------------------------------------ processes of the user
@dataclass(frozen=True)
class Process:
    parent: int
    tty: int
    own_ticks: int
    kids_ticks: int  # of children that ended and were waited for
    io_bytes: int
    name: str = ""


def is_users(pid: int) -> bool:
    """Kernels, terminals, ssh sessions, containers and all they start; not the system, not the notebook server."""
    if MARK:
        if f"LAMPLIGHTER_MACHINE={MARK}" not in read(f"/proc/{pid}/environ").split("\0"):
            return False
    elif not _is_a_persons(pid):
        return False
    command = read(f"/proc/{pid}/cmdline").split("\0")[:2]
    return not any(word.endswith(("/jupyter-lab", "/jupyter-server")) for word in command)


def _is_a_persons(pid: int) -> bool:
    try:
        if 1000 <= os.stat(f"/proc/{pid}").st_uid < 65534:
            return True
    except OSError:
        return False
    group = read(f"/proc/{pid}/cgroup")  # sudo and containers run as root
    return any(name in group for name in USER_GROUPS)


def look_at(pid: int, our_session: int) -> tuple[tuple[int, int], Process] | None:
    """((pid, start), figures), or None if it is not the user's. Our own processes share one session."""
    stat = read(f"/proc/{pid}/stat")
    part = stat[stat.rfind(")") + 2 :].split()
    if len(part) < 20 or part[0] == "Z" or int(part[3]) == our_session or not is_users(pid):
        return None
    lines = (line.partition(":") for line in read(f"/proc/{pid}/io").splitlines())
    moved = sum(int(value) for name, _colon, value in lines if name in ("read_bytes", "write_bytes"))
    times = [int(word) for word in part[11:15]]
    name = stat[stat.find("(") + 1 : stat.rfind(")")]
    used = times[0] + times[1], times[2] + times[3]
    return (pid, int(part[19])), Process(int(part[1]), int(part[4]), *used, moved, name)


Table = dict  # (pid, start) -> Process


def user_processes() -> Table:
    session = os.getsid(0)
    looks = (look_at(int(name), session) for name in os.listdir("/proc") if name.isdigit())
    return dict(look for look in looks if look is not None)


def used_between(before: Table, after: Table) -> tuple[int, int]:
    """(CPU ticks, bytes read and written) between two looks; never negative when processes end.

    A waited-for child's ticks turn up once more with its parent: what was counted while it lived is taken off.
    """
    living = {pid for pid, _start in after}
    parents = {pid: process.parent for (pid, _start), process in before.items()}
    counted: Counter[int] = Counter()
    for key, process in before.items():
        if key not in after:
            heir = process.parent
            while heir not in living and heir in parents:
                heir = parents[heir]
            counted[heir] += process.own_ticks + process.kids_ticks
    ticks = moved = 0
    for key, process in after.items():
        old = before.get(key, Process(0, 0, 0, 0, 0))
        ticks += process.own_ticks - old.own_ticks + max(0, process.kids_ticks - old.kids_ticks - counted[key[0]])
        moved += max(0, process.io_bytes - old.io_bytes)
    return ticks, moved


def card_bytes() -> dict[str, tuple[int, int]]:
    """Received and sent. Bridges and loopback are no traffic of this machine, nor is a machine room's host's."""
    rows = (line.partition(":") for line in ("" if MARK else read("/proc/net/dev")).splitlines()[2:])
    return {
        name.strip(): (int(rest.split()[0]), int(rest.split()[8]))
        for name, _colon, rest in rows
        if os.path.exists(f"/sys/class/net/{name.strip()}/device")
    }


# ------------------------------------------------------------------ people
class People:
    """When somebody last did something: ran a cell or typed in a terminal. Open tabs and output are not input."""

    def __init__(self, notebook_url: str, token: str) -> None:
        self.at: float | None = None  # uptime
        self.kernels: dict[str, bool] = {}  # by id, in the order of their start: is it executing?
        self.heard = False  # whether the notebook answered when it was asked last
        self._url, self._token = notebook_url, token
        self._seen: dict[str, str] | None = None  # None: what was there before us tells nothing

    def look(self, table: Table) -> None:
        now_seen = {**self._terminals(table), **self._kernels()}
        if self._seen is not None and any(self._seen.get(key) != value for key, value in now_seen.items()):
            self.at = uptime()
        self._seen = {**(self._seen or {}), **now_seen}

    def _terminals(self, table: Table) -> dict[str, str]:
        """A terminal's access time moves, in steps of 8 seconds, when a program reads what was typed."""
        seen = {}
        for tty in {process.tty for process in table.values()}:
            major, minor = (tty >> 8) & 0xFF, (tty & 0xFF) | ((tty >> 12) & 0xFFF00)
            if 136 <= major <= 143:
                path = f"/dev/pts/{(major - 136) * 256 + minor}"
                try:
                    seen[path] = str(os.stat(path).st_atime)
                except OSError:
                    continue
        return seen

    def _kernels(self) -> dict[str, str]:
        """While a kernel is busy, its output moves `last_activity`: only that it became busy is somebody's doing."""
        # Without no_track_activity our own question would count as use.
        ask = urllib.request.Request(f"{self._url}/api/kernels?no_track_activity=1")  # noqa: S310
        ask.add_header("Authorization", f"token {self._token}")
        try:
            with DIRECT.open(ask, timeout=5) as answer:
                kernels = json.load(answer)
        except (OSError, ValueError):
            self.heard = False
            return {}  # not up yet, or starved by its kernels: what we knew stays
        self.kernels, self.heard = {k["id"]: k["execution_state"] == "busy" for k in kernels}, True
        return {k["id"]: "busy" if k["execution_state"] == "busy" else k["last_activity"] for k in kernels}


# ------------------------------------------------------------------ all of them
class Senses:
    """Counters since this object was made: they only grow."""

    def __init__(self, notebook_url: str, token: str) -> None:
        self.gpu = Gpu()
        self.people = People(notebook_url, token)
        self.work, self.sent_bytes = Work(), 0  # what was sent is no sign of work
        self.table, self._cards = user_processes(), card_bytes()

    @property
    def starts(self) -> dict[int, int]:
        """When each process that is there began, by its number."""
        return dict(iter(self.table))

    def sample(self) -> None:
        table, cards = user_processes(), card_bytes()
        ticks, moved = used_between(self.table, table)
        received = sum(max(0, now[0] - self._cards.get(name, now)[0]) for name, now in cards.items())
        self.sent_bytes += sum(max(0, now[1] - self._cards.get(name, now)[1]) for name, now in cards.items())
        self.table, self._cards = table, cards
        self.work = Work(
            gpu_busy_s=self.gpu.busy_s,
            cpu_s=self.work.cpu_s + ticks / TICKS,
            io_bytes=self.work.io_bytes + moved,
            net_rx_bytes=self.work.net_rx_bytes + received,
        )
        self.people.look(table)
