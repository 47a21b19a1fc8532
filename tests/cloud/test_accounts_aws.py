"""What only AWS's own door does for other accounts: keys are kept, and renewed before they lapse."""

import secrets

import pytest

from cloud import aws_accounts
from cloud.base import AccountBlocked, Transient
from tests.simulated_aws import SimulatedAws, aws_credentials, ec2_cloud, sim, simulated_aws

__all__ = ["aws_credentials", "ec2_cloud", "sim", "simulated_aws"]
NUMBER = "410987654321"


def test_many_questions_are_asked_with_one_key(sim: SimulatedAws) -> None:
    cloud, account = sim.cloud(), sim.link(NUMBER, secrets.token_hex(16))
    for _each in range(5):
        cloud.accounts.door(account).describe_all()
    assert sim.calls()["AssumeRole"] == 1


def test_a_portal_without_linked_accounts_asks_sts_nothing(sim: SimulatedAws) -> None:
    sim.cloud().describe_all()
    assert "AssumeRole" not in sim.calls()
    assert "GetCallerIdentity" not in sim.calls()


def test_keys_are_renewed_before_they_lapse(sim: SimulatedAws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aws_accounts, "_SECONDS", 900)  # AWS's shortest: botocore renews a quarter of an hour ahead
    door = sim.cloud().accounts.door(sim.link(NUMBER, secrets.token_hex(16)))
    for _each in range(3):
        door.describe_all()
    assert sim.calls()["AssumeRole"] >= 3


def test_an_answer_that_is_lost_says_nothing_about_who_gets_in(sim: SimulatedAws) -> None:
    cloud, account = sim.cloud(), sim.link(NUMBER, secrets.token_hex(16))
    sim.fault("AssumeRole", "ConnectionDropped", times=None)
    with pytest.raises(Transient):
        cloud.accounts.enter(account.role_arn, None)
    with pytest.raises(Transient):
        cloud.accounts.door(account).describe_all()
    sim.heal()
    with pytest.raises(AccountBlocked):
        cloud.accounts.enter(account.role_arn, None)
    assert cloud.accounts.door(account).describe_all() == []


def test_the_external_id_is_in_no_text_that_is_logged(sim: SimulatedAws) -> None:
    account = sim.link(NUMBER, secrets.token_hex(16))
    assert account.external_id not in repr(account)
    with pytest.raises(AccountBlocked) as refused:
        sim.cloud().accounts.enter(account.role_arn, f"{account.external_id}x")
    assert account.external_id not in str(refused.value)
