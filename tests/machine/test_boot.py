"""What a machine is born with: small enough, the same for the same row, secret where it must be, at every boot."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cloud.sim import room
from cloud.user_data import packed
from courses.models import Course
from instances import boot
from instances.boot import UserDataTooLong, user_data
from instances.idle import Limits
from instances.models import Instance, Policy
from tests.machine.conftest import SECRET, TOKEN, unsaved_machine

PORTAL = "https://gpu.cs.example.edu"


def files(text: str) -> dict[str, tuple[str, str]]:
    """Path -> (content, permissions)."""
    head, _newline, rest = text.partition("\n")
    assert head == "#cloud-config"
    return {entry["path"]: (entry["content"], entry["permissions"]) for entry in json.loads(rest)["write_files"]}


@pytest.fixture
def text() -> str:
    return user_data(unsaved_machine(slug="mtest"), Policy(), report_url=PORTAL)


def test_it_fits_with_room_to_grow(text: str) -> None:
    assert len(packed(text)) < 14 * 1024


def test_too_long_is_said_before_aws_says_it() -> None:
    with pytest.raises(UserDataTooLong, match="16384"):
        user_data(unsaved_machine(slug="mtest"), Policy(), report_url="http://" + os.urandom(6000).hex())


def test_the_same_row_gives_the_same_bytes_in_any_process(machine: Instance) -> None:
    """Else AWS refuses the repeated launch, whose token then belongs to other parameters."""
    again = Instance.objects.get(pk=machine.pk)
    policy = Policy.of(machine.course)
    one = user_data(machine, policy, report_url=PORTAL)
    boot._lean.cache_clear()
    assert user_data(again, policy, report_url=PORTAL + "/") == one


def test_it_says_who_where_and_how_long(text: str) -> None:
    about, permissions = files(text)["/etc/lamplighter/machine.json"]
    assert permissions == "0600"
    assert json.loads(about) == {
        "slug": "mtest",
        "secret": SECRET,
        "notebook_token": TOKEN,
        "report_url": PORTAL + "/agent/report",
        "report_seconds": 60,
        "limits": {"quiet": 1800, "warn": 600, "blind": 900, "hung": 3600, "boot": 900, "unattended": None},
        "lease_seconds": 3600,
        "margin_seconds": 120,
    }


def test_the_policys_defaults_are_the_rules(text: str) -> None:
    about = json.loads(files(text)["/etc/lamplighter/machine.json"][0])
    assert Limits(**about["limits"]) == Limits()


def test_secrets_are_in_files_for_root_only(text: str) -> None:
    for content, permissions in files(text).values():
        if SECRET in content or TOKEN in content:
            assert permissions == "0600"


def test_the_course_and_its_people_are_not_in_it() -> None:
    row = unsaved_machine(slug="mtest", course=Course(name="Deep Learning", slug="dl19"))
    plain = "".join(content for content, _mode in files(user_data(row, Policy(), report_url=PORTAL)).values())
    assert "Deep Learning" not in plain
    assert "dl19" not in plain


def test_programs_run_on_the_python_of_old_images(text: str) -> None:
    programs = {path: content for path, (content, _mode) in files(text).items() if path.endswith(".py")}
    assert len(programs) == 7
    ours = {"deadman", "doings", "idle", "keys", "saving", "senses"}
    for content in programs.values():
        tree = ast.parse(content, feature_version=(3, 8))
        imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
        imported |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
        assert {name.split(".")[0] for name in imported} <= ours | sys.stdlib_module_names


# ------------------------------------------------------------------ boot.sh on a machine with systemd
@pytest.fixture
def real_machine(tmp_path: Path, text: str) -> tuple[Path, dict[str, str]]:
    """A disk with systemd's mark, and a systemctl that writes down what it is asked."""
    root = tmp_path / "root"
    for path, (content, permissions) in files(text).items():
        target = root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(content)
        target.chmod(int(permissions, 8))
    for folder in ("run/systemd/system", "etc/systemd/system", "var/log"):
        (root / folder).mkdir(parents=True)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "systemctl").write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n')
    (tools / "systemctl").chmod(0o755)
    return root, {"PATH": f"{tools}:{os.environ['PATH']}", "LAMPLIGHTER_ROOT": str(root)}


