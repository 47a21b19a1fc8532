"""The first process of a simulated machine: does what cloud-init would, then adopts and outlives all the others.

Run by the room as a script, with the machine's own environment; imports nothing of ours. It ends when the machine
is powered off, and ends every process of the machine before that: whatever was started, however it hid.
"""

import base64
import ctypes
import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(os.environ["LAMPLIGHTER_ROOT"])
# What was done once is not done again at the next boot; a disk that was restored to another machine is a new one.
SEEN = ROOT / "var/lib/cloud/instances" / os.environ.get("LAMPLIGHTER_MACHINE", "i-unknown") / "sem"
PER_BOOT = ROOT / "var/lib/cloud/scripts/per-boot"
GRACE_SECONDS = 3.0
PR_SET_CHILD_SUBREAPER = 36


class Refused(Exception):
    """This user data is not what our machines are started with."""


def below_root(path: str) -> Path:
    """Where an absolute path of the machine lies. Raises Refused for one that leads out of its disk."""
    found = Path(os.path.normpath(f"{ROOT}/{path}"))
    if ROOT not in found.parents:
        raise Refused(f"{path} leads out of the machine")
    return found


def cloud_config(text: str) -> dict:
    """JSON is YAML. Raises Refused for what is neither empty nor a cloud-config in JSON."""
    head, _newline, rest = text.partition("\n")
    if not text.strip():
        return {}
    if head.strip() != "#cloud-config":
        raise Refused("user data must begin with #cloud-config")
    try:
        config = json.loads(rest)
    except ValueError as error:
        raise Refused(f"the machine room reads cloud-config in JSON only: {error}") from error
    if not isinstance(config, dict):
        raise Refused("cloud-config must be a mapping")
    return config


def content_of(entry: dict) -> bytes:
    content = entry.get("content", "").encode()
    encodings = entry.get("encoding", "text/plain").split("+")
    for encoding in reversed(encodings):  # "gz+b64": base64 comes off first
        if encoding in ("b64", "base64"):
            content = base64.b64decode(content)
        elif encoding in ("gz", "gzip"):
            content = gzip.decompress(content)
        elif encoding != "text/plain":
            raise Refused(f"unknown encoding {encoding}")
    return content


def write_files(entries: list) -> None:
    for entry in entries:
        path = below_root(entry["path"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content_of(entry))
        path.chmod(int(str(entry.get("permissions", "0644")), 8))


def once(name: str) -> bool:
    """True the first time in the life of this machine."""
    mark = SEEN / f"config_{name}"
    if mark.exists():
        return False
    mark.parent.mkdir(parents=True, exist_ok=True)
    mark.touch()
    return True


def say(command: str | list) -> None:
    """One command as cloud-init runs it: text by the shell, a list as it is."""
    arguments = ["/bin/sh", "-c", command] if isinstance(command, str) else [str(word) for word in command]
    inside = below_root(arguments[0]) if arguments[0].startswith("/") else None
    if inside and inside.exists():
        arguments[0] = str(inside)
    code = subprocess.call(arguments, cwd=os.environ["HOME"], stdin=subprocess.DEVNULL)
    print(f"{arguments}: {code}", flush=True)  # noqa: T201 - cloud-init's output is the machine's log


def start(config: dict) -> None:
    """In cloud-init's order; `bootcmd` and the per-boot scripts every time, the rest once per machine."""
    for command in config.get("bootcmd", []):
        say(command)
    if once("write_files"):
        write_files(config.get("write_files", []))
    for script in sorted(PER_BOOT.glob("*")):
        if os.access(script, os.X_OK):
            say([str(script).removeprefix(str(ROOT))])
    if once("runcmd"):
        for command in config.get("runcmd", []):
            say(command)


# ------------------------------------------------------------------ all that lives on the machine
def living_descendants() -> set[int]:
    """Everything below us; what lost its parent was given to us by the kernel."""
    parents = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = Path(f"/proc/{name}/stat").read_text(errors="replace")
        except OSError:
            continue
        state, parent = stat[stat.rfind(")") + 2 :].split()[:2]
        if state != "Z":
            parents[int(name)] = int(parent)
    ours, grown = {os.getpid()}, True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in ours} - ours
        ours, grown = ours | more, bool(more)
    return ours - {os.getpid()}


def signal_all(pids: set[int], number: int) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def end_everything(grace: float) -> None:
    deadline = time.monotonic() + grace
    signal_all(living_descendants(), signal.SIGTERM)
    while living := living_descendants():
        if time.monotonic() >= deadline:
            signal_all(living, signal.SIGKILL)
        reap()
        time.sleep(0.05)


def power_off(_number: int, _frame: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_everything(GRACE_SECONDS)
    os._exit(0)


def main() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGTERM, power_off)
    try:
        start(cloud_config((ROOT / "var/lib/cloud/user-data").read_text()))
    except (Refused, OSError, ValueError, KeyError, TypeError) as error:
        print(f"cloud-init: {error}", file=sys.stderr, flush=True)  # noqa: T201 - as on AWS: runs, and does nothing
    while True:
        reap()
        time.sleep(0.5)


if __name__ == "__main__":
    main()
