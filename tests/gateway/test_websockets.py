"""Websockets: the same door, big messages, both ends' goodbyes, and an end when the grant ends."""

import time

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection
from websockets.typing import Subprotocol

from instances.models import Instance
from instances.states import State
from tests.gateway.conftest import FLAGS, ROOT, Gateway, Visitor, sign_out, wait_until
from tests.gateway.fake_machine import MB, FakeMachine

ENDS_WITHIN = 8.0  # seconds: three between looks, two of remembering, and a slow test machine


def goodbye(socket: ClientConnection, seconds: float = ENDS_WITHIN) -> tuple[int | None, str]:
    with pytest.raises(ConnectionClosed) as closed:
        socket.recv(timeout=seconds)
    received = closed.value.rcvd
    return (received.code, received.reason) if received else (None, "")


def test_messages_pass_both_ways_in_their_kind(owner: Visitor) -> None:
    with owner.browser.websocket() as socket:
        socket.send("text ü")
        assert socket.recv(timeout=5) == "text ü"
        socket.send(b"\x00bytes")
        assert socket.recv(timeout=5) == b"\x00bytes"


def test_the_protocol_that_the_machine_picks_is_told_to_the_browser(owner: Visitor) -> None:
    offered = [Subprotocol("other"), Subprotocol("v1.kernel.websocket.jupyter.org")]
    with owner.browser.websocket(subprotocols=offered) as socket:
        assert socket.subprotocol == "v1.kernel.websocket.jupyter.org"


def test_the_handshake_carries_the_token_and_not_our_cookie(owner: Visitor) -> None:
    with owner.browser.websocket() as socket:
        socket.send("headers")
        text = str(socket.recv(timeout=5))
    assert "token the machine's token" in text
    assert owner.browser.cookie not in text


def test_the_demo_starts_the_gateway_as_production_does() -> None:
    launcher = (ROOT / "demo" / "launcher.py").read_text()
    assert [flag for flag in FLAGS if f'"{flag}"' not in launcher] == []


@pytest.mark.slow
def test_big_messages_pass_both_ways(owner: Visitor) -> None:
    big = b"\x07" * (15 * MB)
    with owner.browser.websocket() as socket:
        socket.send(big)
        assert socket.recv(timeout=30) == big
        socket.send("40 MB")
        assert len(socket.recv(timeout=30)) == 40 * MB


def test_the_machines_goodbye_reaches_the_browser(owner: Visitor) -> None:
    with owner.browser.websocket() as socket:
        socket.send("bye")
        assert goodbye(socket)[0] == 4000


def test_the_browsers_goodbye_reaches_the_machine(owner: Visitor, machine: FakeMachine) -> None:
    with owner.browser.websocket() as socket:
        socket.close(4321)
    assert machine.closed_with.result(timeout=5) == 4321


def test_a_machines_refusal_is_passed_on(owner: Visitor) -> None:
    with pytest.raises(InvalidStatus) as refusal:
        owner.browser.websocket("/ws403")
    assert refusal.value.response.status_code == 403


def test_a_machine_that_does_not_answer_is_503_with_a_time_to_come_back(owner: Visitor, machine: FakeMachine) -> None:
    machine.stop()
    with pytest.raises(InvalidStatus) as refusal:
        owner.browser.websocket()
    assert refusal.value.response.status_code == 503
    assert refusal.value.response.headers["Retry-After"]


def test_a_refusal_is_an_answer_and_no_error_in_the_log(owner: Visitor, machine: FakeMachine) -> None:
    """Tabs that were left open knock all night; an operator who looks for errors must not find them."""
    log = owner.browser.gateway.log
    before = len(log.read_text())
    with pytest.raises(InvalidStatus):
        owner.browser.websocket("/ws403")
    owner.browser.cookie = "nobody's"
    with pytest.raises(InvalidStatus):
        owner.browser.websocket()
    wait_until(lambda: log.read_text()[before:].count("connection rejected") == 2, "both are refused")
    time.sleep(0.2)
    assert "ERROR" not in log.read_text()[before:]


def test_signing_out_closes_an_open_websocket_within_seconds(owner: Visitor) -> None:
    with owner.browser.websocket() as socket:
        sign_out(owner.session_key)
        assert goodbye(socket) == (4401, "signed out")


def test_a_machine_that_stops_closes_its_websockets(owner: Visitor) -> None:
    with owner.browser.websocket() as socket:
        Instance.objects.update(state=State.STOPPING)
        assert goodbye(socket) == (4503, "machine is not running")


@pytest.mark.slow
def test_a_quiet_websocket_with_a_good_grant_stays_open(gateway: Gateway, owner: Visitor) -> None:
    """The control of the two above: several looks pass, and it still answers."""
    with owner.browser.websocket() as socket:
        time.sleep(ENDS_WITHIN + 1)
        socket.send("still here")
        assert socket.recv(timeout=5) == "still here"
