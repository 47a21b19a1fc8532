"""What whoever holds a machine's key, or none, may try at the endpoint: nothing but the own notebook comes of it."""

import asyncio
import contextlib
import random
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from credits import vault
from instances.models import MachineTunnel
from instances.tunnel.knocking import network
from tests.gateway.conftest import HOST, wait_until
from tests.gateway.fake_machine import FakeMachine
from tests.loopback import address, free_port
from tests.tunnel.conftest import SECONDS, Dialler, Endpoint, database_port

pytestmark = pytest.mark.ssh
SHELL = "echo 'I am'; id"


def refused(answer: "subprocess.CompletedProcess[str]") -> bool:
    return answer.returncode != 0 and "I am" not in answer.stdout


def fresh_key(folder: Path) -> Path:
    key = folder / "stolen"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    return key


# ------------------------------------------------------------------ who
def test_another_key_and_another_machines_key_open_nothing(dialler: Dialler, other: Dialler, tmp_path: Path) -> None:
    for key in (fresh_key(tmp_path), other.folder / "key"):
        answer = dialler.run("-N", "-R", "8888:127.0.0.1:8888", "", key=key)
        assert "Permission denied (publickey)" in answer.stderr
    assert not dialler.stands()
    assert not other.stands()


@pytest.mark.parametrize(
    "name",
    ["../{slug}", "{slug}/../{slug}", "{slug}.sock", "/run/{slug}", "{slug}%00", "{SLUG}", "*", "m" * 4000, "root"],
)
def test_a_name_is_a_machine_and_never_a_path(dialler: Dialler, name: str) -> None:
    user = name.replace("{slug}", dialler.instance.slug).replace("{SLUG}", dialler.instance.slug.upper())
    answer = dialler.run("-N", "-R", "8888:127.0.0.1:8888", "", user=user)
    assert answer.returncode == 255
    assert not dialler.stands()


# ------------------------------------------------------------------ what
@pytest.mark.parametrize("words", [(SHELL,), ("-tt", ""), ("-T", ""), ("-s", "sftp"), ("-A", "-X", SHELL)])
def test_there_is_no_shell_no_command_and_no_file(dialler: Dialler, words: tuple[str, ...]) -> None:
    assert refused(dialler.run(*words))


def test_it_leads_nowhere_else(dialler: Dialler, endpoint: Endpoint, machine: FakeMachine) -> None:
    """Not to the portal's database, not to the endpoint itself, not to a machine."""
    own, metadata = f"{machine.address}:8888", "169.254.169.254:80"
    for target in (f"{HOST}:{database_port()}", f"{HOST}:{endpoint.port}", metadata, "localhost:8888", own):
        assert "stdio forwarding failed" in dialler.run("-W", target, "").stderr


def test_its_own_ports_for_others_stay_shut(dialler: Dialler) -> None:
    """-L, also to a socket file, and -D: the client listens by itself, but nothing comes back."""
    tcp, unix, dynamic = free_port(), free_port(), free_port()
    ways = [
        "-L",
        f"{tcp}:{HOST}:{database_port()}",
        "-L",
        f"{unix}:/var/run/postgresql/.s.PGSQL.5432",
        "-D",
        str(dynamic),
    ]
    with subprocess.Popen([word for word in dialler.ssh("-N", *ways, "") if word], stderr=subprocess.DEVNULL) as ssh:
        try:
            for port in (tcp, unix, dynamic):
                wait_until(lambda port=port: opens(port), "the client listens", SECONDS)  # type: ignore[misc]
            for port in (tcp, unix):
                with socket.create_connection((HOST, port), timeout=SECONDS) as wire:
                    assert wire.recv(100) == b""
            with socket.create_connection((HOST, dynamic), timeout=SECONDS) as wire:
                wire.sendall(b"\x05\x01\x00")
                assert wire.recv(2) == b"\x05\x00"
                wire.sendall(b"\x05\x01\x00\x01" + socket.inet_aton(HOST) + database_port().to_bytes(2, "big"))
                assert wire.recv(100)[1:2] != b"\x00"
        finally:
            ssh.kill()


def opens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=5):
        return True
    return False


@pytest.mark.parametrize(
    "place",
    [
        "8889:{h}:8888",
        "0:{h}:8888",
        "0.0.0.0:8888:{h}:8888",
        "{other}:8888:{h}:8888",
        "/tmp/{other}.sock:{h}:8888",
        "0",
    ],
)
def test_it_listens_for_its_own_notebook_and_nothing_else(dialler: Dialler, other: Dialler, place: str) -> None:
    said = place.replace("{h}", dialler.bind).replace("{other}", other.instance.slug)
    answer = dialler.run("-N", "-R", said, "")
    assert answer.returncode == 255
    assert "forwarding" in answer.stderr
    assert not other.stands()
    assert not dialler.stands()


def test_it_listens_once(dialler: Dialler) -> None:
    own = f"8888:{dialler.bind}:8888"
    assert dialler.run("-N", "-R", own, "-R", "localhost:9999:127.0.0.1:22", "").returncode == 255
    wait_until(lambda: not dialler.stands(), "nothing is left", SECONDS)


