"""Nobody else's page or letter makes a machine pull what no homework link of its course names; its own page may."""

from urllib.parse import urlencode

import pytest
from django.utils import timezone

from instances import homework_rules
from instances.models import HomeworkSource, Instance
from instances.states import State
from tests.conftest import Cast
from tests.gateway.conftest import Answer, Gateway, Visitor, entered, query_of, wait_until
from tests.gateway.fake_machine import FakeMachine

SOURCE = "https://git.demo.edu"
REPO = f"{SOURCE}/homework"
LINK = homework_rules.assignment(REPO, "main", "hw1/a sheet.ipynb", allowed=[SOURCE]).notebook_path
EVIL = urlencode({"repo": "https://evil.example/x"})
STARTUP = ".ipython/profile_default/startup"  # what lies there runs in the next kernel
ELSEWHERE = ["cross-site", "same-site", "none"]
NO_HEADERS: dict[str, str] = {}  # of an older browser, or without TLS

FOREIGN = {
    "of no course": f"/git-pull?{EVIL}",
    "by an older name": f"/git-sync?{EVIL}",
    "by the oldest name": "/interact?account=evil&repo=x",
    "behind a dot": f"/./git-pull?{EVIL}",
    "behind a detour": f"/lab/../git-pull?{EVIL}",
    "behind an encoded dot": f"/%2e/git-pull?{EVIL}",
    "with a slash": f"/git-pull/?{EVIL}",
    "at once": f"/git-pull/api?{EVIL}",
    "at once by a detour": f"/git-pull/static/../api?{EVIL}",
    "into a kernel's start": f"/git-pull?{urlencode({'repo': REPO, 'targetpath': STARTUP, 'urlpath': 'lab'})}",
    "to a pull after it": LINK.replace("lab%2Ftree%2Fhomework", "git-pull%3Frepo%3Dhttps%3A%2F%2Fevil.example"),
}


@pytest.fixture
def owner(gateway: Gateway, instance: Instance, machine: FakeMachine) -> Visitor:
    HomeworkSource.objects.create(course=instance.course, address=SOURCE, added_at=timezone.now())
    found = entered(gateway, instance)
    machine.asked.clear()
    return found


def visit(owner: Visitor, path: str, site: str) -> Answer:
    return owner.browser.visit(path, Sec_Fetch_Site=site)


@pytest.mark.parametrize("path", FOREIGN.values(), ids=FOREIGN)
def test_another_sites_page_and_a_letter_make_no_machine_pull(owner: Visitor, machine: FakeMachine, path: str) -> None:
    for site in ELSEWHERE:
        answer = visit(owner, path, site)
        assert answer.status == 403
        assert b"This link opens nothing" in answer.body
        assert b"refresh" not in answer.body  # by itself it would be this host's own page that asks
    assert machine.asked == []


@pytest.mark.parametrize("path", FOREIGN.values(), ids=FOREIGN)
def test_a_browser_that_does_not_say_where_a_request_comes_from_is_not_believed(
    owner: Visitor, machine: FakeMachine, path: str
) -> None:
    owner.browser.fetch = NO_HEADERS
    assert "No homework link" in str(owner.browser.ask(path).json["message"])
    assert b"This link opens nothing" in owner.browser.ask(path, Accept="text/html").body
    assert machine.asked == []


@pytest.mark.parametrize("path", FOREIGN.values(), ids=FOREIGN)
def test_what_students_pull_from_a_page_of_their_own_machine_is_theirs(
    owner: Visitor, machine: FakeMachine, path: str
) -> None:
    assert visit(owner, path, "same-origin").status == 200
    assert machine.asked == [f"GET {path}"]


def test_the_courses_own_link_pulls_from_wherever_it_is_followed(owner: Visitor, machine: FakeMachine) -> None:
    assert [visit(owner, LINK, site).status for site in ELSEWHERE] == [200, 200, 200]
    assert machine.asked == [f"GET {LINK}"] * 3


def test_in_an_older_browser_the_page_that_the_link_opens_can_do_its_work(owner: Visitor, machine: FakeMachine) -> None:
    owner.browser.fetch = NO_HEADERS
    asked = urlencode({"_xsrf": "2|a", "repo": REPO, "targetpath": "homework", "branch": "main"})
    paths = [LINK, "/git-pull/static/dist/bundle.js", f"/git-pull/api?{asked}"]
    assert [owner.browser.ask(path).status for path in paths] == [200, 200, 200]


def test_a_source_that_staff_removed_is_shut_at_once(owner: Visitor) -> None:
    HomeworkSource.objects.all().delete()
    assert visit(owner, LINK, "same-site").status == 403


def test_another_courses_source_opens_nothing_here(owner: Visitor, cast: Cast) -> None:
    HomeworkSource.objects.update(course=cast.foreign_instructor.course)
    assert visit(owner, LINK, "same-site").status == 403


def test_it_is_refused_while_the_machine_is_away_too(owner: Visitor) -> None:
    """The waiting page opens itself again, and that is asked by a page of this very host."""
    Instance.objects.update(state=State.LAUNCHING)
    wait_until(lambda: owner.browser.ask("/api").status == 503, "the new state is seen", 3)
    assert visit(owner, LINK, "cross-site").status == 503
    assert visit(owner, FOREIGN["of no course"], "cross-site").status == 403


def test_who_is_signed_out_goes_through_the_portal_which_judges_it_too(owner: Visitor) -> None:
    owner.browser.cookie = ""
    answer = visit(owner, FOREIGN["of no course"], "cross-site")
    assert answer.status == 302
    assert query_of(answer.one("location"))["path"] == [FOREIGN["of no course"]]
