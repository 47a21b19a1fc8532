"""A machine whose notebook server does what a test wants to see: echoes, floods, lies, hangs up."""

import asyncio
import hashlib
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

from aiohttp import WSMsgType, web

PORT = 8888
MB = 1024 * 1024


class FakeMachine:
    def __init__(self, address: str) -> None:
        self.address = address
        self.hung_up = threading.Event()  # a reader went away in the middle of /flood
        self.closed_with: Future[int | None] = Future()  # the code that ended /ws
        self.asked: list[str] = []  # "POST /api/terminals", as they came
        self.pages: dict[str, tuple[str, dict[str, str]]] = {}  # path: HTML and headers that its student serves
        self._loop = asyncio.new_event_loop()
        self._runner: web.AppRunner | None = None
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def start(self) -> "FakeMachine":
        self._call(self._start())
        return self

    def stop(self) -> None:
        if self._runner:
            self._call(self._runner.cleanup())
            self._runner = None

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _call(self, what: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _start(self) -> None:
        app = web.Application(client_max_size=2**40)
        routes: list[tuple[str, Callable[[web.Request], Any]]] = [
            ("/upload", self._upload),
            ("/flood/{mb}", self._flood),
            ("/half", self._half),
            ("/lies", self._lies),
            ("/packed", self._packed),
            ("/ws", self._websocket),
            ("/ws403", self._refuse),
            ("/{rest:.*}", self._echo),
        ]
        for path, answer in routes:
            app.router.add_route("*", path, answer)
        self._runner = web.AppRunner(app, shutdown_timeout=1, auto_decompress=False)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.address, PORT, reuse_address=True).start()

    async def _echo(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.append(f"{request.method} {request.raw_path}")
        if request.path in self.pages:
            text, headers = self.pages[request.path]
            return web.Response(text=text, headers={"Content-Type": "text/html"} | headers)
        return web.json_response(
            {
                "method": request.method,
                "target": request.raw_path,
                "headers": [[name.lower(), value] for name, value in request.headers.items()],
                "body": body.decode(),
            }
        )

    async def _upload(self, request: web.Request) -> web.Response:
        digest, length = hashlib.sha256(), 0
        async for chunk in request.content.iter_any():
            digest.update(chunk)
            length += len(chunk)
        return web.json_response({"sha256": digest.hexdigest(), "bytes": length})

    async def _flood(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        block = b"f" * MB
        try:
            for _n in range(int(request.match_info["mb"])):
                await answer.write(block)
        except (ConnectionError, asyncio.CancelledError):
            self.hung_up.set()
            raise
        return answer

    async def _half(self, request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Length": "1000"})
        await answer.prepare(request)
        await answer.write(b"only this")
        assert request.transport
        request.transport.abort()
        return answer

    async def _lies(self, request: web.Request) -> web.Response:
        answer = web.Response(text="lies")
        for cookie in ("toss=1; Domain=nb.localhost", "nb_grant=fixed; Path=/", "_xsrf=mine; Path=/"):
            answer.headers.add("Set-Cookie", cookie)
        answer.headers["Clear-Site-Data"] = '"cookies"'
        return answer

    async def _packed(self, request: web.Request) -> web.Response:
        return web.Response(body=b"\x1f\x8bnot really gzip", headers={"Content-Encoding": "gzip"})

    async def _refuse(self, request: web.Request) -> web.Response:
        return web.Response(status=403)

    async def _websocket(self, request: web.Request) -> web.WebSocketResponse:
        self.asked.append("websocket")
        socket = web.WebSocketResponse(protocols=("v1.kernel.websocket.jupyter.org",), max_msg_size=0)
        await socket.prepare(request)
        async for message in socket:
            if message.type == WSMsgType.TEXT and message.data == "bye":
                await socket.close(code=4000, message=b"as asked")
            elif message.type == WSMsgType.TEXT and message.data == "headers":
                await socket.send_json([[name.lower(), value] for name, value in request.headers.items()])
            elif message.type == WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        if not self.closed_with.done():
            self.closed_with.set_result(socket.close_code)
        return socket