def run_boot(root: Path, env: dict[str, str]) -> None:
    script = root / boot.PER_BOOT.lstrip("/")
    assert os.access(script, os.X_OK)
    subprocess.run([str(script)], env=env, check=True, timeout=20)


def test_with_systemd_three_units_are_enabled_that_start_by_themselves_at_every_boot(
    real_machine: tuple[Path, dict[str, str]],
) -> None:
    root, env = real_machine
    for _boot in range(2):
        run_boot(root, env)
    asked = (root.parent / "asked").read_text().splitlines()
    assert asked == ["daemon-reload", "enable --now lamplighter-deadman lamplighter-agent lamplighter-notebook"] * 2
    units = {path.stem: path.read_text() for path in (root / "etc/systemd/system").glob("lamplighter-*.service")}
    assert set(units) == {"lamplighter-deadman", "lamplighter-agent", "lamplighter-notebook", "lamplighter-tunnel"}
    for unit in units.values():
        assert "Restart=always" in unit
        assert "WantedBy=multi-user.target" in unit
        assert "network" not in unit  # the timer waits for no network
        program = next(line for line in unit.splitlines() if line.startswith("ExecStart=")).split()[-1]
        assert (root / program.lstrip("/")).exists()
    assert "User=" in units["lamplighter-notebook"]
    assert TOKEN not in units["lamplighter-notebook"]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_understands_the_units(real_machine: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    root, env = real_machine
    run_boot(root, env)
    units = []
    for path in (root / "etc/systemd/system").glob("*.service"):
        (tmp_path / path.name).write_text(path.read_text().replace("/opt/lamplighter", f"{root}/opt/lamplighter"))
        units.append(str(tmp_path / path.name))
    checked = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, timeout=30)
    assert "lamplighter" not in checked.stderr


def test_without_systemd_a_second_run_lights_nothing_twice(real_machine: tuple[Path, dict[str, str]]) -> None:
    root, env = real_machine
    (root / "run/systemd/system").rmdir()
    (root / "run/lamplighter").mkdir()
    (root / "run/lamplighter/lit").touch()
    run_boot(root, env)
    assert not list((root / "var/log").glob("*.log"))
    assert room.marked(root) == set()


# ------------------------------------------------------------------ notebook.sh
def test_an_image_without_jupyterlab_gets_one_once(tmp_path: Path, text: str) -> None:
    """Python's venv module is missing at first, as on Ubuntu; sudo and apt-get write down what they are asked."""
    home, tools = tmp_path / "home", tmp_path / "tools"
    home.mkdir()
    tools.mkdir()
    (tmp_path / "notebook.sh").write_text(files(text)["/opt/lamplighter/notebook.sh"][0])
    noted = f"printf '%s\\n' \"$*\" >>{tmp_path}/asked"
    scripts = {
        "python3": f'[ -e {tmp_path}/apt ] && mkdir -p "$3/bin" && cp {tools}/pip "$3/bin/pip"',
        "sudo": f"{noted}; touch {tmp_path}/apt",
        "pip": f'{noted}; cp {tools}/lab "$(dirname "$0")/jupyter-lab"',
        "lab": 'echo "lab $JUPYTER_TOKEN $*"',
    }
    for name, script in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    env = {"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(home), "JUPYTER_TOKEN": "tok", "LAMPLIGHTER_BIND": "::1"}
    for _boot in range(2):
        command = ["/bin/sh", str(tmp_path / "notebook.sh")]
        said = subprocess.run(command, env=env, check=True, capture_output=True, text=True, timeout=20).stdout
        assert said.startswith("lab tok --no-browser --port=8888")
        assert "--ip=::1" in said
        assert "tok" not in said.removeprefix("lab tok")
    assert (tmp_path / "asked").read_text().splitlines() == [
        "-n apt-get update",
        "-n apt-get install -y python3-venv",
        "install --quiet jupyterlab nbgitpuller",
    ]
