"""The files in deploy/ are what the code needs: settings, commands, rights at AWS."""

import ast
import configparser
import json
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from tests.production.conftest import ROOT, production, run
from tests.test_documented import documented

DEPLOY = ROOT / "deploy"


def example() -> dict[str, str]:
    """The example as a shell reads it, which is how operations.md reads it."""
    script = f"set -a; . {DEPLOY / 'production.env.example'}; env -0"
    found = subprocess.run(["env", "-i", "bash", "-c", script], capture_output=True, text=True, check=True).stdout
    pairs = dict(line.split("=", 1) for line in found.split("\0") if line)
    return {name: value for name, value in pairs.items() if name in documented()}


def test_the_example_names_every_setting_that_production_needs_and_no_other() -> None:
    lines = re.findall(r"^([A-Z_]+)=", (DEPLOY / "production.env.example").read_text(), re.M)
    needed = {name for name, (_default, _meaning, who) in documented().items() if who == "production"}
    assert set(lines) <= documented().keys()
    assert needed <= set(lines)


def test_the_example_as_it_is_starts_nothing_and_with_its_secrets_filled_in_is_complete(tmp_path: Path) -> None:
    real = production(tmp_path)
    raw = run({"PATH": real["PATH"], **example()}, "manage.py", "check")
    assert raw.returncode != 0
    assert "portal.E001" in raw.stdout
    secrets = {name: real[name] for name in example() if name.endswith(("_KEY", "_KEYS"))}
    filled = run(
        {"PATH": real["PATH"], **example(), **secrets}, "manage.py", "check", "--deploy", "--fail-level", "WARNING"
    )
    assert filled.returncode == 0, filled.stdout


@pytest.mark.parametrize("path", sorted((DEPLOY / "systemd").glob("*.service")), ids=lambda path: path.stem)
def test_each_unit_runs_a_program_and_an_application_that_exist(path: Path) -> None:
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(path)
    program, *arguments = shlex.split(unit["Service"]["ExecStart"])
    assert Path(program).name in {"granian", "uvicorn", "celery", "python"}
    if Path(program).name == "python":
        assert arguments[0] == "-m"
        assert (ROOT / (arguments[1].replace(".", "/") + ".py")).exists()
    for argument in arguments:
        if ":application" in argument:
            assert (ROOT / (argument.partition(":")[0].replace(".", "/") + ".py")).exists()
    assert unit["Service"]["EnvironmentFile"] == "/etc/lamplighter/production.env"


def test_the_target_wants_every_unit_but_the_tunnel_which_few_need() -> None:
    units = {path.name for path in (DEPLOY / "systemd").glob("*.service")}
    target = (DEPLOY / "systemd/lamplighter.target").read_text()
    assert {unit for unit in units if unit not in target} == {"lamplighter-tunnel.service"}


def test_the_rights_to_the_accounts_credit_are_apart_and_exactly_two() -> None:
    (statement,) = json.loads((DEPLOY / "iam/credit-policy.json").read_text())["Statement"]
    tree = ast.parse((ROOT / "cloud/aws_billing.py").read_text())
    attributes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    called = {f"billing:{camel(node.attr)}" for node in attributes if ast.unparse(node.value) == "self._billing"}
    assert set(statement["Action"]) == called


def camel(name: str) -> str:
    return "".join(part.title() for part in name.split("_"))
