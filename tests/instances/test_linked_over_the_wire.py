"""A linked account from the page's first row to its last machine, asked over AWS's own wire protocol."""

import json
import random
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from cloud.base import CloudState, LaunchSpec, MachineView
from cloud.ec2 import Ec2Cloud
from courses.models import Enrollment
from instances import account_checks, account_edits, losing, services, sweeps
from instances.account_records import CloudAccount
from instances.account_survey import surveys
from instances.accounts import door_of
from instances.models import Instance, StrayMachine
from instances.states import State
from tests.instances.conftest import Stage, check_books, fresh
from tests.simulated_aws import SimulatedAws, aws_credentials, sim, simulated_aws, until

__all__ = ["aws_credentials", "sim", "simulated_aws"]


@pytest.fixture
def home(sim: SimulatedAws, stage: Stage) -> Ec2Cloud:
    today = timezone.now().date()
    stage.cast.course.starts_on, stage.cast.course.ends_on = today - timedelta(days=1), today + timedelta(days=30)
    stage.cast.course.save()
    stage.preset.image_id = sim.network["image_id"]
    stage.preset.save()
    return sim.cloud()


@pytest.fixture
def account(sim: SimulatedAws, stage: Stage, home: Ec2Cloud) -> CloudAccount:
    """The portal makes the external id; the template is deployed with it; its output is told; the team is bound."""
    who, now = stage.cast.instructor.user, timezone.now()
    number = str(random.randrange(2 * 10**11, 9 * 10**11))
    made = account_edits.add(stage.cast.course, "Team 1", number, who=who, now=now)
    deployed = sim.link(number, made.external_id)
    output = {
        "role": deployed.role_arn,
        "stop_role": deployed.scheduler_role_arn,
        "security_group": deployed.security_group,
        "subnets": dict(deployed.subnets),
    }
    account_edits.tell_stack(made, json.dumps(output), joined=True, who=who, now=now)
    account_edits.bind(made, stage.cast.team, who=who, now=now)
    made.refresh_from_db()
    return made


def minute(home: Ec2Cloud, probe: bool = True) -> datetime:
    now = timezone.now()
    sweeps.repair(home, now, probe=lambda places: [probe] * len(places))
    sweeps.accounts(home, now)
    sweeps.meter(now)
    return now


def becomes(row: Instance, state: State, home: Ec2Cloud) -> Instance:
    def there() -> Instance | None:
        minute(home)
        found = fresh(row)
        return found if found.state == state else None

    return until(there, seconds=30)


def launch(stage: Stage, home: Ec2Cloud, owner: Enrollment) -> Instance:
    row = services.request_launch(owner, stage.preset, who=None, now=timezone.now())
    services.launch(row.pk, cloud=home, now=timezone.now())
    return becomes(row, State.RUNNING, home)


def end(row: Instance, home: Ec2Cloud) -> None:
    assert services.request_terminate(fresh(row), who=None, now=timezone.now())
    services.terminate([row.pk], cloud=home, now=timezone.now())
    becomes(row, State.TERMINATED, home)


def there(home: Ec2Cloud, account: CloudAccount) -> list[MachineView]:
    return home.accounts.door(account.entry).describe_all()


def test_launch_run_stop_and_repair_in_a_linked_account(
    stage: Stage, sim: SimulatedAws, home: Ec2Cloud, account: CloudAccount
) -> None:
    account_checks.attend(account, cloud=home, now=timezone.now())
    account.refresh_from_db()
    assert account.usable, account.findings
    assert [one["what"] for one in account.findings] == ["enter", "without", "wrong", "look", "timer", "launch"]
    row = launch(stage, home, stage.cast.student)
    [machine] = there(home, account)
    assert sim.machine(machine.cloud_id)["account_id"] == account.account_id
    assert home.describe_all() == []
    sim.power_off(machine.cloud_id)  # behind the portal's back
    becomes(row, State.STOPPED, home)
    # AWS tells whole seconds: no machine runs, stops and runs again within one.
    began = row.runs.get().started_at
    until(lambda: timezone.now() >= began + timedelta(seconds=1))
    services.request_start(fresh(row), who=None, now=timezone.now())
    services.start(row.pk, cloud=home, now=timezone.now())
    becomes(row, State.RUNNING, home)
    end(row, home)
    check_books()


