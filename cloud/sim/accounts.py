"""The simulated accounts: the course's own and those that are linked to it, each with machines, disks and a network.

moto lets everybody into every role. Here a role lets in whom its trust policy lets in, as AWS does, and nobody once it
is deleted.
"""

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from moto.core.exceptions import ServiceException
from moto.iam.models import get_account_id_from
from moto.sts.models import STSBackend

from cloud.sim.base_server import ACCOUNT, BaseMachines
from cloud.sim.disks import Disks
from cloud.sim.errors import Ec2Error
from cloud.sim.network import Network
from cloud.sim.rules import Rules
from cloud.sim.schedules import Schedules
from cloud.sim.store import Store
from cloud.sim.world import World

_LINKED_ROLE = "lamplighter-linked"
_KEY = re.compile(r"Credential=(\w+)/")


class AccessDenied(ServiceException):
    code = "AccessDenied"
    status_code = 403


class Account:
    def __init__(self, number: str, folder: Path, *, region: str, rules: Rules, with_room: bool) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.number = number
        self.closed = False  # our role in it is deleted
        self.store = Store(folder / "aws.sqlite3")
        self.network = Network(region, folder, number)
        self.base = BaseMachines(region, number)
        self.world = World(self.base, self.store, rules, self.network.next_ip)
        if with_room:
            from cloud.sim.room import Room

            self.world.room = Room(folder / "machines", self.world.power_off, folder / "repositories", folder / "image")
        self.schedules = Schedules(region, self.world, self.store, number, lambda: self.closed)
        self.disks = Disks(self.base, self.store, rules, lambda: self.world.room)

    def restore(self) -> None:
        self.disks.restore()
        self.world.restore(self.store.all("alive").get("at", time.time()))
        self.schedules.restore()

    def tick(self) -> float:
        now = self.world.settle()
        self.schedules.run_due(now)
        return now

    def close(self) -> None:
        self.world.close()
        self.store.close()


class Accounts:
    """`home` is the course's own. Others are made by `link`, and are there again after a restart."""

    def __init__(self, home: Account, make: Callable[[str], Account]) -> None:
        self.home = home
        self._make = make
        self._all = {home.number: home}
        self._trusts: dict[str, Any] = home.store.all("trust")  # external id by role; null: anybody of our account
        _install(self._check_trust)

    def here(self, response: Any) -> Account:
        """Whose key signed the request says which account is asked."""
        account = self._all[response.current_account]
        if account.closed:
            raise Ec2Error("AuthFailure", "AWS was not able to validate the provided access credentials")
        return account

    def signed_by(self, authorization: str) -> Account:
        """The account of the key that signed; keys that nobody gave out are the course's own, as moto has it."""
        found = _KEY.search(authorization)
        return self._all[get_account_id_from(found[1] if found else "")]

    def all(self) -> list[Account]:
        return list(self._all.values())

    def restore(self) -> None:
        for role in self._trusts:
            self._open(role.split(":")[4])

    def link(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """`{"account_id", "external_id"}`: as if the template was deployed there. Without an external id the role's
        trust policy has no condition. Raises KeyError, ValueError."""
        number = str(values["account_id"])
        if not (len(number) == len(ACCOUNT) and number.isdigit()) or number == ACCOUNT:
            raise ValueError(f"No account of somebody else: {number}")
        role = f"arn:aws:iam::{number}:role/{_LINKED_ROLE}"
        self._trusts[role] = values.get("external_id")
        self.home.store.put("trust", role, self._trusts[role])
        account = self._open(number)
        account.closed = False
        return {"role_arn": role, **account.network.told()}

    def unlink(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Its role is deleted: keys that were given out for it are worth nothing any more, either."""
        role = f"arn:aws:iam::{values['account_id']}:role/{_LINKED_ROLE}"
        del self._trusts[role]
        self.home.store.drop("trust", role)
        self._all[str(values["account_id"])].closed = True
        return {"role_arn": role}

    def _open(self, number: str) -> Account:
        if number not in self._all:
            account = self._make(number)
            account.restore()
            self._all[number] = account
        return self._all[number]

    def _check_trust(self, role: str, external_id: str | None) -> None:
        wanted = self._trusts.get(role)
        if role not in self._trusts or (wanted is not None and external_id != wanted):
            text = (
                f"User: arn:aws:iam::{ACCOUNT}:user/portal is not authorized to perform: sts:AssumeRole on resource: "
            )
            raise AccessDenied(text + role)


def _install(check: Callable[[str, str | None], None]) -> None:
    """Puts our check before moto's answer, for the whole process."""
    let_everybody_in = STSBackend.assume_role

    def assume_role(self: STSBackend, region_name: str, role_session_name: str, role_arn: str, **asked: Any) -> Any:
        check(role_arn, asked.get("external_id") or None)
        return let_everybody_in(self, region_name, role_session_name, role_arn, **asked)

    STSBackend.assume_role = assume_role  # type: ignore[method-assign]
