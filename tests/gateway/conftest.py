"""A real gateway process, as production starts it, between a real portal and machines on loopback addresses."""

import contextlib
import hashlib
import http.client
import itertools
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings as django_settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.db import connection
from django.utils import timezone
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer
from pytest_django.plugin import DjangoDbBlocker
from websockets.sync.client import ClientConnection, connect

from courses.models import Course, Enrollment, User
from credits import vault
from instances import grants
from instances.models import Instance, Preset
from instances.states import State
from tests.conftest import Cast
from tests.gateway.fake_machine import FakeMachine
from tests.loopback import address, free_port

ROOT = Path(__file__).resolve().parents[2]
HOST = "127.0.0.1"
UNIT = ROOT / "deploy" / "systemd" / "lamplighter-gateway.service"


def flags_in_production() -> list[str]:
    """What uvicorn is told besides where to listen."""
    [command] = re.findall(r"^ExecStart=(.+)$", UNIT.read_text(), re.M)
    return shlex.split(command)[shlex.split(command).index("--ws") :]


FLAGS = flags_in_production()
_addresses = (address(n) for n in itertools.cycle(range(50, 250)))


def database_url() -> str:
    """The test database, for another process."""
    name = connection.settings_dict["NAME"]
    if connection.vendor == "sqlite":
        return f"sqlite:///{name}"
    url = urlsplit(os.environ["DATABASE_URL"])
    return url._replace(path=f"/{name}").geturl()


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name: str) -> str:
        return ", ".join(self.all(name))

    @property
    def json(self) -> dict[str, object]:
        return json.loads(self.body)


