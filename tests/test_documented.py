"""docs/settings.md and the code name the same settings, with the same defaults."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
READERS = {"text", "flag", "number", "choice", "words", "pairs", "records"}
# Read outside portal/settings.py, each for a reason that its own section of the page gives.
ELSEWHERE = {
    "LAMPLIGHTER_PORT",
    "LAMPLIGHTER_DEMO_IMAGE_ID",
    "LAMPLIGHTER_TEST_REDIS_URL",
    "LAMPLIGHTER_NO_SKIPS",
}
NO_DEFAULT = object()  # the code computes it: the page says so in words


def read_in_code() -> dict[str, object]:
    """Each variable that portal/settings.py reads, with its default as the page would write it."""
    found: dict[str, object] = {}
    for node in ast.walk(ast.parse((ROOT / "portal/settings.py").read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in {f"env.{reader}" for reader in READERS}:
            found[ast.literal_eval(node.args[0])] = default_of(node)
    return found


def default_of(call: ast.Call) -> object:
    reader = call.func.attr  # type: ignore[attr-defined]
    if len(call.args) < 2:
        return {"flag": "off", "records": "[]"}.get(reader, "empty")
    try:
        return str(ast.literal_eval(call.args[1]))
    except ValueError:
        return NO_DEFAULT


def documented() -> dict[str, tuple[str, str, str]]:
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.+?) \| (.+?) \| (.+?) \|$", (ROOT / "docs/settings.md").read_text(), re.M)
    return {name: (default.strip("`"), meaning, who) for name, default, meaning, who in rows}


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    assert documented().keys() - ELSEWHERE == read_in_code().keys()
    assert documented().keys() >= ELSEWHERE


@pytest.mark.parametrize("name", sorted(read_in_code()))
def test_the_documented_default_is_the_codes(name: str) -> None:
    default = read_in_code()[name]
    written = documented()[name][0]
    secret = written == "the demo's"
    assert default is NO_DEFAULT or secret or written == default


def test_what_the_demo_sets_is_a_setting(tmp_path: Path) -> None:
    from demo.places import Places

    ours = {name for name in Places(tmp_path, 8000).environment("x") if name.startswith("LAMPLIGHTER_")}
    assert ours - {"LAMPLIGHTER_RUN_ID"} <= documented().keys()


def test_nothing_of_the_product_reads_the_environment_past_the_settings() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for top in ("portal", "instances", "spend", "credits", "courses", "cloud")
        for path in (ROOT / top).rglob("*.py")
        if "os.environ" in path.read_text().replace('os.environ.setdefault("DJANGO_SETTINGS_MODULE"', "")
    }
    # The machine's own programs have no settings, the simulator is no part of the product, and the check looks for
    # variables that boto3 reads behind our back.
    allowed = {"portal/env.py", "portal/checks.py"}
    assert {r for r in readers if not r.startswith(("cloud/sim/", "instances/agent/"))} <= allowed
