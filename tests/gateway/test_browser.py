"""One click into JupyterLab, in a real Chromium on a real JupyterLab: everything a student does there works."""

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.live_server_helper import LiveServer

from instances.models import Instance, NotebookGrant
from instances.states import State
from tests.conftest import Cast
from tests.gateway.conftest import Gateway, new_instance, query_of, sign_in, sign_out
from tests.gateway.stage import LAB_SECONDS, Lab, plant_sign_in, run_a_cell, wait_for_lab
from tests.loopback import address

pytestmark = [pytest.mark.browser, pytest.mark.slow]

UPLOAD_MB = 60
# As JupyterLab's own upload button does it: base64 chunks of 1 MB to the contents API, the last one is number -1.
UPLOAD = """async (megabytes) => {
  const xsrf = document.cookie.match(/_xsrf=([^;]+)/)?.[1] ?? "";
  const block = btoa(String.fromCharCode(...Array(1024).fill(117)).repeat(1024));
  for (let n = 1; n <= megabytes; n++) {
    const chunk = n === megabytes ? -1 : n;
    const body = JSON.stringify({type: "file", format: "base64", content: block, chunk});
    const answer = await fetch("/api/contents/big.bin", {method: "PUT", headers: {"X-XSRFToken": xsrf}, body});
    if (!answer.ok) { return `chunk ${n}: ${answer.status}`; }
  }
  return "done";
}"""
TERMINAL = """async () => {
  const xsrf = document.cookie.match(/_xsrf=([^;]+)/)?.[1] ?? "";
  const made = await fetch("/api/terminals", {method: "POST", headers: {"X-XSRFToken": xsrf}});
  const {name} = await made.json();
  const socket = new WebSocket(`ws://${location.host}/terminals/websocket/${name}`);
  let text = "";
  return await new Promise((resolve) => {
    setTimeout(() => resolve(text), 15000);
    socket.onopen = () => socket.send(JSON.stringify(["stdin", "echo answer=$((6*7))\\n"]));
    socket.onmessage = ({data}) => { text += data; if (text.includes("answer=42")) { resolve(text); } };
  });
}"""
WATCH_SOCKET = """() => {
  const socket = new WebSocket(`ws://${location.host}/api/events/subscribe`);
  window.goodbye = new Promise((resolve) => { socket.onclose = ({code, reason}) => resolve({code, reason}); });
  return new Promise((resolve) => { socket.onopen = () => resolve("open"); socket.onerror = () => resolve("error"); });
}"""


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    found = browser.new_context()
    yield found
    found.close()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    return context.new_page()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def lab(home: Path) -> Iterator[Lab]:
    lab = Lab(address(2), home)
    with lab.running():
        yield lab


@pytest.fixture
def mine(gateway: Gateway, cast: Cast, lab: Lab) -> Instance:
    return new_instance(cast.student, lab.address, token=lab.token)


def way_in(live_server: LiveServer, instance: Instance, query: str = "") -> str:
    return live_server.url + reverse("notebook", args=[instance.slug]) + query


def owner_session(instance: Instance) -> str:
    assert instance.owner.user
    return sign_in(instance.owner.user)


def test_one_click_and_a_cell_runs(
    context: BrowserContext, page: Page, live_server: LiveServer, mine: Instance
) -> None:
    plant_sign_in(context, live_server.url, owner_session(mine))
    page.goto(way_in(live_server, mine))
    wait_for_lab(page)
    assert urlsplit(page.url).netloc.startswith(f"{mine.slug}.nb.localhost")
    assert "token" not in page.url
    assert run_a_cell(page, "import os; print(6 * 7, os.getcwd())").startswith("42 ")
    assert NotebookGrant.objects.count() == 1


