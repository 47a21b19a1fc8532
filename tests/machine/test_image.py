"""The course image: `deploy/ami/` lays out what user data brings, tells nobody's secrets, and lights a real machine."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cloud.sim.room import Room, marked
from demo.image import make_image
from instances.boot import HOUSE, PER_BOOT, PROGRAMS, user_data
from instances.models import Policy
from tests.loopback import address
from tests.machine.conftest import SECRET, TOKEN, Collector, unsaved_machine, until
from tests.machine.notebook import Notebook

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "deploy/ami"
UNITS = {f"/etc/systemd/system/lamplighter-{name}.service" for name in ("deadman", "agent", "notebook", "tunnel")}
BORN_WITH = {"/etc/lamplighter/machine.json", "/etc/lamplighter/notebook.env"}  # who a machine is: never an image's


def step(name: str, root: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "LAMPLIGHTER_ROOT": str(root)}
    subprocess.run(["/bin/sh", str(RECIPE / name)], env=environment, check=True, timeout=20)


def contents(root: Path) -> dict[str, tuple[str, bytes]]:
    """Path on the machine -> (mode, bytes), of every file below `root`."""
    found = (path for path in root.rglob("*") if path.is_file())
    return {f"/{path.relative_to(root)}": (f"{path.stat().st_mode & 0o777:04o}", path.read_bytes()) for path in found}


def born(report_url: str = "https://gpu.cs.example.edu") -> list[dict[str, str]]:
    """What cloud-init is told to write for the machine `mimage`."""
    text = user_data(unsaved_machine(slug="mimage"), Policy(report_seconds=1), report_url=report_url)
    return list(json.loads(text.partition("\n")[2])["write_files"])


def config(entries: list[dict[str, str]]) -> str:
    return "#cloud-config\n" + json.dumps({"write_files": entries})


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be written to."""
    folder = tmp_path_factory.mktemp("image") / "root"
    make_image(folder)  # as `make run` does it
    return folder


@pytest.fixture
def image(laid_out: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(laid_out, tmp_path / "image"))


# ------------------------------------------------------------------ what it lays out
def test_it_has_exactly_the_files_that_user_data_brings_with_their_modes_and_the_units(laid_out: Path) -> None:
    modes = {path: mode for path, (mode, _bytes) in contents(laid_out).items()}
    expected = {entry["path"]: entry["permissions"] for entry in born() if entry["path"] not in BORN_WITH}
    assert modes == expected | dict.fromkeys(UNITS, "0644")


def test_every_program_is_the_repositorys_to_the_byte(laid_out: Path) -> None:
    found = contents(laid_out)
    for name, source in PROGRAMS.items():
        assert found[f"{HOUSE}/{name}"][1] == (ROOT / "instances" / source).read_bytes()
    assert found[PER_BOOT][1] == (ROOT / "instances/agent/boot.sh").read_bytes()


def test_saying_it_twice_changes_nothing(image: Path) -> None:
    before = contents(image)
    step("install.sh", image)
    assert contents(image) == before


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_understands_its_units(image: Path, tmp_path: Path) -> None:
    units = []
    for path in sorted(UNITS):
        unit = tmp_path / Path(path).name
        unit.write_text((image / path.lstrip("/")).read_text().replace(HOUSE, f"{image}{HOUSE}"))
        units.append(str(unit))
    checked = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=30)
    assert "lamplighter" not in checked.stderr


def test_a_machine_that_the_portal_did_not_launch_stays_dark(image: Path) -> None:
    """Somebody tries the image by hand: no crash at every boot, and no timer that would put it out."""
    (image / "run/systemd/system").mkdir(parents=True)
    before = contents(image)
    environment = {"PATH": "/usr/bin:/bin", "LAMPLIGHTER_ROOT": str(image)}
    boot = str(image / PER_BOOT.lstrip("/"))
    said = subprocess.run([boot], env=environment, capture_output=True, text=True, timeout=20, check=True)
    assert "nothing is lit" in said.stdout
    assert contents(image) == before
    assert marked(image) == set()


# ------------------------------------------------------------------ what it forgets
def test_nothing_of_the_machine_that_built_it_is_left_and_all_that_was_laid_out_is(image: Path) -> None:
    before = contents(image)
    told = {entry["path"]: entry["content"] for entry in born() if entry["path"] in BORN_WITH}
    told["/etc/lamplighter/lit.json"] = told["/etc/lamplighter/machine.json"]
    told["/var/lib/cloud/instances/i-0builder/user-data.txt"] = SECRET
    told["/var/lib/cloud/data/previous-instance-id"] = "i-0builder"
    told["/etc/ssh/ssh_host_ed25519_key"] = "i-0builder"
    told["/home/ubuntu/.bash_history"] = "export AWS_SECRET_ACCESS_KEY=i-0builder"
    told["/var/log/cloud-init-output.log"] = f"i-0builder {TOKEN}"
    told["/etc/machine-id"] = "i-0builder"
    for path, text in told.items():
        target = image / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for _time in range(2):
        step("forget.sh", image)
        after = contents(image)
        assert after.pop("/etc/machine-id")[1] == b""
        assert after == before


# ------------------------------------------------------------------ a machine that begins with it
@pytest.fixture
def room(tmp_path: Path, image: Path) -> Iterator[Room]:
    """The image has what only the internet brings as well, by links to what runs here."""
    for name in ("jupyter/bin", "d2l/bin"):
        (image / "opt" / name).mkdir(parents=True)
    (image / "opt/jupyter/bin/jupyter-lab").symlink_to(Path(sys.executable).with_name("jupyter-lab"))
    made = Room(tmp_path / "machines", print, image=image)
    yield made
    made.close()


@pytest.mark.slow
def test_the_images_own_files_light_a_machine_that_is_only_told_who_it_is(
    room: Room, image: Path, collector: Collector
) -> None:
    told = [entry for entry in born(collector.url) if entry["path"] in BORN_WITH]
    room.boot("i-0image01", address(41), config(told))
    notebook = Notebook(address(41))
    until(notebook.ready)
    until(lambda: collector.reports)
    assert collector.secrets == {f"Bearer mimage:{SECRET}"}
    root = room.root("i-0image01")
    assert (root / "run/lamplighter/deadline").exists()
    path = notebook.kernel().run("import os; print(os.environ['PATH'])")
    assert path.startswith(f"{root}/opt/d2l/bin:")  # what a student types is the course's Python
    laid_out = contents(image)
    assert {name: contents(root)[name] for name in laid_out} == laid_out


@pytest.mark.slow
def test_the_agent_of_user_data_is_newer_than_the_images_and_wins(room: Room, image: Path) -> None:
    old = image / HOUSE.lstrip("/")
    for name in PROGRAMS:
        (old / name).write_text("of last term")
    (image / PER_BOOT.lstrip("/")).write_text("#!/bin/sh\ntouch $LAMPLIGHTER_ROOT/of-last-term\n")
    (image / "opt/jupyter/bin/jupyter-lab").unlink()
    entries = born("http://127.0.0.1:9")
    for entry in entries:
        if entry["path"].endswith("notebook.sh"):
            entry["content"] = "exec sleep 600\n"  # no notebook is needed to see it
    room.boot("i-0image02", address(42), config(entries))
    root = room.root("i-0image02")
    until((root / "run/lamplighter/deadline").exists)
    assert not (root / "of-last-term").exists()
    for entry in entries:
        assert (root / entry["path"].lstrip("/")).read_text() == entry["content"]
