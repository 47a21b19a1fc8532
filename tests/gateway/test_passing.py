"""What goes through to the machine and back: whole, unchanged, in little memory, and without our secrets."""

import contextlib
import gzip
import hashlib
import http.client
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import Cast
from tests.gateway.conftest import Gateway, Visitor, answers, entered, new_instance, sign_out, wait_until
from tests.gateway.fake_machine import MB, PORT, FakeMachine
from tests.loopback import address

BIG_MB = 200
BOUND_MB = 48  # memory that the gateway may grow by, whatever passes through


def seen(answer_json: dict[str, object], name: str) -> list[str]:
    headers = answer_json["headers"]
    assert isinstance(headers, list)
    return [value for key, value in headers if key == name]


def test_the_machine_gets_its_token_and_none_of_our_cookies_nor_any_lie(owner: Visitor) -> None:
    echo = owner.browser.ask(
        "/api/status",
        Cookie=f"nb_grant={owner.browser.cookie}; _xsrf=1; lamplighter_session=secret",
        Authorization="token made-up",
        X_Forwarded_Host="evil.com",
        X_Forwarded_For="6.6.6.6",
        X_Nb_Upstream="http://6.6.6.6",
        Connection="X-Drop-Me",
        X_Drop_Me="1",
    ).json
    assert seen(echo, "authorization") == ["token the machine's token"]
    assert seen(echo, "cookie") == ["_xsrf=1"]
    assert seen(echo, "host") == [owner.browser.host]
    assert seen(echo, "x-forwarded-proto") == ["http"]
    assert not seen(echo, "x-forwarded-host") + seen(echo, "x-forwarded-for") + seen(echo, "x-drop-me")
    assert not seen(echo, "user-agent")  # nothing is added that the browser did not say


def test_a_cookie_in_two_headers_is_read_and_passed_on_as_one(gateway: Gateway, owner: Visitor) -> None:
    wire = gateway.connect()
    wire.putrequest("GET", "/api", skip_host=True)
    for name, value in owner.browser.headers().items():
        wire.putheader(name, value)
    wire.putheader("Cookie", "a=1")
    wire.putheader("Cookie", "b=2")
    wire.endheaders()
    answer = wire.getresponse()
    echo = answer.read().decode()
    wire.close()
    assert answer.status == 200
    assert '["cookie", "a=1; b=2"]' in echo


@pytest.mark.parametrize("target", ["/api/contents/a%2Fb%20c?x=%26&y", "//double", "/a/../b", "/%F0%9F%98%80"])
def test_the_address_arrives_as_it_was_sent(owner: Visitor, target: str) -> None:
    assert owner.browser.ask(target).json["target"] == target


@pytest.mark.parametrize("target", ["@6.6.6.6/steal", "*"])
def test_a_target_that_names_another_host_goes_nowhere(owner: Visitor, target: str) -> None:
    assert owner.browser.ask(target).status in (400, 404)


def test_an_absolute_target_stays_with_the_machine_of_the_host_header(owner: Visitor) -> None:
    assert owner.browser.ask("http://6.6.6.6/steal").json["target"] == "/steal"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_every_method_passes_with_its_body(gateway: Gateway, owner: Visitor, method: str) -> None:
    echo = owner.browser.ask("/api/x", method, b"some body", Origin=gateway.origin(owner.instance.slug)).json
    assert (echo["method"], echo["body"]) == (method, "some body")


def test_packed_answers_pass_unopened(owner: Visitor) -> None:
    answer = owner.browser.ask("/packed", Accept_Encoding="gzip")
    assert answer.body == b"\x1f\x8bnot really gzip"
    assert answer.one("content-encoding") == "gzip"


def test_packed_uploads_pass_unopened(gateway: Gateway, owner: Visitor) -> None:
    body = gzip.compress(b"x" * 1000)
    origin = gateway.origin(owner.instance.slug)
    answer = owner.browser.ask("/upload", "POST", body, Content_Encoding="gzip", Origin=origin)
    assert answer.json["sha256"] == hashlib.sha256(body).hexdigest()


def test_a_machine_sets_cookies_for_its_own_host_only(owner: Visitor) -> None:
    answer = owner.browser.ask("/lies")
    assert answer.all("set-cookie") == ["_xsrf=mine; Path=/"]
    assert not answer.all("clear-site-data")
    assert answer.all("content-security-policy") == ["frame-ancestors 'self'"]


