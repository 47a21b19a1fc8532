"""Who gets in: the real sign-in path over real HTTP, with a provider that says what each test wants."""

import logging
import threading

import pytest
from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test import Client
from pytest_django.fixtures import Settings

from courses.access import enrollments_of
from courses.models import Enrollment, EnrollmentStatus, User
from tests.conftest import Cast
from tests.signin.any_provider import AnyProvider
from tests.signin.conftest import SignIn, app

ADA = "ada@demo.edu"


def roster_line(cast: Cast, email: str, **values: object) -> Enrollment:
    return Enrollment.objects.create(course=cast.course, email=email, name="New Person", **values)


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_a_person_on_the_roster_comes_in_and_gets_their_line(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, client: Client
) -> None:
    line = roster_line(cast, "new@demo.edu")
    provider.says(email="new@demo.edu", email_verified=True, name="Nora New")

    answer = sign_in(after="/c/dl19/")

    assert (answer.status_code, answer["Location"]) == (302, "/c/dl19/")
    line.refresh_from_db()
    assert line.user is not None
    assert (line.user.email, line.user.full_name) == ("new@demo.edu", "Nora New")
    assert not line.user.has_usable_password()
    assert client.session["_auth_user_id"] == str(line.user.pk)


def test_the_providers_capital_letters_make_no_second_person(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, client: Client
) -> None:
    provider.says(email="Ada@Demo.EDU", email_verified=True)
    sign_in()
    assert client.session["_auth_user_id"] == str(cast.student.user_id)
    assert User.objects.filter(email__iexact=ADA).count() == 1


def test_a_stranger_reads_whom_to_ask_and_leaves_no_row(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, client: Client
) -> None:
    type(cast.course).objects.update(ends_on="2999-01-01", contact="Ines, room 4")
    provider.says(email="nobody@demo.edu", email_verified=True)

    answer = sign_in()

    assert answer.status_code == 403
    assert b"nobody@demo.edu" in answer.content
    assert b"Ines, room 4" in answer.content
    assert b"select_account" in answer.content  # "another account" must not bring the same one back
    assert not is_in(client)
    assert not User.objects.filter(email="nobody@demo.edu").exists()


@pytest.mark.parametrize("word", ["false", "true", 1, "yes", None, [], {}])
def test_only_the_json_value_true_verifies_an_address(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, client: Client, word: object
) -> None:
    roster_line(cast, "new@demo.edu")
    provider.says(email="new@demo.edu", email_verified=word)
    assert sign_in().status_code == 403
    assert not is_in(client)
    assert not User.objects.filter(email="new@demo.edu").exists()


def test_the_text_false_does_not_open_an_existing_persons_account(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, client: Client
) -> None:
    provider.says(sub="somebody else", email=ADA, email_verified="false")
    assert sign_in().status_code == 403
    assert not is_in(client)
    assert not SocialAccount.objects.exists()


def test_a_provider_without_an_address_is_refused(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, client: Client
) -> None:
    provider.says(name="No Address")
    assert sign_in().status_code == 403
    assert not is_in(client)


@pytest.mark.parametrize(("claims", "status"), [({}, 403), ({"hd": "evil.edu"}, 403), ({"hd": "demo.edu"}, 302)])
def test_the_hosted_domain_must_equal_the_policys(
    cast: Cast,
    portal: Settings,
    sign_in: SignIn,
    provider: AnyProvider,
    claims: dict[str, str],
    status: int,
) -> None:
    portal.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app("uni", provider.url, hd="demo.edu")]}}
    provider.says(email=ADA, email_verified=True, **claims)
    assert sign_in().status_code == status


def test_the_hosted_domain_counts_only_in_the_signed_token(
    cast: Cast, portal: Settings, sign_in: SignIn, provider: AnyProvider
) -> None:
    portal.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app("uni", provider.url, hd="demo.edu")]}}
    provider.says(email=ADA, email_verified=True)
    provider.userinfo["hd"] = "demo.edu"
    assert sign_in().status_code == 403