@dataclass
class Gateway:
    port: int
    process: "subprocess.Popen[bytes]"
    log: Path = Path(os.devnull)

    @property
    def domain(self) -> str:
        return f"nb.localhost:{self.port}"

    @property
    def resident_mb(self) -> float:
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    @property
    def peak_mb(self) -> float:
        """The most since `forget_peak`."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024

    def forget_peak(self) -> None:
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def origin(self, slug: str) -> str:
        return f"http://{slug}.{self.domain}"

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(HOST, self.port, timeout=60)


@dataclass
class Browser:
    """What a browser sends to one machine's host: its cookies, and the headers that no page can forge."""

    gateway: Gateway
    slug: str
    cookie: str = ""
    state: str = "the browser"
    fetch: dict[str, str] = field(default_factory=lambda: {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"})

    @property
    def host(self) -> str:
        return f"{self.slug}.{self.gateway.domain}"

    def headers(self, **more: str) -> dict[str, str]:
        own = {"Host": self.host, **self.fetch}
        if self.cookie:
            own["Cookie"] = f"nb_grant={self.cookie}"
        return own | {name.replace("_", "-"): value for name, value in more.items()}

    def ask(self, path: str, method: str = "GET", body: object = None, **more: str) -> Answer:
        wire = self.gateway.connect()
        try:
            wire.request(
                method, path, body=body, headers=self.headers(**more), encode_chunked=not more.get("Content_Length")
            )  # type: ignore[arg-type]
            answer = wire.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            wire.close()

    def visit(self, path: str, **more: str) -> Answer:
        """A person opens this in a tab."""
        navigate = {"Sec_Fetch_Site": "none", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
        return self.ask(path, **(navigate | more))

    def enter(self, ticket: str) -> Answer:
        answer = self.visit(f"/_nb/enter?t={ticket}", Sec_Fetch_Site="cross-site", Cookie=f"nb_state={self.state}")
        cookies = answer.all("set-cookie")
        if cookies:
            self.cookie = cookies[0].partition(";")[0].partition("=")[2]
        return answer

    def websocket(self, path: str = "/ws", origin: str | None = None, **more: object) -> ClientConnection:
        wire = socket.create_connection((HOST, self.gateway.port), timeout=10)
        return connect(
            f"ws://{self.host}{path}",
            sock=wire,
            origin=origin or self.gateway.origin(self.slug),  # type: ignore[arg-type]
            additional_headers={"Cookie": f"nb_grant={self.cookie}"},
            max_size=None,
            compression=None,
            **more,  # type: ignore[arg-type]
        )


@pytest.fixture(scope="session")
def gateway_process(
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    live_server: LiveServer,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    with django_db_blocker.unblock():
        url = database_url()
    with running_gateway(url, live_server, tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@contextlib.contextmanager
def running_gateway(
    database: str, live_server: LiveServer, folder: Path, start: tuple[str, ...] = ("-m", "uvicorn")
) -> Iterator[Gateway]:
    port, log = free_port(), folder / "log"
    environment = os.environ | {
        "DATABASE_URL": database,
        "LAMPLIGHTER_DEMO": "1",
        "LAMPLIGHTER_PORTAL_URL": live_server.url,
        "LAMPLIGHTER_NOTEBOOK_DOMAIN": f"nb.localhost:{port}",
        "LAMPLIGHTER_NOTEBOOK_SCHEME": "http",
    }
    command = [sys.executable, *start, "portal.live:application", "--host", HOST, "--port", str(port), *FLAGS]
    with log.open("ab") as written:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=written)
    gateway = Gateway(port, process, log)
    try:
        wait_until(lambda: answers(gateway), "the gateway answers")
        yield gateway
    finally:
        process.terminate()
        process.wait(20)


def answers(gateway: Gateway) -> bool:
    assert gateway.process.poll() is None, "the gateway ended"
    wire = gateway.connect()
    try:
        wire.request("GET", "/_nb/health")
        return wire.getresponse().status == 200
    except OSError:
        return False
    finally:
        wire.close()


def wait_until(true: Callable[[], bool], what: str, seconds: float = 20) -> float:
    """Seconds that it took."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - began


@pytest.fixture
def gateway(transactional_db: None, settings: Settings, gateway_process: Gateway, live_server: LiveServer) -> Gateway:
    settings.NOTEBOOK_DOMAIN = gateway_process.domain
    settings.NOTEBOOK_SCHEME = "http"
    settings.PORTAL_URL = live_server.url
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    return gateway_process


@pytest.fixture
def machine() -> Iterator[FakeMachine]:
    with started_machine() as fake:
        yield fake


@contextlib.contextmanager
def started_machine() -> Iterator[FakeMachine]:
    fake = FakeMachine(next(_addresses)).start()
    try:
        yield fake
    finally:
        fake.close()


@pytest.fixture
def instance(cast: Cast, machine: FakeMachine) -> Instance:
    return new_instance(cast.student, machine.address)


def preset_of(course: Course) -> Preset:
    return Preset.objects.get_or_create(
        course=course, slug="hw", defaults={"name": "Homework", "image_id": "ami-1", "ceiling_usd_hour": 1}
    )[0]


def new_instance(
    owner: Enrollment, address: str | None, state: State = State.RUNNING, token: str = "the machine's token"
) -> Instance:
    now = timezone.now()
    return Instance.objects.create(
        owner=owner,
        course=owner.course,
        preset=preset_of(owner.course),
        state=state,
        state_since=now,
        created_at=now,
        image_id="ami-1",
        disk_gb=64,
        lease_seconds=3600,
        notebook_token=vault.seal(token),
        agent_digest=hashlib.sha256(b"agent").hexdigest(),
        agent_secret=vault.seal("agent"),
        private_ip=address,
        guard_until=now + timedelta(hours=1),
        notebook_ready_at=now,
    )


def sign_in(user: User) -> str:
    """A portal session, as sign-in leaves it; the value of its cookie."""
    store = import_module(django_settings.SESSION_ENGINE).SessionStore()
    store[SESSION_KEY] = str(user.pk)
    store[BACKEND_SESSION_KEY] = django_settings.AUTHENTICATION_BACKENDS[0]
    store[HASH_SESSION_KEY] = user.get_session_auth_hash()
    store.create()
    assert store.session_key
    return store.session_key


def sign_out(session_key: str) -> None:
    import_module(django_settings.SESSION_ENGINE).SessionStore(session_key).flush()


def ticket_for(instance: Instance, session_key: str, path: str = "/lab") -> str:
    user = instance.owner.user
    assert user
    state = grants.state_of("the browser")
    now = timezone.now()
    return grants.make_ticket(instance, user=user, session_key=session_key, state=state, path=path, now=now)


@dataclass
class Visitor:
    """The owner, signed in at the portal and in their notebook."""

    browser: Browser
    session_key: str
    instance: Instance


def entered(gateway: Gateway, instance: Instance) -> Visitor:
    assert instance.owner.user
    session_key = sign_in(instance.owner.user)
    browser = Browser(gateway, instance.slug)
    assert browser.enter(ticket_for(instance, session_key)).status == 302
    return Visitor(browser, session_key, instance)


@pytest.fixture
def owner(gateway: Gateway, instance: Instance) -> Visitor:
    return entered(gateway, instance)


def query_of(url: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(url).query)
