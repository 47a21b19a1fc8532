"""The stage of linked accounts: one that a team is bound to, with doors to shut it, open it and let time pass."""

import json
from dataclasses import dataclass

import pytest
from pytest_django.fixtures import Settings

from cloud.accounts import LinkedAccount
from cloud.fake import FakeCloud
from instances import account_checks, account_edits, sweeps
from instances.account_records import CloudAccount
from instances.models import Instance
from instances.states import State
from tests.instances.conftest import Stage, fresh

NUMBER = "210987654321"


def told(number: str, **changes: object) -> str:
    stack = {
        "role": f"arn:aws:iam::{number}:role/lamplighter-linked",
        "stop_role": f"arn:aws:iam::{number}:role/lamplighter-scheduler",
        "security_group": "sg-0a1",
        "subnets": {"us-east-1a": "subnet-0a1", "us-east-1b": "subnet-0b2"},
    }
    return json.dumps(stack | changes)


def read(account: CloudAccount) -> CloudAccount:
    return CloudAccount.objects.get(pk=account.pk)


@dataclass
class Linked:
    stage: Stage
    account: CloudAccount

    @property
    def there(self) -> FakeCloud:
        return self.stage.cloud.accounts.cloud_of(self.account.account_id)

    @property
    def entry(self) -> LinkedAccount:
        return read(self.account).entry

    @property
    def is_open(self) -> bool:
        return self.stage.cloud.accounts.has_role(self.entry.role_arn)

    def shut(self) -> None:
        self.stage.cloud.accounts.delete_role(self.entry.role_arn)

    def open(self) -> None:
        self.stage.cloud.accounts.open_role(self.entry.role_arn, self.entry.account_id, self.entry.external_id)

    def look(self) -> None:
        sweeps.accounts(self.stage.cloud, self.stage.now)

    def minute(self, count: int = 1) -> None:
        for _each in range(count):
            self.stage.later(60)
            self.stage.sweep()
            self.look()

    def running(self) -> Instance:
        row = self.stage.launch()
        self.minute()
        row = fresh(row)
        assert (row.state, row.account_id) == (State.RUNNING, self.account.pk)
        return row


def add(stage: Stage, number: str = NUMBER) -> CloudAccount:
    who = stage.cast.instructor.user
    return account_edits.add(stage.cast.course, "Team's own", number, who=who, now=stage.now)


def link(stage: Stage, number: str = NUMBER) -> Linked:
    """As it goes on the page: added, its stack told, checked, the team bound."""
    made, who = add(stage, number), stage.cast.instructor.user
    account_edits.tell_stack(made, told(number), joined=False, who=who, now=stage.now)
    found = Linked(stage, read(made))
    found.open()
    assert account_checks.check(found.account, cloud=stage.cloud, now=stage.now)
    account_edits.bind(found.account, stage.cast.team, who=who, now=stage.now)
    return found


@pytest.fixture(autouse=True)
def tunnel(settings: Settings) -> None:
    settings.TUNNEL_ADDRESS = "tunnel.example.edu:2222"


@pytest.fixture
def linked(stage: Stage) -> Linked:
    return link(stage)
