"""The people of `bench-launch`: signed-in students who press "launch" and watch their page, and machines whose notebook
begins to answer. Prepared bytes over kept connections, as in `load.py`; moments are of this computer's clock, which the
simulated AWS has, too.
"""

import asyncio
import contextlib
import random
import re
import time
from dataclasses import dataclass, field

from benchmarks.claim import ADDRESS, CSRF
from benchmarks.endpoint import Endpoint

NOTEBOOK_PORT = 8888
BOOT_SECONDS = (1.0, 4.0)  # from running to a notebook that answers
_LOOK_SECONDS = 0.2
_READY = b'id="ready-after"'  # the page's own line: how long it took from the click
_PACE = re.compile(rb"every (\d+)s")
_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"


@dataclass
class Student:
    """What one of them saw. Moments in seconds of the epoch; None: never, within the time given."""

    session: str
    clicked_at: float = 0.0
    answered_s: float = 0.0  # the click's own answer
    slug: str = ""
    ready_at: float | None = None
    looks: int = 0
    problem: str = ""


@dataclass
class Notebooks:
    """Answers at each machine's own address, some seconds after that machine runs, as a real one would."""

    endpoint: Endpoint
    answers_at: dict[str, float] = field(default_factory=dict)  # by cloud id
    _servers: list[asyncio.Server] = field(default_factory=list)
    _booting: set[asyncio.Task[None]] = field(default_factory=set)

    async def watch(self) -> None:
        known: set[str] = set(self.endpoint.cloud_ids)
        while True:
            for one in await asyncio.to_thread(self.endpoint.ask, "GET", "machines"):
                if one["state"] == "running" and one["cloud_id"] not in known:
                    known.add(one["cloud_id"])
                    self._booting.add(asyncio.create_task(self._boot(one["cloud_id"], one["private_ip"])))
            await asyncio.sleep(_LOOK_SECONDS)

    async def _boot(self, cloud_id: str, address: str) -> None:
        await asyncio.sleep(random.Random(cloud_id).uniform(*BOOT_SECONDS))
        self._servers.append(await asyncio.start_server(_notebook, address, NOTEBOOK_PORT))
        self.answers_at[cloud_id] = time.time()

    def close(self) -> None:
        for server in self._servers:
            server.close()


async def _notebook(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(_ANSWER)
        await writer.drain()
    writer.close()


async def all_launch(endpoint: Endpoint, sessions: list[str], seconds: float) -> tuple[list[Student], dict[str, float]]:
    """All press at once and watch until their page says ready. Also when each machine's notebook began to answer."""
    notebooks = Notebooks(endpoint)
    watching = asyncio.create_task(notebooks.watch())
    students = [Student(session) for session in sessions]
    try:
        await asyncio.gather(*(_one(student, seconds) for student in students))
        return students, notebooks.answers_at
    finally:
        watching.cancel()
        notebooks.close()


async def _one(student: Student, seconds: float) -> None:
    end = time.monotonic() + seconds
    reader, writer = await asyncio.open_connection(*ADDRESS)
    try:
        student.clicked_at = time.time()
        head, _body = await _ask(reader, writer, _click(student.session))
        student.answered_s = time.time() - student.clicked_at
        found = re.search(rb"\r\nlocation: (?:http://[^/]+)?/machines/(\w+)/", head, re.IGNORECASE)
        if found is None:
            student.problem = head.split(b"\r\n")[0].decode()
            return
        student.slug = found[1].decode()
        await _watch_page(student, reader, writer, end)
    except (OSError, asyncio.IncompleteReadError) as error:
        student.problem = repr(error)
    finally:
        writer.close()


async def _watch_page(student: Student, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, end: float) -> None:
    """As the open page does: the part that changes, as often as that part itself says."""
    while time.monotonic() < end:
        _head, body = await _ask(reader, writer, _look(student))
        student.looks += 1
        if _READY in body:
            student.ready_at = time.time()
            return
        pace = _PACE.search(body)
        if pace is None:
            student.problem = "the page no longer looks: " + re.sub(rb"\s+", b" ", body)[:200].decode()
            return
        await asyncio.sleep(int(pace[1]))
    student.problem = "never ready"


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> tuple[bytes, bytes]:
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return head, await reader.readexactly(int(length or 0))


def _click(session: str) -> bytes:
    body = f"csrfmiddlewaretoken={CSRF}"
    return (
        f"POST /c/bench/launch/homework HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Cookie: lamplighter_session={session}; lamplighter_csrf={CSRF}\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def _look(student: Student) -> bytes:
    cookie = f"lamplighter_session={student.session}"
    return f"GET /machines/{student.slug}/live HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: {cookie}\r\n\r\n".encode()
