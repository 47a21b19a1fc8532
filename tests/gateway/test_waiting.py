"""A machine that does not answer yet: a page that waits for people, 503 for scripts, and the way on."""

import pytest
from django.utils import timezone

from instances.models import Instance
from instances.states import State
from tests.gateway.conftest import Visitor, wait_until
from tests.gateway.fake_machine import FakeMachine


def test_a_booting_notebook_is_waited_for_in_place(owner: Visitor, machine: FakeMachine) -> None:
    machine.stop()
    page = owner.browser.visit("/lab")
    assert page.status == 503
    assert page.one("retry-after")
    assert b"JupyterLab is starting" in page.body
    assert b"/_nb/wait.js" in page.body
    assert owner.browser.ask("/_nb/ready").json == {"message": "", "reason": "", "ready": False, "state": "running"}
    machine.start()
    assert owner.browser.ask("/_nb/ready").json["ready"] is True
    assert owner.browser.visit("/lab").status == 200


def test_a_script_is_told_when_to_come_back(owner: Visitor, machine: FakeMachine) -> None:
    machine.stop()
    answer = owner.browser.ask("/api/contents")
    assert answer.status == 503
    assert answer.one("retry-after")


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State.LAUNCHING, b"The machine is starting"),
        (State.STOPPING, b"The machine is stopping"),
        (State.STOPPED, b"The machine is stopped"),
        (State.TERMINATED, b"This machine is gone"),
    ],
)
def test_a_machine_that_does_not_run_says_so_and_shows_the_way(owner: Visitor, state: State, text: bytes) -> None:
    Instance.objects.update(state=state)
    wait_until(lambda: owner.browser.ask("/api").status == 503, "the new state is seen", 3)
    page = owner.browser.visit("/lab/tree/x")
    assert page.status == 503
    assert text in page.body
    assert owner.browser.ask("/_nb/ready").json["state"] == state


def test_the_waiting_page_speaks_the_installations_language_as_all_pages(owner: Visitor, machine: FakeMachine) -> None:
    machine.stop()
    page = owner.browser.visit("/lab", Accept_Language="zh-CN,zh;q=0.9")
    assert b'<html lang="en"' in page.body


def test_a_strangers_question_whether_it_is_ready_is_refused(owner: Visitor) -> None:
    owner.browser.cookie = "made-up"
    assert owner.browser.ask("/_nb/ready").status == 401


def test_only_a_persons_work_is_noted_as_use(owner: Visitor) -> None:
    began = timezone.now()
    for path in ("/api/kernels", "/api/contents", "/lab"):
        owner.browser.ask(path)
    owner.instance.refresh_from_db()
    assert owner.instance.last_active_at is None
    owner.browser.ask("/api/contents/hw1.ipynb/checkpoints", "POST", b"{}")

    def noted() -> bool:
        owner.instance.refresh_from_db()
        return bool(owner.instance.last_active_at and owner.instance.last_active_at >= began)

    wait_until(noted, "the saved file counts as use", 5)
