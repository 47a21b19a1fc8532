"""The browser's end of a websocket (`uvicorn --ws`): uvicorn's, but it takes no more than its machine's share, and no
more at once than it has time for. Who comes here speaks the protocol by hand, if they like.
"""

import asyncio
import logging
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request

from instances.gateway.share import Holding

log = logging.getLogger(__name__)

END = "lamplighter.end"  # where the gateway finds this in its scope's extensions
PIECE_BYTES = 300  # of Python's own around each piece and message: who sends single bytes costs more than they
STRANGER_BYTES = 256 * 1024  # all that may come before somebody is let in, with the handshake
SLICE_BYTES = 8 * 1024  # taken apart at once: in so much are a thousand frames
CONTROLS_MAX = 100  # pings and pongs a second; browsers answer one of ours in twenty


class BrowserEnd(WebSocketsSansIOProtocol):
    holding: Holding | None = None  # once somebody was let in
    _said = 0  # until then
    _rest = b""  # not taken apart yet
    _passing = 0  # bytes that the gateway is passing on
    _controls, _second = 0, 0.0
    _is_over = False  # the gateway is done with it

    def handle_connect(self, event: Request) -> None:
        self.cut = asyncio.Event()  # both ends must go, now
        super().handle_connect(event)
        if not self.close_sent:
            self.scope["extensions"][END] = self  # type: ignore[index, assignment]

    def belongs_to(self, machine: str) -> None:
        self.holding = Holding(machine, self._cut)

    # ------------------------------------------------------------ from the browser
    def data_received(self, data: bytes) -> None:
        if self._take(len(data)):
            self._rest += data
            self._take_apart()

    def _take_apart(self) -> None:
        """uvicorn stops reading when it has a whole message, but takes apart all that it was given."""
        while self._rest and not self.read_paused and not self.transport.is_closing():
            piece, self._rest = self._rest[:SLICE_BYTES], self._rest[SLICE_BYTES:]
            super().data_received(piece)

    async def receive(self) -> Any:
        """Who asks for the next message has passed on the last."""
        if self.holding:
            self.holding.give_back(self._passing)
            self._passing = 0
        event = await super().receive()
        if self.holding and self.queue.empty():
            self._passing = self.holding.size - len(self._rest)
        self._take_apart()
        return event

    def handle_cont(self, event: Frame) -> None:
        if self._take(PIECE_BYTES):
            super().handle_cont(event)

    def send_receive_event_to_app(self) -> None:
        # As a string with one emoji in it, each letter takes four bytes.
        text = 3 * sum(map(len, self.frames)) if self.curr_msg_data_type == "text" else 0
        if self._take(PIECE_BYTES + text):
            super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        if not self._control():
            return
        if self.writable.is_set():
            super().handle_ping()
        else:
            self.conn.data_to_send()  # who does not read needs no pong

    def handle_pong(self, event: Frame) -> None:
        if self._control():
            super().handle_pong(event)

    # ------------------------------------------------------------ to the browser
    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.send":
            await self.writable.wait()  # until then it is ours, and counted

    def on_task_complete(self, task: "asyncio.Task[None]") -> None:
        super().on_task_complete(task)
        self._is_over = True
        if not self.writable.is_set():
            self.transport.abort()  # uvicorn would wait for as long as they do not read
        self._let_go()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.holding:
            self.cut.set()  # the gateway may be waiting for a machine that does not read
        self._let_go()

    def _let_go(self) -> None:
        """What is left goes now: a parser is a cycle, and Python looks for those when it likes."""
        self._rest, self.frames = b"", []
        self.conn.reader.discard()
        if self._is_over and self.disconnected:
            self.queue = asyncio.Queue()
            if self.holding:
                self.holding.end()

    # ------------------------------------------------------------ bounds
    def _take(self, size: int) -> bool:
        if self.holding:
            return self.holding.take(size)
        self._said += size
        if self._said > STRANGER_BYTES:
            self.transport.abort()
        return self._said <= STRANGER_BYTES

    def _control(self) -> bool:
        now = self.loop.time()
        if now - self._second >= 1:
            self._controls, self._second = 0, now
        self._controls += 1
        if self._controls > CONTROLS_MAX and not self.transport.is_closing():
            self.transport.abort()
        return self._controls <= CONTROLS_MAX

    def _cut(self) -> None:
        assert self.holding  # noqa: S101 - only it calls
        log.warning("%s: cut, its browser piles up messages", self.holding.machine)
        self.cut.set()
        self.transport.abort()


def browser_end(extensions: Any) -> BrowserEnd:
    """Of a scope's extensions."""
    if END not in extensions:
        raise RuntimeError("The gateway's server needs --ws instances.gateway.browser_end:BrowserEnd")
    return extensions[END]
