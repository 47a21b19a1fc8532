"""What people do in the browser, said as they would say it. Asserts only that the way goes on."""

import re
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from demo.people import Person as DemoPerson

WIDE = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


class Person:
    """One person with one browser profile."""

    def __init__(self, browser: Browser, portal: str, album: Path) -> None:
        self.context = browser.new_context(viewport=WIDE, timezone_id="America/Los_Angeles")
        self.context.set_default_timeout(30_000)
        self.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=portal)
        self.page: Page = self.context.new_page()
        self.portal = portal
        self.album = album
        self.broken: list[str] = []
        self.page.on("pageerror", lambda error: self.broken.append(str(error)))

    def go(self, path: str) -> None:
        self.page.goto(self.portal + path)

    def sign_in_as(self, somebody: DemoPerson) -> None:
        self.page.get_by_role("button", name=re.compile("Sign in with Demo University")).first.click()
        self.page.locator(f"button.person[value='{somebody.email}']").click()

    def picture(self, name: str, page: Page | None = None) -> None:
        """The page as it is now: wide and phone, light and dark."""
        page = page or self.page
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            for size, viewport in (("wide", WIDE), ("phone", PHONE)):
                page.set_viewport_size(viewport)
                page.screenshot(path=self.album / f"{name}-{size}-{scheme}.png", full_page=True)
                if size == "phone":
                    assert no_sideways_scroll(page), f"{name} is wider than a phone"
        page.emulate_media(color_scheme="light")
        page.set_viewport_size(WIDE)

    def done(self) -> None:
        self.context.close()
        assert self.broken == []


def no_sideways_scroll(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def wait_for_lab(page: Page) -> None:
    """JupyterLab is there and has settled."""
    page.wait_for_url(re.compile(r"/lab"), timeout=60_000)
    expect(page.locator("#jp-main-dock-panel")).to_be_visible(timeout=60_000)


def new_notebook(page: Page) -> None:
    page.locator(".jp-LauncherCard[data-category='Notebook']").first.click(timeout=60_000)
    # Typing before the kernel is idle leaves a cell that never runs.
    expect(page.get_by_text(re.compile(r"\| Idle")).first).to_be_visible(timeout=60_000)


def run_cell(page: Page, code: str) -> None:
    page.locator(".jp-Notebook .jp-Cell").last.locator(".cm-content").click()
    page.keyboard.type(code)
    page.keyboard.press("Shift+Enter")
