"""The machine room: real processes behind the simulated AWS's machines. A folder is a disk, 127.n.x.y an address.

For demo and tests, on Linux only: other systems have no loopback addresses but one. What runs here runs with the
rights of whoever started it, so it listens on loopback addresses only, and gets none of the portal's secrets.
"""

import ipaddress
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

logger = logging.getLogger(__name__)
HERE = Path(__file__).resolve().parent
SHIMS = HERE / "shims"
INIT = HERE / "init.py"
PATROL_SECONDS = 0.2
KILL_SECONDS = 10.0
GIT_HOST = "https://git.demo.edu/"
_IN_MEMORY = ("run", "tmp")
INIT_GRACE_SECONDS = 6.0  # init's own three, and then some


class RoomRefused(Exception):
    """This machine must not or cannot be booted here; the message says why."""


@dataclass
class _Lit:
    """A machine that is on."""

    init: "subprocess.Popen[bytes]"
    root: Path
    halting: bool = False


class Room:
    """Boots, halts and erases machines. `on_power_off(cloud_id)` is called, from a thread of the room's, when a
    machine goes out by itself."""

    def __init__(
        self,
        folder: Path | str,
        on_power_off: Callable[[str], None],
        repositories: Path | None = None,
        image: Path | None = None,
    ) -> None:
        """`repositories`: a folder of git repositories that machines find at https://git.demo.edu/. `image`: what a
        new disk begins with, if there is such a folder."""
        if not sys.platform.startswith("linux"):
            raise RoomRefused("the machine room needs Linux: only there every 127.x.y.z is this computer")
        self.folder = Path(folder).resolve()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._on_power_off = on_power_off
        self._image = image
        self._more_environment = _git_host(repositories) if repositories else {}
        self._lit: dict[str, _Lit] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()
        end_marked(self.folder)  # what a room that died left burning
        self._watchman = threading.Thread(target=self._patrol, name="machine-room", daemon=True)
        self._watchman.start()

    def boot(self, cloud_id: str, private_ip: str, user_data: str) -> None:
        """Returns at once; what is on the disk from the last run is still there. Raises RoomRefused."""
        if not ipaddress.ip_address(private_ip).is_loopback:
            raise RoomRefused(f"{private_ip} is not a loopback address: a notebook is a shell on this computer")
        with self._lock:
            if cloud_id in self._lit:
                return
            root = self._disk(cloud_id)
            if self._image and self._image.exists() and not root.exists():
                shutil.copytree(self._image, root, symlinks=True)
            _lay_out(root, user_data)
            with open(root / "var/log/cloud-init-output.log", "ab") as log:
                init = subprocess.Popen(
                    [sys.executable, "-I", str(INIT)],
                    cwd=root,
                    env=_environment(root, cloud_id, private_ip) | self._more_environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            (root / "run/init.pid").write_text(str(init.pid))
            self._lit[cloud_id] = _Lit(init, root)

    def halt(self, cloud_id: str, *, force: bool = False) -> None:
        """Blocks until its processes are gone. Nothing to do for a machine that is off."""
        with self._lock:
            lit = self._lit.get(cloud_id)
            if lit is None:
                return
            lit.halting = True
        if not force:
            lit.init.terminate()
            try:
                lit.init.wait(INIT_GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                logger.warning("%s does not shut down, cut off", cloud_id)
        self._put_out(cloud_id, lit)

    def erase(self, cloud_id: str) -> None:
        """The disk is gone for good. Ends the machine first."""
        self.halt(cloud_id, force=True)
        shutil.rmtree(self._disk(cloud_id), ignore_errors=True)

    def restart(self, cloud_id: str, private_ip: str, user_data: str) -> None:
        self.halt(cloud_id)
        self.boot(cloud_id, private_ip, user_data)

    def keep_disk(self, cloud_id: str, snapshot_id: str) -> int:
        """A copy of the disk as it is now, of a machine that is on, too; returns its bytes."""
        kept = self._kept(snapshot_id)
        shutil.rmtree(kept, ignore_errors=True)
        kept.mkdir(parents=True)
        disk = self._disk(cloud_id)
        lasting = [str(part) for part in disk.iterdir() if part.name not in _IN_MEMORY] if disk.exists() else []
        if lasting:  # a file that goes away meanwhile is no failure: AWS's copy shows one moment, this one shows two
            subprocess.run(["cp", "-a", *lasting, str(kept)], check=False, capture_output=True)
        return sum(one.stat().st_size for one in kept.rglob("*") if one.is_file() and not one.is_symlink())

    def forget_disk(self, snapshot_id: str) -> None:
        shutil.rmtree(self._kept(snapshot_id), ignore_errors=True)

    def fill_disk(self, cloud_id: str, snapshot_id: str) -> None:
        """A new machine begins with what the copy holds; one that has a disk keeps it."""
        disk, kept = self._disk(cloud_id), self._kept(snapshot_id)
        if not disk.exists() and kept.exists():
            draft = disk.with_name(f"{cloud_id}.draft")
            shutil.rmtree(draft, ignore_errors=True)
            subprocess.run(["cp", "-a", str(kept), str(draft)], check=True)
            draft.rename(disk)

    def _kept(self, snapshot_id: str) -> Path:
        if not snapshot_id.replace("-", "").isalnum():
            raise RoomRefused(f"{snapshot_id!r} is not a snapshot's id")
        return self.folder.parent / "snapshots" / snapshot_id

    def close(self) -> None:
        """Every process ended, disks kept."""
        self._closed.set()
        with self._lock:
            on = list(self._lit)
        haltings = [threading.Thread(target=self.halt, args=(cloud_id,)) for cloud_id in on]
        for halting in haltings:
            halting.start()
        for halting in haltings:
            halting.join()
        if self._watchman is not threading.current_thread():
            self._watchman.join()

    def root(self, cloud_id: str) -> Path:
        """Where the machine's disk begins."""
        return self._disk(cloud_id)

    def _disk(self, cloud_id: str) -> Path:
        if not cloud_id or not cloud_id.replace("-", "").isalnum():
            raise RoomRefused(f"{cloud_id!r} is not a machine's id")
        return self.folder / cloud_id

    def _put_out(self, cloud_id: str, lit: _Lit) -> None:
        lit.init.kill()
        lit.init.wait()
        end_marked(lit.root)
        with self._lock:
            self._lit.pop(cloud_id, None)

    def _patrol(self) -> None:
        """A machine whose first process ended has powered itself off."""
        while not self._closed.wait(PATROL_SECONDS):
            with self._lock:
                out = [(i, lit) for i, lit in self._lit.items() if not lit.halting and lit.init.poll() is not None]
                for _cloud_id, lit in out:
                    lit.halting = True
            for cloud_id, lit in out:
                self._put_out(cloud_id, lit)
                try:
                    self._on_power_off(cloud_id)
                except Exception:  # one deaf listener must not leave the other machines unwatched
                    logger.exception("nobody took note that %s powered off", cloud_id)


# ------------------------------------------------------------------ disk and environment
def _lay_out(root: Path, user_data: str) -> None:
    """A disk with the folders that a fresh image has; what is in memory is gone after every boot."""
    for memory in _IN_MEMORY:
        shutil.rmtree(root / memory, ignore_errors=True)
    for name in ("run", "tmp", "home/ubuntu", "var/log", "var/lib/cloud", "etc"):
        (root / name).mkdir(parents=True, exist_ok=True)
    data = root / "var/lib/cloud/user-data"
    data.touch(mode=0o600)
    data.write_text(user_data)


def _environment(root: Path, cloud_id: str, private_ip: str) -> dict[str, str]:
    """All that a machine inherits: never the environment of whoever runs the room, which holds secrets."""
    path = [str(SHIMS), str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin"]
    return {
        "PATH": ":".join(path),
        "HOME": str(root / "home/ubuntu"),
        "TMPDIR": str(root / "tmp"),
        "SHELL": "/bin/bash",
        "LANG": "C.UTF-8",
        "LAMPLIGHTER_ROOT": str(root),
        "LAMPLIGHTER_BIND": private_ip,
        "LAMPLIGHTER_MACHINE": cloud_id,
    }


def _git_host(repositories: Path) -> dict[str, str]:
    """For git on the machines, a folder of this computer stands for a server of the internet."""
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{repositories.resolve()}/.insteadOf",
        "GIT_CONFIG_VALUE_0": GIT_HOST,
    }


# ------------------------------------------------------------------ what belongs to a disk
def marked(folder: Path) -> set[int]:
    """Processes of machines whose disk is this folder or lies in it; kernels and terminals start sessions of their
    own, but everybody inherits the environment."""
    found = set()
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            environ = Path(f"/proc/{name}/environ").read_bytes()
        except OSError:
            continue
        for variable in environ.split(b"\0"):
            key, _equals, value = variable.partition(b"=")
            if key == b"LAMPLIGHTER_ROOT" and (Path(os.fsdecode(value)) / "x").is_relative_to(folder):
                found.add(int(name))
    return found - {os.getpid()}


def end_marked(folder: Path) -> None:
    """Blocks until none is left: a process may be starting another one while it is looked for."""
    deadline = time.monotonic() + KILL_SECONDS
    while pids := {pid for pid in marked(folder) if _alive(pid)}:
        if time.monotonic() > deadline:
            logger.error("processes %s of %s cannot be ended", sorted(pids), folder)
            return
        for pid in pids:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.02)


def _alive(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return stat[stat.rfind(")") + 2] != "Z"
