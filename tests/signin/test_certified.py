"""Sign-in by a certified OpenID provider that is not ours, in a real browser."""

import json
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.cache import cache
from playwright.sync_api import Browser, Page, expect
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from courses.models import AuditNote
from tests.conftest import OIDC_PROVIDER, Cast
from tests.demo.running import free_base_port
from tests.signin.conftest import app

pytestmark = [pytest.mark.browser, pytest.mark.oidc_idp, pytest.mark.django_db(transaction=True)]
OURS = {"email_verified": True, "hd": "demo.edu"}
PEOPLE = {
    "ada": {"email": "ada@demo.edu", "name": "Ada Student", **OURS},
    "victor": {"email": "victor@demo.edu", "name": "Victor Stone", **OURS},
    "private": {"email": "ben@demo.edu", "name": "Ben Other", "email_verified": True},  # a private account: no hd
    "elsewhere": {"email": "ben@demo.edu", "name": "Ben Other", **OURS, "hd": "evil.edu"},
    "unverified": {"email": "ben@demo.edu", "name": "Ben Other", **OURS, "email_verified": False},
}


@pytest.fixture
def address(live_server: LiveServer) -> str:
    return str(live_server.url).replace("localhost", "127.0.0.1")


@pytest.fixture
def provider(address: str, portal: Settings) -> Iterator[str]:
    cache.clear()
    port = free_base_port()
    url = f"http://127.0.0.8:{port}"
    callback = f"{address}/accounts/oidc/uni/login/callback/"
    script = Path(__file__).with_name("oidc_provider.mjs")
    child = subprocess.Popen(
        ["node", str(script), str(OIDC_PROVIDER), str(port), callback, address],
        env={**os.environ, "PEOPLE": json.dumps(PEOPLE)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and child.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/.well-known/openid-configuration", timeout=5)
            break
        except OSError:
            time.sleep(0.1)
    real = app("uni", url, domains=["demo.edu"], hd="demo.edu")
    secret = "a secret of this test alone, quite long"
    portal.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [{**real, "secret": secret}]}}
    yield url
    child.terminate()
    child.wait(10)


def go_in(browser: Browser, address: str, name: str) -> Page:
    """Each in a browser of their own."""
    page = browser.new_context().new_page()
    page.set_default_timeout(15_000)
    page.goto(f"{address}/accounts/login/?next=/c/dl19/")
    page.get_by_role("button", name=re.compile("Sign in with")).click()
    page.locator("input[name=login]").fill(name)
    page.locator("input[name=password]").fill("anything")
    page.locator("button[type=submit]").first.click()
    return page


def test_who_comes_in_and_who_does_not(cast: Cast, provider: str, browser: Browser, address: str) -> None:
    page = go_in(browser, address, "ada")
    expect(page.locator(".whoami")).to_contain_text("Ada Student")
    expect(page).to_have_url(re.compile("/c/dl19/$"))
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{address}/c/dl19/")
    expect(page).to_have_url(re.compile("/accounts/login/"))
    page.context.close()
    for name, says, reason in (
        ("victor", "not on a course", "not on a roster"),
        ("private", "does not belong", "other organisation"),
        ("elsewhere", "does not belong", "other organisation"),
        ("unverified", "did not confirm", "address not verified"),
    ):
        page = go_in(browser, address, name)
        expect(page.locator("main")).to_contain_text(says)
        assert AuditNote.objects.filter(what="sign_in_refused").latest("pk").facts["reason"] == reason
        page.goto(f"{address}/c/dl19/")
        expect(page).to_have_url(re.compile("/accounts/login/"))
        page.context.close()