def test_a_signed_out_person_signs_in_and_lands_where_they_were_going(
    context: BrowserContext, page: Page, live_server: LiveServer, gateway: Gateway, mine: Instance
) -> None:
    page.goto(gateway.origin(mine.slug) + "/lab/tree/jupyter.log")
    page.wait_for_url(re.compile("/accounts/login/"))
    [back] = query_of(page.url)["next"]
    plant_sign_in(context, live_server.url, owner_session(mine))
    page.goto(live_server.url + back)  # as the sign-in does when it is done
    wait_for_lab(page)
    assert page.url.endswith("/lab/tree/jupyter.log")


def test_somebody_elses_notebook_is_404_at_the_portal_and_shut_at_its_host(
    context: BrowserContext, page: Page, live_server: LiveServer, gateway: Gateway, mine: Instance, cast: Cast
) -> None:
    assert cast.other_student.user
    plant_sign_in(context, live_server.url, sign_in(cast.other_student.user))
    answer = page.goto(gateway.origin(mine.slug) + "/lab")
    assert answer
    assert answer.status == 404
    assert page.url.startswith(live_server.url)


def test_a_big_file_arrives_whole(
    context: BrowserContext, page: Page, live_server: LiveServer, mine: Instance, home: Path
) -> None:
    plant_sign_in(context, live_server.url, owner_session(mine))
    page.goto(way_in(live_server, mine))
    wait_for_lab(page)
    assert page.evaluate(UPLOAD, UPLOAD_MB) == "done"
    expected = hashlib.sha256(b"u" * UPLOAD_MB * 2**20).hexdigest()
    assert hashlib.sha256((home / "big.bin").read_bytes()).hexdigest() == expected
    length = "async () => (await (await fetch('/files/big.bin')).arrayBuffer()).byteLength"
    assert page.evaluate(length) == UPLOAD_MB * 2**20


def test_a_terminal_works(context: BrowserContext, page: Page, live_server: LiveServer, mine: Instance) -> None:
    plant_sign_in(context, live_server.url, owner_session(mine))
    page.goto(way_in(live_server, mine))
    wait_for_lab(page)
    assert "answer=42" in page.evaluate(TERMINAL)


def test_signing_out_shuts_the_notebook_that_is_open(
    context: BrowserContext, page: Page, live_server: LiveServer, mine: Instance
) -> None:
    session = owner_session(mine)
    plant_sign_in(context, live_server.url, session)
    page.goto(way_in(live_server, mine))
    wait_for_lab(page)
    assert page.evaluate(WATCH_SOCKET) == "open"
    sign_out(session)
    assert page.evaluate("window.goodbye") == {"code": 4401, "reason": "signed out"}
    assert page.evaluate("async () => (await fetch('/api/contents')).status") == 401
    page.reload()
    page.wait_for_url(re.compile("/accounts/login/"))


def test_the_first_click_after_boot_waits_by_itself(
    context: BrowserContext, page: Page, live_server: LiveServer, gateway: Gateway, cast: Cast, tmp_path: Path
) -> None:
    late = Lab(address(3), tmp_path)
    machine = new_instance(cast.student, late.address, token=late.token)
    plant_sign_in(context, live_server.url, owner_session(machine))
    page.goto(way_in(live_server, machine))
    expect(page.get_by_role("heading", name="JupyterLab is starting")).to_be_visible()
    with late.running(wait=False):
        wait_for_lab(page)  # nobody touched the page
        expect(page.locator(".jp-LauncherCard").first).to_be_visible(timeout=LAB_SECONDS * 1000)


def test_a_machine_that_is_still_starting_is_waited_for_at_the_portal(
    context: BrowserContext, page: Page, live_server: LiveServer, mine: Instance
) -> None:
    Instance.objects.update(state=State.STOPPED)
    plant_sign_in(context, live_server.url, owner_session(mine))
    page.goto(way_in(live_server, mine, "?path=/lab/tree/jupyter.log"))
    expect(page.get_by_role("button", name="Start")).to_be_visible()
    Instance.objects.update(state=State.LAUNCHING)
    page.reload()
    expect(page.get_by_text("The machine is starting")).to_be_visible()
    Instance.objects.update(state=State.RUNNING)
    wait_for_lab(page)
    assert page.url.endswith("/lab/tree/jupyter.log")
