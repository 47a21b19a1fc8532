"""Somebody who holds a key and keeps to no rule: an SSH client whose windows, packets and silences are the test's."""

import asyncio
import socket
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import asyncssh

from tests.gateway.conftest import HOST
from tests.tunnel.conftest import Endpoint

HUGE = 2**31 - 1
QUICK = {"encryption_algs": ["aes128-gcm@openssh.com"]}


async def came_in(endpoint: Endpoint, user: str, key: Path, **more: Any) -> asyncssh.SSHClientConnection:
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # what it does not take lies at the endpoint
    wire.connect((HOST, endpoint.port))
    made = await asyncssh.connect(
        HOST,
        sock=wire,
        username=user,
        client_keys=[str(key)],
        known_hosts=None,
        config=None,
        agent_path=None,
        keepalive_interval=0,
        **more,
    )
    _came_in.append(made)
    return made


_came_in: list[asyncssh.SSHClientConnection] = []
T = TypeVar("T")


def carried_out(attack: Coroutine[Any, Any, T]) -> T:
    """What it brought. Afterwards everybody is cut off who came in: none of it goes on by itself."""

    async def whole() -> T:
        try:
            return await attack
        finally:
            while _came_in:
                _came_in.pop().abort()
            await asyncio.sleep(0.1)  # the loop closes the sockets

    return asyncio.run(whole())


def reads_no_more(connection: asyncssh.SSHClientConnection) -> None:
    """The connection stays, and nothing that comes by it is taken."""
    connection._transport.pause_reading()  # type: ignore[union-attr]


def sends_at_once(connection: asyncssh.SSHClientConnection, times: int, *packet: Any) -> None:
    """As fast as a client that was written for it: all is made before the first of it goes out."""
    made: list[bytes] = []
    send, connection._send = connection._send, made.append  # type: ignore[method-assign]
    for _n in range(times):
        connection.send_packet(*packet)
    connection._send = send  # type: ignore[method-assign]
    send(b"".join(made))


class Flood:
    """A server that sends for ever, whoever comes, and counts what it got rid of."""

    def __init__(self, where: str, port: int) -> None:
        self.sent = 0
        self._server = socket.create_server((where, port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                wire, _from = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._pour, args=(wire,), daemon=True).start()

    def _pour(self, wire: socket.socket) -> None:
        with suppress(OSError), wire:
            while True:
                self.sent += wire.send(bytes(65536))

    def close(self) -> None:
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()


@contextmanager
def flooding(where: str, port: int) -> Iterator[Flood]:
    flood = Flood(where, port)
    try:
        yield flood
    finally:
        flood.close()
