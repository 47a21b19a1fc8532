"""Whoever takes nothing, or takes it as costs most, fills nobody's memory and holds up nobody else.

Each rule is tried a second time with the rule taken out: then the endpoint must suffer, or the test proves nothing.
"""

import asyncio
import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import MSG_CHANNEL_OPEN, MSG_GLOBAL_REQUEST, MSG_IGNORE
from asyncssh.packet import Boolean, String, UInt32
from pytest_django.fixtures import Settings

from instances.models import MachineTunnel
from instances.tunnel.door import CHANNELS_EACH
from tests.conftest import Cast
from tests.gateway.conftest import HOST, new_instance
from tests.gateway.fake_machine import FakeMachine
from tests.loopback import address
from tests.tunnel.conftest import NOWHERE, SECONDS, Dialler, Endpoint, new_dialler, started_endpoint
from tests.tunnel.hostile import HUGE, QUICK, came_in, carried_out, flooding, reads_no_more, sends_at_once
from tests.tunnel.student import PATCH, PORT, Student, let_in, settle, ssh_endpoint

__all__ = ["ssh_endpoint"]

pytestmark = pytest.mark.ssh
WHERE = address(214)
MOST_MB = 40.0  # more than that an endpoint must not grow by what one attacker does
ASYNC_NOTHING = "lambda *_words: __import__('asyncio').sleep(0)"


Patched = Callable[[str], "contextlib.AbstractContextManager[Endpoint]"]


@pytest.fixture
def endpoint_with(settings: Settings, ssh_endpoint: Endpoint) -> Patched:
    """One that stands already, or one of its own whose rule is taken out."""

    @contextlib.contextmanager
    def make(patch: str = "") -> Iterator[Endpoint]:
        code = f"{PATCH}; from instances.tunnel import flow, passage; {patch}"
        if not patch:
            ssh_endpoint.host.save()
        with started_endpoint(address(30), code) if patch else contextlib.nullcontext(ssh_endpoint) as endpoint:
            settings.SSH_ADDRESS = settings.TUNNEL_ADDRESS = endpoint.address
            settings.DIAL_OUT = ["*"]
            yield endpoint
            settle()

    return make


def grows(endpoint: Endpoint, attack: Callable[[], Coroutine[Any, Any, None]], most: float = MOST_MB) -> bool:
    """Whether its memory grows by more than that (MB) while the attack goes on, which ends then."""

    async def watched() -> bool:
        before, going = resident(endpoint), asyncio.ensure_future(attack())
        while resident(endpoint) - before < most:
            if going.done():
                await going
                return False
            await asyncio.sleep(0.05)
        going.cancel()
        return True

    return carried_out(watched())


