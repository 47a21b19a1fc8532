"""The door of last resort: a code by mail, for roster addresses alone, and no word about which those are."""

import re
import time

import pytest
from django.core import mail
from django.core.cache import cache
from django.test import Client
from pytest_django.fixtures import Settings

from courses.models import AuditNote, Enrollment, EnrollmentStatus, User
from tests.conftest import Cast

ASK, CONFIRM = "/accounts/login/code/", "/accounts/login/code/confirm/"
ADA = "ada@demo.edu"


@pytest.fixture(autouse=True)
def codes(portal: Settings) -> Settings:
    cache.clear()  # attempts of the test before
    portal.ACCOUNT_LOGIN_BY_CODE_ENABLED = True
    return portal


def is_in(client: Client) -> bool:
    return "_auth_user_id" in client.session


def code_in_mail(to: str) -> str:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        for message in mail.outbox:
            if message.to == [to]:
                found = re.search(r"Your code: (\S+)", str(message.body))
                assert found
                return found[1]
        time.sleep(0.01)
    raise AssertionError("no mail came")


def ask(client: Client, address: str = ADA, after: str = "") -> str:
    answer = client.post(ASK, {"email": address, "next": after})
    assert answer.status_code == 302, answer.content
    return answer["Location"]


def test_a_roster_address_comes_in_with_the_code_from_its_mail(cast: Cast, client: Client) -> None:
    where = ask(client, after="/c/dl19/")
    assert "code" in client.get(where).content.decode()
    answer = client.post(CONFIRM, {"code": code_in_mail(ADA), "next": "/c/dl19/"})
    assert (answer.status_code, answer["Location"]) == (302, "/c/dl19/")
    assert client.session["_auth_user_id"] == str(cast.student.user_id)
    note = AuditNote.objects.get(what="signed_in")
    assert (note.who, note.facts) == (cast.student.user, {"by": "mail"})


def test_a_person_who_was_never_here_gets_the_roster_line_of_the_address(cast: Cast, client: Client) -> None:
    line = Enrollment.objects.create(course=cast.course, email="new@demo.edu", name="Nora New")
    ask(client, "New@Demo.edu")
    client.post(CONFIRM, {"code": code_in_mail("new@demo.edu")})
    line.refresh_from_db()
    assert line.user is not None
    assert line.user.email == "new@demo.edu"
    assert is_in(client)


def test_an_unknown_address_reads_the_same_gets_no_mail_and_becomes_nobody(cast: Cast) -> None:
    known, unknown = Client(), Client()
    places = [ask(known), ask(unknown, "nobody@demo.edu")]
    pages = [c.get(p).content.decode() for c, p in zip((known, unknown), places, strict=True)]
    assert places[0] == places[1]
    plain = [re.sub(r'value="[^"]{20,}"|data-now="[^"]*"', "", p) for p in pages]
    assert plain[0].replace(ADA, "X") == plain[1].replace("nobody@demo.edu", "X")
    code_in_mail(ADA)
    assert [m.to for m in mail.outbox] == [[ADA]]
    assert not User.objects.filter(email="nobody@demo.edu").exists()
    assert unknown.post(CONFIRM, {"code": "ABCDEF"}).status_code == 200
    assert not is_in(unknown)


@pytest.mark.parametrize("status", [EnrollmentStatus.DROPPED, EnrollmentStatus.WAITLISTED])
def test_who_has_no_active_line_gets_no_code(cast: Cast, client: Client, status: str) -> None:
    type(cast.course).objects.update(waitlisted_enter=False)
    Enrollment.objects.filter(pk=cast.student.pk).update(status=status)
    ask(client)
    time.sleep(0.2)
    assert mail.outbox == []


def test_who_drops_between_the_mail_and_the_code_stays_out(cast: Cast, client: Client) -> None:
    ask(client)
    code = code_in_mail(ADA)
    Enrollment.objects.filter(pk=cast.student.pk).update(status=EnrollmentStatus.DROPPED)
    answer = client.post(CONFIRM, {"code": code})
    assert answer.status_code == 403
    assert not is_in(client)
    assert AuditNote.objects.get(what="sign_in_refused").about == cast.student


def test_a_code_is_good_in_the_browser_that_asked_and_not_after_five_wrong_ones(cast: Cast, client: Client) -> None:
    ask(client)
    code = code_in_mail(ADA)
    assert Client().post(CONFIRM, {"code": code}).status_code == 302  # back to asking
    for _n in range(5):
        client.post(CONFIRM, {"code": "WRONG1"})
    client.post(CONFIRM, {"code": code})
    assert not is_in(client)


def test_asking_too_often_is_refused_in_words(cast: Cast, client: Client) -> None:
    answers = [Client().post(ASK, {"email": ADA}) for _n in range(5)]
    assert [a.status_code for a in answers[:3]] == [302, 302, 302]
    assert answers[-1].status_code in (200, 422, 429)
    assert "oo many" in answers[-1].content.decode()


def test_who_runs_the_installation_needs_no_roster_line(cast: Cast, client: Client) -> None:
    User.objects.create_user("olga@demo.edu", is_operator=True)
    ask(client, "olga@demo.edu")
    client.post(CONFIRM, {"code": code_in_mail("olga@demo.edu")})
    assert is_in(client)


def test_switched_off_there_is_no_such_door(cast: Cast, client: Client, codes: Settings) -> None:
    codes.ACCOUNT_LOGIN_BY_CODE_ENABLED = False
    assert client.get(ASK).status_code == 404
    assert client.post(ASK, {"email": ADA}).status_code == 404
    assert client.get(CONFIRM).status_code == 404
    assert "code by mail" not in client.get("/accounts/login/").content.decode()


def test_switched_on_the_sign_in_page_offers_it(cast: Cast, client: Client) -> None:
    assert "/accounts/login/code/?next=/c/dl19/" in client.get("/accounts/login/?next=/c/dl19/").content.decode()
    assert (
        "/accounts/login/code/?next=https"
        not in client.get("/accounts/login/?next=https://evil.example/").content.decode()
    )
