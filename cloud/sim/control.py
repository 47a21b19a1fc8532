"""The control pages under /sim/: for tests and the demo to make trouble and to see the truth. No such thing in AWS."""

import json
import time
from collections.abc import Callable
from typing import Any

from cloud.sim.accounts import Accounts
from cloud.sim.billing import Billing
from cloud.sim.costs import Costs
from cloud.sim.faults import Faults
from cloud.sim.loads import SimulatedLoads
from cloud.sim.machine import Machine
from cloud.sim.offers import Offers
from cloud.sim.rules import Rules

Answer = tuple[int, Any]


class Control:
    """GET tells, POST (JSON) changes, DELETE forgets:

    `/sim/health` · `/sim/network` · `/sim/machines` (ground truth) · `/sim/settings` · `/sim/faults` · `/sim/calls`
    · `/sim/credits` (POST: the codes that exist) · `/sim/costs` (POST: more lines of the bill)
    · `/sim/quotas` (POST: `{"code", "vcpus", ["account_id"]}`, or `{"code", "status"}` to answer what was asked)
    · `POST /sim/prices` `{type: "USD per hour"}` · `POST /sim/parameters` `{SSM parameter: image id}`
    · `POST /sim/loads` (what CloudWatch measured)
    · `POST /sim/accounts` (link one; DELETE: its role is deleted)
    · `POST /sim/power-off` `{"cloud_id": …}`: what `poweroff` inside the machine does.
    """

    def __init__(
        self,
        accounts: Accounts,
        billing: Billing,
        costs: Costs,
        offers: Offers,
        loads: SimulatedLoads,
        faults: Faults,
        rules: Rules,
    ) -> None:
        self._accounts = accounts
        self._faults = faults
        self._rules = rules
        self._pages: dict[tuple[str, str], Callable[[Any], Any]] = {
            ("GET", "/sim/health"): lambda _body: {"ok": True},
            ("GET", "/sim/network"): lambda _body: accounts.home.network.told(),
            ("GET", "/sim/machines"): lambda _body: self._machines(),
            ("GET", "/sim/settings"): lambda _body: rules.told(),
            ("POST", "/sim/settings"): self._change,
            ("GET", "/sim/faults"): lambda _body: faults.told(),
            ("POST", "/sim/faults"): self._plan,
            ("DELETE", "/sim/faults"): lambda _body: faults.clear(),
            ("GET", "/sim/calls"): lambda _body: faults.counts(),
            ("DELETE", "/sim/calls"): lambda _body: faults.reset_counts(),
            ("GET", "/sim/credits"): lambda _body: billing.told(),
            ("POST", "/sim/credits"): billing.know,
            ("POST", "/sim/costs"): costs.know,
            ("DELETE", "/sim/costs"): lambda _body: costs.forget(),
            ("GET", "/sim/quotas"): lambda _body: offers.told(),
            ("POST", "/sim/quotas"): offers.decide,
            ("POST", "/sim/prices"): offers.reprice,
            ("POST", "/sim/parameters"): offers.know_parameters,
            ("POST", "/sim/loads"): loads.know,
            ("POST", "/sim/reclaim"): lambda body: accounts.home.world.reclaim(
                body["cloud_id"], float(body.get("notice_s", 120))
            ),
            ("POST", "/sim/power-off"): lambda body: self._power_off(body["cloud_id"]),
            ("POST", "/sim/accounts"): accounts.link,
            ("DELETE", "/sim/accounts"): accounts.unlink,
        }

    def answer(self, method: str, path: str, body: bytes) -> Answer:
        page = self._pages.get((method, path.rstrip("/")))
        if page is None:
            return 404, {"error": f"No such page: {method} {path}"}
        try:
            return 200, page(json.loads(body or b"{}"))
        except (KeyError, TypeError, ValueError) as error:
            return 400, {"error": f"{type(error).__name__}: {error}"}

    def _change(self, values: dict[str, Any]) -> dict[str, Any]:
        self._rules.change(values)
        return self._rules.told()

    def _plan(self, values: dict[str, Any]) -> list[dict[str, Any]]:
        self._faults.plan(values)
        return self._faults.told()

    def _power_off(self, cloud_id: str) -> None:
        for account in self._accounts.all():
            account.world.power_off(cloud_id)

    def _machines(self) -> list[dict[str, Any]]:
        told = []
        for account in self._accounts.all():
            with account.world.lock:
                now = account.world.settle()
                told += [_told(machine, account.number, now) for machine in account.world.machines.values()]
        return told


def _told(machine: Machine, account: str, now: float) -> dict[str, Any]:
    return {
        "cloud_id": machine.cloud_id,
        "account_id": account,
        "token": machine.token,
        "state": machine.state,
        "reason": machine.reason[0],
        "zone": machine.zone,
        "instance_type": machine.instance_type,
        "private_ip": machine.private_ip,
        "created_at": machine.created_at,
        "launch_time": machine.launch_time,
        "stretches": machine.stretches,
        "running_seconds": round(machine.ran_seconds(now), 3),
        "told_at": time.time(),
    }
