"""The documented nginx, for real: our example with other names and ports, two gateways behind it, a portal beside."""

import http.client
import re
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer
from pytest_django.plugin import DjangoDbBlocker
from websockets.sync.client import ClientConnection, connect

from tests.gateway.conftest import FLAGS, ROOT, Answer, Gateway, answers, database_url, instance, machine, wait_until
from tests.loopback import free_port
from tests.production.conftest import production
from tests.tls.certificates import Authority

__all__ = ["instance", "machine"]
PORTAL, NOTEBOOKS = "gpu.example.edu", "nb.example.edu"  # as the example has them
HOST = "127.0.0.1"


@dataclass
class Front:
    """What stands at 443 of the two names."""

    port: int
    plain_port: int
    authority: Authority
    gateways: list[Gateway]
    start_gateway: object
    environment: dict[str, str]

    def ask(self, host: str, path: str = "/", method: str = "GET", **headers: str) -> Answer:
        """Over a connection whose certificate and name were checked."""
        wire = http.client.HTTPConnection(host)
        wire.sock = self.wire(host)
        try:
            wire.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            answer = wire.getresponse()
            return Answer(answer.status, answer.getheaders(), answer.read())
        finally:
            wire.close()

    def wire(self, host: str) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.authority.path))
        return context.wrap_socket(socket.create_connection((HOST, self.port), timeout=20), server_hostname=host)

    def websocket(self, slug: str, cookie: str, path: str = "/ws") -> ClientConnection:
        host = f"{slug}.{NOTEBOOKS}"
        context = ssl.create_default_context(cafile=str(self.authority.path))
        return connect(
            f"wss://{host}{path}",
            sock=socket.create_connection((HOST, self.port), timeout=20),
            ssl=context,
            server_hostname=host,
            origin=f"https://{host}",  # type: ignore[arg-type]
            additional_headers={"Cookie": f"__Host-nb_grant={cookie}"},
            compression=None,
        )


def site(authority: Authority, portal_port: int, gateways: list[int], port: int, plain_port: int) -> str:
    """Our example; nothing of it is changed but ports and the places of certificates."""
    text = (ROOT / "deploy/nginx.conf.example").read_text()
    text = re.sub(r"^ +listen \[::\].*\n", "", text, flags=re.M)
    servers = "".join(f"    server {HOST}:{one} max_fails=1 fail_timeout=5s;\n" for one in gateways)
    changes = {
        "    server 127.0.0.1:8001 max_fails=1 fail_timeout=5s;\n": servers,
        "listen 80;": f"listen {HOST}:{plain_port};",
        "listen 443 ssl http2;": f"listen {HOST}:{port} ssl http2;",
        "http://127.0.0.1:8000;": f"http://{HOST}:{portal_port};",
        "http://127.0.0.1:8002;": f"http://{HOST}:{portal_port};",
        "/etc/letsencrypt/live/gpu.example.edu": str(authority.issue(PORTAL)),
        "/etc/letsencrypt/live/nb.example.edu": str(authority.issue(f"*.{NOTEBOOKS}")),
    }
    for old, new in changes.items():
        assert old in text, f"{old} is not in the example any more"
        text = text.replace(old, new)
    return text


@pytest.fixture(scope="module")
def front(
    tmp_path_factory: pytest.TempPathFactory,
    django_db_setup: None,
    django_db_blocker: DjangoDbBlocker,
    live_server: LiveServer,
) -> Iterator[Front]:
    folder = tmp_path_factory.mktemp("nginx")
    authority = Authority(folder)
    environment = production(folder)
    with django_db_blocker.unblock():
        environment["DATABASE_URL"] = database_url()

    def start_gateway(port: int) -> Gateway:
        uvicorn = [sys.executable, "-m", "uvicorn", "portal.live:application", "--host", HOST, "--port", str(port)]
        return Gateway(port, subprocess.Popen([*uvicorn, *FLAGS], cwd=ROOT, env=environment))

    gateways = [start_gateway(free_port()) for _n in range(2)]
    port, plain_port = free_port(), free_port()
    portal_port = int(live_server.url.rpartition(":")[2])
    (folder / "site.conf").write_text(site(authority, portal_port, [one.port for one in gateways], port, plain_port))
    nginx = subprocess.Popen(["nginx", "-e", str(folder / "error.log"), "-c", str(main_file(folder))])
    made = Front(port, plain_port, authority, gateways, start_gateway, environment)
    try:
        wait_until(lambda: all(answers(one) for one in gateways), "both gateways answer", 60)
        wait_until(lambda: listens(port), "nginx listens")
        yield made
    finally:
        nginx.terminate()
        for one in gateways:
            one.process.terminate()
        for process in (nginx, *(one.process for one in gateways)):
            process.wait(20)


def main_file(folder: Path) -> Path:
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{kind}_temp_path {folder / kind};" for kind in kinds)
    text = (
        f"daemon off; pid {folder / 'nginx.pid'}; worker_processes 1; events {{}}\n"
        f"http {{ access_log off; {temporary} include {folder / 'site.conf'}; }}\n"
    )
    (folder / "nginx.conf").write_text(text)
    return folder / "nginx.conf"


def listens(port: int) -> bool:
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def behind(transactional_db: None, settings: Settings, front: Front) -> Front:
    """The portal in this process knows itself by its public names."""
    for name in ("SECRET_KEY", "CODE_HASH_KEY"):
        setattr(settings, name, front.environment[f"LAMPLIGHTER_{name}"])
    settings.CODE_KEYS = [front.environment["LAMPLIGHTER_CODE_KEYS"]]
    settings.PORTAL_URL = f"https://{PORTAL}"
    settings.NOTEBOOK_DOMAIN, settings.NOTEBOOK_SCHEME = NOTEBOOKS, "https"
    settings.ALLOWED_HOSTS = [*settings.ALLOWED_HOSTS, PORTAL]
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    settings.SESSION_COOKIE_SECURE = True
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}
    return front
