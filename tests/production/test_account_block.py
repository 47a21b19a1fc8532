"""The template of what must work at AWS with the portal dead: valid, and no door wider than it needs to be."""

import json
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.decode import decode

from tests.production.conftest import ROOT

TEMPLATE = ROOT / "deploy" / "aws" / "account-block.yaml"


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    template, errors = decode(str(TEMPLATE))
    assert not errors
    assert template
    return json.loads(json.dumps(template))["Resources"]


def statement(role: dict[str, Any]) -> dict[str, Any]:
    [policy] = role["Properties"]["Policies"]
    [found] = policy["PolicyDocument"]["Statement"]
    return found


def test_aws_would_take_the_template() -> None:
    assert [str(match) for match in lint(Path(TEMPLATE).read_text(), regions=["us-east-1"])] == []


def test_credits_and_refunds_do_not_hide_the_bill(resources: dict[str, Any]) -> None:
    budget = resources["Bill"]["Properties"]["Budget"]
    assert budget["CostTypes"] == {"IncludeCredit": False, "IncludeRefund": False}


def test_the_block_denies_launches_by_itself_and_never_a_stop(resources: dict[str, Any]) -> None:
    [deny] = resources["LaunchBlock"]["Properties"]["PolicyDocument"]["Statement"]
    assert (deny["Effect"], set(deny["Action"])) == ("Deny", {"ec2:RunInstances", "ec2:StartInstances"})
    action = resources["BlockLaunches"]["Properties"]
    assert (action["ActionType"], action["ApprovalModel"]) == ("APPLY_IAM_POLICY", "AUTOMATIC")


def test_the_schedulers_role_stops_our_machines_as_the_single_policy_file_says(resources: dict[str, Any]) -> None:
    found = statement(resources["SchedulerRole"])
    [single] = json.loads((ROOT / "deploy" / "iam" / "scheduler-policy.json").read_text())["Statement"]
    assert (found["Action"], found["Effect"]) == (single["Action"], single["Effect"])
    assert found["Condition"]["StringEquals"].keys() == single["Condition"]["StringEquals"].keys()


def test_the_budgets_role_can_attach_that_one_policy_to_that_one_role(resources: dict[str, Any]) -> None:
    found = statement(resources["BudgetActionRole"])
    assert set(found["Action"]) == {"iam:AttachRolePolicy", "iam:DetachRolePolicy"}
    assert found["Condition"] == {"ArnEquals": {"iam:PolicyARN": {"Ref": "LaunchBlock"}}}
    assert "${PortalRoleName}" in json.dumps(found["Resource"])
