"""In a real browser: a plain JupyterLab shows the warning, and what was typed but not saved is saved before a stop."""

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser import chromium
from tests.loopback import address
from tests.machine.conftest import TOKEN, Collector, Lit, until
from tests.machine.notebook import Notebook
from tests.machine.test_doings_and_saving import ANSWER

pytestmark = [pytest.mark.alone, pytest.mark.browser, pytest.mark.slow]
ONE, ADDRESS = "i-0notice", address(42)
WORDS = "Nothing has used this machine since 14:10. It stops at 14:40."
EMPTY = {
    "cells": [{"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": "", "id": "a"}],
    "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


@pytest.fixture(scope="module")
def page(lit: Lit, collector: Collector) -> Iterator[Page]:
    """JupyterLab with one open notebook."""
    collector.answer = dict(ANSWER)
    lit.boot(ONE, ADDRESS, collector.url)
    until(Notebook(ADDRESS).ready, 60)
    (lit.room.root(ONE) / "home/ubuntu/work.ipynb").write_text(json.dumps(EMPTY))
    with chromium() as browser:
        page = browser.new_page()
        page.goto(f"http://{ADDRESS}:8888/lab/tree/work.ipynb?token={TOKEN}")
        page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
        yield page


def test_who_only_writes_is_told_of_and_an_open_tab_is_not(page: Page) -> None:
    """The gateway counts such a request as a person's (`tests/gateway/test_headers.py`)."""
    cell = page.locator(".jp-Notebook .cm-content").first
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "notice.json" in request.url else None)
    page.wait_for_timeout(6000)
    assert asked
    assert not [url for url in asked if url.endswith("?used")]
    with page.expect_request(lambda request: request.url.endswith("/notice.json?used")):
        cell.press("Shift")


def test_the_warning_is_seen_there_with_a_button_that_keeps_the_machine_on(page: Page, collector: Collector) -> None:
    collector.answer = {**ANSWER, "notice": WORDS, "notice_url": "http://127.0.0.1:9/keep/abc"}
    toast = page.locator(".Toastify__toast", has_text=WORDS)
    expect(toast).to_be_visible(timeout=60_000)
    with page.expect_popup() as opened:
        toast.get_by_role("button", name="Keep it on").click()
    assert opened.value.url.endswith("/keep/abc") or "chrome-error" in opened.value.url
    opened.value.close()


def test_it_goes_when_the_machine_is_used_again(page: Page, collector: Collector) -> None:
    collector.answer = dict(ANSWER)
    expect(page.locator(".Toastify__toast", has_text=WORDS)).to_have_count(0, timeout=60_000)


def test_what_was_typed_and_not_saved_is_on_the_disk_before_the_stop(
    page: Page, collector: Collector, lit: Lit
) -> None:
    file = lit.room.root(ONE) / "home/ubuntu/work.ipynb"
    page.locator(".jp-Notebook .cm-content").first.click()
    page.keyboard.type("accuracy = 0.93")
    page.wait_for_timeout(500)
    assert "accuracy" not in file.read_text()
    collector.answer = {**ANSWER, "stop_seconds_left": 30, "save": {"script": "", "seconds": 30}}
    until(lambda: "accuracy = 0.93" in file.read_text(), 60)
