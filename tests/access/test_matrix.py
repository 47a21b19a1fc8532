"""Every address × every role × own and foreign object. A stranger learns nothing, not even that a thing exists."""

from collections.abc import Callable, Iterator

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from tests.access.conftest import As
from tests.access.matrix import ELSEWHERE, MATRIX, ROLES, Row
from tests.access.world import World

WORKS = (200, 302, 409, 422)  # of a POST with next to nothing in it: done, or told what is missing or why not
# A list that is not there (any more) leads staff back to where they upload one.
GOES_BACK = {"credits_import_map", "roster_import_map"}


def addresses(patterns: list[URLPattern | URLResolver], above: str = "") -> Iterator[tuple[str, str]]:
    """(name, path) of every page in the URL configuration."""
    for one in patterns:
        path = above + str(one.pattern)
        if isinstance(one, URLResolver):
            yield from addresses(one.url_patterns, path)
        else:
            yield one.name or "", path


PATHS = dict(addresses(get_resolver().url_patterns))
IN_COURSE = {name for name in MATRIX if PATHS.get(name, "").startswith("c/")}


def url(name: str, world: World, course: str = "dl19") -> str:
    return reverse(name, args=[*([course] if name in IN_COURSE else []), *MATRIX[name].ids(world)])


def answers(world: World, rows: dict[str, Row], ask: Callable[[str, Row], int]) -> dict[str, int]:
    """What each row answers, with everything as it was before each question."""
    found = {}
    for name, row in rows.items():
        with transaction.atomic():
            found[name] = ask(name, row)
            transaction.set_rollback(True)
    return found


def differing(found: dict[str, int], expected: dict[str, int]) -> dict[str, str]:
    """For the failure's text: only what is wrong."""
    return {n: f"{found[n]}, expected {expected[n]}" for n in expected if found[n] != expected[n]}


def with_method(method: str) -> dict[str, Row]:
    return {name: row for name, row in MATRIX.items() if method in row.methods}


def leads_to_sign_in(answer: HttpResponse, target: str) -> bool:
    return answer.status_code == 302 and answer["Location"] == f"{reverse('account_login')}?next={target}"


def test_every_address_has_a_row() -> None:
    new = [f"{name or '(no name)'}  {path}" for name, path in PATHS.items() if name not in {*MATRIX, *ELSEWHERE}]
    assert not new, (
        "Who may open these? Add one line for each to MATRIX in tests/access/matrix.py, for example\n"
        '    "its_name": page(STAFF),      or form(…), verb(…): the top of that file says how\n' + "\n".join(new)
    )
    gone = {*MATRIX, *ELSEWHERE} - PATHS.keys()
    assert not gone, f"Rows in tests/access/matrix.py for addresses that do not exist: {sorted(gone)}"


@pytest.mark.parametrize("role", [r for r in ROLES if r != "signed_out"])
def test_a_page_opens_for_those_it_is_for_and_does_not_exist_for_others(role: str, world: World, as_: As) -> None:
    browser = as_(role)
    found = answers(world, MATRIX, lambda name, _row: browser.get(url(name, world)).status_code)
    assert differing(found, {name: row.get_status(role) for name, row in MATRIX.items()}) == {}


@pytest.mark.parametrize("role", [r for r in ROLES if r != "signed_out"])
def test_a_button_works_for_those_it_is_for_and_does_not_exist_for_others(role: str, world: World, as_: As) -> None:
    rows = with_method("POST")
    # A new browser each time: one of the buttons signs it out.
    found = answers(world, rows, lambda name, row: as_(role).post(url(name, world), row.data).status_code)
    wrong = {
        name: status
        for name, status in found.items()
        if (status not in WORKS if role in rows[name].allowed else status != 404)
    }
    assert wrong == {}


def test_signed_out_people_sign_in_and_come_back(world: World, as_: As) -> None:
    browser, rows = as_("signed_out"), {n: r for n, r in MATRIX.items() if "signed_out" not in r.allowed}

    def asked(name: str, row: Row) -> bool:
        target = url(name, world)
        ask = browser.get if "GET" in row.methods else browser.post
        return leads_to_sign_in(ask(target), target)

    assert {name for name, ok in answers(world, rows, asked).items() if not ok} == set()


@pytest.mark.parametrize("role", ["instructor", "foreign_instructor", "student"])
def test_one_courses_rows_do_not_exist_under_another_courses_name(role: str, world: World, as_: As) -> None:
    """An instructor of two courses cannot reach one course's rows through the other."""
    browser = as_(role)
    rows = {n: r for n, r in MATRIX.items() if n in IN_COURSE - GOES_BACK and not r.shared and r.ids(world)}

    def asked(name: str, row: Row) -> int:
        ask = browser.get if "GET" in row.methods else browser.post
        return ask(url(name, world, course="cv19")).status_code

    assert differing(answers(world, rows, asked), dict.fromkeys(rows, 404)) == {}


def test_looking_changes_nothing_and_pressing_needs_the_pages_own_token(world: World, as_: As) -> None:
    """A verb is never a GET: a link in a mail, a preview or a prefetch must not stop anything."""
    verbs = with_method("POST")

    def asked(name: str, row: Row) -> int:
        role = min(row.allowed, key=ROLES.index)
        strict = as_(role)
        strict.handler.enforce_csrf_checks = True
        return strict.post(url(name, world), row.data).status_code

    assert differing(answers(world, verbs, asked), dict.fromkeys(verbs, 403)) == {}


def test_nothing_about_a_person_is_kept_by_the_browser(world: World, as_: As) -> None:
    def asked(name: str, row: Row) -> bool:
        role = min(row.allowed - {"signed_out"}, key=ROLES.index)
        return "no-store" in as_(role).get(url(name, world))["Cache-Control"]

    assert {name for name, ok in answers(world, with_method("GET"), asked).items() if not ok} == set()


def test_an_address_that_nobody_made_is_a_404_for_everybody(world: World, as_: As) -> None:
    paths = ["/c/nowhere/", "/c/dl19/staff/nothing/", "/machines/nothing/", "/admin/"]
    assert {as_(role).get(path).status_code for role in ROLES for path in paths} <= {404, 302}
    assert {as_("operator").get(path).status_code for path in paths} == {404}
