"""A real browser, a real provider process: Demo University, and the portal beside it on the same host."""

import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from playwright.sync_api import Browser, BrowserContext, Page, expect
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from courses.models import AuditNote
from tests.conftest import Cast
from tests.demo.running import ROOT, free_base_port
from tests.pages.test_browser import Visitor
from tests.signin.conftest import app
from tests.signin.test_codes import code_in_mail
from tests.signin.test_second_factor import digits

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SECRET = "shared by the two for this test"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context: BrowserContext = browser.new_context()
    context.set_default_timeout(10_000)
    yield context.new_page()
    context.close()


@pytest.fixture
def university(tmp_path: Path, live_server: LiveServer, portal: Settings) -> Iterator[str]:
    port = free_base_port()
    url = f"http://127.0.0.1:{port}"
    callback = f"{live_server.url.replace('localhost', '127.0.0.1')}/accounts/oidc/uni/login/callback/"
    options = ["--folder", str(tmp_path), "--client-id", "portal", "--client-secret", SECRET]
    child = subprocess.Popen(
        [sys.executable, "-m", "demo.university", "--port", str(port), *options, "--redirect-uri", callback],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": ""},
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and child.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/login", timeout=5)
            break
        except OSError:
            time.sleep(0.1)
    real = app("uni", url, domains=["demo.edu"], hd="demo.edu")
    portal.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [{**real, "secret": SECRET}]}}
    yield url
    child.terminate()
    child.wait(10)


def to_the_university(page: Page, live_server: LiveServer, path: str = "/") -> None:
    page.goto(live_server.url.replace("localhost", "127.0.0.1") + path)
    page.get_by_role("button", name=re.compile("Sign in with")).first.click()
    expect(page.get_by_role("heading", name="Demo University")).to_be_visible()


def be(page: Page, address: str, password: str = "demo") -> None:
    page.get_by_label("University e-mail").fill(address)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def test_a_student_comes_in_and_goes_out_again(
    cast: Cast, page: Page, live_server: LiveServer, university: str
) -> None:
    to_the_university(page, live_server)
    be(page, "ada@demo.edu")
    expect(page.locator(".whoami")).to_contain_text("Ada Student")
    names = {cookie["name"] for cookie in page.context.cookies()}
    assert "lamplighter_session" in names
    assert "demo_university_session" not in names  # it forgets, so that the next visitor can be somebody else

    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("button", name=re.compile("Sign in with")).first).to_be_visible()
    page.goto(live_server.url.replace("localhost", "127.0.0.1") + "/c/dl19/")
    expect(page).to_have_url(re.compile("/accounts/login/"))


def test_sign_in_comes_back_to_the_page_that_was_asked_for(
    cast: Cast, page: Page, live_server: LiveServer, university: str
) -> None:
    to_the_university(page, live_server, "/c/dl19/staff/")
    be(page, "tess@demo.edu")
    expect(page).to_have_url(re.compile(r"/c/dl19/staff/$"))


def test_a_person_on_no_roster_reads_so_and_can_come_in_as_another(
    cast: Cast, page: Page, live_server: LiveServer, university: str
) -> None:
    to_the_university(page, live_server)
    page.get_by_role("button", name=re.compile("Victor Stone")).click()
    expect(page.get_by_text("victor.stone@demo.edu").first).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_contain_text("roster")

    page.get_by_role("button", name=re.compile("another account")).click()
    be(page, "ada@demo.edu")
    expect(page.locator(".whoami")).to_contain_text("Ada Student")


def test_the_university_knows_its_people_by_their_password_and_domain(
    cast: Cast, page: Page, live_server: LiveServer, university: str
) -> None:
    to_the_university(page, live_server)
    be(page, "ada@demo.edu", "wrong")
    expect(page.get_by_role("alert")).to_contain_text("password")
    be(page, "ada@elsewhere.org")
    expect(page.get_by_role("alert")).to_contain_text("demo.edu")


