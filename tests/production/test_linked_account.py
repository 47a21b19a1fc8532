"""The template that lets the portal into another account: valid, shut to everybody else, and no wider than at home."""

import json
from pathlib import Path
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.decode import decode

from tests.production.conftest import ROOT

TEMPLATE = ROOT / "deploy" / "aws" / "linked-account.yaml"
IAM = ROOT / "deploy" / "iam"
# What the portal asks at home only: for larger quotas, the price list, and to enter other accounts.
AT_HOME = {"AskForMoreMachines", "EnterLinkedAccounts"}
LOOKS_AT_HOME = {"servicequotas:ListRequestedServiceQuotaChangeHistoryByQuota", "pricing:GetProducts"}
_KNOWN = {
    "AWS::Partition": "aws",
    "AWS::Region": "REGION",
    "AWS::AccountId": "ACCOUNT",
    "Installation": "lamplighter",
    "SubnetA": "SUBNET",
    "SubnetB": "SUBNET",
    "Machines": "SECURITY-GROUP",
    "StopRole": "lamplighter-scheduler",
}


@pytest.fixture(scope="module")
def template() -> dict[str, Any]:
    read, errors = decode(str(TEMPLATE))
    assert not errors
    found: dict[str, Any] = json.loads(json.dumps(read))
    return found


def resolved(value: Any, template: dict[str, Any]) -> Any:
    """As CloudFormation fills it in, with the words of deploy/iam for what is not known before."""
    if isinstance(value, list):
        return [resolved(one, template) for one in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Ref": "InstanceTypes"}:
            return template["Parameters"]["InstanceTypes"]["Default"].split(",")
        case {"Ref": name}:
            return _KNOWN[name]
        case {"Fn::GetAtt": ["StopRole", "Arn"]}:
            return "arn:aws:iam::ACCOUNT:role/lamplighter-scheduler"
        case {"Fn::Sub": text}:
            for name, word in _KNOWN.items():
                text = text.replace("${" + name + "}", word)
            return text
    return {key: resolved(one, template) for key, one in value.items()}


def statements(template: dict[str, Any], role: str) -> dict[str, Any]:
    [policy] = template["Resources"][role]["Properties"]["Policies"]
    found = resolved(policy["PolicyDocument"]["Statement"], template)
    return {one["Sid"]: one for one in found}


def shipped(name: str) -> dict[str, Any]:
    return {one["Sid"]: one for one in json.loads((IAM / name).read_text())["Statement"]}


def plain(statement: dict[str, Any]) -> dict[str, Any]:
    """One word or a list of it is the same, and so is a subnet named twice."""
    told = {key: [one] if isinstance(one, str) else one for key, one in statement.items() if key != "Condition"}
    return {key: sorted(set(one)) for key, one in told.items()} | {"Condition": statement.get("Condition")}


def test_aws_would_take_the_template() -> None:
    assert [str(match) for match in lint(Path(TEMPLATE).read_text(), regions=["us-east-1"])] == []


def test_only_the_portal_gets_in_and_only_with_the_external_id(template: dict[str, Any]) -> None:
    [trust] = template["Resources"]["LinkedRole"]["Properties"]["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Principal"] == {"AWS": {"Ref": "PortalArn"}}
    assert trust["Condition"] == {"StringEquals": {"sts:ExternalId": {"Ref": "ExternalId"}}}
    external_id = template["Parameters"]["ExternalId"]
    assert (external_id["NoEcho"], "Default" in external_id) == (True, False)


def test_its_rights_are_those_of_the_portal_at_home_and_do_not_drift_apart(template: dict[str, Any]) -> None:
    there, home = statements(template, "LinkedRole"), shipped("portal-policy.json")
    assert set(there) == set(home) - AT_HOME
    home["Look"]["Action"] = [one for one in home["Look"]["Action"] if one not in LOOKS_AT_HOME]
    for sid, statement in there.items():
        assert plain(statement) == plain(home[sid]), sid


def test_awss_own_timer_may_stop_and_nothing_else(template: dict[str, Any]) -> None:
    [there], [home] = statements(template, "StopRole").values(), shipped("scheduler-policy.json").values()
    assert plain(there) == plain(home)


def test_the_role_has_the_name_that_the_portal_may_enter(template: dict[str, Any]) -> None:
    name = resolved(template["Resources"]["LinkedRole"]["Properties"]["RoleName"], template)
    assert shipped("portal-policy.json")["EnterLinkedAccounts"]["Resource"] == f"arn:aws:iam::*:role/{name}"


def test_nobody_calls_in(template: dict[str, Any]) -> None:
    assert "SecurityGroupIngress" not in template["Resources"]["Machines"]["Properties"]
