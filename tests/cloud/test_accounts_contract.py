"""Accounts that are not the course's own, over both twins: who gets in, and that no account sees another's machines."""

import random
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from cloud.accounts import LinkedAccount
from cloud.base import AccountBlocked, Cloud, CloudState, NotFound, Refused
from cloud.disks import SnapshotSpec
from tests.cloud.conftest import SimStage, Stage, spec
from tests.simulated_aws import until


def number() -> str:
    return f"{random.randrange(2 * 10**11, 9 * 10**11)}"


@pytest.fixture
def account(stage: Stage) -> Iterator[LinkedAccount]:
    made = stage.link(number(), secrets.token_hex(16))
    yield made
    door = stage.cloud.accounts.door(stage.link(made.account_id, made.external_id))
    door.terminate([view.cloud_id for view in door.describe_all()])


@pytest.fixture
def door(stage: Stage, account: LinkedAccount) -> Cloud:
    return stage.cloud.accounts.door(account)


def listed(cloud: Cloud) -> set[str]:
    return {view.cloud_id for view in cloud.describe_all()}


def test_with_the_external_id_one_is_in_that_account(stage: Stage, account: LinkedAccount) -> None:
    assert stage.cloud.accounts.enter(account.role_arn, account.external_id) == account.account_id


@pytest.mark.parametrize("said", [None, "another-one"])
def test_without_the_external_id_nobody_gets_in(stage: Stage, account: LinkedAccount, said: str | None) -> None:
    with pytest.raises(AccountBlocked):
        stage.cloud.accounts.enter(account.role_arn, said)
    wrong = replace(account, external_id=said or "")
    if said:
        with pytest.raises(AccountBlocked):
            stage.cloud.accounts.door(wrong).describe_all()


def test_a_role_without_a_condition_lets_in_whoever_knows_its_name(stage: Stage) -> None:
    open_to_all = stage.link(number(), None)
    assert stage.cloud.accounts.enter(open_to_all.role_arn, None) == open_to_all.account_id


def test_a_role_that_does_not_exist_lets_nobody_in(stage: Stage) -> None:
    with pytest.raises(AccountBlocked):
        stage.cloud.accounts.enter("arn:aws:iam::210987654321:role/lamplighter-linked", "x")


def test_the_door_is_the_same_one_each_time(stage: Stage, account: LinkedAccount, door: Cloud) -> None:
    assert stage.cloud.accounts.door(replace(account)) is door


def test_who_must_be_trusted_is_a_role_or_user_of_ours(stage: Stage) -> None:
    assert "123456789012" in stage.cloud.accounts.own_arn()


def test_a_machine_lives_its_whole_life_in_that_account(stage: Stage, door: Cloud) -> None:
    stage.cloud = door
    machine = door.run(spec(stage)).cloud_id
    stage.become(machine, CloudState.RUNNING)
    door.stop([machine])
    stage.become(machine, CloudState.STOPPED)
    door.start([machine])
    stage.become(machine, CloudState.RUNNING)
    door.terminate([machine])
    stage.become(machine, CloudState.TERMINATED)


def test_no_account_sees_or_orders_anothers_machines(stage: Stage, door: Cloud) -> None:
    other = stage.cloud.accounts.door(stage.link(number(), secrets.token_hex(16)))
    here, there = door.run(spec(stage)), other.run(spec(stage))
    home = stage.cloud.run(spec(stage))
    assert listed(door) & {here.cloud_id, there.cloud_id, home.cloud_id} == {here.cloud_id}
    assert there.cloud_id in listed(other)
    assert {here.cloud_id, there.cloud_id} & listed(stage.cloud) == set()
    for stranger in (other, stage.cloud):
        [outcome] = stranger.terminate([here.cloud_id])
        assert isinstance(outcome.error, NotFound)
        assert stranger.find_by_token(here.token) is None
    other.terminate([there.cloud_id])


def test_the_same_token_is_another_machine_in_another_account(stage: Stage, door: Cloud) -> None:
    wanted = spec(stage)
    assert door.run(wanted).cloud_id != stage.cloud.run(wanted).cloud_id
    assert door.run(wanted).cloud_id in listed(door)


def test_its_copies_stay_in_its_account(stage: Stage, door: Cloud) -> None:
    home, stage.cloud = stage.cloud, door
    machine = door.run(spec(stage)).cloud_id
    stage.become(machine, CloudState.RUNNING)
    made = door.disks.snapshot(SnapshotSpec(secrets.token_hex(4), machine, "mcontract", {}))
    assert made.snapshot_id in {one.snapshot_id for one in door.disks.snapshots()}
    assert made.snapshot_id not in {one.snapshot_id for one in home.disks.snapshots()}


def test_awss_own_timer_stops_it_in_its_account(stage: Stage, door: Cloud) -> None:
    stage.cloud = door
    machine = door.run(spec(stage)).cloud_id
    stage.become(machine, CloudState.RUNNING)
    door.schedule_stop(machine, stage.now() + timedelta(seconds=1))
    if isinstance(stage, SimStage):
        until(lambda: {v.cloud_id: v.state for v in door.describe_all()}[machine] is CloudState.STOPPED)
    else:
        stage.wait(2)
        stage.become(machine, CloudState.STOPPED)


def test_when_its_role_is_deleted_that_account_is_shut_and_no_other(
    stage: Stage, account: LinkedAccount, door: Cloud
) -> None:
    machine = door.run(spec(stage)).cloud_id
    stage.unlink(account)
    with pytest.raises(AccountBlocked):
        door.describe_all()
    with pytest.raises(AccountBlocked):
        door.schedule_stop(machine, stage.now() + timedelta(minutes=5))
    [outcome] = door.stop([machine])
    assert isinstance(outcome.error, AccountBlocked)
    assert stage.cloud.describe_all() is not None


def test_a_rehearsal_launches_nothing_and_hears_of_an_image_that_is_not_there(stage: Stage, door: Cloud) -> None:
    door.rehearse(spec(stage))
    assert door.describe_all() == []
    with pytest.raises(Refused):
        door.rehearse(spec(stage, image_id="ami-0000000000000dead"))
