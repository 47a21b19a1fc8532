"""The rules of the house that we care about: import direction, one door to AWS, pure rules stay pure."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# A higher one may import any lower one, never upwards. `cloud` imports nothing of ours.
ORDER = ["portal", "instances", "spend", "credits", "courses"]
PURE = [
    "instances/states.py",
    "instances/idle.py",
    "instances/idle_hours.py",
    "instances/disk_rules.py",
    "instances/closing_rules.py",
    "instances/home_rules.py",
    "instances/homework_rules.py",
    "instances/launch_rules.py",
    "instances/loss_rules.py",
    "instances/queue_rules.py",
    "instances/preset_verdict.py",
    "instances/preflight_rules.py",
    "cloud/quotas.py",
    "instances/repair.py",
    "instances/trace.py",
    "instances/whatif.py",
    "instances/policy_rules.py",
    "instances/second_eye.py",
    "instances/demand.py",
    "spend/metering.py",
    "spend/alerts.py",
    "spend/budget.py",
    "spend/causes.py",
    "credits/codes.py",
    "credits/entitlement.py",
    "courses/names.py",
    "courses/roster.py",
    "courses/roster_columns.py",
    "courses/roster_diff.py",
    "courses/tables.py",
    "courses/teaming.py",
]
IMPURE_MODULES = {"django", "boto3", "botocore", "celery", "portal"}


def product_files() -> list[Path]:
    return [p for top in [*ORDER, "cloud"] for p in sorted((ROOT / top).rglob("*.py")) if "migrations" not in p.parts]


def imports(path: Path) -> set[str]:
    """Every module that the file imports, at any depth of nesting."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def tops(path: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(path)}


def allowed(path: Path) -> set[str]:
    top = path.relative_to(ROOT).parts[0]
    if top == "cloud":
        return {"cloud"}
    return {*ORDER[ORDER.index(top) :], "cloud"}


@pytest.mark.parametrize("path", product_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_never_go_upwards(path: Path) -> None:
    ours = tops(path) & {*ORDER, "cloud", "demo", "tests"}
    assert ours <= allowed(path)


def test_portal_packages_that_everyone_may_import_do_not_hide_an_upward_import() -> None:
    assert ORDER[0] == "portal"


def test_boto3_is_used_only_at_the_door() -> None:
    # Machines and what is around them; the account's credit, which repeats no call and lets no error carry a code; and
    # what it all cost; and students' files in S3.
    users = [str(p.relative_to(ROOT)) for p in product_files() if tops(p) & {"boto3", "botocore"}]
    assert [u for u in users if not u.startswith("cloud/sim/")] == [
        "cloud/aws_accounts.py",
        "cloud/aws_billing.py",
        "cloud/aws_costs.py",
        "cloud/aws_files.py",
        "cloud/aws_loads.py",
        "cloud/ec2.py",
        "cloud/ec2_errors.py",
    ]


def test_pandas_is_used_only_for_reports_and_imports() -> None:
    users = {str(p.relative_to(ROOT)) for p in product_files() if "pandas" in tops(p)}
    assert users <= {
        "spend/reports.py",
        "spend/exports.py",
        "courses/roster.py",
        "credits/imports.py",
        "credits/exports.py",
    }


@pytest.mark.parametrize("name", PURE)
def test_rules_know_no_framework_no_settings_and_no_clock(name: str) -> None:
    path = ROOT / name
    if not path.exists():
        pytest.fail(f"{name} is missing")
    assert not tops(path) & IMPURE_MODULES
    text = path.read_text()
    assert "now()" not in text
    assert "time.time(" not in text


def test_no_signals_between_our_own_apps() -> None:
    users = [p for p in product_files() if "django.dispatch" in imports(p) or "django.db.models.signals" in imports(p)]
    assert users == []
