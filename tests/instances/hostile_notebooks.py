"""What a student with root may serve on the notebook's port: raw servers that drip, flood, lie and say nothing."""

import itertools
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from types import TracebackType

from instances.reaching import NOTEBOOK_PORT

OK = b"HTTP/1.1 200 OK\r\n"
LIFE = 25.0  # seconds; then it hangs up: a round that waits for it is to fail its test, not to hang
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
PAUSE = 0.25  # seconds between two drops: whoever waits for each byte alone never gives up
KERNEL = {"execution_state": "busy", "last_activity": "2019-03-05T11:00:00Z"}
Said = Iterator[bytes]


def drip(of: bytes) -> Said:
    """Byte by byte, and then its last line again and again."""
    last = of.rpartition(b"\n")[2] or b"x"
    return (bytes([byte]) for byte in itertools.chain(of, itertools.cycle(last)))


def body(content: bytes) -> Said:
    yield OK + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(content) + content


def well() -> Said:
    """As Jupyter answers, whatever is asked."""
    return body(json.dumps([KERNEL]).encode())


def nothing() -> Said:
    yield from ()


SLOW: dict[str, Callable[[], Said]] = {
    "status line, dripped": lambda: drip(b"HTTP/1.1 200 O"),
    "head, dripped": lambda: drip(OK + b"X-Slow: x"),
    "head, line by line": lambda: itertools.chain([OK], itertools.repeat(b"X: y\r\n")),
    "interim answers": lambda: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
    "body, dripped": lambda: itertools.chain([CHUNKED], itertools.repeat(b"1\r\n \r\n")),
    "body, never whole": lambda: iter([OK + b"Content-Length: 9\r\n\r\n["]),
    "nothing": nothing,
}
FLOODS: dict[str, Callable[[], Said]] = {
    "head without end": lambda: itertools.chain([OK], itertools.repeat(b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n" * 1000)),
    "line without end": lambda: itertools.chain([OK + b"X: "], itertools.repeat(b"y" * 30_000)),
    "interim without end": lambda: itertools.repeat(b"HTTP/1.1 102 Processing\r\n\r\n" * 1000),
    "chunk without end": lambda: itertools.chain([CHUNKED + b"1;x="], itertools.repeat(b"y" * 30_000)),
    "trailer without end": lambda: itertools.chain([CHUNKED + b"0\r\n"], itertools.repeat(b"X: y\r\n" * 5000)),
    "body without end": lambda: itertools.chain([OK + b"\r\n"], itertools.repeat(b" " * 30_000)),
    "no HTTP": lambda: itertools.repeat(b"\x00\xff\r\n" * 1000),
}
LIES: dict[str, Callable[[], Said]] = {
    "nested lists": lambda: body(b"[" * 150_000),
    "more than anybody has": lambda: body(json.dumps([KERNEL] * 5000).encode()),
    "no list": lambda: body(b'{"execution_state": "busy"}'),
    "no kernels": lambda: body(b'[1, null, "busy", []]'),
    "packed": lambda: iter([OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00"]),
}


class Notebook:
    """Serves what `says` yields, to each who comes, until it is closed."""

    def __init__(self, address: str, says: Callable[[], Said], *, pause: float = 0) -> None:
        self.says, self.pause = says, pause
        self.asked: list[bytes] = []
        self._over = threading.Event()
        self._socket = socket.create_server((address, NOTEBOOK_PORT), backlog=64)
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=self._answer, args=[self._socket.accept()[0]], daemon=True).start()

    def _answer(self, wire: socket.socket) -> None:
        end = time.monotonic() + LIFE
        with wire, suppress(OSError):
            self.asked.append(wire.recv(65536))
            for said in self.says():
                wire.sendall(said)
                if self._over.wait(self.pause) or time.monotonic() > end:
                    return
            self._over.wait(end - time.monotonic())

    def __enter__(self) -> "Notebook":
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self._over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._socket.close()