@pytest.mark.parametrize("address", ["ada@other.edu", "ada@demo.edu.evil.org", "ada@sub.demo.edu"])
def test_an_address_of_another_domain_is_refused_even_when_a_roster_has_it(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, address: str
) -> None:
    roster_line(cast, address)
    provider.says(email=address, email_verified=True)
    assert sign_in().status_code == 403


def test_a_userinfo_answer_about_somebody_else_is_refused(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, client: Client
) -> None:
    provider.says(sub="mallory", email="m@demo.edu", email_verified=True)
    provider.userinfo = {"sub": "ada", "email": ADA, "email_verified": True}
    assert sign_in().status_code == 403
    assert not is_in(client)


def test_an_address_given_to_a_second_person_opens_nothing(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, client: Client
) -> None:
    provider.says(sub="the first", email=ADA, email_verified=True)
    assert sign_in().status_code == 302
    provider.says(sub="the second", email=ADA, email_verified=True)
    second = Client()
    assert sign_in(second).status_code == 403
    assert not is_in(second)
    assert SocialAccount.objects.get().uid == "the first"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_people_with_one_address_at_the_same_moment_cannot_both_be_linked(
    cast: Cast, sign_in: SignIn, provider: AnyProvider
) -> None:
    """The first one's transaction is open while the second comes: who must wait, and then be refused."""
    provider.says(sub="the second", email=ADA, email_verified=True)
    answers: list[int] = []

    def second() -> None:
        answers.append(sign_in(Client()).status_code)
        connection.close()

    thread = threading.Thread(target=second)
    with transaction.atomic():
        first = User.objects.select_for_update().get(email=ADA)
        SocialAccount.objects.create(user=first, provider="uni", uid="the first")
        thread.start()
        thread.join(2)
        assert thread.is_alive(), "it did not wait"
    thread.join(20)
    assert answers == [403]
    assert SocialAccount.objects.get().uid == "the first"


def test_a_new_address_of_a_known_person_is_taken_over_with_its_lines(
    cast: Cast, sign_in: SignIn, provider: AnyProvider
) -> None:
    provider.says(sub="ada", email=ADA, email_verified=True)
    sign_in()
    renamed = Enrollment.objects.create(course=cast.other_course, email="ada.new@demo.edu", name="Ada")
    provider.says(sub="ada", email="ada.new@demo.edu", email_verified=True)
    assert sign_in(Client()).status_code == 302
    renamed.refresh_from_db()
    assert renamed.user_id == cast.student.user_id
    assert User.objects.get(pk=renamed.user_id).email == "ada.new@demo.edu"
    assert list(EmailAddress.objects.filter(user=renamed.user_id).values_list("email", "verified")) == [
        ("ada.new@demo.edu", True)
    ]


def test_a_known_person_cannot_take_over_somebody_elses_address(
    cast: Cast, sign_in: SignIn, provider: AnyProvider
) -> None:
    provider.says(sub="ada", email=ADA, email_verified=True)
    sign_in()
    provider.says(sub="ada", email=cast.other_student.email, email_verified=True)
    assert sign_in(Client()).status_code == 403
    cast.other_student.user.refresh_from_db()
    assert cast.other_student.user.email == cast.other_student.email


def test_a_dropped_person_is_told_so_and_one_still_inside_finds_no_door(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, client: Client
) -> None:
    provider.says(email=ADA, email_verified=True)
    sign_in()
    Enrollment.objects.filter(pk=cast.student.pk).update(status=EnrollmentStatus.DROPPED)
    assert not enrollments_of(cast.student.user).exists()
    again = Client()
    assert sign_in(again).status_code == 403
    assert not is_in(again)


def test_a_roster_line_that_came_later_is_linked_at_the_next_sign_in(
    cast: Cast, sign_in: SignIn, provider: AnyProvider
) -> None:
    provider.says(email=ADA, email_verified=True)
    sign_in()
    later = Enrollment.objects.create(course=cast.other_course, email=ADA, name="Ada")
    sign_in(Client())
    later.refresh_from_db()
    assert later.user_id == cast.student.user_id


