"""Lets in by SSH whose keys the portal tells, and nobody else by them. The student's own list of keys stays theirs."""

from __future__ import annotations

import contextlib
import os
import pwd

from senses import MARK


def owner() -> tuple[str, int, int]:
    """Home and ids of who owns the machine. In a machine room everybody is the same: there the environment tells."""
    who = pwd.getpwnam(os.environ["LAMPLIGHTER_OWNER"]) if os.environ.get("LAMPLIGHTER_OWNER") and not MARK else None
    return (who.pw_dir, who.pw_uid, who.pw_gid) if who else (os.environ["HOME"], os.getuid(), os.getgid())


def write_keys(keys: list) -> None:
    """The second of the two files that every sshd reads by itself. Raises OSError or KeyError."""
    home, uid, gid = owner()
    folder, path = f"{home}/.ssh", f"{home}/.ssh/authorized_keys2"
    text = "".join(f"{key}\n" for key in keys if isinstance(key, str) and "\n" not in key)
    with contextlib.suppress(OSError), open(path, encoding="utf-8") as file:
        if file.read() == text:
            return
    if not text and not os.path.exists(path):
        return
    os.makedirs(folder, mode=0o700, exist_ok=True)
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(f"{path}.new", 0o600)
    for made in (folder, f"{path}.new"):
        os.chown(made, uid, gid)
    os.replace(f"{path}.new", path)
