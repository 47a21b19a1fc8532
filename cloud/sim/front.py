"""The front door over HTTP: counts calls, adds latency and faults, serves the control pages, hands the rest to moto."""

import io
import json
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol
from urllib.parse import parse_qs

from cloud.sim import files
from cloud.sim.accounts import Accounts
from cloud.sim.control import Control
from cloud.sim.errors import error_body, status_of
from cloud.sim.faults import DROPPED, Fault, Faults, Place
from cloud.sim.rules import Rules

Environ = dict[str, Any]
Start = Callable[..., Any]
_SCHEDULE_OPS = {"POST": "CreateSchedule", "PUT": "UpdateSchedule", "DELETE": "DeleteSchedule", "GET": "GetSchedule"}
_LOCAL_NAMES = {"127.0.0.1", "localhost", "[::1]"}


class JsonService(Protocol):
    def answer(self, op: str, body: bytes, _account: str, /) -> tuple[int, dict[str, Any]]:
        """`_account`: whose key signed the question."""
        ...


class Front:
    def __init__(
        self,
        base: Callable[[Environ, Start], Iterable[bytes]],
        control: Control,
        accounts: Accounts,
        services: Mapping[str, JsonService],
        faults: Faults,
        rules: Rules,
    ) -> None:
        self._base = base
        self._control = control
        self._accounts = accounts
        self._services = services
        self._faults = faults
        self._rules = rules

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "/")
        # A browser names the page that posts; our own programs are no pages, and no page is to steer this.
        if "HTTP_ORIGIN" in environ or not _is_local(environ.get("HTTP_HOST", "")):
            start("403 Forbidden", [("Content-Type", "text/plain")])
            return [b"Only for this computer.\n"]
        body = _read_body(environ)
        if files.is_signed(environ):
            return self._signed(environ, start, path, body)
        if path.startswith("/sim/"):
            return _answer(start, *self._control.answer(environ["REQUEST_METHOD"], path, body))
        return self._serve(environ, start, path, body)

    def _serve(self, environ: Environ, start: Start, path: str, body: bytes) -> Iterable[bytes]:
        service, name = self._json_service(environ)
        op, places = (name, []) if service else self._aim(environ["REQUEST_METHOD"], path, body)
        self._faults.count(op)
        time.sleep(self._rules.latency_ms / 1000)
        fault = self._faults.strike(op, places, after=False)
        if fault is None:
            if service:
                answer = list(_answer(start, *self._ask_service(service, environ, op, body)))
            else:
                answer = list(self._ask_base(environ, start, path, op))
            fault = self._faults.strike(op, places, after=True)
            if fault is None:
                return answer
        return _fail(environ, start, fault, speaks_json=bool(service) or path.startswith("/schedules"))

    def _ask_service(self, service: JsonService, environ: Environ, op: str, body: bytes) -> tuple[int, dict[str, Any]]:
        account = self._accounts.signed_by(environ.get("HTTP_AUTHORIZATION", ""))
        if account.closed:
            text = "The security token included in the request is invalid."
            return 400, {"__type": "UnrecognizedClientException", "message": text}
        return service.answer(op, body, account.number)

    def _signed(self, environ: Environ, start: Start, path: str, body: bytes) -> Iterable[bytes]:
        """A file on its way, by an address that the portal gave away."""
        op = f"Signed{environ['REQUEST_METHOD']}"
        self._faults.count(op)
        refused = files.refusal(environ, body)
        fault = Fault(op, *refused) if refused else self._faults.strike(op, [], after=False)
        return _fail(environ, start, fault, speaks_json=False) if fault else self._ask_base(environ, start, path, op)

    def _json_service(self, environ: Environ) -> tuple[JsonService | None, str]:
        """One of the small services that are told apart by a header, and its operation."""
        target: str = environ.get("HTTP_X_AMZ_TARGET", "")
        prefix = target[: target.find(".") + 1]
        return self._services.get(prefix), target.removeprefix(prefix)

    def _ask_base(self, environ: Environ, start: Start, path: str, op: str) -> Iterable[bytes]:
        kept: list[tuple[Any, ...]] = []
        answer = self._base(environ, lambda *args: kept.append(args))
        content = [b"".join(answer)]
        if path.startswith("/schedules") and op != "GetSchedule":
            for account in self._accounts.all():
                account.schedules.keep()
        start(*kept[0])
        return content

    def _aim(self, method: str, path: str, body: bytes) -> tuple[str, list[Place]]:
        """The operation's name, and the zones and types that it is about."""
        if path.startswith("/schedules"):
            return _SCHEDULE_OPS.get(method, method), []
        form = {key: values[0] for key, values in parse_qs(body.decode("utf-8", "replace")).items()}
        op = form.get("Action", path)
        if op == "RunInstances":
            subnet = form.get("SubnetId", "")
            zone = next((z for one in self._accounts.all() if (z := one.network.zone_of.get(subnet))), "")
            return op, [Place(zone, form.get("InstanceType", ""))]
        ids = [value for key, value in form.items() if key.startswith("InstanceId.")]
        known = [one.world.machines for one in self._accounts.all()]
        machines = [machines[one] for one in ids for machines in known if one in machines]
        return op, [Place(one.zone, one.instance_type) for one in machines]


def _is_local(host: str) -> bool:
    """A web page that calls itself another name for this computer must not steer the simulator."""
    return host.rsplit(":", 1)[0] in _LOCAL_NAMES


def _read_body(environ: Environ) -> bytes:
    body: bytes = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _answer(start: Start, status: int, told: Any) -> Iterable[bytes]:
    content = json.dumps(told, indent=1).encode()
    start(f"{status} Status", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))])
    return [content]


def _fail(environ: Environ, start: Start, fault: Fault, *, speaks_json: bool) -> Iterable[bytes]:
    if fault.code == DROPPED:
        environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
        return []
    status = status_of(fault.code)
    headers = [("Content-Type", "text/xml")]
    content = error_body(fault.code, fault.message)
    if speaks_json:
        headers = [("Content-Type", "application/json"), ("X-Amzn-ErrorType", fault.code)]
        content = json.dumps({"__type": fault.code, "message": fault.message, "Message": fault.message})
        status = 429 if fault.code == "ThrottlingException" else status
    start(f"{status} Error", [*headers, ("Content-Length", str(len(content.encode())))])
    return [content.encode()]
