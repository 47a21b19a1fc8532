"""The gateway's memory of who may enter, and what it does when the database does not answer."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from asgiref.testing import ApplicationCommunicator
from django.conf import settings
from django.db import OperationalError

from instances import grants
from instances.gateway import doorkeeper as doors
from instances.gateway.app import Gateway
from instances.gateway.doorkeeper import Doorkeeper
from instances.grants import Access
from tests.gateway.conftest import ROOT

OPEN = Access(instance_id=1, state="running", address="127.50.214.1:8888", notebook_token="t")
HOST = b"mabc.nb.localhost:8001"


class Database:
    """Stands for `check_grant`: counts the questions, and can be down."""

    def __init__(self) -> None:
        self.questions = 0
        self.down = False
        self.access: Access | None = OPEN

    def __call__(self, cookie: str, slug: str, **_when: object) -> Access | None:
        self.questions += 1
        if self.down:
            raise OperationalError("server closed the connection unexpectedly")
        return self.access if cookie == "good" else None


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    found = Database()
    monkeypatch.setattr(grants, "check_grant", found)
    monkeypatch.setattr(doors, "RECHECK_SECONDS", 0.02)
    monkeypatch.setattr(doors, "FRESH_SECONDS", 0.01)
    return found


def test_the_gateway_carries_nothing_of_the_portals_pages() -> None:
    """They may be deployed, and may even fail to import, without a notebook noticing."""
    look = "import sys, portal.live; print({'portal.urls', 'pandas', 'boto3'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", look], cwd=ROOT, check=True, capture_output=True, text=True)
    assert found.stdout.strip() == "set()"


def test_a_hundred_requests_at_once_ask_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doors, "FRESH_SECONDS", 60)  # however long a busy machine takes to begin a hundred

    async def page() -> list[Access | None]:
        door = Doorkeeper()
        return await asyncio.gather(*(door.access(["good"], "mabc") for _n in range(100)))

    assert asyncio.run(page()) == [OPEN] * 100
    assert database.questions == 1


def test_one_who_goes_away_takes_no_answer_along(database: Database) -> None:
    async def two() -> Access | None:
        door = Doorkeeper()
        first = asyncio.ensure_future(door.access(["good"], "mabc"))
        second = asyncio.ensure_future(door.access(["good"], "mabc"))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert asyncio.run(two()) == OPEN


def test_an_answer_is_for_one_machine_only(database: Database) -> None:
    async def two() -> None:
        door = Doorkeeper()
        await door.access(["good"], "mabc")
        await door.access(["good"], "mxyz")

    asyncio.run(two())
    assert database.questions == 2


def test_made_up_cookies_neither_fill_the_memory_nor_cost_more_than_a_few_questions(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doors, "REMEMBERED_MAX", 10)

    async def flood() -> int:
        door = Doorkeeper()
        for n in range(100):
            await door.access([f"made up {n}"], "mabc")
            await asyncio.sleep(0.002)
        await door.access([f"planted {n}" for n in range(1000)], "mabc")
        return len(door._answers)

    assert asyncio.run(flood()) < 30
    assert database.questions == 100 + doors.COOKIES_MAX


def test_those_who_are_in_stay_in_while_the_database_is_down_and_go_when_it_says_so(database: Database) -> None:
    async def stay() -> tuple[bool, Access | None]:
        over = asyncio.ensure_future(Doorkeeper().until_over(["good"], "mabc"))
        database.down = True
        await asyncio.sleep(0.2)
        stayed = not over.done()
        database.down, database.access = False, None
        return stayed, await asyncio.wait_for(over, 5)

    assert asyncio.run(stay()) == (True, None)
    assert database.questions > 3


Ask = Callable[..., tuple[int, str]]


@pytest.fixture
def ask(database: Database) -> Ask:
    """The status and the text that one request to a gateway in this very process gets."""

    def go(fetch: dict[str, Any], path: str = "/lab") -> tuple[int, str]:
        headers = [
            (b"host", HOST),
            (b"cookie", b"nb_grant=good"),
            *((k.encode(), v.encode()) for k, v in fetch.items()),
        ]
        scope = {
            "type": "http",
            "method": "GET",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "headers": headers,
        }

        async def one() -> tuple[int, str]:
            wire = ApplicationCommunicator(Gateway(), scope)
            await wire.send_input({"type": "http.request", "body": b"", "more_body": False})
            start, body = await wire.receive_output(5), await wire.receive_output(5)
            return start["status"], body["body"].decode()

        return asyncio.run(one())

    return go


def test_a_newcomer_is_told_that_it_is_us(database: Database, ask: Ask) -> None:
    database.down = True
    status, text = ask({"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-site": "none"})
    assert status == 503
    assert "We cannot look up your notebook right now" in text
    status, text = ask({"sec-fetch-site": "same-origin"})
    assert status == 503
    assert "could not be checked" in text


def test_what_is_tried_again_by_itself_is_no_pull_of_a_foreign_page(database: Database, ask: Ask) -> None:
    """It would be tried by a page of the machine's own host, which may pull what it likes: so by the portal."""
    database.down = True
    page = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}
    address = f"{settings.PORTAL_URL}/machines/mabc/notebook?path=/git-pull"
    assert f'content="10; url={address}"' in ask(page | {"sec-fetch-site": "cross-site"}, "/git-pull")[1]
    assert 'content="10"' in ask(page | {"sec-fetch-site": "same-origin"}, "/git-pull")[1]
    assert 'content="10"' in ask(page | {"sec-fetch-site": "cross-site"}, "/lab")[1]


def test_a_failed_question_is_asked_again(database: Database) -> None:
    async def twice() -> Access | None:
        door = Doorkeeper()
        database.down = True
        with pytest.raises(OperationalError):
            await door.access(["good"], "mabc")
        database.down = False
        return await door.access(["good"], "mabc")

    assert asyncio.run(twice()) == OPEN
