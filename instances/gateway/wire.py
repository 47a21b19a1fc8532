"""The gateway's connections to machines: as aiohttp makes them, but no machine keeps it busy, or fills its memory, with
what is no answer.
"""

import asyncio
import logging
from functools import partial
from typing import Any, Literal

from aiohttp import ClientWebSocketResponse, TCPConnector
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError

from instances.gateway.share import Holding

log = logging.getLogger(__name__)

MOST_INTERIM = 16  # "100 Continue" and its like before one answer; a server has use for one or two
HEAD_BYTES = 128 * 1024  # of an answer; aiohttp bounds each line alone
FRAME_BYTES = 10  # before a long message


class Wire(ResponseHandler):
    """aiohttp takes interim answers for ever, thousands at a time, and meanwhile serves nobody else; and heads of 8 MB.
    Of websockets it bounds each message, not all of them together.
    """

    holding: Holding | None = None  # of a websocket
    _interim = 0
    _head: int | None = None  # bytes of an answer's head so far, until it is whole

    def set_response_params(self, **params: Any) -> None:
        self._head = 0
        super().set_response_params(**params)

    def data_received(self, data: bytes) -> None:
        if self.holding:
            if self.holding.take(len(data)):
                super().data_received(data)
            return
        super().data_received(data)
        if self._head is not None:
            self._head += len(data)
            if self._head > HEAD_BYTES:
                self._refuse("a head without end")

    def feed_data(self, data: Any, size: int = 0) -> None:
        code = data[0].code
        is_interim = 100 <= code < 200 and code != 101
        self._interim = self._interim + 1 if is_interim else 0
        if not is_interim:
            self._head = None
        if self._interim <= MOST_INTERIM:
            super().feed_data(data, size)
        else:
            self._refuse("interim answers without end")

    def _refuse(self, why: str) -> None:
        if self.transport is not None and not self.transport.is_closing():
            self.set_exception(HttpProcessingError(message=why))
            self.transport.abort()


class MachineEnd(ClientWebSocketResponse[Literal[False]]):
    """The machine's end of a websocket, with its wire at hand to give back what was passed on."""

    holding: Holding

    def __init__(self, reader: Any, writer: Any, protocol: str | None, response: Any, *more: Any, **named: Any) -> None:
        super().__init__(reader, writer, protocol, response, *more, **named)
        self.wire: Wire = response.connection.protocol

    def belongs_to(self, machine: str, cut: asyncio.Event) -> None:
        """From now on what it leaves here is counted; `cut` is set when it must go."""

        def cut_off() -> None:
            log.warning("%s: cut, it piles up messages", machine)
            cut.set()
            self.abort()

        self.holding = self.wire.holding = Holding(machine, cut_off)

    def take_text(self, data: bytes) -> bool:
        """What the browser is told is a string: one emoji in it, and each letter takes four bytes."""
        return self.holding.take(_text_bytes(data))

    def passed_on(self, data: bytes, *, is_text: bool = False) -> None:
        self.holding.give_back(len(data) + FRAME_BYTES + (_text_bytes(data) if is_text else 0))

    def abort(self) -> None:
        if self.wire.transport:
            self.wire.transport.abort()


def _text_bytes(data: bytes) -> int:
    return len(data) * (1 if data.isascii() else 4)


def connector(**more: Any) -> TCPConnector:
    made = TCPConnector(limit=0, limit_per_host=0, **more)
    made._factory = partial(Wire, loop=made._loop)  # type: ignore[assignment]
    return made
