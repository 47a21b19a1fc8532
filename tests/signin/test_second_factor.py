"""A second factor: anybody may have one, staff must where the setting says so; and sign-out everywhere."""

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from cryptography.fernet import Fernet
from django.core.cache import cache
from django.test import Client
from django.urls import reverse
from pytest_django.fixtures import Settings

from courses import second_factor
from courses.models import AuditNote, User
from instances.models import NotebookGrant
from tests.conftest import Cast
from tests.instances.conftest import Stage
from tests.pages.conftest import signed_in, today  # noqa: F401 - fixture
from tests.signin.any_provider import AnyProvider
from tests.signin.conftest import SignIn
from tests.signin.test_codes import is_in


def digits(secret: str) -> str:
    counters = list(yield_hotp_counters_from_time())
    counter = counters[len(counters) // 2]  # now: the ones before and after it are forgiven, whoever is slow
    return format_hotp_value(hotp_value(secret, counter))


def add_app(client: Client) -> str:
    """Sets an authenticator app up, as a person does; returns the secret it shares with us."""
    url = reverse("mfa_activate_totp")
    page = client.get(url)
    assert page.status_code == 200
    secret = page.context["form"].secret
    answer = client.post(url, {"code": digits(secret)})
    assert answer.status_code == 302, answer.content.decode()
    return str(secret)


@pytest.fixture(autouse=True)
def _fresh(portal: Settings) -> None:
    cache.clear()


def test_after_a_new_key_the_old_one_can_go(portal: Settings, cast: Cast) -> None:
    new, old = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    portal.CODE_KEYS = [old]
    secret = add_app(signed_in(cast.instructor.user))
    portal.CODE_KEYS = [new, old]
    sealed, lost = second_factor.seal_anew()
    assert (sealed, lost) == (2, 0)  # the app, and its recovery codes
    portal.CODE_KEYS = [new]
    [app] = Authenticator.objects.filter(user=cast.instructor.user, type=Authenticator.Type.TOTP)
    assert second_factor.MFAAdapter().decrypt(app.data["secret"]) == secret


@pytest.fixture
def strict(portal: Settings) -> Settings:
    portal.STAFF_SECOND_FACTOR = True
    return portal


@pytest.mark.parametrize("name", ["course_staff", "credits_desk", "course_audit"])
def test_staff_pages_ask_to_set_one_up_and_open_once_it_is(strict: Settings, cast: Cast, name: str) -> None:
    client = signed_in(cast.instructor.user)
    answer = client.get(reverse(name, args=["dl19"]))
    assert (answer.status_code, answer["Location"]) == (302, reverse("mfa_index"))
    assert "need a second factor" in client.get(reverse("mfa_index")).content.decode()
    add_app(client)
    assert client.get(reverse(name, args=["dl19"])).status_code == 200


def test_a_live_part_says_401_so_that_its_page_is_loaded_anew(strict: Settings, cast: Cast) -> None:
    answer = signed_in(cast.ta.user).get(reverse("course_staff_live", args=["dl19"]), headers={"HX-Request": "true"})
    assert answer.status_code == 401


def test_students_and_their_own_things_need_none(strict: Settings, today: Stage, cast: Cast) -> None:  # noqa: F811
    row = today.running()
    assert signed_in(cast.student.user).get(reverse("machine", args=[row.slug])).status_code == 200
    assert signed_in(cast.student.user).get(reverse("course_home", args=["dl19"])).status_code == 200
    assert signed_in(cast.ta.user).get(reverse("machine", args=[row.slug])).status_code == 302
    assert signed_in(cast.student.user).get(reverse("course_staff", args=["dl19"])).status_code == 404


def test_who_runs_the_installation_needs_one(strict: Settings, db: None) -> None:
    olga = User.objects.create_user("olga@demo.edu", is_operator=True)
    assert signed_in(olga).get(reverse("audit")).status_code == 302


def test_without_the_setting_nobody_is_asked(portal: Settings, cast: Cast) -> None:
    assert signed_in(cast.ta.user).get(reverse("course_staff", args=["dl19"])).status_code == 200


def test_who_has_one_is_asked_for_it_by_every_door_and_a_wrong_one_opens_nothing(
    cast: Cast, sign_in: SignIn, provider: AnyProvider
) -> None:
    secret = add_app(signed_in(cast.ta.user))
    provider.says(sub="tess", email=cast.ta.email, email_verified=True)
    browser = Client()
    answer = sign_in(browser, after="/c/dl19/staff/")
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("mfa_authenticate"))
    assert not is_in(browser)
    assert browser.post(reverse("mfa_authenticate"), {"code": "000000"}).status_code == 200
    assert not is_in(browser)
    cache.clear()  # a code is good once: also the one that set it up
    answer = browser.post(reverse("mfa_authenticate"), {"code": digits(secret)})
    assert (answer.status_code, answer["Location"]) == (302, "/c/dl19/staff/")
    assert is_in(browser)


