"""The inside of one tunnel: a port at which the gateways reach the notebook of the machine that dialled."""

import asyncio
import logging
from contextlib import suppress

import asyncssh

from instances.tunnel.flow import Flow, refuse_crumbs

log = logging.getLogger(__name__)

MACHINE_SIDE = ("localhost", 8888)  # as `ssh -R 8888:…` asks for it
AT_ONCE = 256  # open at once through one tunnel; JupyterLab needs some dozens
CHUNK = 64 * 1024
# Twice as much one channel may leave lying in our memory while its other end does not read: a thousand must fit.
WINDOW = 512 * 1024


class Passage(asyncssh.SSHListener):
    """asyncssh closes it with the connection. The port itself stays ours a little longer: see `leave`."""

    def __init__(self, connection: asyncssh.SSHServerConnection) -> None:
        super().__init__()
        self._connection = connection
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._over = False

    async def listen(self, address: str) -> int:
        """The port, by the system's choice. Raises OSError."""
        self._server = await asyncio.start_server(self._accept, address, 0)
        return int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """From now on whoever comes is sent away, and whoever is in goes."""
        self._over = True
        for task in self._open:
            task.cancel()

    async def wait_closed(self) -> None:
        await asyncio.gather(*self._open, return_exceptions=True)

    def leave(self) -> None:
        """Gives the port back. Only when nobody can still believe that this machine is behind it."""
        self.close()
        if self._server:
            self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if self._over or len(self._open) >= AT_ONCE or task is None:
            writer.transport.abort()
            return
        self._open.add(task)
        try:
            origin = writer.get_extra_info("peername")[:2]
            far = await self._connection.open_connection(*MACHINE_SIDE, *origin, encoding=None, window=WINDOW)
            await self._pass(reader, writer, *far)
            await far[1].wait_closed()  # by the machine, too: until then it takes one of its places
        except (asyncssh.Error, OSError, asyncio.CancelledError) as error:
            log.debug("a passage ended: %s", error)
            writer.transport.abort()
        finally:
            self._open.discard(task)

    async def _pass(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncssh.SSHReader[bytes],
        far_writer: asyncssh.SSHWriter[bytes],
    ) -> None:
        try:
            await join(reader, writer, far_reader, far_writer)
            far_writer.close()
            writer.close()  # what is still on its way arrives
        except (asyncssh.Error, OSError) as error:
            log.debug("a passage was cut: %s", error)
            writer.transport.abort()
        finally:
            if not far_writer.is_closing():
                far_writer.channel.abort()


Reader = asyncio.StreamReader | asyncssh.SSHReader[bytes]
Writer = asyncio.StreamWriter | asyncssh.SSHWriter[bytes]


async def join(reader: Reader, writer: Writer, far_reader: Reader, far_writer: Writer) -> None:
    """Until both have said all. Closes nothing. Raises asyncssh.Error or OSError."""
    for end in (writer, far_writer):
        if not isinstance(end, asyncio.StreamWriter):
            refuse_crumbs(end)
    ways = [asyncio.ensure_future(_pump(reader, far_writer)), asyncio.ensure_future(_pump(far_reader, writer))]
    try:
        await asyncio.gather(*ways)
    finally:
        for way in ways:
            way.cancel()


async def _pump(source: Reader, sink: Writer) -> None:
    """Until its end, which is passed on: one side may have said all and still listen."""
    flow: Flow | None = sink.get_extra_info("flow")
    while data := await source.read(CHUNK):
        if flow:  # of the whole connection; `drain` knows of its channel's window alone
            await flow.room()
        sink.write(data)
        await sink.drain()
    with suppress(OSError):
        sink.write_eof()
