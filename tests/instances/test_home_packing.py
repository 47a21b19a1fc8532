"""A student's files: the rule at a glance, and what is packed, left out, and named as left out."""

import io
import tarfile

import pytest

from instances.home_rules import (
    LONGEST,
    Facts,
    Step,
    next_step,
    part_bytes,
)
from instances.states import State
from tests.instances.conftest import Stage
from tests.instances.home_stage import Homes, carry, homes_stage, names

__all__ = ["homes_stage"]


def test_the_rule_at_a_glance(stage: Stage) -> None:
    now = stage.now
    asked = Facts(asked_at=now, machine=State.RUNNING)
    assert next_step(asked, now) is Step.BEGIN
    assert next_step(Facts(asked_at=now, machine=State.STOPPED, began_at=now), now) is Step.NONE
    assert next_step(Facts(asked_at=now, machine=State.TERMINATED, began_at=now), now) is Step.GONE
    assert next_step(Facts(asked_at=now, machine=State.TERMINATED, packed_at=now), now) is Step.COMPLETE
    assert next_step(asked, now + LONGEST) is Step.LATE


@pytest.mark.parametrize("disk_gb", [8, 64, 100, 500, 2000])
def test_a_full_disk_of_noise_fits_into_what_s3_takes(disk_gb: int) -> None:
    assert part_bytes(disk_gb) * 10_000 >= disk_gb * 2**30 * 1.1
    assert 5 * 2**20 <= part_bytes(disk_gb) <= 5 * 2**30


def test_what_is_packed_and_what_is_named_as_left_out(homes_stage: Homes) -> None:
    folder = homes_stage.folder
    (folder / ".cache/pip").mkdir(parents=True)
    (folder / ".cache/pip/x").write_text("again")
    (folder / "work/__pycache__").mkdir()
    (folder / "work/__pycache__/x.pyc").write_text("again")
    (folder / "work/.cache").write_text("a file of theirs")
    (folder / "empty").mkdir()
    (folder / "link").symlink_to("/etc/passwd")
    carry.os.mkfifo(folder / "pipe")
    (folder / ("long" * 50)).write_text("long")
    pack = carry.Pack(carry.Home(str(folder), ["/.cache", "__pycache__"]), None)
    content = b"".join(data for data, _mark in carry.parts(pack, 10_000))
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as whole:
        kinds = {one.name: one for one in whole.getmembers()}
    assert {"home/empty", "home/link", "home/work/.cache", "home/" + "long" * 50, "LEFT-OUT.txt"} <= kinds.keys()
    assert kinds["home/link"].issym()
    assert kinds["home/link"].linkname == "/etc/passwd"
    assert not [name for name in kinds if "pip" in name or "pycache" in name]
    assert b"pipe: is no file" in names(content)["LEFT-OUT.txt"]


def test_a_file_that_becomes_shorter_meanwhile_is_filled_up_and_named(homes_stage: Homes) -> None:
    folder = homes_stage.folder
    (folder / "aaa.bin").write_bytes(carry.hashlib.shake_256(b"x").digest(3 * carry.BLOCK))
    pack = carry.Pack(carry.Home(str(folder), []), None)
    found = []
    for data, _mark in carry.parts(pack, 100_000):
        found.append(data)
        (folder / "aaa.bin").write_bytes(b"short")
    files = names(b"".join(found))
    assert len(files["home/aaa.bin"]) == 3 * carry.BLOCK
    assert files.keys() > {f"home/work/{n}.bin" for n in range(4)}
    assert b"aaa.bin: changed" in files["LEFT-OUT.txt"]
