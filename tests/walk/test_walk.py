"""The main job, end to end, as people do it: sign in, claim, launch, notebook, idle, keep, stop, spend.

Everything is real but AWS itself: the provider, the broker, the workers, JupyterLab, the browser.
"""

import csv
import io
import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from demo.people import INSTRUCTOR, SECOND_STUDENT, STRANGER, STUDENT
from tests.demo.running import Launcher
from tests.walk.people import Person, new_notebook, run_cell, wait_for_lab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1500)]
MINUTE = 60_000


def test_somebody_on_no_roster_is_told_so_kindly(demo: Launcher, browser: Browser, album: Path) -> None:
    visitor = Person(browser, demo.url, album)
    visitor.go("/")
    expect(visitor.page.get_by_role("heading", level=1)).to_contain_text("GPU")
    visitor.picture("1-landing")
    visitor.sign_in_as(STRANGER)
    expect(visitor.page.locator("main")).to_contain_text(STRANGER.email)
    expect(visitor.page.locator("main")).to_contain_text("roster")
    visitor.picture("1-not-on-roster")
    visitor.done()


def test_the_whole_walk(demo: Launcher, browser: Browser, album: Path) -> None:
    student = Person(browser, demo.url, album)
    sign_in_and_look_around(student)
    code = claim(student)
    machine = launch(student)
    notebook = open_notebook(student)
    others_stay_out(demo, browser, album, machine, notebook.url)
    a_running_cell_keeps_it_alive(student, notebook)
    warned_then_kept(student, machine)
    instructor = watch_the_spend(demo, browser, album)
    pull_and_undo_the_kill_switch(instructor, student, machine)
    start_again_finds_the_files(student, machine)
    left_alone_it_is_stopped(student, machine)
    the_code_is_still_there(student, code)
    student.done()
    instructor.done()


def sign_in_and_look_around(student: Person) -> None:
    page = student.page
    student.go("/")
    student.sign_in_as(STUDENT)
    expect(page.locator(".money-card, #money").first).to_contain_text("left", ignore_case=True)
    expect(page.locator("main")).to_contain_text("Homework")
    expect(page.locator("main")).to_contain_text("an hour")
    expect(page.get_by_role("button", name=re.compile(r"^Claim \$"))).to_be_visible()
    student.picture("2-home")


def claim(student: Person) -> str:
    page = student.page
    page.get_by_role("button", name=re.compile(r"^Claim \$")).click()
    page.get_by_role("button", name="Show code").first.click()
    shown = page.locator(".code-box code").first
    expect(shown).not_to_contain_text("••••")
    code = shown.inner_text().strip()
    page.get_by_role("button", name="Copy").first.click()
    assert page.evaluate("navigator.clipboard.readText()") == code
    student.picture("3-claimed")
    return code


def launch(student: Person) -> str:
    page = student.page
    student.go("/")
    page.get_by_role("link", name=re.compile(r"^Launch Homework: T4")).click()
    expect(page.locator(".bill")).to_contain_text("Set aside now")
    student.picture("4-confirm")
    page.get_by_role("button", name="Launch", exact=True).click()
    page.wait_for_url(re.compile(r"/machines/m\w+/"))
    expect(page.locator(".steps li")).to_have_count(4)
    page.evaluate("window.neverReloaded = true")
    student.picture("4-steps")
    expect(page.locator("main")).to_contain_text("The notebook was ready", timeout=2 * MINUTE)
    assert page.evaluate("window.neverReloaded"), "the page must go on by itself"
    student.picture("4-ready")
    return page.url.rstrip("/").rsplit("/", 1)[-1]


def open_notebook(student: Person) -> Page:
    with student.context.expect_page() as opened:
        student.page.get_by_role("link", name=re.compile("Open notebook")).click()
    page = opened.value
    wait_for_lab(page)
    assert "token" not in page.url
    new_notebook(page)
    run_cell(page, "open('kept.txt', 'w').write('still here'); print(6 * 7)")
    expect(page.locator(".jp-OutputArea-output").first).to_contain_text("42", timeout=MINUTE)
    student.picture("5-notebook", page)
    home = student.context.new_page()
    home.goto(student.portal)
    expect(home.get_by_role("link", name=re.compile("Open notebook"))).to_be_visible()
    student.picture("5-home-with-machine", home)
    home.close()
    return page


def others_stay_out(demo: Launcher, browser: Browser, album: Path, machine: str, notebook: str) -> None:
    other = Person(browser, demo.url, album)
    other.page.goto(notebook)  # signed out: sign-in first, and then back to the notebook, which is not theirs
    other.sign_in_as(SECOND_STUDENT)
    other.page.wait_for_url(re.compile(machine))
    expect(other.page.locator("body")).to_contain_text(re.compile("not found|nothing here|404", re.I))
    for path in (f"/machines/{machine}/", f"/machines/{machine}/notebook"):
        answer = other.page.request.get(demo.url + path)
        assert answer.status == 404
    other.done()


