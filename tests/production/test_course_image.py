"""The recipe of the course image: the document and the scripts fit together, and pin what the tests run."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import hcl2
import pytest

from tests.production.conftest import ROOT

RECIPE = ROOT / "deploy/ami"
STEPS = ["install.sh", "packages.sh", "check.sh", "forget.sh"]
SCRIPTS = [*sorted(RECIPE.glob("*.sh")), *sorted((ROOT / "instances/agent").glob("*.sh"))]


def plain(value: Any) -> Any:
    """hcl2 keeps the quotes of text, and marks blocks."""
    if isinstance(value, dict):
        return {plain(key): plain(one) for key, one in value.items() if not key.startswith("__")}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return value.strip('"') if isinstance(value, str) else value


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return dict(plain(hcl2.loads((RECIPE / "course.pkr.hcl").read_text())))


def provisioners(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    [build] = document["build"]
    return [one[kind] for one in build["provisioner"] if kind in one]


# ------------------------------------------------------------------ the document
def test_every_name_that_it_uses_is_one_that_it_has(document: dict[str, Any]) -> None:
    text = (RECIPE / "course.pkr.hcl").read_text()
    variables = {name for one in document["variable"] for name in one}
    assert set(re.findall(r"\bvar\.(\w+)", text)) == variables
    [data], [source], [build] = document["data"], document["source"], document["build"]
    assert source["amazon-ebs"]["course"]["source_ami"] == "${data.amazon-parameterstore.base.value}"
    assert set(data["amazon-parameterstore"]) == {"base"}
    assert build["sources"] == ["source.amazon-ebs.course"]


def test_the_machine_that_builds_it_leaves_nothing_behind(document: dict[str, Any]) -> None:
    course = document["source"][0]["amazon-ebs"]["course"]
    assert course["ssh_clear_authorized_keys"] is True
    assert [disk["delete_on_termination"] for disk in course["launch_block_device_mappings"]] == [True]
    assert [one["http_tokens"] for one in course["metadata_options"]] == ["required"]
    assert course["imds_support"] == "v2.0"


def test_what_it_uploads_is_enough_for_its_steps(document: dict[str, Any], tmp_path: Path) -> None:
    """The uploads as Packer makes them, and the steps that need no internet, in an empty place."""
    there = tmp_path / "tmp/lamplighter"
    made, ran = provisioners(document, "shell")
    for folder in re.findall(r"/tmp/lamplighter/\S+", made["inline"][-1]):
        (tmp_path / folder.lstrip("/")).mkdir(parents=True)
    for upload in provisioners(document, "file"):
        source = Path(upload["source"].replace("${path.root}", str(RECIPE))).resolve()
        target = tmp_path / upload["destination"].lstrip("/")
        if source.is_dir():
            assert target.is_dir()  # else Packer renames
            shutil.copytree(source, target / source.name)
        else:
            shutil.copyfile(source, target)
    assert ran["inline"] == [f"sudo sh /tmp/lamplighter/deploy/ami/{name}" for name in STEPS]
    assert all((there / "deploy/ami" / name).is_file() for name in STEPS)
    root = tmp_path / "root"
    environment = {"PATH": "/usr/bin:/bin", "LAMPLIGHTER_ROOT": str(root)}
    subprocess.run(["sh", str(there / "deploy/ami/install.sh")], env=environment, check=True, timeout=20)
    assert (root / "opt/lamplighter/idle.py").read_bytes() == (ROOT / "instances/idle.py").read_bytes()


# ------------------------------------------------------------------ the scripts
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_the_shell_understands_it(script: Path) -> None:
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=20)
    subprocess.run(["sh", "-n", str(script)], check=True, timeout=20)


def test_shellcheck_finds_nothing() -> None:
    shellcheck = str(Path(sys.executable).with_name("shellcheck"))
    found = subprocess.run([shellcheck, *map(str, SCRIPTS)], capture_output=True, text=True, timeout=60)
    assert found.stdout == ""


def test_only_one_step_needs_the_internet() -> None:
    """Else a test that runs the others would, too."""
    reaches_out = re.compile(r"^[^#]*\b(apt-get|pip|uv|curl|wget)\b", re.M)
    users = [name for name in STEPS if reaches_out.search((RECIPE / name).read_text())]
    assert users == ["packages.sh"]


# ------------------------------------------------------------------ the pins
def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([\w-]+)==(\S+)$", path.read_text(), re.M))


def test_its_jupyterlab_is_the_one_that_the_tests_run() -> None:
    ours = pins(ROOT / "requirements-demo.txt")
    image = pins(RECIPE / "jupyter.txt")
    assert image.items() <= ours.items()
    assert {"jupyterlab", "nbgitpuller"} <= image.keys()


def test_everything_from_the_internet_is_pinned() -> None:
    for name in ("jupyter.txt", "d2l.txt"):
        lines = [line for line in (RECIPE / name).read_text().splitlines() if not line.startswith("#")]
        assert len(pins(RECIPE / name)) == len(lines)
    for what in re.findall(r"/pip install (?!-r)(.+)", (RECIPE / "packages.sh").read_text()):
        assert re.search(r"\w==[\d.]+", what)
