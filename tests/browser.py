"""A real Chromium for tests. Whatever is asked of the internet fails here: the product must not need it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

# The background services would look for hosts that a closed network refuses, many at a time.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)

expect.set_options(timeout=20_000)  # ms; the library's five seconds are short on a machine that does three things


def chromium_path() -> str | None:
    """Without a window first: the same engine for a third of the work, as it draws no toolbar that nobody sees."""
    names = ("chromium-headless-shell", "chrome-headless-shell", "chromium", "google-chrome")
    return next((path for path in map(shutil.which, names) if path), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    with pytest.MonkeyPatch.context() as patch, sync_playwright() as playwright:
        # Playwright's event loop lives in this thread; Django's ORM is called between its calls, never within.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
        browser = playwright.chromium.launch(executable_path=chromium_path(), args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()
