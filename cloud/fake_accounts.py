"""Other accounts in memory: the working twin of `AwsAccounts`. Roles are opened, left open to all, and deleted."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from cloud.accounts import LinkedAccount
from cloud.base import AccountBlocked, CloudError
from cloud.fake_faults import Faults

if TYPE_CHECKING:
    from cloud.fake import FakeCloud


@dataclass(slots=True)
class _Role:
    account_id: str
    external_id: str | None  # None: its trust policy has no condition


class FakeAccounts:
    """`open_role`, `delete_role` are what somebody does in the other account; `clouds` is what is there."""

    def __init__(self, make: Callable[[str], "FakeCloud"], faults: Faults) -> None:
        self._make = make
        self._faults = faults
        self._roles: dict[str, _Role] = {}
        self.clouds: dict[str, FakeCloud] = {}

    def open_role(self, role_arn: str, account_id: str, external_id: str | None) -> None:
        self._roles[role_arn] = _Role(account_id, external_id)

    def delete_role(self, role_arn: str) -> None:
        del self._roles[role_arn]

    def has_role(self, role_arn: str) -> bool:
        return role_arn in self._roles

    def own_arn(self) -> str:
        return "arn:aws:iam::123456789012:role/lamplighter"

    def enter(self, role_arn: str, external_id: str | None) -> str:
        return self._faults.around("enter", (role_arn, external_id), lambda: self._enter(role_arn, external_id))

    def _enter(self, role_arn: str, external_id: str | None) -> str:
        role = self._roles.get(role_arn)
        if role is None or role.external_id not in (None, external_id):
            raise AccountBlocked(f"not authorized to perform: sts:AssumeRole on {role_arn}", code="AccessDenied")
        return role.account_id

    def door(self, account: LinkedAccount) -> "FakeCloud":
        there = self.cloud_of(account.account_id)
        there.zones = tuple(zone for zone, _subnet in account.subnets)
        there.faults.gate = partial(self._pass, account)
        return there

    def cloud_of(self, account_id: str) -> "FakeCloud":
        if account_id not in self.clouds:
            self.clouds[account_id] = self._make(account_id)
        return self.clouds[account_id]

    def _pass(self, account: LinkedAccount) -> CloudError | None:
        try:
            self._enter(account.role_arn, account.external_id)
        except CloudError as error:
            return error
        return None
