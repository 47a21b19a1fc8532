"""A machine that no network leads to: its notebook is reached through what it dialled itself, while it runs."""

import http.client
import signal
from pathlib import Path

import pytest
from django.utils import timezone

from instances.models import Instance, MachineTunnel
from instances.states import State
from instances.sweeps.looking import kernels_of
from instances.sweeps.readiness import answers
from tests.conftest import Cast
from tests.gateway.conftest import HOST, Gateway, entered, new_instance, wait_until
from tests.gateway.fake_machine import MB, FakeMachine
from tests.loopback import address
from tests.tunnel.conftest import NOWHERE, SECONDS, Dialler, Endpoint, new_dialler, started_endpoint

pytestmark = pytest.mark.ssh


def place_of(dialler: Dialler) -> str:
    row = MachineTunnel.objects.get(instance=dialler.instance)
    assert row.inside
    return f"{row.inside}:{row.port}"


def is_shut(place: str) -> bool:
    wire = http.client.HTTPConnection(place, timeout=5)
    try:
        wire.request("GET", "/")
        wire.getresponse()
    except (OSError, http.client.HTTPException):
        return True
    finally:
        wire.close()
    return False


def test_the_notebook_is_reached_through_the_tunnel(
    dialler: Dialler, gateway: Gateway, machine: FakeMachine, endpoint: Endpoint
) -> None:
    visitor = entered(gateway, dialler.instance)
    assert visitor.browser.ask("/tree").status == 503  # nobody has dialled yet, and nothing else leads there
    with dialler.dialling():
        dialler.wait()
        wait_until(lambda: visitor.browser.ask("/tree").status == 200, "the gateway has heard of it")
        assert len(visitor.browser.ask("/flood/12").body) == 12 * MB
        sent = b"u" * (3 * MB)
        assert visitor.browser.ask("/upload", "POST", sent, Content_Length=str(len(sent))).json["bytes"] == len(sent)
        with visitor.browser.websocket() as socket:
            socket.send("text ü")
            assert socket.recv(timeout=10) == "text ü"
        place = place_of(dialler)
        assert place.startswith(endpoint.inside)
        assert answers([place]) == [True]  # the worker's question, too
        assert kernels_of([(place, "t")]) == [None]  # heard, and no list of kernels
    wait_until(lambda: not dialler.stands(), "it is gone from the row", SECONDS)


def test_many_at_once_through_one_tunnel(dialler: Dialler) -> None:
    with dialler.dialling():
        dialler.wait()
        wires = [http.client.HTTPConnection(place_of(dialler), timeout=20) for _n in range(30)]
        for wire in wires:
            wire.request("GET", "/half-way")
        assert [wire.getresponse().status for wire in wires] == [200] * 30


@pytest.mark.parametrize("state", [State.STOPPING, State.TERMINATED])
def test_a_machine_that_is_off_has_no_tunnel_within_seconds_and_its_key_opens_nothing(
    dialler: Dialler, state: State
) -> None:
    with dialler.dialling() as ssh:
        dialler.wait()
        place = place_of(dialler)
        Instance.objects.filter(pk=dialler.instance.pk).update(state=state)
        wait_until(lambda: ssh.poll() is not None, "the connection has ended", SECONDS)
    assert is_shut(place)
    refused = dialler.run("-N", "-R", "8888:127.0.0.1:8888", "")
    assert refused.returncode == 255
    assert "Permission denied (publickey)" in refused.stderr


def test_a_machine_that_was_started_again_dials_with_the_same_key(dialler: Dialler) -> None:
    Instance.objects.filter(pk=dialler.instance.pk).update(state=State.STOPPED)
    assert dialler.run("-N", "").returncode == 255
    Instance.objects.filter(pk=dialler.instance.pk).update(state=State.LAUNCHING)
    with dialler.dialling():
        dialler.wait()


def test_a_new_connection_takes_the_place_of_one_that_is_half_dead(dialler: Dialler) -> None:
    with dialler.dialling() as first:
        dialler.wait()
        old = dialler.connection()
        first.send_signal(signal.SIGSTOP)  # as a machine that lost its network: it says nothing any more
        with dialler.dialling():
            wait_until(lambda: dialler.connection() not in ("", old), "the new one stands", SECONDS)
            assert answers(place_of(dialler))
            first.send_signal(signal.SIGCONT)
            wait_until(lambda: first.poll() is not None, "the old one was sent away", SECONDS)
            assert dialler.stands()


def test_a_machine_that_speaks_no_more_is_found_out(
    cast: Cast, transactional_db: None, machine: FakeMachine, tmp_path: Path, settings: object
) -> None:
    patch = "from instances.tunnel import server; server.KEEPALIVE_SECONDS, server.KEEPALIVE_MISSED = 0.2, 2"
    with started_endpoint(address(4), patch) as impatient:
        settings.DIAL_OUT, settings.TUNNEL_ADDRESS = ["*"], impatient.address  # type: ignore[attr-defined]
        dialler = new_dialler(new_instance(cast.student, NOWHERE), tmp_path, machine.address)
        with dialler.dialling() as ssh:
            dialler.wait()
            ssh.send_signal(signal.SIGSTOP)
            wait_until(lambda: not dialler.stands(), "nobody believes in it", SECONDS)


def test_an_endpoint_that_ends_takes_its_tunnels_off_the_rows_and_one_that_died_leaves_none_behind(
    cast: Cast, transactional_db: None, machine: FakeMachine, tmp_path: Path, settings: object
) -> None:
    inside = address(5)
    with started_endpoint(inside) as first:
        settings.DIAL_OUT, settings.TUNNEL_ADDRESS = ["*"], first.address  # type: ignore[attr-defined]
        dialler = new_dialler(new_instance(cast.student, NOWHERE), tmp_path, machine.address)
        with dialler.dialling():
            dialler.wait()
            first.process.terminate()
            first.process.wait(20)
            assert not dialler.stands()
    MachineTunnel.objects.update(inside=inside, port=9, connection="of a dead process", seen_at=timezone.now())
    assert dialler.stands()
    with started_endpoint(inside):
        assert not dialler.stands()


def test_two_endpoints_share_the_key_and_whoever_was_dialled_last_holds_the_machine(
    dialler: Dialler, endpoint: Endpoint
) -> None:
    with dialler.dialling() as first:
        dialler.wait()
        with started_endpoint(address(6)) as second:
            where = dialler.folder / "where"
            where.write_text(where.read_text().replace(str(endpoint.port), str(second.port)))
            with dialler.dialling():
                wait_until(lambda: place_of(dialler).startswith(f"{second.inside}:"), "it moved", SECONDS)
                wait_until(lambda: first.poll() is not None, "the first has let it go", SECONDS)
                assert answers(place_of(dialler))


def test_a_machine_talks_to_no_other_endpoint_than_the_one_it_was_told_of(dialler: Dialler) -> None:
    known = dialler.folder / "known_hosts"
    known.write_text(
        "lamplighter-tunnel ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJr0Ua9Zq8v0nXl9sTqk0kKQyQ0pGm3m1b8r3b8l7p3c\n"
    )
    with dialler.dialling() as ssh:
        _out, said = ssh.communicate(timeout=SECONDS)
    assert ssh.returncode == 255
    assert "verification failed" in said


def test_only_a_key_is_asked_for(dialler: Dialler) -> None:
    answer = dialler.run("-o", "PreferredAuthentications=none,password,keyboard-interactive,hostbased", "")
    assert answer.returncode == 255
    assert f"{dialler.instance.slug}@{HOST}: Permission denied (publickey)." in answer.stderr
