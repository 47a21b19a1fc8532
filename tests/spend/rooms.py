"""A chat for tests: a real webhook on this computer."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class Room:
    """A chat on this computer: a webhook that keeps what is said, and can be out of order."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.is_down = False
        self.never_takes = ""  # what is said with this in it
        self.longest = 0  # of what is said in Discord's way, in characters; 0: no limit
        self.moved_to = ""  # sends whoever comes elsewhere
        self.visits = 0  # of any kind
        room = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                room.visits += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                refused = room.is_down or room.takes_never(json.loads(body))
                if not refused:
                    room.said.append(json.loads(body))
                self.send_response(503 if refused else 307 if room.moved_to else 200)
                if room.moved_to:
                    self.send_header("Location", room.moved_to)
                self.end_headers()
                self.wfile.write(b"" if refused else b"ok")  # Slack says so

            def do_GET(self) -> None:
                room.visits += 1
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def takes_never(self, said: dict[str, Any]) -> bool:
        unwanted = bool(self.never_takes) and self.never_takes in json.dumps(said)
        return unwanted or 0 < self.longest < len(said.get("content", ""))

    @property
    def url(self) -> str:
        return f"matrix://hook-token@127.0.0.1:{self.server.server_port}/?mode=slack"


@pytest.fixture
def room() -> Iterator[Room]:
    opened = Room()
    yield opened
    opened.server.shutdown()
