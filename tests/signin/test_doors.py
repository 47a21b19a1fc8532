"""The doors around sign-in: no passwords, no local accounts, sign-out by POST alone."""

from urllib.parse import quote

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from pytest_django.fixtures import Settings

from courses.models import User
from tests.conftest import Cast
from tests.signin.any_provider import AnyProvider
from tests.signin.conftest import SignIn


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/signup/",
        "/accounts/password/reset/",
        "/accounts/password/change/",
        "/accounts/email/",
        "/accounts/3rdparty/",
        "/accounts/3rdparty/signup/",
        "/accounts/login/code/",
    ],
)
def test_there_is_no_door_for_passwords_or_accounts_of_our_own(cast: Cast, portal: Settings, path: str) -> None:
    browser = Client()
    browser.force_login(cast.student.user)
    assert browser.get(path).status_code == 404
    assert browser.post(path).status_code == 404


def test_a_password_opens_nothing(cast: Cast, portal: Settings, client: Client) -> None:
    user = User.objects.create_user("old@demo.edu", password="secret")
    client.post("/accounts/login/", {"login": user.email, "password": "secret"})
    assert "_auth_user_id" not in client.session


def test_sign_in_begins_with_a_post_so_that_no_foreign_page_can_start_it(
    db: None, portal: Settings, client: Client
) -> None:
    strict = Client(enforce_csrf_checks=True)
    assert strict.post("/accounts/oidc/uni/login/").status_code == 403
    assert client.get("/accounts/oidc/uni/login/").status_code == 200


def test_sign_out_needs_a_post(cast: Cast, portal: Settings, client: Client) -> None:
    client.force_login(cast.student.user)
    client.get("/accounts/logout/")
    assert "_auth_user_id" in client.session
    answer = client.post("/accounts/logout/")
    assert (answer.status_code, answer["Location"]) == (302, "/")
    assert "_auth_user_id" not in client.session


def test_a_session_that_somebody_prepared_is_not_the_one_that_is_signed_in(
    cast: Cast, sign_in: SignIn, provider: AnyProvider
) -> None:
    browser = Client()
    browser.post("/accounts/oidc/uni/login/")
    before = browser.session.session_key
    assert before
    provider.says(sub="ada", email=cast.student.email, email_verified=True)
    sign_in(browser)
    assert "_auth_user_id" in browser.session
    assert browser.session.session_key != before
    assert not Session.objects.filter(session_key=before).exists()


@pytest.mark.parametrize("after", ["https://evil.com/", "//evil.com/", "/\\evil.com", "javascript:alert(1)"])
def test_no_sign_in_leads_to_a_foreign_page(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, client: Client, after: str
) -> None:
    provider.says(sub="ada", email=cast.student.email, email_verified=True)
    where = sign_in(client, after=quote(after))["Location"]
    assert where == "/"
    assert client.get("/accounts/login/", {"next": after})["Location"] == "/"
