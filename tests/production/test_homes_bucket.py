"""The template of the bucket for students' files: valid, never public, emptied even if the portal is gone."""

import json
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.decode import decode

from instances.disk_records import DiskPolicy
from tests.production.conftest import ROOT

TEMPLATE = ROOT / "deploy/aws/homes-bucket.yaml"


@pytest.fixture(scope="module")
def bucket() -> dict[str, Any]:
    template, errors = decode(str(TEMPLATE))
    assert not errors
    assert template
    found: dict[str, Any] = json.loads(json.dumps(template))["Resources"]["Homes"]["Properties"]
    return found


def test_aws_would_take_the_template() -> None:
    assert [str(match) for match in lint(TEMPLATE.read_text(), regions=["us-east-1"])] == []


def test_nothing_in_it_can_be_made_public_and_all_is_encrypted(bucket: dict[str, Any]) -> None:
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["BucketEncryption"]


def test_the_rule_never_takes_away_what_a_course_still_offers(bucket: dict[str, Any]) -> None:
    [days] = [one["ExpirationInDays"] for one in bucket["LifecycleConfiguration"]["Rules"] if "ExpirationInDays" in one]
    longest = max(v.limit_value for v in DiskPolicy._meta.get_field("download_days").validators)
    assert days > longest + 1
