"""A student owns a machine and its browser: what both pile up in the gateway ends nobody else's notebook."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from pytest_django.live_server_helper import LiveServer
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection

from instances.gateway import share
from instances.gateway.share import Full, Holding, Places
from tests.gateway.conftest import Browser, Gateway, Visitor, database_url, running_gateway, wait_until
from tests.gateway.fake_machine import MB, unfinished

pytestmark = [pytest.mark.slow]
# Of whole messages a copy for the wire is on its way, too.
ROOM_MB = 3 * share.SHARE_MAX / MB
PING, PONG = b"\x89\x80" + bytes(4), b"\x8a\x80" + bytes(4)
Pile = Callable[[Browser, ExitStack], object]


# ---------------------------------------------------------------- the rule
def test_the_end_that_holds_most_is_cut_and_no_other_machine_is_touched() -> None:
    cut: list[str] = []
    ends = {name: Holding(name[0], lambda name=name: cut.append(name)) for name in ("a1", "a2", "b1")}  # type: ignore[misc]
    assert ends["a1"].take(share.SHARE_MAX - 1)
    assert ends["b1"].take(share.SHARE_MAX)
    assert ends["a2"].take(2)  # stays: a1 has more
    assert cut == ["a1"]
    assert not ends["a1"].take(1)
    assert not ends["a2"].take(share.SHARE_MAX)
    assert cut == ["a1", "a2"]
    for end in ends.values():
        end.end()
    assert not share._ends


def test_what_was_cut_counts_until_it_is_let_go() -> None:
    first, second = Holding("m", lambda: None), Holding("m", lambda: None)
    assert not first.take(share.SHARE_MAX + 1)
    assert not second.take(share.SHARE_MAX // 2)  # alone that would be little
    first.end()
    third = Holding("m", lambda: None)
    assert third.take(share.SHARE_MAX // 2)
    second.end()
    third.end()


def test_who_holds_little_is_not_cut_for_a_neighbour_that_is_on_its_way_out() -> None:
    pours, *terminals = (Holding("m", lambda: None) for _n in range(2 * share.SOCKETS_MAX))
    assert not pours.take(share.SHARE_MAX + 1)
    assert all(one.take(share.SHARE_MAX // (2 * share.SOCKETS_MAX)) for one in terminals)
    assert sum(one.size for one in terminals) <= share.SHARE_MAX
    for one in (pours, *terminals):
        one.end()


def test_what_is_given_back_is_there_again() -> None:
    end = Holding("m", lambda: None)
    for _n in range(100):
        assert end.take(share.SHARE_MAX // 2)
        end.give_back(share.SHARE_MAX // 2)
    assert end.size == 0
    end.end()


def test_places_are_free_again_also_after_a_failure() -> None:
    places = Places(1)
    for _n in range(3):
        with suppress(ZeroDivisionError), places.one("m"):
            with pytest.raises(Full), places.one("m"):
                pass
            with places.one("another"):
                raise ZeroDivisionError


# ---------------------------------------------------------------- memory
def sockets_to(path: str, count: int, browser: Browser, stack: ExitStack) -> list[ClientConnection]:
    """They read nothing: `max_queue` is how many messages a client takes by itself."""
    return [stack.enter_context(browser.websocket(path, close_timeout=0.1, max_queue=1)) for _n in range(count)]


def machine_piles(browser: Browser, stack: ExitStack) -> None:
    sockets_to("/pile/60", 16, browser, stack)


def machine_pours(browser: Browser, stack: ExitStack) -> None:
    sockets_to("/pour/bytes", 10, browser, stack)


def machine_pours_text(browser: Browser, stack: ExitStack) -> None:
    sockets_to("/pour/text", 5, browser, stack)


def browser_piles(browser: Browser, stack: ExitStack) -> None:
    for socket in sockets_to("/ws", 64, browser, stack):
        with suppress(OSError):  # cut
            socket.socket.sendall(unfinished(15 * MB, masked=True))


def browser_pours(browser: Browser, stack: ExitStack) -> None:
    text = "\N{GRINNING FACE}" + "t" * (15 * MB)

    def pour(socket: ClientConnection) -> None:
        socket.socket.settimeout(3)  # the machine does not read either
        with suppress(OSError, ConnectionClosed):
            for _n in range(3):  # the first is taken by a machine that does not look at it
                socket.send(text)

    with ThreadPoolExecutor(16) as at_once:
        list(at_once.map(pour, sockets_to("/deaf", 16, browser, stack)))


PILES = [machine_piles, machine_pours, machine_pours_text, browser_piles, browser_pours]


@pytest.mark.parametrize("pile", PILES)
def test_who_piles_up_messages_is_cut_and_the_notebook_goes_on(owner: Visitor, pile: Pile) -> None:
    gateway = owner.browser.gateway
    gateway.log.write_bytes(b"")
    before = gateway.resident_mb
    gateway.forget_peak()
    with ExitStack() as stack:
        pile(owner.browser, stack)
        until_quiet(gateway)
        assert gateway.peak_mb - before < ROOM_MB
        assert owner.browser.ask("/api/status").status == 200
        with owner.browser.websocket() as socket:
            socket.send("hello")
            assert socket.recv(timeout=5) == "hello"
    assert b"piles up messages" in gateway.log.read_bytes()
    assert b"Traceback" not in gateway.log.read_bytes()


@pytest.mark.parametrize("pile", [machine_piles, browser_piles])
def test_control_without_a_share_memory_is_theirs(changed: Callable[..., Gateway], owner: Visitor, pile: Pile) -> None:
    owner.browser.gateway = gateway = changed(share_max=2**60)
    before = gateway.resident_mb
    with ExitStack() as stack:
        pile(owner.browser, stack)
        until_quiet(gateway)
        assert gateway.peak_mb - before > ROOM_MB


def until_quiet(gateway: Gateway) -> None:
    """Until its memory neither grows nor shrinks."""
    last = [0.0] * 3
    while max(last) - min(last) > 1 or not last[0]:
        time.sleep(0.3)
        last = [*last[1:], gateway.resident_mb]


@pytest.fixture
def changed(owner: Visitor, live_server: LiveServer, tmp_path: Path) -> Iterator[Callable[..., Gateway]]:
    """A gateway of its own with other bounds."""
    with ExitStack() as stack:

        def start(handshake_seconds: float = 30, **bounds: int) -> Gateway:
            lines = ["import uvicorn", "from instances.gateway import share"]
            lines += [f"share.{name.upper()} = {value}" for name, value in bounds.items()]
            lines += ["import portal.live", "from instances.gateway import websocket"]
            lines += [f"websocket.HANDSHAKE_SECONDS = {handshake_seconds}", "uvicorn.main()"]
            return stack.enter_context(running_gateway(database_url(), live_server, tmp_path, ("-c", "\n".join(lines))))

        yield start


def test_what_was_passed_on_counts_no_more(owner: Visitor, changed: Callable[..., Gateway]) -> None:
    owner.browser.gateway = changed(share_max=8 * MB)
    with owner.browser.websocket() as socket:
        for kind in (b"m" * MB, "m" * MB):
            for _n in range(20):
                socket.send(kind)
                assert len(socket.recv(timeout=10)) == MB


def test_a_head_that_never_ends_is_cut(owner: Visitor) -> None:
    gateway = owner.browser.gateway
    before = gateway.resident_mb
    gateway.forget_peak()
    asking = [threading.Thread(target=owner.browser.ask, args=["/head"]) for _n in range(20)]
    for one in asking:
        one.start()
    for one in asking:
        one.join(20)
        assert not one.is_alive()  # answered 503 by now
    assert gateway.peak_mb - before < 100


# ---------------------------------------------------------------- time
def slowest_answer(browser: Browser, seconds: float = 3) -> float:
    slowest, end = 0.0, time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        assert browser.gateway.connect().request("GET", "/_nb/health") is None
        browser.ask("/_nb/ready")
        slowest = max(slowest, time.monotonic() - began)
    return slowest


def test_a_machine_that_sends_pings_without_end_holds_nobody_up(owner: Visitor) -> None:
    with owner.browser.websocket("/pings", close_timeout=0.1):
        assert slowest_answer(owner.browser) < 1


@pytest.mark.parametrize("frame", [PING, PONG], ids=["ping", "pong"])
def test_a_browser_that_sends_pings_without_end_is_cut(owner: Visitor, frame: bytes) -> None:
    with owner.browser.websocket(close_timeout=0.1) as socket:
        with suppress(OSError):
            socket.socket.sendall(frame * 700_000)
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=5)
        assert slowest_answer(owner.browser, seconds=0.5) < 1


# ---------------------------------------------------------------- places
def test_no_machine_has_more_websockets_than_its_places(owner: Visitor, changed: Callable[..., Gateway]) -> None:
    owner.browser.gateway = changed(sockets_max=8)
    with ExitStack() as stack:
        sockets_to("/ws", 8, owner.browser, stack)
        with pytest.raises(InvalidStatus, match="429"), owner.browser.websocket():
            pass
    wait_until(lambda: opens(owner.browser), "their places are free again")


def test_a_machine_that_takes_connections_and_says_nothing_keeps_no_place(
    owner: Visitor, changed: Callable[..., Gateway]
) -> None:
    owner.browser.gateway = changed(sockets_max=1, handshake_seconds=1)
    with pytest.raises(InvalidStatus, match="503"), owner.browser.websocket("/silent"):
        pass
    assert opens(owner.browser)


def opens(browser: Browser) -> bool:
    try:
        with browser.websocket():
            return True
    except InvalidStatus:
        return False
