"""The money pages in a real browser, as instructor, sponsor and student: what matters is there, and fits the window."""

import re

import pytest
from django.utils import timezone
from playwright.sync_api import Page, expect

from benchmarks import dashboard_rows
from courses.models import Enrollment
from spend.models import Budget, Level
from tests.pages.test_browser import Visitor, visitor
from tests.walk.people import PHONE, WIDE, no_sideways_scroll

__all__ = ["visitor"]
pytestmark = [pytest.mark.browser, pytest.mark.slow]
AS_OF = re.compile(r"as of", re.IGNORECASE)

# Below /c/<course>/: what must be on the page. Those with figures say as of when.
OF_THE_INSTRUCTOR = {
    "staff/spend/": (
        "Money left",
        "Out of pocket",
        "Held",
        "Running now",
        "Saved so far",
        "at most",
        "the night before",
    ),
    "staff/spend/?range=7": ("machine hours",),
    "staff/spend/by/person/": ("Of which idle", "CSV"),
    "staff/spend/charges/?purpose=idle": ("appended and never edited",),
    "staff/spend/report/": ("It names nobody",),
    "staff/spend/plan/": ("As it is",),
    "staff/spend/bill/": ("Why they differ", "Covered by credits"),
    "staff/budgets/": ("Releases to come", "Grant for walk"),
}
OF_THE_STUDENT = {
    "money/": ("You have left", "At your pace", "Idle machines cost you", "What each member spent"),
    "money/hours/": ("What each hour cost",),
}


def fits(page: Page, path: str) -> None:
    for size in (PHONE, WIDE):
        page.set_viewport_size(size)  # type: ignore[arg-type]
        assert no_sideways_scroll(page), f"{path} is wider than {size['width']}"


def look(page: Page, path: str, words: tuple[str, ...]) -> None:
    main = page.locator("main")
    for word in words:
        expect(main).to_contain_text(word)
    if "budgets" not in path:
        expect(main).to_contain_text(AS_OF)
    fits(page, path)


@pytest.mark.django_db(transaction=True)
def test_instructor_sponsor_and_student_find_their_money(visitor: Visitor) -> None:
    found = dashboard_rows.seed("walk", students=6, rows=6 * 60, now=timezone.now())
    course = "/c/walk/"

    def walk(who: Enrollment, pages: dict[str, tuple[str, ...]], root: str = course) -> Page:
        [first, *others] = pages
        page = visitor.open(who.user, root + first)
        look(page, first, pages[first])
        for path in others:
            page.goto(visitor.server.url + root + path)
            look(page, path, pages[path])
        return page

    page = walk(found.instructor, OF_THE_INSTRUCTOR)
    _drill_down_and_back(page, visitor.server.url + course)
    _change_the_grant(page, visitor.server.url + course)
    page = walk(found.students[0], OF_THE_STUDENT)
    page.goto(f"{visitor.server.url}{course}money/")
    page.get_by_role("link", name="Receipt").first.click()
    expect(page.locator(".receipt-words")).to_contain_text("$")
    fits(page, "receipt")
    page = walk(found.sponsor, {"": ("What your grant does", "Spend by week")}, "/sponsor/")
    assert "Student 0000" not in page.content()


def _drill_down_and_back(page: Page, course: str) -> None:
    """From a bar to the charges behind it, by the keyboard alone, and back."""
    page.goto(course + "staff/spend/by/week/")
    page.locator(".chart a").first.focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Charges")
    page.go_back()
    expect(page.locator("h1")).to_have_text("By week")


def _change_the_grant(page: Page, course: str) -> None:
    page.goto(course + "staff/budgets/")
    page.get_by_role("link", name="Grant for walk").click()
    page.get_by_label("Amount, USD").fill("99999")
    page.get_by_label("Reason").fill("AWS gave more")
    page.get_by_role("button", name="Show what would change").click()
    expect(page.locator("#preview")).to_contain_text("$99,999.00")
    fits(page, "grant")
    page.get_by_role("button", name="Make it so").click()
    expect(page.locator(".figures")).to_contain_text("$99,999.00")
    assert Budget.objects.get(level=Level.SPONSOR).amount_usd == 99_999