# ------------------------------------------------------------------ how many
@contextlib.contextmanager
def knocking(port: int, source: str, number: int) -> Iterator[list[socket.socket]]:
    """So many who come and say nothing."""
    with contextlib.ExitStack() as stack:
        wires = [socket.create_connection((HOST, port), SECONDS, (source, 0)) for _n in range(number)]
        yield [stack.enter_context(wire) for wire in wires]


def _hears(wire: socket.socket) -> bytes:
    wire.settimeout(SECONDS)
    try:
        return wire.recv(100)
    except ConnectionError:
        return b""


def test_who_knocks_and_says_nothing_makes_room_for_who_comes(endpoint: Endpoint) -> None:
    with knocking(endpoint.port, address(200), 60) as wires:
        assert all(_hears(wire).startswith(b"SSH-2.0-Lamplighter") for wire in wires)
        assert [_hears(wire) for wire in wires[:20]] == [b""] * 20  # whoever stood longest was sent away
        wires[-1].settimeout(0.5)
        with pytest.raises(TimeoutError):
            wires[-1].recv(100)


def test_many_networks_that_say_nothing_keep_no_machine_out(dialler: Dialler, endpoint: Endpoint) -> None:
    """A plain limit would be theirs: three of them fill it, and as often as it empties."""
    with contextlib.ExitStack() as stack:
        for number in range(200, 204):
            stack.enter_context(knocking(endpoint.port, address(number), 40))
        with dialler.dialling():
            dialler.wait()


@pytest.mark.parametrize(
    ("peer", "counted"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_a_network_is_counted_as_one(peer: str, counted: str) -> None:
    assert network(peer) == counted


GARBAGE = {
    "zeros": bytes(20_000),
    "a web browser": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a name that is no text": b"SSH-2.0-\xff\xfe\x1b[31m\r\n" + bytes(200),
    "a line without end": b"SSH-2.0-" + b"a" * 100_000,
    "noise": b"SSH-2.0-x\r\n" + random.Random(7).randbytes(50_000),  # the same in each run
    "a packet of 4 GB": b"SSH-2.0-x\r\n" + b"\xff" * 300,
    "a packet of nothing": b"SSH-2.0-x\r\n" + b"\x00\x00\x00\x01\x00" * 40,
    "keys that nobody has": b"SSH-2.0-x\r\n" + struct.pack(">IBB", 44, 4, 20) + bytes(16 + 27),
}


@pytest.mark.parametrize("said", GARBAGE.values(), ids=GARBAGE)
def test_what_is_no_ssh_ends_its_own_connection_and_nothing_else(endpoint: Endpoint, said: bytes) -> None:
    before = len(endpoint.log)
    with socket.create_connection((HOST, endpoint.port), timeout=SECONDS) as wire:
        with contextlib.suppress(ConnectionError):
            wire.sendall(said)
        with contextlib.suppress(ConnectionError):
            while wire.recv(65536):
                pass
    assert endpoint.process.poll() is None
    assert endpoint.log[before:] == ""
    with knocking(endpoint.port, HOST, 1) as wires:
        assert _hears(wires[0]).startswith(b"SSH-2.0-Lamplighter")


def test_a_name_that_changes_in_the_middle_of_a_login_is_asked_about_anew(
    dialler: Dialler, other: Dialler, endpoint: Endpoint
) -> None:
    """The own name with the own key is taken; then the signature is made for the other's."""

    class Turncoat(asyncssh.SSHClient):
        def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
            self.connection, self.shown = conn, 0
            ask = conn.send_userauth_request

            async def turned(method: bytes, *words: bytes, key: object = None, **more: object) -> None:
                conn._username = other.instance.slug if key else dialler.instance.slug
                self.shown += bool(key)
                await ask(method, *words, key=key, **more)  # type: ignore[arg-type]

            conn.send_userauth_request = turned  # type: ignore[method-assign]

    turncoat = Turncoat()

    async def attack() -> None:
        words = {"client_keys": [str(dialler.folder / "key")], "known_hosts": None, "config": None, "agent_path": None}
        name = dialler.instance.slug
        await asyncssh.connect(HOST, endpoint.port, client_factory=lambda: turncoat, username=name, **words)

    with pytest.raises(asyncssh.PermissionDenied):
        asyncio.run(attack())
    assert turncoat.shown == 1  # so far it came
    assert not other.stands()


# ------------------------------------------------------------------ what is written down
def test_neither_keys_nor_tokens_nor_what_strangers_call_themselves_is_logged(
    dialler: Dialler, endpoint: Endpoint
) -> None:
    with dialler.dialling():
        dialler.wait()
    dialler.run("-N", "", user="stranger\x1b[31m")
    wait_until(lambda: f"{dialler.instance.slug} is gone" in endpoint.log, "its end is logged", SECONDS)
    row = MachineTunnel.objects.get(instance=dialler.instance)
    key = vault.unseal(row.private_key)
    secrets = [*key.splitlines()[1:-1], row.public_key.split()[1], vault.unseal(dialler.instance.notebook_token)]
    for secret in [*secrets, "stranger", "PRIVATE KEY", row.private_key]:
        assert secret not in endpoint.log
