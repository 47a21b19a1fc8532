"""An evening on which AWS has no GPU free: homework link, queue, another kind of machine, and the same files."""

import re
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from demo.people import SECOND_STUDENT, STUDENT
from demo.repositories import NAME
from demo.seed.course import SLUG
from demo.seed.homework import HOST
from tests.demo.running import Launcher
from tests.walk.people import Person, run_cell, wait_for_lab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1200)]
MINUTE = 60_000
FIRST_ZONE, FIRST_KIND, SECOND_KIND = "us-east-1a", "g6.xlarge", "g5.xlarge"
LINK = f"/c/{SLUG}/launch?preset=homework-plus&repo={HOST}/{NAME}&path=hw1/homework1.ipynb"


def nothing_is_free(demo: Launcher, **where: str) -> None:
    full = {"op": "RunInstances", "code": "InsufficientInstanceCapacity", "times": None, **where}
    requests.post(f"http://127.0.0.1:{demo.port + 3}/sim/faults", json=full, timeout=10).raise_for_status()


def somebody_has_left(demo: Launcher) -> None:
    requests.delete(f"http://127.0.0.1:{demo.port + 3}/sim/faults", timeout=10).raise_for_status()


def test_an_evening_without_a_free_machine(demo: Launcher, browser: Browser, album: Path) -> None:
    student = Person(browser, demo.url, album)
    page = student.page
    nothing_is_free(demo)
    try:
        machine = the_homework_link_leads_into_the_queue(student)
        somebody_has_left(demo)
        nothing_is_free(demo, zone=FIRST_ZONE)
        nothing_is_free(demo, instance_type=FIRST_KIND)
        # Of itself: nobody touches the page. AWS is asked again after a minute, then after more.
        page.wait_for_url(re.compile("/lab"), timeout=5 * MINUTE)
        wait_for_lab(page)
    finally:
        somebody_has_left(demo)
    the_sheet_runs(student)
    it_is_the_second_kind_in_another_zone(student, machine)
    nobody_else_finds_it(demo, browser, album, machine, page.url)
    stopped_and_started_the_file_is_there(student, machine)
    delete(student, machine)
    student.done()


def the_homework_link_leads_into_the_queue(student: Person) -> str:
    page = student.page
    student.go(LINK)
    student.sign_in_as(SECOND_STUDENT)
    expect(page.locator("main")).to_contain_text("homework1.ipynb")
    expect(page.locator(".bill")).to_contain_text("Set aside now")
    page.get_by_role("button", name="Launch and open").click()
    page.wait_for_url(re.compile(r"/machines/m\w+/notebook"))
    expect(page.locator("main")).to_contain_text("queue", timeout=MINUTE)
    machine = re.search(r"/machines/(m\w+)/", page.url)
    assert machine
    place = look_at(student, machine[1])
    expect(place.locator("main")).to_contain_text("In the queue: you are next")
    student.picture("9-queue", place)
    place.close()
    return machine[1]


def look_at(student: Person, machine: str) -> Page:
    page = student.context.new_page()
    page.goto(f"{student.portal}/machines/{machine}/")
    return page


def the_sheet_runs(student: Person) -> None:
    page = student.page
    expect(page.locator(".jp-NotebookPanel")).to_contain_text("Homework 1: tensors", timeout=MINUTE)
    expect(page.get_by_text(re.compile(r"\| Idle")).first).to_be_visible(timeout=MINUTE)
    run_cell(page, "")  # the sheet's own, whose answer is 42; a new one follows it
    expect(page.locator(".jp-OutputArea-output").last).to_contain_text("42", timeout=MINUTE)
    run_cell(page, "print(open('mine.txt', 'w').write('kept'))")
    expect(page.locator(".jp-OutputArea-output").last).to_contain_text("4", timeout=MINUTE)
    student.picture("9-sheet")


def it_is_the_second_kind_in_another_zone(student: Person, machine: str) -> None:
    page = look_at(student, machine)
    about = page.locator(".page-head .sub")
    expect(about).to_contain_text(SECOND_KIND)
    expect(about).not_to_contain_text(FIRST_ZONE)
    page.close()


def nobody_else_finds_it(demo: Launcher, browser: Browser, album: Path, machine: str, notebook: str) -> None:
    other = Person(browser, demo.url, album)
    other.go("/")
    other.sign_in_as(STUDENT)
    expect(other.page.locator(".whoami")).to_contain_text(STUDENT.name)
    for path in ("", "notebook", "live"):
        assert other.page.request.get(f"{demo.url}/machines/{machine}/{path}").status == 404
    other.page.goto(notebook)
    expect(other.page.locator("body")).to_contain_text(re.compile("not found|nothing here|404", re.I))
    other.done()


def stopped_and_started_the_file_is_there(student: Person, machine: str) -> None:
    page = look_at(student, machine)
    page.locator("#stop").click()
    expect(page.locator("#start")).to_be_visible(timeout=3 * MINUTE)
    page.locator("#start").click()
    with student.context.expect_page(timeout=MINUTE) as opened:
        page.get_by_role("link", name=re.compile("Open notebook")).click(timeout=MINUTE)
    notebook = opened.value
    wait_for_lab(notebook)
    asked = "path => fetch(path).then(answer => answer.json()).then(file => file.content)"
    assert notebook.evaluate(asked, f"/api/contents/{NAME}/hw1/mine.txt") == "kept"
    notebook.close()
    page.close()


def delete(student: Person, machine: str) -> None:
    """Every file, too: the next walk counts what runs."""
    page = look_at(student, machine)
    page.locator("#stop").click()
    page.locator("#delete-button").click(timeout=3 * MINUTE)
    page.locator("#disk-gone").check()
    page.get_by_role("button", name="Delete the machine").click()
    expect(page.locator("main")).to_contain_text("Deleted", timeout=MINUTE)
    page.close()
