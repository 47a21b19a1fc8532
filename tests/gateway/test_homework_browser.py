"""The homework link in a real Chromium: one click, and the sheet of a real repository is open in a real JupyterLab."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, expect
from pytest_django.live_server_helper import LiveServer

from demo.repositories import NAME, make_repository
from instances.models import HomeworkSource, Preset
from tests.conftest import Cast
from tests.gateway.conftest import Gateway, new_instance, sign_in
from tests.gateway.stage import LAB_SECONDS, Lab, plant_sign_in

pytestmark = [pytest.mark.browser, pytest.mark.slow]
HOST = "https://git.demo.edu"


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("repositories")
    make_repository(folder)
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, repositories: Path) -> Iterator[Lab]:
    home = tmp_path_factory.mktemp("home")
    # As in the machine room: this folder stands for a server of the internet.
    (home / ".gitconfig").write_text(f'[url "file://{repositories}/"]\n\tinsteadOf = {HOST}/\n')
    lab = Lab("127.50.215.7", home)
    with lab.running():
        yield lab


def test_the_link_pulls_and_opens_the_sheet_and_pulls_again_what_staff_changed(
    browser: Browser, live_server: LiveServer, gateway: Gateway, cast: Cast, lab: Lab, repositories: Path
) -> None:
    HomeworkSource.objects.create(course=cast.course, address=HOST, added_at=timezone.now())
    machine = new_instance(cast.student, lab.address, token=lab.token)
    preset = Preset.objects.get()
    link = (
        f"{live_server.url}/c/dl19/launch?preset={preset.slug}&repo={HOST}/{NAME}&branch=main&path=hw1/homework1.ipynb"
    )
    context = browser.new_context()
    assert cast.student.user
    plant_sign_in(context, live_server.url, sign_in(cast.student.user))
    page = context.new_page()
    page.goto(link)
    page.wait_for_url("**/lab/tree/d2l-homework/hw1/homework1.ipynb", timeout=LAB_SECONDS * 1000)
    expect(page.locator(".jp-Notebook").get_by_role("heading", name="Homework 1: tensors")).to_be_visible(
        timeout=LAB_SECONDS * 1000
    )
    mine = lab.home / NAME / "hw1/mine.txt"
    mine.write_text("my work")
    (repositories / NAME / "hw1/late.txt").write_text("a hint")
    who = ["-c", "user.name=Staff", "-c", "user.email=staff@demo.edu"]
    for words in (["add", "."], [*who, "commit", "-qm", "A hint"]):
        subprocess.run(["git", *words], cwd=repositories / NAME, check=True)
    page.goto(link)
    page.wait_for_url("**/lab/tree/d2l-homework/hw1/homework1.ipynb", timeout=LAB_SECONDS * 1000)
    assert (lab.home / NAME / "hw1/late.txt").read_text() == "a hint"
    assert mine.read_text() == "my work"
    # The same repository into a folder of somebody else's choice: what lies there runs with the next kernel.
    startup = urlencode({"repo": f"{HOST}/{NAME}", "targetpath": ".ipython/profile_default/startup"})
    for door in ("git-pull", "git-sync"):
        page.goto(f"{gateway.origin(machine.slug)}/{door}?{startup}")
        expect(page.get_by_role("heading")).to_have_text("This link opens nothing")
    assert not (lab.home / ".ipython/profile_default/startup/hw1").exists()
    context.close()