def resident(endpoint: Endpoint) -> float:
    pages = int(Path(f"/proc/{endpoint.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.fixture
def student(transactional_db: None, cast: Cast, tmp_path: Path) -> Iterator[Student]:
    yield let_in(cast.student, new_instance(cast.student, WHERE), tmp_path / "laptop")
    settle()


async def visit(endpoint: Endpoint, student: Student, **more: Any) -> asyncssh.SSHClientConnection:
    connection = await came_in(endpoint, student.machine.slug, student.folder / "id")
    await connection.open_connection(student.machine.slug, 22, encoding=None, **more)
    return connection


# ------------------------------------------------------------------ a person
@pytest.mark.parametrize("patch", ["", f"flow.Flow.room = {ASYNC_NOTHING}"], ids=["as it is", "control"])
@pytest.mark.parametrize("rekeys", [False, True], ids=["a giant window", "a change of keys without end"])
def test_a_client_that_declares_a_giant_window_and_takes_nothing_costs_no_memory(
    student: Student, endpoint_with: Patched, patch: str, rekeys: bool
) -> None:
    with endpoint_with(patch) as endpoint, flooding(WHERE, PORT):

        async def attack() -> None:
            connection = await visit(endpoint, student, window=HUGE)
            if rekeys:
                connection._send_kexinit()
            reads_no_more(connection)
            await asyncio.sleep(10 if patch else 2)
            connection.abort()

        assert grows(endpoint, attack) is bool(patch)


@pytest.mark.parametrize("patch", ["", "flow.LEAST_PACKET = 0"], ids=["as it is", "control"])
def test_a_client_that_wants_its_data_in_crumbs_holds_up_nobody(
    student: Student, endpoint_with: Patched, patch: str
) -> None:
    with endpoint_with(patch) as endpoint, flooding(WHERE, PORT):

        async def waited() -> float:
            connection = await visit(endpoint, student, window=20_000, max_pktsize=1)
            longest = 0.0
            for _n in range(10):
                longest = max(longest, await asyncio.to_thread(seconds_to_a_banner, endpoint))
                await asyncio.sleep(0.1)
            connection.abort()
            return longest

        assert (carried_out(waited()) < 1) is not bool(patch)


def seconds_to_a_banner(endpoint: Endpoint) -> float:
    began = time.monotonic()
    with socket.create_connection((HOST, endpoint.port), timeout=60) as wire:
        assert wire.recv(100).startswith(b"SSH-2.0-")
    return time.monotonic() - began


@pytest.mark.parametrize("patch", ["", "flow.UNSENT_BYTES = 1 << 40"], ids=["as it is", "control"])
def test_a_client_that_asks_and_asks_and_reads_no_answer_is_heard_no_more(
    student: Student, endpoint_with: Patched, patch: str
) -> None:
    with endpoint_with(patch) as endpoint:

        async def attack() -> None:
            connection = await came_in(endpoint, student.machine.slug, student.folder / "id", **QUICK)
            reads_no_more(connection)
            sends_at_once(connection, 40_000, MSG_CHANNEL_OPEN, String("session"), UInt32(1), UInt32(1), UInt32(9999))
            await asyncio.sleep(10 if patch else 5)
            connection.abort()

        assert grows(endpoint, attack, 4) is bool(patch)


def test_who_asks_on_in_a_change_of_keys_that_never_ends_is_sent_away(student: Student, endpoint_with: Patched) -> None:
    with endpoint_with() as endpoint:

        async def attack() -> None:
            connection = await came_in(endpoint, student.machine.slug, student.folder / "id")
            connection._send_kexinit()
            reads_no_more(connection)
            connection._kex_complete = True  # our own client would wait
            sends_at_once(connection, 12_000, MSG_GLOBAL_REQUEST, String("no such"), Boolean(True))
            connection._transport.resume_reading()  # type: ignore[union-attr]
            await asyncio.wait_for(connection.wait_closed(), SECONDS)

        carried_out(attack())


def test_what_a_client_never_closes_takes_its_own_places(student: Student, endpoint_with: Patched) -> None:
    """We close what leads nowhere; an entry stays with us until they have closed it, too."""
    with endpoint_with() as endpoint:

        async def attack() -> int:
            connection = await came_in(endpoint, student.machine.slug, student.folder / "id")
            opened = 0
            for _n in range(3 * CHANNELS_EACH):
                channel = connection.create_tcp_channel()
                channel._packet_handlers = {**channel._packet_handlers, 97: lambda *_words: None}  # their "close"
                with contextlib.suppress(asyncssh.ChannelOpenError):
                    await channel.connect(asyncssh.SSHTCPSession, student.machine.slug, 22, "", 0)
                    opened += 1
            connection.abort()
            return opened

        assert carried_out(attack()) == CHANNELS_EACH


def test_nobody_fills_the_audit_with_connections(student: Student, endpoint_with: Patched) -> None:
    with endpoint_with("from instances.tunnel import visits; visits.A_MINUTE = 4") as endpoint:

        async def attack() -> list[str]:
            connection = await came_in(endpoint, student.machine.slug, student.folder / "id")
            said = []
            for _n in range(6):
                try:
                    _reader, writer = await connection.open_connection(student.machine.slug, 22)
                    writer.close()
                    await writer.wait_closed()
                except asyncssh.ChannelOpenError as error:
                    said.append(error.reason)
            return said

        said = carried_out(attack())
        assert len(said) == 2
        assert "ControlMaster" in said[0]


# ------------------------------------------------------------------ a stranger
class Talker(asyncssh.SSHClient):
    """Shows a key, and while the endpoint looks whose it is, says much and nothing."""

    def __init__(self, key: Path) -> None:
        self.key, self.shown = asyncssh.read_private_key(str(key)), False

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self.connection = conn

    def public_key_auth_requested(self) -> asyncssh.SSHKey | None:
        if self.shown:
            return None
        self.shown = True
        made: list[bytes] = []
        send, self.connection._send = self.connection._send, made.append  # type: ignore[method-assign]

        def talk() -> None:
            for _n in range(5_000):
                self.connection.send_packet(MSG_IGNORE, String(""))
            self.connection._send = send  # type: ignore[method-assign]
            send(b"".join(made))

        asyncio.get_running_loop().call_later(0.05, talk)
        return self.key


@pytest.mark.parametrize("patch", ["", "flow.UNKNOWN_BYTES = 1 << 40"], ids=["as it is", "control"])
def test_a_stranger_who_talks_and_talks_is_cut_off_and_not_answered(
    student: Student, endpoint_with: Patched, patch: str
) -> None:
    with endpoint_with(patch) as endpoint:

        async def attack() -> None:
            talker = Talker(student.folder / "id")
            words = {"username": "mnobody", "known_hosts": None, "config": None, "agent_path": None, **QUICK}
            await asyncssh.connect(HOST, endpoint.port, client_factory=lambda: talker, **words)

        with pytest.raises((asyncssh.Error, OSError)) as refused:
            carried_out(attack())
        assert isinstance(refused.value, asyncssh.PermissionDenied) is bool(patch)  # else it was not asked about


# ------------------------------------------------------------------ a machine
@pytest.fixture
def dialled(cast: Cast, transactional_db: None, settings: Settings, machine: FakeMachine, tmp_path: Path) -> Any:
    def make(endpoint: Endpoint) -> Dialler:
        return new_dialler(new_instance(cast.student, NOWHERE), tmp_path, machine.address)

    return make


@pytest.mark.parametrize("patch", ["", "passage.WINDOW = 8 << 20"], ids=["as it is", "control"])
def test_many_readers_that_stall_cost_a_window_each_and_stop_no_other(
    endpoint_with: Patched, dialled: Callable[[Endpoint], Dialler], patch: str
) -> None:
    """Open notebooks of somebody whose network is gone, behind one honest machine that sends and sends."""
    with endpoint_with(patch) as endpoint:
        dialler = dialled(endpoint)
        with dialler.dialling(), ExitStack() as stack:
            dialler.wait()
            place = place_of(dialler)

            async def attack() -> None:
                for _n in range(20):
                    wire = stack.enter_context(socket.socket())
                    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                    wire.connect(place)
                    wire.sendall(b"GET /flood/1000 HTTP/1.1\r\nHost: x\r\n\r\n")
                await asyncio.sleep(10 if patch else 5)
                assert await asyncio.to_thread(answers_at_once, place)

            assert grows(endpoint, attack) is bool(patch)


def answers_at_once(place: tuple[str, int]) -> bool:
    with socket.create_connection(place, timeout=3) as wire:
        wire.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        return wire.recv(100).startswith(b"HTTP/1.1 200")


def place_of(dialler: Dialler) -> tuple[str, int]:
    row = MachineTunnel.objects.get(instance=dialler.instance)
    assert row.inside
    assert row.port
    return row.inside, row.port


@pytest.mark.parametrize("patch", ["", f"flow.Flow.room = {ASYNC_NOTHING}"], ids=["as it is", "control"])
def test_a_machine_that_takes_nothing_of_an_upload_costs_no_memory(
    endpoint_with: Patched, dialled: Callable[[Endpoint], Dialler], patch: str
) -> None:
    with endpoint_with(patch) as endpoint:
        dialler = dialled(endpoint)

        async def attack() -> None:
            reached = asyncio.Event()
            connection = await offering(endpoint, dialler, reached)
            wires = await asyncio.to_thread(poured_into, dialler)
            await reached.wait()
            reads_no_more(connection)
            await asyncio.sleep(10 if patch else 2)
            connection.abort()
            wires.close()

        assert grows(endpoint, attack) is bool(patch)


async def offering(endpoint: Endpoint, dialler: Dialler, reached: asyncio.Event) -> asyncssh.SSHClientConnection:
    """As the machine: its notebook, which somebody reaches and which says nothing."""

    async def stay(_reader: "asyncssh.SSHReader[bytes]", _writer: "asyncssh.SSHWriter[bytes]") -> None:
        reached.set()
        await asyncio.sleep(60)

    connection = await came_in(endpoint, dialler.instance.slug, dialler.folder / "key")
    await connection.start_server(lambda _host, _port: stay, "localhost", 8888, encoding=None, window=HUGE)
    return connection


def poured_into(dialler: Dialler) -> ExitStack:
    """A browser's upload, from a thread of its own."""
    dialler.wait()
    place, stack = place_of(dialler), ExitStack()
    stack.enter_context(_pouring(place))
    return stack


@contextlib.contextmanager
def _pouring(place: tuple[str, int]) -> Iterator[None]:
    wire = socket.create_connection(place)

    def pour() -> None:
        with contextlib.suppress(OSError):
            while True:
                wire.sendall(bytes(65536))

    threading.Thread(target=pour, daemon=True).start()
    try:
        yield
    finally:
        wire.close()
