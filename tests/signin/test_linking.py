"""Two providers with one address: they become one person only when both are proved to be theirs."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import requests
from allauth.socialaccount.models import SocialAccount
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client
from pytest_django.fixtures import Settings

from courses.models import AuditNote
from tests.conftest import Cast
from tests.signin.any_provider import AnyProvider
from tests.signin.conftest import SignIn, app
from tests.signin.test_codes import ADA, CONFIRM, ask, code_in_mail, is_in


@pytest.fixture
def other(portal: Settings, provider: AnyProvider) -> Iterator[AnyProvider]:
    """A second university, which may speak for the same domain."""
    cache.clear()
    found = AnyProvider()
    second = {**app("other", found.url), "name": "Other University", "client_id": "portal-2"}
    portal.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app("uni", provider.url), second]}}
    portal.ACCOUNT_LOGIN_BY_CODE_ENABLED = True
    yield found
    found.stop()


def by_other(browser: Client, other: AnyProvider) -> HttpResponse:
    other.says(sub="other-ada", email=ADA, email_verified=True)
    other.id_token["aud"] = "portal-2"
    sent = browser.post("/accounts/oidc/other/login/")
    back = requests.get(sent["Location"], allow_redirects=False, timeout=5).headers["Location"]
    return browser.get(f"/accounts/oidc/other/login/callback/?{urlsplit(back).query}")


@pytest.fixture
def known(cast: Cast, other: AnyProvider, sign_in: SignIn, provider: AnyProvider) -> None:
    """Ada has come by the first university before."""
    provider.says(sub="ada", email=ADA, email_verified=True)
    assert sign_in(Client()).status_code == 302


def providers() -> set[str]:
    return set(SocialAccount.objects.values_list("provider", flat=True))


def test_the_second_provider_alone_opens_nothing_and_says_how_to_prove_it(known: None, other: AnyProvider) -> None:
    browser = Client()
    answer = by_other(browser, other)
    assert answer.status_code == 403
    html = answer.content.decode()
    assert "Are both accounts yours?" in html
    assert "Sign in with The University" in html
    assert not is_in(browser)
    assert providers() == {"uni"}


def test_signing_in_with_the_first_in_the_same_browser_proves_it(
    known: None, cast: Cast, other: AnyProvider, sign_in: SignIn
) -> None:
    browser = Client()
    by_other(browser, other)
    assert sign_in(browser).status_code == 302
    assert providers() == {"uni", "other"}
    assert AuditNote.objects.get(what="account_linked").who == cast.student.user
    fresh = Client()
    assert by_other(fresh, other).status_code == 302
    assert fresh.session["_auth_user_id"] == str(cast.student.user_id)


def test_a_code_sent_to_the_address_proves_it(known: None, other: AnyProvider) -> None:
    browser = Client()
    by_other(browser, other)
    ask(browser)
    browser.post(CONFIRM, {"code": code_in_mail(ADA)})
    assert is_in(browser)
    assert providers() == {"uni", "other"}


def test_being_signed_in_with_the_first_proves_it(known: None, other: AnyProvider, sign_in: SignIn) -> None:
    browser = Client()
    sign_in(browser)
    assert by_other(browser, other).status_code == 302
    assert is_in(browser)
    assert providers() == {"uni", "other"}


def test_somebody_elses_sign_in_proves_nothing(
    known: None, cast: Cast, other: AnyProvider, sign_in: SignIn, provider: AnyProvider
) -> None:
    browser = Client()
    by_other(browser, other)
    provider.says(sub="ben", email=cast.other_student.email, email_verified=True)
    assert sign_in(browser).status_code == 302
    assert providers() == {"uni"}
    assert SocialAccount.objects.count() == 2


def test_the_proof_in_another_browser_or_too_late_links_nothing(
    known: None, other: AnyProvider, sign_in: SignIn
) -> None:
    late = Client()
    by_other(late, other)
    session = late.session
    session["login_to_link"] = {**session["login_to_link"], "at": 0}
    session.save()
    sign_in(late)
    by_other(Client(), other)
    sign_in(Client())
    assert providers() == {"uni"}


def test_a_person_known_by_mail_alone_may_come_by_a_university_that_vouches(cast: Cast, other: AnyProvider) -> None:
    browser = Client()
    ask(browser)
    browser.post(CONFIRM, {"code": code_in_mail(ADA)})
    assert is_in(browser)
    assert by_other(Client(), other).status_code == 302
    assert providers() == {"other"}