def test_a_closed_account_stays_closed(cast: Cast, sign_in: SignIn, provider: AnyProvider, client: Client) -> None:
    User.objects.filter(email=ADA).update(is_active=False)
    provider.says(email=ADA, email_verified=True)
    assert sign_in().status_code == 403
    assert not is_in(client)


def test_nobody_links_a_second_account_by_themselves(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, client: Client
) -> None:
    provider.says(sub="ada", email=ADA, email_verified=True)
    sign_in()
    provider.says(sub="ben", email=cast.other_student.email, email_verified=True)
    assert sign_in(query="process=connect").status_code == 403
    assert SocialAccount.objects.count() == 1


def test_the_session_is_a_new_one_after_sign_in(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, client: Client
) -> None:
    session = client.session
    session["before"] = True
    session.save()
    planted = session.session_key
    client.cookies["lamplighter_session"] = planted
    provider.says(email=ADA, email_verified=True)
    sign_in()
    assert is_in(client)
    assert client.session.session_key != planted


def test_half_a_person_is_never_left_behind(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    roster_line(cast, "new@demo.edu")
    provider.says(email="new@demo.edu", email_verified=True)

    def dies(*_args: object) -> None:
        raise RuntimeError("between the person and the address")

    monkeypatch.setattr("allauth.socialaccount.models.setup_user_email", dies)
    with pytest.raises(RuntimeError):
        sign_in()
    assert not User.objects.filter(email="new@demo.edu").exists()
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize("path", ["/.well-known/openid-configuration", "/token", "/userinfo"])
def test_a_provider_that_is_down_gives_a_page_and_a_log_line_without_secrets(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    provider.broken = {path}
    provider.says(email=ADA, email_verified=True)
    assert sign_in().status_code == 503
    assert path in caplog.text
    assert "not a secret" not in caplog.text


def test_a_refusal_is_logged_with_its_reason(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    provider.says(email="nobody@demo.edu", email_verified=True)
    sign_in()
    assert "provider=uni address=nobody@demo.edu reason=not on a roster" in caplog.text


def test_a_callback_that_we_did_not_ask_for_is_refused(
    cast: Cast, sign_in: SignIn, provider: AnyProvider, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    provider.says(email=ADA, email_verified=True)
    sign_in(Client())
    foreign = provider.asked[-1]["state"][0]
    answer = client.get(f"/accounts/oidc/uni/login/callback/?code=stolen-code&state={foreign}")
    assert answer.status_code == 401
    assert not is_in(client)
    assert "sign-in failed: provider=uni" in caplog.text
    assert "stolen-code" not in caplog.text


def test_the_code_is_bound_to_the_browser_by_pkce(cast: Cast, sign_in: SignIn, provider: AnyProvider) -> None:
    provider.says(email=ADA, email_verified=True)
    sign_in()
    assert provider.asked[-1]["code_challenge_method"] == ["S256"]


def test_a_released_address_brings_a_new_person_who_inherits_nothing(
    cast: Cast, sign_in: SignIn, provider: AnyProvider
) -> None:
    provider.says(sub="the first", email=ADA, email_verified=True)
    sign_in()
    newcomers = Enrollment.objects.create(course=cast.other_course, email=ADA, name="Adam")
    call_command("release_address", ADA)

    provider.says(sub="the second", email=ADA, email_verified=True, name="Adam Newcomer")
    assert sign_in(Client()).status_code == 302
    newcomers.refresh_from_db()
    cast.student.refresh_from_db()
    assert newcomers.user is not None
    assert newcomers.user.full_name == "Adam Newcomer"
    assert cast.student.user_id != newcomers.user_id
    with pytest.raises(CommandError, match="Nobody"):
        call_command("release_address", "nobody@demo.edu")
