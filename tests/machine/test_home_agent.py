"""The door of the packing program: its machine's secret or nothing, every word bounded, and an end when it is over."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from cloud import backends
from cloud.fake_files import FakeFiles
from instances import agent_views, home_calls, homes, tasks
from instances.home_records import HomeArchive
from instances.models import Instance
from instances.reports import answer
from tests.machine.conftest import SECRET

Say = Callable[..., HttpResponse]


@pytest.fixture
def bucket(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeFiles]:
    settings.ARCHIVE_BUCKET = "homes"
    made = FakeFiles(timezone.now)
    for module in (agent_views, tasks):
        monkeypatch.setattr(module, "files", lambda: made)
    yield made
    backends.files.cache_clear()


@pytest.fixture
def home(machine: Instance, bucket: FakeFiles) -> HomeArchive:
    made = homes.request_home(machine, who=None, now=timezone.now())
    home_calls.take_step(made.pk, files=bucket, now=timezone.now())
    made.refresh_from_db()
    return made


@pytest.fixture
def say(machine: Instance) -> Say:
    def ask(_secret: str = SECRET, **said: Any) -> HttpResponse:
        head = {"authorization": f"Bearer {machine.slug}:{_secret}"}
        body = json.dumps({"packer": "p1", **said})
        return Client().post("/agent/home", body, content_type="application/json", headers=head)

    return ask


def test_without_its_secret_there_is_no_such_machine(home: HomeArchive, say: Say) -> None:
    assert say("another", say="where").status_code == 404
    assert Client().post("/agent/home", "{}", content_type="application/json").status_code == 404
    assert Client().get("/agent/home").status_code == 405


def test_without_a_bucket_there_is_no_such_door(machine: Instance, say: Say, settings: Settings) -> None:
    settings.ARCHIVE_BUCKET = ""
    backends.files.cache_clear()
    assert say(say="where").status_code == 404
    backends.files.cache_clear()


def test_the_program_is_handed_over_and_fits_the_answer_it_is_read_from(home: HomeArchive, say: Say) -> None:
    told = say(say="program")
    assert len(told.content) < 65536  # the agent reads no more
    compile(told.json()["program"], "carry.py", "exec")


def test_where_there_is_nothing_to_pack_it_is_told_to_end(machine: Instance, bucket: FakeFiles, say: Say) -> None:
    assert say(say="where").status_code == 410


def test_only_the_newest_program_is_listened_to(home: HomeArchive, say: Say) -> None:
    assert say(say="where").json()["mark"] is None
    assert say(say="where", packer="p2").status_code == 200
    assert say(say="part", size=4, sha256="x").status_code == 410
    assert say(say="part", packer="p2", size=4, sha256="x").status_code == 200


def test_each_part_has_a_number_of_its_own_also_when_it_is_asked_for_again(home: HomeArchive, say: Say) -> None:
    say(say="where")
    numbers = [say(say="part", size=4, sha256="x").json()["number"] for _again in range(3)]
    assert numbers == [1, 2, 3]


def test_what_was_heard_is_not_counted_twice(home: HomeArchive, say: Say) -> None:
    say(say="where")
    say(say="part", size=4, sha256="x")
    for _twice in range(2):
        told = say(say="sent", number=1, etag="e", mark={"path": "a"}, read_bytes=4, total_bytes=9)
        assert told.status_code == 200
    home.refresh_from_db()
    assert (home.sent_bytes, home.mark) == (4, {"path": "a"})


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"say": "other"},
        {"say": "where", "packer": ""},
        {"say": "part", "size": -1, "sha256": "x"},
        {"say": "part", "size": 4, "sha256": "x" * 45},
        {"say": "sent", "number": 1, "etag": "e", "mark": "no", "read_bytes": 1, "total_bytes": 1},
        {"say": "sent", "number": 1, "etag": "e", "mark": {"a": "x" * 41_000}, "read_bytes": 1, "total_bytes": 1},
        {"say": "packed", "files": 1, "left_out": 0},  # and nothing was sent
        {"say": "packed", "files": "many", "left_out": 0},
        {"say": "failed", "why": "x" * 201},
    ],
    ids=str,
)
def test_what_makes_no_sense_changes_nothing(home: HomeArchive, say: Say, said: dict[str, Any]) -> None:
    say(say="where")
    before = HomeArchive.objects.values().get()
    assert say(**said).status_code == 400
    assert HomeArchive.objects.values().get() == before


def test_no_body_however_long_or_odd_is_an_error_of_ours(home: HomeArchive, machine: Instance) -> None:
    head = {"authorization": f"Bearer {machine.slug}:{SECRET}"}
    for body, status in (("[]", 400), ("no", 400), ("1" * 70_000, 413), ("\xff", 400), ('{"say": null}', 400)):
        answer = Client().post("/agent/home", body, content_type="application/json", headers=head)
        assert answer.status_code == status, body[:10]


def test_the_report_tells_the_machine_only_while_there_is_something_to_pack(home: HomeArchive, say: Say) -> None:
    machine = Instance.objects.select_related("course__machine_policy").get(pk=home.instance_id)
    assert answer(machine, now=timezone.now())["home"] is True
    say(say="where")
    say(say="failed", why="no room")
    assert "home" not in answer(machine, now=timezone.now())
    home.refresh_from_db()
    assert home.reason == "no room"