def test_a_recovery_code_lets_in_who_lost_the_phone(cast: Cast, sign_in: SignIn, provider: AnyProvider) -> None:
    add_app(signed_in(cast.ta.user))
    codes = Authenticator.objects.get(user=cast.ta.user, type="recovery_codes").wrap().get_unused_codes()
    provider.says(sub="tess", email=cast.ta.email, email_verified=True)
    browser = Client()
    sign_in(browser)
    browser.post(reverse("mfa_authenticate"), {"code": codes[0]})
    assert is_in(browser)
    again = Client()
    sign_in(again)
    again.post(reverse("mfa_authenticate"), {"code": codes[0]})
    assert not is_in(again)


def test_the_shared_secret_is_sealed_in_the_database(cast: Cast) -> None:
    secret = add_app(signed_in(cast.ta.user))
    stored = Authenticator.objects.get(user=cast.ta.user, type="totp").data["secret"]
    assert secret not in stored
    assert stored.startswith("gAAAA")


def test_sign_out_everywhere_ends_every_session_and_notebook(today: Stage, cast: Cast) -> None:  # noqa: F811
    row = today.running()
    here, there = signed_in(cast.student.user), signed_in(cast.student.user)
    someone = signed_in(cast.other_student.user)
    grant = NotebookGrant.objects.create(
        digest="x", instance=row, user=cast.student.user, session_key="k", created_at=today.now, expires_at=today.now
    )
    answer = here.post(reverse("sign_out_everywhere"))
    assert (answer.status_code, answer["Location"]) == (302, reverse("account_login"))
    assert there.get(reverse("me")).status_code == 302
    assert here.get(reverse("me")).status_code == 302
    assert someone.get(reverse("me")).status_code == 200
    grant.refresh_from_db()
    assert grant.revoked_at is not None
    assert AuditNote.objects.get(what="signed_out_everywhere").who == cast.student.user


def test_ones_account_page_says_how_one_signs_in(cast: Cast, sign_in: SignIn, provider: AnyProvider) -> None:
    provider.says(sub="ada", email=cast.student.email, email_verified=True)
    browser = Client()
    sign_in(browser)
    html = browser.get(reverse("me")).content.decode()
    assert "The University" in html
    assert "No second factor" in html


def test_guessing_the_digits_is_stopped_before_it_gets_anywhere(
    cast: Cast, sign_in: SignIn, provider: AnyProvider
) -> None:
    """Also from many browsers: the person is counted, not the browser."""
    secret = add_app(signed_in(cast.ta.user))
    provider.says(sub="tess", email=cast.ta.email, email_verified=True)
    for browser in (Client(), Client()):
        sign_in(browser)
        for _guess in range(3):
            browser.post(reverse("mfa_authenticate"), {"code": "000000"})
    late = Client()
    sign_in(late)
    late.post(reverse("mfa_authenticate"), {"code": digits(secret)})  # the right ones, and too late
    assert not is_in(late)


def test_adding_and_taking_one_off_stands_in_the_audit(transactional_db: None, cast: Cast) -> None:
    client = signed_in(cast.ta.user)
    add_app(client)
    assert client.get(reverse("mfa_view_recovery_codes")).status_code == 200  # not asked for the digits just spent
    assert client.post(reverse("mfa_deactivate_totp")).status_code == 302
    kinds = AuditNote.objects.filter(who=cast.ta.user).values_list("what", "facts__type")
    assert {("mfa_on", "totp"), ("mfa_off", "totp")} <= set(kinds)
