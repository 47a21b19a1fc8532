"""The stage of a student's files: a bucket in memory, and the real packing program, its words carried by hand."""

import importlib.util
import io
import json
import sys
import tarfile
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from cloud.fake_files import FakeFiles
from cloud.files import Signed
from instances import home_agent, home_calls, homes, sweeps
from instances.home_records import HomeArchive
from instances.models import Instance
from tests.instances.conftest import Stage, fresh

ROOT = Path(__file__).resolve().parents[2]


class Died(BaseException):
    """A process that is no more: nothing catches it."""


def carry_module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("carry", ROOT / "instances/agent/carry.py")
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    sys.modules["carry"] = made
    spec.loader.exec_module(made)
    return made


carry = carry_module()


@dataclass
class Homes:
    stage: Stage
    folder: Path
    bucket: FakeFiles = field(init=False)
    part_bytes: int = 50_000

    def __post_init__(self) -> None:
        self.bucket = FakeFiles(lambda: self.stage.now, least_part=1)

    # -------------------------------------------------------------- the portal
    def asked(self, row: Instance) -> HomeArchive:
        made = homes.request_home(fresh(row), who=row.owner.user, now=self.stage.now)
        HomeArchive.objects.filter(pk=made.pk).update(part_bytes=self.part_bytes)
        self.step(made)
        return again(made)

    def step(self, home: HomeArchive) -> None:
        home_calls.take_step(home.pk, files=self.bucket, now=self.stage.now)

    def rounds(self, n: int = 1) -> None:
        for _round in range(n):
            self.stage.later(60)
            sweeps.homes(self.bucket, self.stage.now)

    # -------------------------------------------------------------- the machine
    def packer(self, row: Instance) -> "Packer":
        return Packer(self, row)

    def packed(self, row: Instance) -> None:
        self.packer(row).run()

    def content(self, home: HomeArchive) -> bytes:
        return self.bucket.objects[home.key][0]


class Packer:
    """One life of the program on the machine; `dies_after` so many words, heard or not."""

    def __init__(self, homes: Homes, row: Instance) -> None:
        self.homes, self.row = homes, row
        self.me = f"packer-{id(self)}"
        self.words = 0
        self.dies_at = -1
        self.heard = True

    def say(self, verb: str, **more: Any) -> dict[str, Any]:
        self.words += 1
        if self.words == self.dies_at and not self.heard:
            raise Died
        said = json.loads(json.dumps({"say": verb, "packer": self.me, **more}))
        told = home_agent.answer(fresh(self.row), said, self.homes.bucket, self.homes.stage.now)
        if self.words == self.dies_at:
            raise Died
        return told

    def send(self, data: bytes) -> dict[str, Any]:
        told = self.say("part", size=len(data), sha256=carry.base64.b64encode(sha(data)).decode())
        part = self.homes.bucket.put(Signed(told["url"], told["headers"]), data)
        return {"number": told["number"], "etag": part.etag}

    def run(self) -> None:
        told = self.say("where")
        home = carry.Home(str(self.homes.folder), told["left_out"])
        pack = carry.Pack(home, told["mark"])
        for data, mark in carry.parts(pack, told["part_bytes"]):
            self.say("sent", **self.send(data), mark=mark, read_bytes=mark["read"], total_bytes=home.size())
        self.say("packed", files=pack.mark["files"], left_out=pack.mark["left_out"])


def sha(data: bytes) -> bytes:
    return bytes(carry.hashlib.sha256(data).digest())


def again(home: HomeArchive) -> HomeArchive:
    return HomeArchive.objects.select_related("instance", "owner", "course").get(pk=home.pk)


@pytest.fixture
def homes_stage(stage: Stage, tmp_path: Path, settings: Settings) -> Homes:
    settings.ARCHIVE_BUCKET = "homes"
    folder = tmp_path / "home"
    (folder / "work").mkdir(parents=True)
    for n in range(4):
        (folder / f"work/{n}.bin").write_bytes(carry.hashlib.shake_256(bytes([n])).digest(40_000))
    return Homes(stage, folder)


def names(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as whole:
        found = {one.name: whole.extractfile(one) for one in whole.getmembers() if one.isreg()}
        return {name: file.read() for name, file in found.items() if file}


def is_whole(h: Homes, home: HomeArchive) -> bool:
    found = names(h.content(home))
    return found == {f"home/work/{n}.bin": (h.folder / f"work/{n}.bin").read_bytes() for n in range(4)}