def test_an_instructor_sets_up_an_authenticator_app_and_is_asked_for_it_from_then_on(
    cast: Cast, page: Page, live_server: LiveServer, university: str, portal: Settings
) -> None:
    portal.STAFF_SECOND_FACTOR = True
    to_the_university(page, live_server, "/c/dl19/staff/")
    be(page, "ines@demo.edu")
    expect(page.get_by_text("need a second factor")).to_be_visible()
    page.get_by_role("link", name="Set up an app").click()
    drawn = page.locator("main img")
    assert drawn.evaluate("image => image.complete && image.naturalWidth > 0"), "the square to scan is not shown"
    page.emulate_media(color_scheme="dark")
    ground = drawn.evaluate("image => getComputedStyle(image).backgroundColor")
    assert ground == "rgb(255, 255, 255)", "no phone reads black on black"
    secret = page.get_by_label("Authenticator secret").input_value()
    page.get_by_label("Authenticator code").fill("000000")
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_text("Incorrect code")).to_be_visible()
    secret = page.get_by_label("Authenticator secret").input_value() or secret
    page.get_by_label("Authenticator code").fill(digits(secret))
    page.get_by_role("button", name="Activate").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Recovery")
    staff = live_server.url.replace("localhost", "127.0.0.1") + "/c/dl19/staff/"
    page.goto(staff)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Deep Learning")

    page.get_by_role("button", name="Sign out").click()
    to_the_university(page, live_server, "/c/dl19/staff/")
    be(page, "ines@demo.edu")
    cache.clear()  # the portal takes no code twice, and the next one is half a minute away
    page.get_by_label(re.compile("[Cc]ode")).first.fill(digits(secret))
    page.get_by_role("button", name="Sign In").first.click()
    expect(page).to_have_url(staff)


def test_a_security_key_is_added_and_asked_for_and_one_that_refuses_is_told_of(
    cast: Cast, browser: Browser, live_server: LiveServer, portal: Settings
) -> None:
    """Chromium's own key, which says yes or no on command. Browsers take keys for a name only, never for 127.0.0.1."""
    portal.MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = True  # localhost is a name without TLS
    visitor = Visitor(browser, live_server)
    page = visitor.open(cast.instructor.user, "/accounts/second-factor/")
    devices = visitor.context.new_cdp_session(page)
    devices.send("WebAuthn.enable")
    key = {"protocol": "ctap2", "transport": "usb", "hasUserVerification": True, "isUserVerified": True}
    made = devices.send("WebAuthn.addVirtualAuthenticator", {"options": {**key, "automaticPresenceSimulation": True}})

    page.get_by_role("link", name="Add a key").click()
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Recovery")
    held = devices.send("WebAuthn.getCredentials", {"authenticatorId": made["authenticatorId"]})["credentials"]
    assert [credential["rpId"] for credential in held] == ["localhost"]

    notes = AuditNote.objects.filter(who=cast.instructor.user, what="mfa_on").values_list("facts__type", flat=True)
    assert "webauthn" in set(notes)

    page.goto(live_server.url + "/accounts/second-factor/webauthn/add/")
    page.get_by_role("button", name="Add").click()  # the same key once more: the browser takes it only once
    expect(page.get_by_role("alert")).to_contain_text("no security key")

    portal.ACCOUNT_LOGIN_BY_CODE_ENABLED = True
    page.get_by_role("button", name="Sign out").click()
    page.goto(live_server.url + "/accounts/login/code/?next=/c/dl19/staff/")
    page.locator("#id_email").fill("ines@demo.edu")
    page.get_by_role("button", name="Send me a code").click()
    page.locator("#id_code").fill(code_in_mail("ines@demo.edu"))
    page.locator("main button.primary").click()
    page.get_by_role("button", name="Use a security key").click()
    expect(page).to_have_url(re.compile(r"/c/dl19/staff/$"))
    visitor.context.close()
