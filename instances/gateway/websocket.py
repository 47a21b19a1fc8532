"""Joins a browser's websocket with the machine's, message by message, until one side or the grant ends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession, WSMsgType
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable
from yarl import URL

from instances.gateway import place
from instances.gateway.share import MESSAGE_MAX
from instances.gateway.visit import Visit
from instances.gateway.wire import MachineEnd
from instances.grants import Access

log = logging.getLogger(__name__)

HANDSHAKE_SECONDS = 30.0  # of a machine that takes connections and says nothing
HEARTBEAT_SECONDS = 300.0  # a machine that was powered off sends no goodbye; while a slow browser reads we hear no pong
PART_SECONDS = 5.0  # for goodbyes that nobody reads

GRANT_OVER, TOO_MUCH, MACHINE_AWAY = 4401, 1009, 4503  # close codes, all but one of ours
_GOING_AWAY, _NO_TEXT, _ABNORMAL = 1001, 1007, 1011


@dataclass(frozen=True, slots=True)
class Goodbye:
    code: int
    reason: str
    at_once: bool = False  # what is on its way to the machine is dropped


async def machine_socket(session: ClientSession, visit: Visit, access: Access, cut: asyncio.Event) -> MachineEnd:
    """The machine's end, open. Raises aiohttp's ClientError or TimeoutError when it refuses or does not answer."""
    assert access.address  # noqa: S101 - callers join reachable machines only
    async with asyncio.timeout(HANDSHAKE_SECONDS):
        machine: Any = await session.ws_connect(
            URL(place.machine_url(access.address, visit.path_and_query), encoded=True),
            headers=visit.headers_for(access.notebook_token),
            protocols=_protocols(visit),
            max_msg_size=MESSAGE_MAX,
            heartbeat=HEARTBEAT_SECONDS,
            autoping=False,
            compress=0,
            decode_text=False,
        )
    machine.belongs_to(visit.slug, cut)
    return machine


class Bridge:
    """One open websocket, from the accepted handshake to both goodbyes."""

    def __init__(
        self,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        *,
        over: Callable[[], Coroutine[Any, Any, Access | None]],
        on_message: Callable[[str | bytes], None],
        cut: asyncio.Event,
    ) -> None:
        self.receive = receive
        self.send = send
        self.over = over
        self.on_message = on_message
        self.cut = cut

    async def run(self, machine: MachineEnd) -> None:
        accept: Any = {"type": "websocket.accept", "subprotocol": machine.protocol, "headers": []}
        try:
            with suppress(OSError):  # the browser may be gone by now, or go first
                await self.send(accept)
                goodbye = await self._until_one_ends(machine)
                if goodbye.at_once:
                    machine.abort()
                close = machine.close(code=goodbye.code, message=goodbye.reason.encode())
                await self._in_time(asyncio.gather(close, self._part(goodbye)))
        finally:
            await self._in_time(machine.close(code=_GOING_AWAY))
            machine.abort()
            machine.holding.end()

    async def _in_time(self, goodbyes: Awaitable[object]) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(PART_SECONDS):
                await goodbyes

    async def _part(self, goodbye: Goodbye) -> None:
        with suppress(OSError, RuntimeError):
            await self.send({"type": "websocket.close", "code": goodbye.code, "reason": goodbye.reason})

    async def _until_one_ends(self, machine: MachineEnd) -> Goodbye:
        ends = (
            self._from_browser(machine),
            self._from_machine(machine),
            self._until_access_ends(),
            self._until_cut(machine),
        )
        tasks = [asyncio.ensure_future(part) for part in ends]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(task for task in tasks if task.done()).result()  # who ended it knows best why
        except (OSError, RuntimeError) as error:
            # One side went away while the other was being written to.
            log.info("websocket ended: %s", error)
            return Goodbye(_ABNORMAL, "connection lost")
        except UnicodeDecodeError:
            return Goodbye(_NO_TEXT, "not UTF-8")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _from_browser(self, machine: MachineEnd) -> Goodbye:
        while True:
            event: Any = await self.receive()
            if event["type"] == "websocket.disconnect":
                return Goodbye(_sendable(event.get("code")), event.get("reason") or "")
            text, data = event.get("text"), event.get("bytes")
            self.on_message(text if text is not None else data)
            if text is not None:
                await machine.send_str(text)
            else:
                await machine.send_bytes(data)
            del event, text, data
            await asyncio.sleep(0)  # others are served between two messages, also where thousands are here

    async def _from_machine(self, machine: MachineEnd) -> Goodbye:
        async for message in machine:
            kind, data = message.type, message.data
            del message  # what was passed on is nobody's while the next is waited for
            if kind == WSMsgType.TEXT:
                await self._tell_text(machine, data)
            elif kind == WSMsgType.BINARY:
                await self.send({"type": "websocket.send", "bytes": data, "text": None})
                machine.passed_on(data)
            elif kind == WSMsgType.PING:
                await machine.pong(data)
            del data
            await asyncio.sleep(0)
        return Goodbye(_sendable(machine.close_code), "")

    async def _tell_text(self, machine: MachineEnd, data: bytes) -> None:
        if machine.take_text(data):
            await self.send({"type": "websocket.send", "text": data.decode(), "bytes": None})
            machine.passed_on(data, is_text=True)

    async def _until_access_ends(self) -> Goodbye:
        access = await self.over()
        return Goodbye(MACHINE_AWAY, "machine is not running") if access else Goodbye(GRANT_OVER, "signed out")

    async def _until_cut(self, machine: MachineEnd) -> Goodbye:
        await self.cut.wait()
        if machine.holding.is_cut:
            return Goodbye(TOO_MUCH, "too much on its way at once", at_once=True)
        return Goodbye(_GOING_AWAY, "connection lost", at_once=True)


def _protocols(visit: Visit) -> list[str]:
    offered = ",".join(value for name, value in visit.headers if name == "sec-websocket-protocol")
    return [word.strip() for word in offered.split(",") if word.strip()]


def _sendable(code: int | None) -> int:
    """1005, 1006 and 1015 are told by a library, never sent on the wire."""
    if code is None or code == 1005:
        return 1000
    return code if 1000 <= code < 5000 and code not in (1004, 1006, 1015) else _ABNORMAL
