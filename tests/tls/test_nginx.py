"""TLS in front and two gateways behind one name, by the nginx configuration that operations.md hands out."""

import http.client
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from instances.models import Instance
from tests.browser import FLAGS, chromium_path
from tests.conftest import Cast
from tests.gateway.conftest import HOST, answers, new_instance, sign_in, sign_out, ticket_for, wait_until
from tests.gateway.stage import Lab, run_a_cell, wait_for_lab
from tests.loopback import address
from tests.tls.conftest import NOTEBOOKS, PORTAL, Front

pytestmark = [pytest.mark.nginx, pytest.mark.postgres, pytest.mark.slow]
TAB = {"Sec_Fetch_Site": "none", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
PAGE = {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Mode": "cors"}


def enter(front: Front, row: Instance) -> tuple[str, str]:
    """The owner's cookie on the notebook's host, and the portal's session."""
    assert row.owner.user
    session = sign_in(row.owner.user)
    entry = f"/_nb/enter?t={ticket_for(row, session)}"
    answer = front.ask(f"{row.slug}.{NOTEBOOKS}", entry, Cookie="__Host-nb_state=the browser", **TAB)
    assert answer.status == 302
    assert answer.one("location") == f"https://{row.slug}.{NOTEBOOKS}/lab"
    [cookie] = answer.all("set-cookie")
    assert cookie.startswith("__Host-nb_grant=")
    assert "; Secure" in cookie
    return cookie.partition(";")[0].partition("=")[2], session


def status(front: Front, row: Instance, cookie: str) -> int:
    return front.ask(f"{row.slug}.{NOTEBOOKS}", "/api", Cookie=f"__Host-nb_grant={cookie}", **PAGE).status


def test_both_names_show_a_certificate_that_holds_and_no_other_name_is_served(behind: Front) -> None:
    assert behind.ask(PORTAL, "/accounts/login/").status == 200
    assert behind.ask(f"manything.{NOTEBOOKS}", "/_nb/health").status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        behind.ask(f"two.labels.{NOTEBOOKS}", "/")


@pytest.mark.parametrize("host", [PORTAL, f"m1.{NOTEBOOKS}"])
def test_without_tls_everybody_is_sent_to_tls(behind: Front, host: str) -> None:
    wire = http.client.HTTPConnection(HOST, behind.plain_port)
    wire.request("GET", "/x?y=1", headers={"Host": host})
    answer = wire.getresponse()
    assert (answer.status, answer.getheader("location")) == (301, f"https://{host}/x?y=1")
    wire.close()


def test_what_one_gateway_let_in_the_other_knows_and_one_that_dies_is_passed_over(
    behind: Front, instance: Instance
) -> None:
    cookie, session = enter(behind, instance)
    assert {status(behind, instance, cookie) for _n in range(6)} == {200}
    first = behind.gateways[0]
    first.process.kill()
    first.process.wait(10)
    try:
        assert {status(behind, instance, cookie) for _n in range(6)} == {200}
    finally:
        behind.gateways[0] = behind.start_gateway(first.port)  # type: ignore[operator]
        wait_until(lambda: answers(behind.gateways[0]), "it is back", 60)
    sign_out(session)
    time.sleep(2.5)  # what a gateway remembers of a grant
    assert {status(behind, instance, cookie) for _n in range(6)} == {401}


def test_a_websocket_passes_and_signing_out_closes_it_whichever_gateway_holds_it(
    behind: Front, instance: Instance
) -> None:
    cookie, session = enter(behind, instance)
    wires = [behind.websocket(instance.slug, cookie) for _n in range(2)]  # one on each
    for wire in wires:
        wire.send("hello")
        assert wire.recv(timeout=10)
    sign_out(session)
    for wire in wires:
        assert goodbye(wire) == 4401


def goodbye(wire: ClientConnection) -> int | None:
    try:
        while True:
            wire.recv(timeout=15)
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


# ------------------------------------------------------------------ a person
@pytest.fixture
def browser_(behind: Front, tmp_path: Path) -> Iterator[Browser]:
    """Finds both names here, and trusts our authority."""
    rules = f"MAP {PORTAL}:443 {HOST}:{behind.port},MAP *.{NOTEBOOKS}:443 {HOST}:{behind.port}"
    flags = [
        *FLAGS,
        f"--host-resolver-rules={rules}",
        f"--ignore-certificate-errors-spki-list={behind.authority.fingerprint}",
    ]
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        context = playwright.chromium.launch_persistent_context(
            str(tmp_path / "profile"), executable_path=chromium_path(), args=flags
        )
        yield context  # type: ignore[misc]
        context.close()


@pytest.mark.browser
def test_a_notebook_opens_over_https_and_a_cell_runs(
    behind: Front, browser_: Browser, cast: Cast, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    lab = Lab(address(49), home)
    row = new_instance(cast.student, lab.address, token=lab.token)
    assert cast.student.user
    session = sign_in(cast.student.user)
    cookie = {"name": "lamplighter_session", "value": session, "url": f"https://{PORTAL}", "secure": True}
    browser_.add_cookies([cookie])  # type: ignore[attr-defined]
    with lab.running():
        page = browser_.new_page()
        page.goto(f"https://{PORTAL}/machines/{row.slug}/notebook")
        wait_for_lab(page)
        assert page.url.startswith(f"https://{row.slug}.{NOTEBOOKS}/lab")
        assert run_a_cell(page, "print(6 * 7)") == "42"
        assert page.evaluate("isSecureContext")
