"""Packs a home directory and sends it away in parts, by addresses that the portal signs. Handed over when it is needed.

Runs as the student, on Python 3.8. Holds one part in memory and writes nothing to the disk. Each part is a whole gzip
member and begins where the last one ended: killed at any moment, the next one of it goes on behind the last part sent.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import io
import json
import os
import stat
import sys
import tarfile
import time
import urllib.error
import urllib.request
import uuid
import zlib
from collections.abc import Iterator

BLOCK = 2**20
NAMED = 100  # of what is left out; the others are counted
TRIES = 10
TOP = b"home/"


class Over(Exception):
    """The portal wants no more of it."""


# ------------------------------------------------------------------ what to pack
class Home:
    """Its entries in an order that is the same tomorrow, so that a place in it is a path."""

    def __init__(self, folder: str, left_out: list) -> None:
        self.folder = os.fsencode(folder)
        self.device = os.lstat(self.folder).st_dev
        self.tops = {os.fsencode(one[1:]) for one in left_out if one.startswith("/")}
        self.names = {os.fsencode(one) for one in left_out if not one.startswith("/")}
        self.unread: list[bytes] = []  # paths of folders that could not be listed

    def walk(self, after: bytes | None = None) -> Iterator[tuple[bytes, os.stat_result]]:
        """Everything behind `after`, folders before what is in them."""
        done = after.split(b"/") if after else []
        ahead = [self._inside(b"")]
        while ahead:
            path = next(ahead[-1], None)
            if path is None:
                ahead.pop()
                continue
            names = path.split(b"/")
            if names < done[: len(names)]:
                continue
            try:
                seen = os.lstat(self.at(path))
            except OSError:
                self.unread.append(path)
                continue
            if names > done:
                yield path, seen
            if stat.S_ISDIR(seen.st_mode) and seen.st_dev == self.device:
                ahead.append(self._inside(path))

    def _inside(self, path: bytes) -> Iterator[bytes]:
        try:
            names = sorted(os.listdir(self.at(path)))
        except OSError:
            self.unread.append(path)
            return
        for name in names:
            inner = path + b"/" + name if path else name
            if name not in self.names and inner not in self.tops:
                yield inner

    def at(self, path: bytes) -> bytes:
        return os.path.join(self.folder, path)

    def size(self) -> int:
        return sum(seen.st_size for _path, seen in self.walk() if stat.S_ISREG(seen.st_mode))


def header(path: bytes, seen: os.stat_result, kind: bytes, link: bytes = b"") -> bytes:
    one = tarfile.TarInfo(os.fsdecode(TOP + path))
    one.mode, one.mtime, one.type = stat.S_IMODE(seen.st_mode), int(seen.st_mtime), kind
    one.size = seen.st_size if kind == tarfile.REGTYPE else 0
    one.linkname = os.fsdecode(link)
    return one.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")


def b64(path: bytes) -> str:
    return base64.b64encode(path).decode()


# ------------------------------------------------------------------ packing
class Pack:
    """The tar stream from a mark on. `mark` stands behind each block already when that comes out."""

    def __init__(self, home: Home, mark: dict | None) -> None:
        self.home = home
        self.mark = mark or {"path": "", "notes": [], "left_out": 0, "files": 0, "read": 0}

    def stream(self) -> Iterator[bytes]:
        if self.mark.get("end"):
            return
        done = base64.b64decode(self.mark["path"])
        if "at" in self.mark:
            yield from self._content(done, self.mark["at"], self.mark["size"], self.mark["mtime"])
        for path, seen in self.home.walk(done or None):
            yield from self._entry(path, seen)
            self._note_unread()
        self._note_unread()
        yield from self._last()

    def _entry(self, path: bytes, seen: os.stat_result) -> Iterator[bytes]:
        mode = seen.st_mode
        try:
            if stat.S_ISREG(mode):
                yield from self._file(path)
            elif stat.S_ISLNK(mode):
                link = os.readlink(self.home.at(path))
                self.mark = {**self.mark, "path": b64(path)}
                yield header(path, seen, tarfile.SYMTYPE, link)
            elif stat.S_ISDIR(mode):
                if seen.st_dev != self.home.device:
                    self._note(path, "is another disk")
                self.mark = {**self.mark, "path": b64(path)}
                yield header(path, seen, tarfile.DIRTYPE)
            else:
                self._note(path, "is no file: a socket, a pipe or a device")
        except OSError as error:
            self._note(path, error.strerror or "could not be read")

    def _file(self, path: bytes) -> Iterator[bytes]:
        with self._open(path) as file:  # what cannot be opened has no header either
            seen = os.fstat(file.fileno())
        if not stat.S_ISREG(seen.st_mode):
            raise OSError(0, "is no file any more")
        inside = {"path": b64(path), "at": 0, "size": seen.st_size, "mtime": seen.st_mtime_ns}
        self.mark = {**self.mark, **inside, "files": self.mark["files"] + 1}
        yield header(path, seen, tarfile.REGTYPE)
        yield from self._content(path, 0, seen.st_size, seen.st_mtime_ns)

    def _open(self, path: bytes) -> io.BufferedReader:
        fd = os.open(self.home.at(path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        return os.fdopen(fd, "rb")

    def _content(self, path: bytes, at: int, size: int, mtime: int) -> Iterator[bytes]:
        """Exactly `size` bytes, as its header said: what became shorter is filled up, and named."""
        problem = ""
        try:
            with self._open(path) as file:
                file.seek(at)
                while at < size and (data := file.read(min(BLOCK, size - at))):
                    at += len(data)
                    self.mark = {**self.mark, "at": at, "read": self.mark["read"] + len(data)}
                    yield data
                if os.fstat(file.fileno()).st_mtime_ns != mtime:
                    problem = "changed while it was packed"
        except OSError as error:
            problem = error.strerror or "could not be read to its end"
        if at < size:
            problem = problem or "became shorter while it was packed"
        while at < size:
            data = bytes(min(BLOCK, size - at))
            at += len(data)
            self.mark = {**self.mark, "at": at}
            yield data
        self.mark = {name: value for name, value in self.mark.items() if name not in ("at", "size", "mtime")}
        if problem:
            self._note(path, problem)
        yield bytes(-size % 512)

    def _note_unread(self) -> None:
        while self.home.unread:
            self._note(self.home.unread.pop(), "could not be read")

    def _note(self, path: bytes, why: str) -> None:
        self.mark = {**self.mark, "left_out": self.mark["left_out"] + 1}
        if self.mark["left_out"] <= NAMED:
            shown = path.decode("utf-8", "replace")[:200]
            self.mark["notes"] = [*self.mark["notes"], f"{shown}: {why}".replace("\0", "")]

    def _last(self) -> Iterator[bytes]:
        if self.mark["left_out"]:
            more = self.mark["left_out"] - len(self.mark["notes"])
            lines = [*self.mark["notes"], *([f"and {more} more"] if more else [])]
            text = ("Not in this archive, or not as it should be:\n" + "\n".join(lines) + "\n").encode()
            one = tarfile.TarInfo("LEFT-OUT.txt")
            one.size, one.mtime = len(text), int(time.time())
            yield one.tobuf(tarfile.GNU_FORMAT) + text + bytes(-len(text) % 512)
        yield bytes(1024)
        self.mark = {**self.mark, "end": True, "path": ""}


def parts(pack: Pack, size: int) -> Iterator[tuple[bytes, dict]]:
    """Each with the mark behind it: a gzip member of its own, at least `size` bytes unless it is the last."""
    packer, out = None, bytearray()
    for data in pack.stream():
        packer = packer or zlib.compressobj(1, zlib.DEFLATED, 31)
        out += packer.compress(data)
        if len(out) >= size:
            out += packer.flush()
            yield bytes(out), pack.mark
            packer, out = None, bytearray()
    if packer:
        yield bytes(out + packer.flush()), pack.mark


# ------------------------------------------------------------------ sending
class Portal:
    def __init__(self, about: dict) -> None:
        self.url = about["report_url"].rpartition("/")[0] + "/home"
        self.head = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {about['slug']}:{about['secret']}",
        }
        self.me = uuid.uuid4().hex

    def say(self, verb: str, **more: object) -> dict:
        """Repeated until it is heard; raises Over when nobody wants to hear it."""
        body = json.dumps({"say": verb, "packer": self.me, **more}).encode()
        request = urllib.request.Request(self.url, body, self.head, method="POST")  # noqa: S310
        return json.loads(self._patiently(request)[1])

    def send(self, data: bytes) -> dict:
        """One part: a new address for each try. The bucket says what it has got."""
        sha256 = base64.b64encode(hashlib.sha256(data).digest()).decode()
        md5 = hashlib.md5(data).hexdigest()  # noqa: S324 - S3's own
        for attempt in range(TRIES):
            told = self.say("part", size=len(data), sha256=sha256)
            head = {"Content-Type": "application/gzip", **told["headers"]}
            request = urllib.request.Request(told["url"], data, head, method="PUT")  # noqa: S310
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
                    etag = answer.headers.get("ETag", "")
                    got = answer.headers.get("x-amz-checksum-sha256")
                    if got == sha256 or (got is None and etag.strip('"') == md5):
                        return {"number": told["number"], "etag": etag}
                    print("carry: what arrived is not what was sent", flush=True)  # noqa: T201
            except (OSError, http.client.HTTPException) as error:
                print(f"carry: part {told['number']}: {type(error).__name__}", flush=True)  # noqa: T201
            time.sleep(min(60.0, 2.0**attempt))
        raise OSError("a part could not be sent")

    @staticmethod
    def _patiently(request: urllib.request.Request) -> tuple[int, bytes]:
        for attempt in range(TRIES):
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                    return answer.status, answer.read(2**20)
            except urllib.error.HTTPError as error:
                if 400 <= error.code < 500 and error.code != 429:
                    raise Over from error
            except (OSError, http.client.HTTPException):
                pass  # the portal is being restarted
            time.sleep(min(60.0, 2.0**attempt))
        raise OSError("the portal does not answer")


def main(about: dict) -> None:
    os.nice(10)  # whatever trains here goes first, and stays when memory is short
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("500")
    portal = Portal(about)
    told = portal.say("where")
    home = Home(about["home"], told["left_out"])
    pack = Pack(home, told["mark"])
    total = home.size()
    home.unread = []
    for data, mark in parts(pack, told["part_bytes"]):
        sent = portal.send(data)
        portal.say("sent", **sent, mark=mark, read_bytes=mark["read"], total_bytes=total)
    portal.say("packed", files=pack.mark["files"], left_out=pack.mark["left_out"])


if __name__ == "__main__":
    try:
        main(json.load(sys.stdin))
    except Over:
        print("carry: nothing more to pack", flush=True)  # noqa: T201
