"""What the portal asks in a linked account is within what the template's role allows there."""

import json

import pytest
from django.utils import timezone

from cloud.ec2 import Ec2Cloud
from instances import account_survey
from instances.account_records import CloudAccount
from tests.iam.asked import ACCOUNT, REGION, Ear
from tests.iam.policy import Policy
from tests.instances.conftest import Stage, stage
from tests.production.test_linked_account import statements, template
from tests.simulated_aws import SimulatedAws, aws_credentials, sim, simulated_aws

__all__ = ["aws_credentials", "sim", "simulated_aws", "stage", "template"]


def test_a_survey_asks_nothing_that_the_template_does_not_allow(
    stage: Stage, sim: SimulatedAws, template: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    ear, now = Ear(), timezone.now()
    door = Ec2Cloud(sim.config("lamplighter"), ear.session)
    monkeypatch.setattr(account_survey, "door_of", lambda _cloud, _account: door)
    account = CloudAccount.objects.create(course=stage.cast.course, account_id="210987654321", added_at=now)
    sim.fault("GetServiceQuota", "NoSuchResourceException")  # a quota that was never changed there
    account_survey.survey(account, cloud=door, now=now)
    account.refresh_from_db()
    assert account.surveyed_at == now
    there = json.dumps({"Version": "2012-10-17", "Statement": list(statements(template, "LinkedRole").values())})
    rights = Policy(json.loads(there.replace("REGION", REGION).replace("ACCOUNT", ACCOUNT)))
    asked = ear.requests()
    assert [str(one) for one in asked if not rights.judge(one)] == []
    assert {one.action for one in asked} == {
        "ec2:DescribeInstances",
        "ec2:DescribeInstanceTypeOfferings",
        "servicequotas:GetServiceQuota",
        "servicequotas:GetAWSDefaultServiceQuota",
    }
