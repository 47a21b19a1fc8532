"""A machine as a row, and as real processes: a room to light it in, and a collector for what it reports."""

import hashlib
import importlib
import json
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest
from django.test import override_settings
from django.utils import timezone

from cloud.sim.room import Room
from courses.models import Course
from credits.vault import seal
from instances.boot import user_data
from instances.models import Instance, Policy, Preset
from instances.states import State
from tests.conftest import Cast

SECRET = "agent-secret-of-the-test"
TOKEN = "notebook-token-of-the-test"


# ------------------------------------------------------------------ a row
def policy_for(course: Course, **seconds: int) -> Policy:
    return Policy.objects.create(course=course, **seconds)


def unsaved_machine(**more: object) -> Instance:
    """Enough of a row for user data; no database."""
    return Instance(
        lease_seconds=more.pop("lease_seconds", 3600),
        notebook_token=seal(TOKEN),
        agent_digest=hashlib.sha256(SECRET.encode()).hexdigest(),
        agent_secret=seal(SECRET),
        **more,
    )


@pytest.fixture
def machine(cast: Cast) -> Instance:
    preset = Preset.objects.create(
        course=cast.course, slug="hw", name="Homework", instance_types=["g4dn.xlarge"], image_id="ami-1",
        ceiling_usd_hour=1,
    )  # fmt: skip
    now = timezone.now()
    row = unsaved_machine(
        owner=cast.student, course=cast.course, preset=preset, state=State.RUNNING, state_since=now,
        image_id="ami-1", disk_gb=64, created_at=now,
    )  # fmt: skip
    row.save()
    return row


def at(seconds: float) -> datetime:
    """A moment of the story, counted from its beginning."""
    return datetime.fromtimestamp(1_550_000_000 + seconds, UTC)


# ------------------------------------------------------------------ a portal of a few lines
@dataclass
class Collector:
    """Takes reports like the portal; `answer` is what it says next, None: an error. With `lease_ends` (monotonic
    seconds) it says how long the lease still is, as the portal does."""

    answer: dict | None = field(default_factory=dict)
    reports: list[dict] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)
    lease_ends: float | None = None

    def __post_init__(self) -> None:
        collector = self

        class Door(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                collector.reports.append({**body, "at": time.monotonic()})
                collector.secrets.add(self.headers["Authorization"])
                said = collector.answer
                if said is not None and collector.lease_ends is not None:
                    said = {**said, "lease_seconds_left": int(collector.lease_ends - time.monotonic())}
                self.send_response(503 if said is None else 200)
                self.end_headers()
                self.wfile.write(json.dumps(said or {}).encode())

            def log_message(self, *_args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


# ------------------------------------------------------------------ a room
class Lit:
    """A room, and who powered off in it."""

    def __init__(self, folder: Path) -> None:
        self.off: dict[str, float] = {}
        self.room = Room(folder, lambda cloud_id: self.off.update({cloud_id: time.monotonic()}))

    def boot(self, cloud_id: str, address: str, report_url: str, *, lease: int = 3600, **policy: int) -> float:
        """Boots from the user data that a real machine would get. Returns when."""
        row = unsaved_machine(slug=cloud_id.replace("i-", "m"), lease_seconds=lease)
        with override_settings(STOP_MARGIN_SECONDS=5):  # 2 seconds after the lease, on the machine
            text = user_data(row, Policy(report_seconds=1, **policy), report_url=report_url)
        self.room.boot(cloud_id, address, text)
        return time.monotonic()

    def without_notebook(self, cloud_id: str) -> str:
        """Prepares a disk whose JupyterLab only sleeps: for tests of the guards, which must not wait for it."""
        jupyter = self.room.root(cloud_id) / "home/ubuntu/.lamplighter/bin/jupyter-lab"
        jupyter.parent.mkdir(parents=True)
        jupyter.write_text("#!/bin/sh\nexec sleep 600\n")
        jupyter.chmod(0o755)
        return cloud_id

    def log(self, cloud_id: str, name: str) -> str:
        return (self.room.root(cloud_id) / f"var/log/{name}.log").read_text()


@pytest.fixture(scope="module")
def lit(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lit]:
    made = Lit(tmp_path_factory.mktemp("room"))
    yield made
    made.room.close()


def until(true: Callable[[], object], seconds: float = 45, why: str = "") -> float:
    """Waits until it holds and returns the seconds it took; fails after `seconds`."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, why or "it did not happen in time"
        time.sleep(0.05)
    return time.monotonic() - began


# ------------------------------------------------------------------ the programs themselves
@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a program of the machine: the very text that user data carries, unpacked like there."""
    root = tmp_path_factory.mktemp("machine")
    text = user_data(unsaved_machine(slug="mtest"), Policy(), report_url="http://portal")
    for entry in json.loads(text.partition("\n")[2])["write_files"]:
        path = root / entry["path"].lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(entry["content"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LAMPLIGHTER_ROOT", str(root))
        patch.setenv("LAMPLIGHTER_MACHINE", "i-0senses")
        patch.syspath_prepend(str(root / "opt/lamplighter"))
        _forget_programs()  # another file's may be there, of another folder
        yield importlib.import_module
    _forget_programs()


def _forget_programs() -> None:
    for name in ("lamplighter_agent", "senses", "deadman", "doings", "saving", "keys", "idle"):
        sys.modules.pop(name, None)


@pytest.fixture
def agents(house: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = house("lamplighter_agent")
    for name in ("answer", "deadline"):
        if module.deadman.remembered(name):
            module.deadman.remember(name, "")
    monkeypatch.setattr(module, "say", lambda _text: None)
    return module
