"""What runs on this machine that somebody could wait for: kernels, and programs started in a terminal.

Tells a program's short name, its number and what it uses; never its arguments, files or output.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess

from deadman import uptime
from senses import TICKS, Senses, read

MOST = 8
GPU_REST = 300.0  # "nothing uses the GPU": for so long (seconds)
KERNEL_REST = 30.0  # between two cells a kernel is idle for a moment
SHELLS = ("bash", "sh", "zsh", "fish", "dash", "tmux", "screen", "sshd", "systemd", "(sd-pam)", "su", "sudo", "login")


def gpu_pids() -> set[int]:
    """Who holds a part of a GPU; empty when that cannot be told."""
    if not shutil.which("nvidia-smi"):
        return set()
    ask = ["nvidia-smi", "--query-compute-apps=pid", "--format=csv,noheader"]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        told = subprocess.run(ask, capture_output=True, text=True, timeout=5, check=False).stdout  # noqa: S603
        return {int(word) for word in told.split() if word.isdigit()}
    return set()


class Doings:
    def __init__(self, senses: Senses) -> None:
        self.senses = senses
        self._numbers: dict[str, int] = {}  # kernel id -> which one it was to start
        self._ticks: dict[tuple[int, int], int] = {}
        self._at = uptime()
        self._awaited, self._rest_since, self._gpu_seen = ("", ""), uptime(), -1

    def look(self) -> list[dict]:
        """The busiest first; `cpu` in per cent of one core since the look before."""
        table, kernels = self.senses.table, self.senses.people.kernels
        for kernel in kernels:
            self._numbers.setdefault(kernel, len(self._numbers) + 1)
        now, holders = uptime(), gpu_pids()
        heads = {key: self._head(key, kernels) for key in table}
        found: dict[str, dict] = {k: self._entry(k, f"kernel {self._numbers[k]}") for k in kernels}
        for k, busy in kernels.items():
            found[k]["busy"] = busy
        for (pid, start), process in table.items():
            head = heads[pid, start]
            if head is None:
                continue
            entry = found.setdefault(head[0], self._entry(*head))
            used = process.own_ticks - self._ticks.get(
                (pid, start), 0 if start > self._at * TICKS else process.own_ticks
            )
            entry["cpu"] += used
            entry["gpu"] = entry["gpu"] or pid in holders
        spent = max(1.0, now - self._at) * TICKS
        for entry in found.values():
            entry["cpu"] = round(100 * entry["cpu"] / spent)
        self._ticks, self._at = {key: process.own_ticks for key, process in table.items()}, now
        return sorted(found.values(), key=lambda e: (not e["gpu"], -e["cpu"], e["id"]))[:MOST]

    def _entry(self, task: str, name: str) -> dict:
        return {
            "id": task if task.startswith("p:") else f"k:{task[:12]}",
            "name": name[:40],
            "busy": True,
            "cpu": 0,
            "gpu": False,
        }

    def _head(self, key: tuple[int, int], kernels: dict[str, bool]) -> tuple[str, str] | None:
        """The kernel, or the outermost program below a shell, that this process belongs to."""
        starts = self.senses.starts
        chain: list[tuple[int, int]] = []
        pid = key[0]
        while pid in starts and len(chain) < 64:
            chain.append((pid, starts[pid]))
            pid = self.senses.table[pid, starts[pid]].parent
        for one in chain:
            kernel = self._kernel(one[0], kernels)
            if kernel:
                return kernel, f"kernel {self._numbers[kernel]}"
        named = [(one, self.senses.table[one].name) for one in chain]
        programs = [(one, name) for one, name in named if name not in SHELLS]
        if not programs:
            return None
        (pid, start), name = programs[-1]
        return f"p:{pid}:{start}", f"{name} ({pid})"

    def _kernel(self, pid: int, kernels: dict[str, bool]) -> str | None:
        """Jupyter names a kernel's connection file after it."""
        words = read(f"/proc/{pid}/cmdline") if kernels else ""
        return next((k for k in kernels if f"kernel-{k}.json" in words), None)

    def over(self, task: str, chosen: str = "") -> bool:
        """Whether what is waited for has ended: the program is gone, the kernel's cell is done, the GPU is at rest.
        A rest counts from when it was `chosen`: what was at rest before that was chosen all the same."""
        now = uptime()
        if (task, chosen) != self._awaited:
            self._awaited, self._rest_since = (task, chosen), now
        if task.startswith("p:"):
            return tuple(map(int, task.split(":")[1:])) not in self.senses.table
        if task.startswith("k:"):
            busy = any(busy for k, busy in self.senses.people.kernels.items() if k[:12] == task[2:])
            rests = not busy and self.senses.people.heard
        else:
            seconds = self.senses.gpu.seconds()
            rests, self._gpu_seen = (
                seconds is not None and seconds == self._gpu_seen,
                seconds if seconds is not None else -1,
            )
        if not rests:
            self._rest_since = now
        return now - self._rest_since >= (KERNEL_REST if task.startswith("k:") else GPU_REST)
