"""Joins a browser's websocket with the machine's, message by message, until one side or the grant ends."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable
from yarl import URL

from instances.gateway import place
from instances.gateway.visit import Visit
from instances.grants import Access

log = logging.getLogger(__name__)

MESSAGE_MAX = 256 * 1024 * 1024  # bytes; the server in front of us needs --ws-max-size of the same
HEARTBEAT_SECONDS = 60.0  # a machine that was powered off sends no goodbye

GRANT_OVER, MACHINE_AWAY = 4401, 4503  # close codes of ours
_GOING_AWAY, _ABNORMAL = 1001, 1011


@dataclass(frozen=True, slots=True)
class Goodbye:
    code: int
    reason: str


async def machine_socket(session: ClientSession, visit: Visit, access: Access) -> ClientWebSocketResponse:
    """The machine's end, open. Raises aiohttp's ClientError or TimeoutError when it refuses or does not answer."""
    assert access.address  # noqa: S101 - callers join reachable machines only
    return await session.ws_connect(
        URL(place.machine_url(access.address, visit.path_and_query), encoded=True),
        headers=visit.headers_for(access.notebook_token),
        protocols=_protocols(visit),
        max_msg_size=MESSAGE_MAX,
        heartbeat=HEARTBEAT_SECONDS,
        compress=0,
    )


class Bridge:
    """One open websocket, from the accepted handshake to both goodbyes."""

    def __init__(
        self,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        *,
        over: Callable[[], Coroutine[Any, Any, Access | None]],
        on_message: Callable[[str | bytes], None],
    ) -> None:
        self.receive = receive
        self.send = send
        self.over = over
        self.on_message = on_message

    async def run(self, machine: ClientWebSocketResponse) -> None:
        accept: Any = {"type": "websocket.accept", "subprotocol": machine.protocol, "headers": []}
        try:
            with suppress(OSError):  # the browser may be gone by now, or go first
                await self.send(accept)
                goodbye = await self._until_one_ends(machine)
                close = machine.close(code=goodbye.code, message=goodbye.reason.encode())
                await asyncio.gather(close, self._part(goodbye))
        finally:
            await machine.close(code=_GOING_AWAY)

    async def _part(self, goodbye: Goodbye) -> None:
        with suppress(OSError, RuntimeError):
            await self.send({"type": "websocket.close", "code": goodbye.code, "reason": goodbye.reason})

    async def _until_one_ends(self, machine: ClientWebSocketResponse) -> Goodbye:
        tasks = [
            asyncio.ensure_future(part)
            for part in (self._from_browser(machine), self._from_machine(machine), self._until_access_ends())
        ]
        try:
            done, _pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return done.pop().result()
        except (OSError, RuntimeError) as error:
            # One side went away while the other was being written to.
            log.info("websocket ended: %s", error)
            return Goodbye(_ABNORMAL, "connection lost")
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _from_browser(self, machine: ClientWebSocketResponse) -> Goodbye:
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

    async def _from_machine(self, machine: ClientWebSocketResponse) -> Goodbye:
        async for message in machine:
            if message.type == WSMsgType.TEXT:
                await self.send({"type": "websocket.send", "text": message.data, "bytes": None})
            elif message.type == WSMsgType.BINARY:
                await self.send({"type": "websocket.send", "bytes": message.data, "text": None})
        return Goodbye(_sendable(machine.close_code), "")

    async def _until_access_ends(self) -> Goodbye:
        access = await self.over()
        return Goodbye(MACHINE_AWAY, "machine is not running") if access else Goodbye(GRANT_OVER, "signed out")


def _protocols(visit: Visit) -> list[str]:
    offered = ",".join(value for name, value in visit.headers if name == "sec-websocket-protocol")
    return [word.strip() for word in offered.split(",") if word.strip()]


def _sendable(code: int | None) -> int:
    """1005, 1006 and 1015 are told by a library, never sent on the wire."""
    if code is None or code == 1005:
        return 1000
    return code if 1000 <= code < 5000 and code not in (1004, 1006, 1015) else _ABNORMAL
