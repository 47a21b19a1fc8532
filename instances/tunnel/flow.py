"""How much one SSH connection may leave lying in our memory, and how long it may keep us busy.

asyncssh sends whatever the other end's windows allow, and the other end declares them: with windows of gigabytes, or in
a change of keys that it never ends, all that we pass on piles up here. It also takes whatever comes while it waits for
an answer of ours. So we count for it. That needs three names that asyncssh calls its own; its version is pinned.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import asyncssh

UNKNOWN_BYTES = 64 * 1024  # all that somebody may say before we know who they are: keys and names are a few thousand
UNHEARD_BYTES = 256 * 1024  # what may come while the database is asked; it is gone through at once afterwards
READ_BYTES = 32 * 1024  # taken from one connection before the next has its turn
UNSENT_BYTES = 1024 * 1024  # of whom takes no more than this nothing is heard, either
HELD_BACK = 10_000  # answers that wait for a change of keys
LEAST_PACKET = 4096  # bytes; each of them costs the same, and no client takes less than four times as much
_AGAIN_SECONDS = 0.05


class Flow:
    def __init__(self, connection: asyncssh.SSHServerConnection) -> None:
        self.known = False
        self._connection = connection
        self._taken = asyncio.Event()
        self._taken.set()
        self._over = False
        self._unheard, self._asking = 0, 0
        self._hear = connection.data_received
        self._transport = cast(Any, connection._transport)
        self._transport.max_size = READ_BYTES
        connection.data_received = self._received  # type: ignore[method-assign]
        connection.pause_writing = self._taken.clear  # type: ignore[method-assign]
        connection.resume_writing = self._resume  # type: ignore[method-assign]
        connection.set_extra_info(flow=self)

    @contextmanager
    def asking(self) -> Iterator[None]:
        """While the database is asked: asyncssh takes what comes meanwhile, and goes through it afterwards."""
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1

    def _received(self, data: bytes, datatype: int | None = None) -> None:
        self._unheard = self._unheard + len(data) if self._asking or not self.known else 0
        most = UNHEARD_BYTES if self.known else UNKNOWN_BYTES
        if self._unheard > most or len(self._connection._deferred_packets) > HELD_BACK:
            self._connection.abort()
            return
        self._hear(data, datatype)
        if self._transport.get_write_buffer_size() > UNSENT_BYTES and not self._transport.is_closing():
            self._transport.pause_reading()

    def _resume(self) -> None:
        self._taken.set()
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def over(self) -> None:
        self._over = True
        self._taken.set()

    async def room(self) -> None:
        """Until the other side has taken what was said; also when it is gone."""
        await self._taken.wait()
        while self._connection._deferred_packets and not self._over:  # keys are being changed
            await asyncio.sleep(_AGAIN_SECONDS)


def refuse_crumbs(end: "asyncssh.SSHWriter[bytes]") -> None:
    """Raises asyncssh.Error, where the other side wants its data in pieces that cost more than they hold."""
    if end.channel._send_pktsize < LEAST_PACKET:
        raise asyncssh.ProtocolError("packets too small")
