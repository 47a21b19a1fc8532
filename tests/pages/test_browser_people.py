"""In a real browser: a list comes in with its columns said anew, and teams are read on a phone."""

import pytest
from playwright.sync_api import expect

from courses.models import Enrollment
from tests.conftest import Cast
from tests.instances.conftest import Stage
from tests.pages.test_browser import Visitor, visitor  # noqa: F401 - fixture
from tests.walk.people import PHONE, no_sideways_scroll

pytestmark = [pytest.mark.browser, pytest.mark.slow]
GRADEBOOK = "Who,Mail,Points\nPoints Possible,,100\nNia =1+1 New,nia@demo.edu,7\nBen Other,ben@demo.edu,8\n"


def test_the_preview_follows_the_columns_and_says_what_is_wrong_with_them(
    today: Stage,
    cast: Cast,
    visitor: Visitor,  # noqa: F811
) -> None:
    page = visitor.open(cast.ta.user, "/c/dl19/staff/roster/import/")
    page.set_viewport_size(PHONE)  # type: ignore[arg-type]
    page.get_by_label("Or paste the people").fill(GRADEBOOK)
    page.get_by_role("button", name="Read the list").click()
    name = page.get_by_label("Name", exact=True)
    name.select_option(label="not in the file")
    preview = page.locator("#preview")
    expect(preview).to_contain_text("Say which column holds the name")
    expect(preview.get_by_role("button")).to_have_count(0)
    visitor.complaints.clear()  # the browser itself complains of the refused form
    name.select_option(index=1)
    expect(preview.get_by_role("button")).to_have_count(1)  # the new preview is there, and stays
    expect(preview).to_contain_text("Line 2 is skipped")
    expect(page.get_by_label("All of them")).to_be_visible()  # few are open at once; also after it was fetched anew
    assert no_sideways_scroll(page)
    page.get_by_role("button", name="Change the roster so").click()
    expect(page.get_by_text("1 added, 0 changed, 1 as they were.")).to_be_visible()
    assert Enrollment.objects.get(email="nia@demo.edu").name == "Nia =1+1 New"

    page.goto(page.url.replace("roster", "teams"))
    assert no_sideways_scroll(page)
    members = page.locator('td[data-label="Members"]').first
    inside = members.evaluate("e => e.firstElementChild.getBoundingClientRect().right <= innerWidth")
    assert inside, "the members run out of the phone"
