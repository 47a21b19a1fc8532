"""Sign-in by a SAML university that is not ours, in a real browser: who gets in, and which answers open nothing."""

import base64
import re
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode

import pytest
from allauth.socialaccount.models import SocialAccount
from django.core.cache import cache
from django.test import Client
from playwright.sync_api import Browser, Page, expect
from pytest_django.fixtures import Settings
from pytest_django.live_server_helper import LiveServer

from courses.models import AuditNote, Enrollment
from portal.saml import saml_app
from tests.conftest import Cast
from tests.signin.saml_university import Person, University

pytestmark = [pytest.mark.browser, pytest.mark.saml_idp, pytest.mark.django_db(transaction=True)]
PEOPLE = [
    Person("Ada Student", "ada@demo.edu", "ada@demo.edu"),
    Person("Victor Stone", "victor@demo.edu", "victor@demo.edu"),  # on no roster
    Person("Evil Twin", "ada@other.edu", "twin@demo.edu"),  # an address of another university
    Person("Alan Umnus", "ben@demo.edu", "ben@demo.edu", "alum@demo.edu"),
]
ANSWER = re.compile(r".*/acs/$")


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, University]]:
    """Started once, when the portal's address is known."""
    running: dict[str, University] = {}
    yield running
    for university in running.values():
        university.stop()


@pytest.fixture
def address(live_server: LiveServer) -> str:
    return str(live_server.url).replace("localhost", "127.0.0.1")


@pytest.fixture
def university(
    settled: dict[str, University], tmp_path_factory: pytest.TempPathFactory, portal: Settings, address: str
) -> University:
    cache.clear()
    acs, sp = f"{address}/accounts/saml/demo/acs/", "https://gpu.demo.edu/saml"
    if acs not in settled:
        settled[acs] = University(tmp_path_factory.mktemp("saml"), PEOPLE, acs=acs, sp=sp)
    found = settled[acs]
    record = {
        "id": "demo",
        "name": "SAML University",
        "entity_id": found.entity_id,
        "sso_url": found.sso_url,
        "x509cert": found.x509cert,
        "domains": ["demo.edu"],
        "scope": "demo.edu",
        "affiliations": ["student", "staff", "faculty"],
        "sp_entity_id": sp,
    }
    portal.SOCIALACCOUNT_PROVIDERS = {"saml": {"APPS": [saml_app(record, address)]}}
    return found


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    context.set_default_timeout(15_000)
    yield context.new_page()
    context.close()


def go_in(page: Page, address: str, name: str) -> None:
    page.goto(f"{address}/accounts/login/?next=/c/dl19/")
    page.get_by_role("button", name="Sign in with SAML University").click()
    page.locator("#username").fill(name)
    page.locator("#password").fill("demo")
    page.locator("#submit_button, button[type=submit]").first.click()


def answer_of(page: Page, address: str, name: str) -> str:
    """The university's answer, as the browser would bring it; it does not arrive."""
    page.route(ANSWER, lambda route: route.abort())
    with page.expect_request(ANSWER) as sent:
        go_in(page, address, name)
    return str(sent.value.post_data)


def test_a_student_comes_in_by_saml_and_goes_out_again(
    cast: Cast, university: University, page: Page, address: str
) -> None:
    go_in(page, address, "ada")
    expect(page.locator(".whoami")).to_contain_text("Ada Student")
    expect(page).to_have_url(re.compile("/c/dl19/$"))
    account = SocialAccount.objects.get()
    assert (account.provider, account.uid, account.user) == (university.entity_id, "ada@demo.edu", cast.student.user)
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{address}/c/dl19/")
    expect(page).to_have_url(re.compile("/accounts/login/"))


@pytest.mark.parametrize(
    ("name", "says", "reason"),
    [
        ("victor", "not on a course", "not on a roster"),
        ("evil", "did not confirm", "address not verified"),
        ("alan", "no student or employee", "other affiliation"),
    ],
)
def test_who_is_refused_reads_why_and_the_audit_has_it(
    cast: Cast, university: University, page: Page, address: str, name: str, says: str, reason: str
) -> None:
    Enrollment.objects.create(course=cast.course, email="ada@other.edu", name="The other Ada")
    go_in(page, address, name)
    expect(page.locator("main")).to_contain_text(says)
    assert AuditNote.objects.filter(what="sign_in_refused").latest("pk").facts["reason"] == reason
    assert not SocialAccount.objects.exists()
    page.goto(f"{address}/c/dl19/")
    expect(page).to_have_url(re.compile("/accounts/login/"))


