"""A real Chromium and a real JupyterLab, started by the very script that a machine boots with."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, expect

from tests.gateway.conftest import ROOT, wait_until

LAB_SECONDS = 60
SCRIPT = ROOT / "instances" / "agent" / "notebook.sh"


@dataclass
class Lab:
    address: str
    home: Path
    token: str = "a real token"

    @contextlib.contextmanager
    def running(self, wait: bool = True) -> Iterator[None]:
        environment = {
            "HOME": str(self.home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "JUPYTER_TOKEN": self.token,
            "LAMPLIGHTER_BIND": self.address,
        }
        log = (self.home / "jupyter.log").open("ab")
        process = subprocess.Popen(
            ["sh", str(SCRIPT)], env=environment, cwd=self.home, stdout=log, stderr=log, start_new_session=True
        )
        try:
            if wait:
                wait_until(self.answers, "JupyterLab answers", LAB_SECONDS)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)  # its kernels and terminals with it
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
            log.close()

    def answers(self) -> bool:
        try:
            return bool(urllib.request.urlopen(f"http://{self.address}:8888/api", timeout=1).status == 200)
        except OSError:
            return False


def plant_sign_in(context: BrowserContext, portal: str, session_key: str) -> None:
    context.add_cookies([{"name": "lamplighter_session", "value": session_key, "url": portal}])


def wait_for_lab(page: Page) -> None:
    page.wait_for_url(re.compile(r"/lab"), timeout=LAB_SECONDS * 1000)
    expect(page.locator("#jp-main-dock-panel")).to_be_visible(timeout=LAB_SECONDS * 1000)


def run_a_cell(page: Page, code: str) -> str:
    """What the code prints in a new notebook."""
    page.locator(".jp-LauncherCard[data-category='Notebook']").first.click(timeout=LAB_SECONDS * 1000)
    # Before the kernel is idle a cell that is run stays at "[ ]" for ever.
    expect(page.get_by_text(re.compile(r"\| Idle")).first).to_be_visible(timeout=LAB_SECONDS * 1000)
    page.locator(".jp-Notebook .jp-Cell").last.locator(".cm-content").click()
    page.keyboard.type(code)
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-OutputArea-output").first
    expect(output).to_be_visible(timeout=LAB_SECONDS * 1000)
    return output.inner_text().strip()
