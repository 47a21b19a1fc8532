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
            ("/pile/{mb}", self._pile),
            ("/pour/{kind}", self._pour),
            ("/pings", self._pings),
            ("/deaf", self._deaf),
            ("/silent", self._silent),
            ("/head", self._head),
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
            elif message.type == WSMsgType.TEXT and message.data == "40 MB":
                await socket.send_bytes(b"\x07" * (40 * MB))
            elif message.type == WSMsgType.TEXT and message.data == "headers":
                await socket.send_json([[name.lower(), value] for name, value in request.headers.items()])
            elif message.type == WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        if not self.closed_with.done():
            self.closed_with.set_result(socket.close_code)
        return socket

    async def _pile(self, request: web.Request) -> web.WebSocketResponse:
        """Most of one message, and never its end."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        assert request.transport
        size = int(request.match_info["mb"]) * MB
        request.transport.write(unfinished(size, masked=False))
        await socket.receive()
        return socket

    async def _pour(self, request: web.Request) -> web.WebSocketResponse:
        """Whole messages of 60 MB, one after the other."""
        socket = web.WebSocketResponse(writer_limit=2**40)
        await socket.prepare(request)
        for _n in range(2):
            if request.match_info["kind"] == "text":
                await socket.send_str("\N{GRINNING FACE}" + "t" * (60 * MB))
            else:
                await socket.send_bytes(bytes(60 * MB))
        await socket.receive()
        return socket

    async def _pings(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        transport = request.transport
        while transport and not transport.is_closing():
            transport.write(b"\x89\x00" * 30_000)
            await asyncio.sleep(0.05)
        return socket

    async def _deaf(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=0)
        await socket.prepare(request)
        await asyncio.sleep(60)
        return socket

    async def _silent(self, request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    async def _head(self, request: web.Request) -> web.Response:
        """A head of many long lines that never ends."""
        assert request.transport
        request.transport.write(b"HTTP/1.1 200 OK\r\n" + b"x-line: " + b"h" * 60_000 + b"\r\n")
        for n in range(120):
            request.transport.write(b"x-%d: " % n + b"h" * 60_000 + b"\r\n")
            await asyncio.sleep(0.01)
        await asyncio.sleep(60)
        return web.Response()


def unfinished(size: int, *, masked: bool) -> bytes:
    """A binary message that lacks its last byte. Whoever sends from a browser masks it, here with zeros."""
    head = bytes([0x82, (0x80 if masked else 0) | 127]) + size.to_bytes(8) + (bytes(4) if masked else b"")
    return head + bytes(size - 1)