def a_running_cell_keeps_it_alive(student: Person, notebook: Page) -> None:
    """The demo's quiet time is two minutes: a cell that works for longer is not even warned about."""
    # A part of a core and not all of one, which other tests need: the floor of what counts as work is a tenth.
    works = "sum(range(3 * 10**6)); time.sleep(0.12)"
    run_cell(notebook, f"import time; end = time.time() + 150\nwhile time.time() < end: {works}")
    time.sleep(145)
    student.page.reload()
    expect(student.page.get_by_role("link", name=re.compile("Open notebook"))).to_be_visible()
    expect(warning_on(student.page)).to_have_count(0)


def warning_on(page: Page) -> Locator:
    return page.get_by_role("heading", name=re.compile("^This machine stops"))


def warned_then_kept(student: Person, machine: str) -> None:
    page = student.page
    expect(warning_on(page)).to_be_visible(timeout=3 * MINUTE)
    student.picture("6-warned")
    mailbox = student.context.new_page()
    mailbox.goto(student.portal + "/demo/mailbox/")
    while STUDENT.email not in mailbox.locator("main").inner_text():
        mailbox.wait_for_timeout(1000)
        mailbox.reload()
    expect(mailbox.locator("main")).to_contain_text(re.compile("stop", re.I))
    student.picture("6-mailbox", mailbox)
    mailbox.close()
    page.locator("#keep-1").click()
    expect(warning_on(page)).to_have_count(0)
    expect(page.locator("main")).to_contain_text("Kept")
    student.picture("6-kept")


def watch_the_spend(demo: Launcher, browser: Browser, album: Path) -> Person:
    instructor = Person(browser, demo.url, album)
    page = instructor.page
    instructor.go("/")
    instructor.sign_in_as(INSTRUCTOR)
    expect(page.locator(".figures")).to_contain_text("$30,000.00")
    expect(page.locator(".figures")).to_contain_text("Held")
    expect(page.locator("#running tbody tr")).to_have_count(1)
    expect(page.locator(".chart-scroll svg")).to_be_visible()
    expect(page.locator("main")).to_contain_text("last machine is off by")
    before = page.locator("#running td[data-label='So far']").get_attribute("data-value")
    page.wait_for_function(
        "before => document.querySelector(\"#running td[data-label='So far']\").dataset.value !== before", arg=before
    )
    with page.expect_download() as download:
        page.get_by_role("link", name="Spend as CSV").click()
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8-sig"))))
    assert len(rows) >= 100
    instructor.picture("7-staff")
    return instructor


def pull_and_undo_the_kill_switch(instructor: Person, student: Person, machine: str) -> None:
    page = instructor.page
    page.locator("#kill-switch").click()
    expect(page.locator("main")).to_contain_text("an hour")
    page.get_by_label(re.compile("^Every machine")).check()
    page.get_by_label("Reason").fill("End of the lab session")
    instructor.picture("7-kill-switch")
    page.get_by_role("button", name="Stop them, and launch nothing").click()
    expect(student.page.locator("main")).to_contain_text("End of the lab session", timeout=MINUTE)
    page.get_by_role("button", name="Undo, start nothing").click()
    expect(student.page.locator("#start")).to_be_visible(timeout=MINUTE)
    student.picture("7-stopped")


def start_again_finds_the_files(student: Person, machine: str) -> None:
    page = student.page
    page.locator("#start").click()
    # Pressed at once: the click waits by itself until JupyterLab answers.
    expect(page.get_by_role("link", name=re.compile("Open notebook"))).to_be_visible(timeout=MINUTE)
    with student.context.expect_page() as opened:
        page.get_by_role("link", name=re.compile("Open notebook")).click()
    notebook = opened.value
    wait_for_lab(notebook)
    expect(notebook.locator(".jp-DirListing-content")).to_contain_text("kept.txt", timeout=MINUTE)
    notebook.close()


def left_alone_it_is_stopped(student: Person, machine: str) -> None:
    page = student.page
    expect(warning_on(page)).to_be_visible(timeout=4 * MINUTE)
    expect(page.locator("#start")).to_be_visible(timeout=3 * MINUTE)
    expect(page.locator("main")).to_contain_text("Stopped")
    student.picture("8-stopped-idle")


def the_code_is_still_there(student: Person, code: str) -> None:
    student.go("/")
    expect(student.page.locator("main")).to_contain_text(code[-4:])
    assert code not in student.page.content()
    student.page.get_by_role("button", name="Show code").first.click()
    expect(student.page.locator(".code-box code").first).to_have_text(code)
