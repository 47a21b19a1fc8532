"""A notebook's user, without a browser: runs cells and types in terminals over the real websockets."""

import contextlib
import json
import threading
import urllib.error
import urllib.request
import uuid
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.machine.conftest import TOKEN


class Notebook:
    def __init__(self, address: str, token: str = TOKEN) -> None:
        self.host, self.token = f"{address}:8888", token

    def call(self, path: str, method: str = "GET", token: str | None = None) -> Any:
        """The answer in JSON, or the status when it is an error; 0 when nobody answers."""
        request = urllib.request.Request(f"http://{self.host}{path}", method=method)
        request.add_header("Authorization", f"token {self.token if token is None else token}")
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return json.loads(answer.read() or "null")
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def ready(self) -> bool:
        return isinstance(self.call("/api/status"), dict)

    def socket(self, path: str) -> ClientConnection:
        head = {"Authorization": f"token {self.token}"}
        return connect(f"ws://{self.host}{path}", additional_headers=head, ping_interval=None, legacy=True)

    def kernel(self) -> "Kernel":
        """The one kernel that runs here, or a first one."""
        running = self.call("/api/kernels") or [self.call("/api/kernels", "POST")]
        return Kernel(self, running[0]["id"])

    def type_in_terminal(self, text: str) -> ClientConnection:
        """The terminal stays open as long as the socket that comes back."""
        socket = self.socket(f"/terminals/websocket/{self.call('/api/terminals', 'POST')['name']}")
        threading.Thread(target=_drain, args=(socket,), daemon=True).start()
        socket.send(json.dumps(["stdin", text]))
        return socket


def _drain(socket: ClientConnection) -> None:
    """What nobody reads would stop the terminal in the end."""
    with contextlib.suppress(ConnectionClosed):
        for _said in socket:
            pass


class Kernel:
    def __init__(self, notebook: Notebook, kernel_id: str) -> None:
        self.id = kernel_id
        self._socket = notebook.socket(f"/api/kernels/{kernel_id}/channels")

    def send(self, code: str) -> str:
        """Starts a cell and returns its message id."""
        message = uuid.uuid4().hex
        header = {"msg_id": message, "msg_type": "execute_request", "username": "", "session": "s", "version": "5.3"}
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        parts = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
        self._socket.send(json.dumps(parts))
        return message

    def run(self, code: str, seconds: float = 20) -> str:
        """Runs a cell and returns what it printed."""
        cell, printed = self.send(code), ""
        while True:
            message = json.loads(self._socket.recv(timeout=seconds))
            if message["parent_header"].get("msg_id") != cell:
                continue
            if message["msg_type"] == "stream":
                printed += message["content"]["text"]
            if message["msg_type"] == "error":
                raise AssertionError(message["content"])
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return printed
