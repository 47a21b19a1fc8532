"""The staff's map: every staff page has a place in it, and nobody is led to a page that refuses them."""

import re
from collections.abc import Iterator

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from portal.sections import SECTIONS, map_for
from tests.conftest import Cast
from tests.instances.conftest import Stage
from tests.pages.conftest import signed_in

# Belong to the first page: what it shows, and one person out of its table.
OF_THE_OVERVIEW = {"course_staff", "course_staff_live", "course_person"}
LISTED = [page for section in SECTIONS for page in section.pages]


def staff_pages(patterns: list[URLPattern | URLResolver], before: str = "") -> Iterator[tuple[str, str]]:
    for pattern in patterns:
        route = before + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            yield from staff_pages(pattern.url_patterns, route)
        elif route.startswith("c/<slug:slug>/staff/"):
            yield str(pattern.name), "/" + re.sub(r"<[^>]*>", "1", route.replace("<slug:slug>", "dl19"))


@pytest.mark.parametrize(("name", "path"), list(staff_pages(get_resolver().url_patterns)))
def test_each_staff_page_is_in_a_section(cast: Cast, name: str, path: str) -> None:
    [here] = [link for link in map_for(cast.instructor, path).sections if link.is_here]
    assert (here.label == "Overview") == (name in OF_THE_OVERVIEW), f"{name} is in no section of portal/sections.py"


@pytest.mark.parametrize("who", ["ta", "instructor"])
def test_the_map_leads_nobody_to_a_page_that_refuses_them(today: Stage, cast: Cast, who: str) -> None:
    line = getattr(cast, who)
    client = signed_in(line.user)
    shown = map_for(line, "/c/dl19/staff/").sections
    assert [client.get(link.url).status_code for link in shown] == [200] * len(shown)
    for page in LISTED:
        allowed = who == "instructor" or not page.instructors
        assert client.get(reverse(page.name, args=["dl19"])).status_code == (200 if allowed else 404), page.name


def test_a_staff_page_shows_where_it_is(today: Stage, cast: Cast) -> None:
    html = signed_in(cast.ta.user).get("/c/dl19/staff/teams/").content.decode()
    [section] = re.findall(r'class="sections.*?</nav>', html, re.S)
    assert re.findall(r'aria-current="true">([^<]+)', section) == ["People"]
    assert 'aria-current="page">Teams' in html
    assert "Audit" not in section


def test_students_see_no_map(today: Stage, cast: Cast, client: Client) -> None:
    assert 'class="sections' not in signed_in(cast.student.user).get("/c/dl19/").content.decode()