def test_an_answer_brought_a_second_time_or_by_another_browser_opens_nothing(
    cast: Cast, university: University, page: Page, address: str
) -> None:
    answer = answer_of(page, address, "ada")
    # Stolen on its way: another browser brings it first.
    thief = Client(HTTP_HOST=address.removeprefix("http://"))
    assert bring(thief, answer) == 403
    # Its own browser gets in with it, once.
    own = browser_client(page, address)
    assert bring(own, answer) == 302
    assert "_auth_user_id" in own.session
    own.post("/accounts/logout/")
    assert bring(own, answer) == 403
    assert "_auth_user_id" not in own.session


def test_a_forged_answer_opens_nothing(cast: Cast, university: University, page: Page, address: str) -> None:
    answer = answer_of(page, address, "victor")
    own = browser_client(page, address)
    for what in ("another person", "no signature", "another key", "another audience", "rubbish"):
        assert bring(own, forged(answer, what)) in (401, 403), what
        assert "_auth_user_id" not in own.session, what
    assert AuditNote.objects.get().what == "sign_in_failed"  # one a minute is enough


def test_an_answer_that_we_did_not_ask_for_is_refused(
    cast: Cast, university: University, page: Page, address: str
) -> None:
    """Started at the university: anybody could lead a browser into an account of theirs so."""
    page.goto(f"{university.sso_url}?spentityid=https://gpu.demo.edu/saml")
    page.locator("#username").fill("ada")
    page.locator("#password").fill("demo")
    page.locator("#submit_button, button[type=submit]").first.click()
    expect(page.locator("main")).to_contain_text(re.compile("sign", re.IGNORECASE))
    page.goto(f"{address}/c/dl19/")
    expect(page).to_have_url(re.compile("/accounts/login/"))


def test_what_we_tell_a_university_about_us_does_not_follow_the_host_header(
    cast: Cast, university: University, address: str
) -> None:
    answer = Client().get("/accounts/saml/demo/metadata/", HTTP_HOST=address.removeprefix("http://"))
    assert answer.status_code == 200
    assert 'entityID="https://gpu.demo.edu/saml"' in answer.content.decode()
    assert "2099" in answer.content.decode()
    assert Client().get("/accounts/saml/nobody/metadata/").status_code == 404


def browser_client(page: Page, address: str) -> Client:
    """The same browser, driven by hand."""
    client = Client(HTTP_HOST=address.removeprefix("http://"))
    for cookie in page.context.cookies(address):
        client.cookies[cookie["name"]] = cookie["value"]
    return client


def bring(client: Client, body: str) -> int:
    """POSTs an answer as a browser does, and follows to where it is judged."""
    sent = client.post("/accounts/saml/demo/acs/", body, content_type="application/x-www-form-urlencoded")
    assert sent.status_code == 302
    return client.get(sent["Location"]).status_code


def forged(body: str, what: str) -> str:
    fields = {name: values[0] for name, values in parse_qs(body).items()}
    xml = base64.b64decode(fields["SAMLResponse"]).decode()
    changed = {
        "another person": xml.replace("victor@demo.edu", "ada@demo.edu"),
        "no signature": re.sub(r"<ds:Signature .*?</ds:Signature>", "", xml, flags=re.S).replace(
            "victor@demo.edu", "ada@demo.edu"
        ),
        "another key": re.sub(r"<ds:SignatureValue>.{8}", "<ds:SignatureValue>AAAAAAAA", xml),
        "another audience": xml.replace("https://gpu.demo.edu/saml", "https://other.edu/saml"),
        "rubbish": "<Response/>",
    }[what]
    assert changed != xml
    fields["SAMLResponse"] = base64.b64encode(changed.encode()).decode()
    return urlencode(fields)
