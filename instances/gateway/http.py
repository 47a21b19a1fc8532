"""Passes one HTTP request to a machine and its answer back, as a stream: nothing is held in memory or unpacked."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from aiohttp import ClientSession
from asgiref.typing import ASGIReceiveCallable, ASGISendCallable
from yarl import URL

from instances.gateway import headers as rules
from instances.gateway import place
from instances.gateway.visit import Visit
from instances.grants import Access

CHUNK = 256 * 1024


class AccessOver(Exception):
    """The grant ended, or its machine stopped, in the middle of a transfer."""


class Exchange:
    """One request and its answer. `started` tells whether the browser already has the first part of it."""

    def __init__(
        self,
        visit: Visit,
        access: Access,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        *,
        over: Callable[[], Coroutine[Any, Any, Access | None]],
    ) -> None:
        self.visit = visit
        self.access = access
        self.receive = receive
        self.send = send
        self.over = over
        self.started = False
        self._body_over = asyncio.Event()
        self._gone = False

    async def run(self, session: ClientSession) -> None:
        """Raises AccessOver, or aiohttp's ClientError or TimeoutError when the machine does not answer."""
        work = asyncio.ensure_future(self._pass_on(session))
        gone = asyncio.ensure_future(self._until_browser_is_gone())
        over = asyncio.ensure_future(self.over())
        tasks = (work, gone, over)
        try:
            # Without the watch for `gone`, a cancelled download would be read from the machine to its end.
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if over.done():
                raise AccessOver(over.result())
            if not self._gone:
                work.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _pass_on(self, session: ClientSession) -> None:
        has_body = self._has_body()
        if not has_body:
            self._body_over.set()
        assert self.access.address  # noqa: S101 - callers pass on to reachable machines only
        async with session.request(
            self.visit.method,
            URL(place.machine_url(self.access.address, self.visit.path_and_query), encoded=True),
            headers=self.visit.headers_for(self.access.notebook_token),
            data=self._body() if has_body else None,
            allow_redirects=False,
        ) as answer:
            start: Any = {
                "type": "http.response.start",
                "status": answer.status,
                "headers": rules.from_machine(answer.raw_headers, ours=place.our_cookies()),
                "trailers": False,
            }
            await self.send(start)
            self.started = True
            async for chunk in answer.content.iter_chunked(CHUNK):
                await self.send({"type": "http.response.body", "body": chunk, "more_body": True})
            await self.send({"type": "http.response.body", "body": b"", "more_body": False})

    def _has_body(self) -> bool:
        length = rules.first(self.visit.headers, "content-length")
        return length not in ("", "0") or bool(rules.values(self.visit.headers, "transfer-encoding"))

    async def _body(self) -> AsyncIterator[bytes]:
        more = True
        while more:
            event = await self.receive()
            if event["type"] != "http.request":
                self._gone = True
                raise ConnectionResetError  # ends the request to the machine, which must not look whole
            more = event["more_body"]
            if event["body"]:
                yield event["body"]
        self._body_over.set()

    async def _until_browser_is_gone(self) -> None:
        await self._body_over.wait()  # until then the body's reader hears of it
        while (await self.receive())["type"] != "http.disconnect":
            pass
        self._gone = True
