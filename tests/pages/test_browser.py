"""In a real browser: live parts take nothing away from the person, tables sort, dialogs ask, codes are copied."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.live_server_helper import LiveServer

from courses.models import User
from credits.models import CodeBatch
from instances.models import Instance
from instances.moves import move
from instances.states import State
from tests.conftest import Cast
from tests.credits.conftest import code_text
from tests.instances.conftest import Stage, fresh

pytestmark = [pytest.mark.browser, pytest.mark.slow]


class Visitor:
    """One signed-in person in a browser of their own, whose console is heard."""

    def __init__(self, browser: Browser, server: LiveServer) -> None:
        self.context = browser.new_context(locale="en-US", timezone_id="America/Los_Angeles")
        self.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=server.url)
        self.server = server
        self.complaints: list[str] = []

    def open(self, user: User | None, path: str) -> Page:
        assert user
        session = SessionStore()
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.create()
        cookie = {"name": settings.SESSION_COOKIE_NAME, "value": session.session_key or "", "url": self.server.url}
        self.context.add_cookies([cookie])  # type: ignore[list-item]
        page = self.context.new_page()
        page.on("console", lambda m: self.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(self.server.url + path)
        return page


@pytest.fixture
def visitor(browser: Browser, live_server: LiveServer) -> Iterator[Visitor]:
    made = Visitor(browser, live_server)
    yield made
    made.context.close()
    assert made.complaints == []  # the content policy's refusals, too


def start_running(row: Instance) -> None:
    assert move(fresh(row), State.RUNNING, reason="AWS says running", who=None, now=timezone.now())


def test_a_live_part_changes_around_the_person_who_is_in_it(today: Stage, visitor: Visitor) -> None:
    row = today.launch()
    page = visitor.open(today.cast.student.user, "/c/dl19/")
    page.set_viewport_size({"width": 390, "height": 500})
    stop = page.locator(f"#stop-{row.slug}")
    stop.focus()
    scrolled = page.evaluate("scrollY")
    assert scrolled > 0
    start_running(row)
    expect(page.get_by_role("link", name="Open notebook")).to_be_visible(timeout=10_000)
    assert page.evaluate("document.activeElement.id") == f"stop-{row.slug}"
    assert page.evaluate("scrollY") == scrolled
    expect(page.locator("#said")).to_have_text("Homework: T4 16 GB: Running.")


def test_the_steps_of_a_launch_go_on_without_a_hand(today: Stage, visitor: Visitor) -> None:
    row = today.launch()
    page = visitor.open(today.cast.student.user, f"/machines/{row.slug}/")
    expect(page.locator("li.doing")).to_contain_text("Starting at AWS")
    start_running(row)
    expect(page.locator("li.doing")).to_contain_text("Booting")
    Instance.objects.filter(pk=row.pk).update(notebook_ready_at=timezone.now())
    expect(page.locator("ol.steps")).to_have_count(0)
    expect(page.get_by_text("The notebook was ready")).to_be_visible()


def test_a_countdown_counts(today: Stage, visitor: Visitor) -> None:
    row = today.running()
    now = timezone.now()
    Instance.objects.filter(pk=row.pk).update(
        last_report_at=now, warned_at=now - timedelta(minutes=8), last_active_at=now - timedelta(minutes=28)
    )
    row.runs.update(started_at=now - timedelta(minutes=28))
    page = visitor.open(today.cast.student.user, "/c/dl19/")
    left = page.locator(".note.warn [data-rel]").first
    expect(left).to_contain_text("in 1 min")
    before = left.inner_text()
    expect(left).not_to_have_text(before)


def test_the_staffs_table_stays_sorted_while_figures_change(today: Stage, cast: Cast, visitor: Visitor) -> None:
    today.running()
    today.running(cast.other_student)
    page = visitor.open(cast.ta.user, "/c/dl19/staff/")
    names = page.locator("#running tbody th")
    expect(names).to_have_text(["Ada Student", "Ben Other"])
    sort = page.locator("#running").get_by_role("button", name="Name")
    sort.click()
    sort.click()
    expect(names).to_have_text(["Ben Other", "Ada Student"])
    today.stop(Instance.objects.get(owner=cast.student))
    expect(page.locator("#running tbody tr").last).to_contain_text("Stopping")
    expect(names).to_have_text(["Ben Other", "Ada Student"])


def test_people_are_found_by_text_and_team(today: Stage, cast: Cast, visitor: Visitor) -> None:
    page = visitor.open(cast.instructor.user, "/c/dl19/staff/")
    shown = page.locator("#people tbody tr:not([hidden])")
    expect(shown).to_have_count(4)
    page.get_by_label("Find").fill("ben")
    expect(shown).to_have_count(1)
    expect(page.locator("#people-count")).to_have_text("1 of 4 shown")
    page.get_by_label("Find").fill("")
    page.get_by_label("Team", exact=True).select_option("Team 1")
    expect(shown).to_have_count(2)


def test_claim_show_and_copy_with_the_keyboard_alone(today: Stage, batch: CodeBatch, visitor: Visitor) -> None:
    page = visitor.open(today.cast.student.user, "/c/dl19/")
    page.get_by_role("button", name="Claim $100.00").press("Enter")
    page.get_by_role("button", name="Show code").press("Enter")
    copy = page.get_by_role("button", name="Copy")
    expect(copy).to_be_focused()
    expect(page.locator(".code-box code")).to_have_text(code_text(0))
    copy.press("Enter")
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == code_text(0)
    page.reload()
    expect(page.get_by_text("Your credit code: $100.00")).to_be_visible()
    assert code_text(0) not in page.content()


def test_who_is_signed_out_meanwhile_sees_the_sign_in_page_and_not_a_part_of_it(today: Stage, visitor: Visitor) -> None:
    today.launch()
    page = visitor.open(today.cast.student.user, "/c/dl19/")
    visitor.context.clear_cookies()
    expect(page).to_have_url(f"{visitor.server.url}/accounts/login/?next=/c/dl19/")
    visitor.complaints.clear()  # the browser notes the 401


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_its_window(
    today: Stage, cast: Cast, batch: CodeBatch, visitor: Visitor, width: int, scheme: str
) -> None:
    row = today.running()
    page = visitor.open(cast.student.user, "/c/dl19/")
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 800})
    for path in ("/c/dl19/", "/c/dl19/launch/homework", f"/machines/{row.slug}/", "/demo/mailbox/"):
        page.goto(visitor.server.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    staff = visitor.open(cast.ta.user, "/c/dl19/staff/")
    staff.set_viewport_size({"width": width, "height": 800})
    assert staff.evaluate("document.documentElement.scrollWidth") <= width