@pytest.mark.parametrize("shared", [False, True], ids=["a timer each", "control: one for both"])
def test_two_checks_at_the_same_moment_do_not_touch_each_others_timer(
    sim: SimulatedAws, home: Ec2Cloud, account: CloudAccount, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    """A click while the daily round is at it. What one takes away, the other must not miss: AWS would say no to it."""
    if shared:
        monkeypatch.setattr(account_checks.secrets, "token_hex", lambda n: "0" * 2 * n)
    second = sim.cloud(home.config.installation)  # as another process's
    answers: list[bool | None] = []

    def meanwhile(**_call: object) -> None:
        answers.append(account_checks.check(account, cloud=second, now=timezone.now()))

    scheduler = door_of(home, account)._scheduler  # type: ignore[attr-defined]
    scheduler.meta.events.register("before-call.scheduler.DeleteSchedule", meanwhile)
    answers.append(account_checks.check(account, cloud=home, now=timezone.now()))
    assert answers == [True, True]
    assert sim.calls().get("UpdateSchedule", 0) == (1 if shared else 0)


def test_a_role_without_its_condition_is_found_out_and_not_used(
    stage: Stage, sim: SimulatedAws, home: Ec2Cloud, account: CloudAccount
) -> None:
    sim.link(account.account_id, None)
    assert account_checks.check(account, cloud=home, now=timezone.now()) is False
    account.refresh_from_db()
    [wrong] = [one for one in account.findings if not one["ok"]]
    assert wrong["words"].startswith("This role lets in anybody")
    with pytest.raises(services.LaunchRefused):
        services.request_launch(stage.cast.student, stage.preset, who=None, now=timezone.now())


def test_a_deleted_role_stops_nothing_else_and_loses_nothing(
    stage: Stage, sim: SimulatedAws, home: Ec2Cloud, account: CloudAccount
) -> None:
    account_checks.check(account, cloud=home, now=timezone.now())
    row = launch(stage, home, stage.cast.student)
    sim.unlink(account.account_id)
    other = launch(stage, home, stage.cast.instructor)
    account.refresh_from_db()
    assert account.shut_since
    assert (fresh(row).state, fresh(row).absent_since) == (State.RUNNING, None)
    sim.link(account.account_id, account.external_id)
    end(row, home)
    account.refresh_from_db()
    assert account.shut_since is None
    end(other, home)


def test_a_lost_account_that_answers_again_has_its_machine_stopped_and_charges_nobody_twice(
    stage: Stage, sim: SimulatedAws, home: Ec2Cloud, account: CloudAccount
) -> None:
    account_checks.check(account, cloud=home, now=timezone.now())
    row = launch(stage, home, stage.cast.student)
    sim.unlink(account.account_id)
    minute(home)
    CloudAccount.objects.filter(pk=account.pk).update(shut_since=timezone.now() - timedelta(days=8))
    who = stage.cast.instructor.user
    assert who
    assert losing.give_up(account, who=who, now=timezone.now())
    now = minute(home)
    ended = row.runs.get()
    assert (fresh(row).state, ended.settled_at) == (State.TERMINATED, now)
    sim.link(account.account_id, account.external_id)

    def stopped() -> bool:
        minute(home)
        return [view.state for view in there(home, account)] == [CloudState.STOPPED]

    until(stopped, seconds=30)
    account.refresh_from_db()
    assert (account.shut_since, account.found_at is None) == (None, False)
    assert StrayMachine.objects.get().cloud_id == fresh(row).cloud_id
    assert row.runs.get().settled_at == ended.settled_at
    check_books()


def test_what_an_account_allows_and_what_else_runs_there_is_its_own(
    stage: Stage, sim: SimulatedAws, home: Ec2Cloud, account: CloudAccount
) -> None:
    sim.ask("POST", "quotas", {"code": "L-DB2E81BA", "vcpus": 4, "account_id": account.account_id})
    byhand = Ec2Cloud(replace(home.config, installation="by-hand")).accounts.door(account.entry)
    spec = LaunchSpec("t1", "experiment", "g4dn.xlarge", "us-east-1a", sim.network["image_id"], 64, "#cloud-config\n{}")
    theirs = byhand.run(spec)
    account_checks.attend(account, cloud=home, now=timezone.now())
    [(told, found)] = surveys(stage.cast.course, [CloudAccount.objects.get()], timezone.now())
    assert told == account
    assert [line.wanted.vcpus_allowed for line in found.lines] == [4]
    assert home.catalog.quota("L-DB2E81BA").vcpus > 4
    assert [one.cloud_id for one in found.foreign] == [theirs.cloud_id]
    byhand.terminate([theirs.cloud_id])
