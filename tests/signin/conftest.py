"""A provider that can lie, and a portal that is set up to trust it."""

from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
import requests
from django.http import HttpResponse
from django.test import Client
from pytest_django.fixtures import Settings

from tests.signin.any_provider import AnyProvider

CALLBACK = "/accounts/oidc/uni/login/callback/"
SignIn = Callable[..., HttpResponse]


@pytest.fixture
def provider() -> Iterator[AnyProvider]:
    found = AnyProvider()
    yield found
    found.stop()


@pytest.fixture
def portal(settings: Settings, provider: AnyProvider) -> Settings:
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app("uni", provider.url)]}}
    return settings


def app(ident: str, url: str, **policy: object) -> dict[str, object]:
    return {
        "provider_id": ident,
        "name": "The University",
        "client_id": "portal",
        "secret": "not a secret",
        "settings": {
            "server_url": url,
            "uid_field": "sub",
            "oauth_pkce_enabled": True,
            "email_authentication": True,
            "policy": policy or {"domains": ["demo.edu"], "hd": ""},
        },
    }


@pytest.fixture
def sign_in(db: None, portal: Settings, provider: AnyProvider, client: Client) -> SignIn:
    """Signs in as a browser would: our form, the provider's address, our callback. Returns the callback's answer."""

    def go(browser: Client | None = None, after: str = "", query: str = "") -> HttpResponse:
        browser = browser or client
        start = f"/accounts/oidc/uni/login/?{query}" + (f"&next={after}" if after else "")
        sent = browser.post(start)
        if sent.status_code != 302:
            return sent
        back = requests.get(sent["Location"], allow_redirects=False, timeout=5).headers["Location"]
        return browser.get(f"{CALLBACK}?{urlsplit(back).query}")

    return go
