"""What the settings make of the environment where the libraries' defaults would be unsafe."""

import json

from tests.production.conftest import Environment, run

SHOW = "import django, json; django.setup(); from django.conf import settings as s; print(json.dumps({}))"


def shown(environment: Environment, what: str) -> object:
    found = run(environment | {"DJANGO_SETTINGS_MODULE": "portal.settings"}, "-c", SHOW.format(what))
    assert found.returncode == 0, found.stdout
    return json.loads(found.stdout)


def test_every_provider_is_asked_with_pkce_and_bound_to_its_domains(environment: Environment) -> None:
    apps = shown(environment, "s.SOCIALACCOUNT_PROVIDERS['openid_connect']['APPS']")
    assert isinstance(apps, list)
    assert [app["provider_id"] for app in apps] == ["uni"]
    assert apps[0]["settings"]["oauth_pkce_enabled"] is True
    assert apps[0]["settings"]["policy"] == {"domains": ["example.edu"], "hd": ""}


def test_cookies_are_secure_and_the_callback_is_https(environment: Environment) -> None:
    names = "[s.SESSION_COOKIE_SECURE, s.CSRF_COOKIE_SECURE, s.ACCOUNT_DEFAULT_HTTP_PROTOCOL]"
    assert shown(environment, names) == [True, True, "https"]