@pytest.mark.slow
@pytest.mark.parametrize("with_length", [True, False], ids=["length", "chunked"])
def test_a_big_upload_arrives_whole_in_bounded_memory(gateway: Gateway, owner: Visitor, with_length: bool) -> None:
    block, digest = b"u" * MB, hashlib.sha256(b"u" * MB * BIG_MB).hexdigest()

    def blocks() -> Iterator[bytes]:
        for _n in range(BIG_MB):
            yield block
            peak.append(gateway.resident_mb)

    peak: list[float] = []
    before = gateway.resident_mb
    length = {"Content_Length": str(BIG_MB * MB)} if with_length else {}
    origin = gateway.origin(owner.instance.slug)
    answer = owner.browser.ask("/upload", "PUT", blocks(), Origin=origin, **length)
    assert answer.json == {"sha256": digest, "bytes": BIG_MB * MB}
    assert max(peak) - before < BOUND_MB


@pytest.mark.slow
def test_a_big_download_to_a_slow_reader_stays_in_bounded_memory(gateway: Gateway, owner: Visitor) -> None:
    before = gateway.resident_mb
    wire = gateway.connect()
    wire.request("GET", f"/flood/{BIG_MB}", headers=owner.browser.headers())
    answer = wire.getresponse()
    length, peak = 0, 0.0
    while block := answer.read(MB):
        length += len(block)
        peak = max(peak, gateway.resident_mb)
    wire.close()
    assert length == BIG_MB * MB
    assert peak - before < BOUND_MB


def _interim_for_ever(wire: socket.socket) -> None:
    while True:
        wire.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


def _headers_for_ever(wire: socket.socket) -> None:
    wire.sendall(b"HTTP/1.1 200 OK\r\n")
    while True:
        wire.sendall(b"X-Header: " + b"a" * 1000 + b"\r\n")


def _size_for_ever(wire: socket.socket) -> None:
    wire.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;")
    while True:
        wire.sendall(bytes([97]) * 65536)


@pytest.mark.parametrize("says", [_interim_for_ever, _headers_for_ever, _size_for_ever])
def test_a_machine_that_never_comes_to_its_answer_holds_up_nobody(
    cast: Cast, gateway: Gateway, says: Callable[[socket.socket], None]
) -> None:
    """Its student has root there, and may serve whatever they like. The gateway is everybody's."""
    with socket.create_server((address(49), PORT)) as server:

        def serve() -> None:
            while True:
                with contextlib.suppress(OSError), server.accept()[0] as wire:
                    wire.recv(65536)
                    says(wire)
                if server.fileno() < 0:
                    return

        threading.Thread(target=serve, daemon=True).start()
        visitor = entered(gateway, new_instance(cast.student, address(49)))
        before, slowest, grown = gateway.resident_mb, 0.0, 0.0
        asking = threading.Thread(target=_ask, args=(visitor,), daemon=True)
        asking.start()
        for _n in range(20):
            began = time.monotonic()
            assert answers(gateway)
            slowest = max(slowest, time.monotonic() - began)
            grown = max(grown, gateway.resident_mb - before)
            time.sleep(0.1)
        server.shutdown(socket.SHUT_RDWR)
    assert slowest < 3  # without the limit: six seconds and more
    assert grown < BOUND_MB


def _ask(visitor: Visitor) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):
        visitor.browser.ask("/api/status")


def test_an_interim_answer_or_two_before_the_answer_are_no_harm(cast: Cast, gateway: Gateway) -> None:
    with socket.create_server((address(48), PORT)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError), server.accept()[0] as wire:
                for _request in range(3):
                    wire.recv(65536)
                    told = b"HTTP/1.1 103 Early Hints\r\n\r\n" * 10
                    wire.sendall(told + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        threading.Thread(target=serve, daemon=True).start()
        visitor = entered(gateway, new_instance(cast.student, address(48)))
        assert [visitor.browser.ask("/api/status").body for _n in range(3)] == [b"ok"] * 3


def test_a_download_that_is_given_up_ends_at_the_machine_too(
    gateway: Gateway, owner: Visitor, machine: FakeMachine
) -> None:
    wire = gateway.connect()
    wire.request("GET", "/flood/100000", headers=owner.browser.headers())
    wire.getresponse().read(MB)
    wire.close()
    wait_until(machine.hung_up.is_set, "the machine hears of it", 5)


def test_a_download_under_way_ends_when_its_reader_signs_out(gateway: Gateway, owner: Visitor) -> None:
    wire = gateway.connect()
    wire.request("GET", "/flood/1000000", headers=owner.browser.headers())
    answer = wire.getresponse()
    assert answer.read(MB)
    sign_out(owner.session_key)
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        read_for(answer, 10)
    wire.close()


def read_for(answer: http.client.HTTPResponse, seconds: float) -> None:
    until = time.monotonic() + seconds
    while answer.read(MB) and time.monotonic() < until:
        pass


def test_half_an_answer_is_not_passed_off_as_a_whole_one(owner: Visitor) -> None:
    with pytest.raises((http.client.IncompleteRead, ConnectionError)):
        owner.browser.ask("/half")
