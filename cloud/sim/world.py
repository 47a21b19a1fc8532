"""All simulated machines together: launches once per token, orders all or nothing, time, and what survives a restart.

Knows no HTTP. One lock guards everything; only the machine room is called outside it.
"""

import logging
import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from cloud.sim.base_server import BaseMachines
from cloud.sim.errors import Ec2Error, malformed, not_found, wrong_state
from cloud.sim.machine import BY_API, ENDING, FROM_INSIDE, HOST_FAILED, RECLAIMED, UP, Machine, Reason
from cloud.sim.rooms import MachineRoom, NoRoom
from cloud.sim.rules import Rules, check_quota, check_type, is_type
from cloud.sim.store import Store

log = logging.getLogger("cloud.sim")
_ID = re.compile(r"i-[0-9a-f]{8}([0-9a-f]{9})?")
_RESTING = frozenset({"stopped", "terminated"})


class LaunchRequest(NamedTuple):
    token: str
    fingerprint: str
    zone: str
    instance_type: str
    shutdown_behavior: str
    launch: dict[str, Any]  # for the base server
    disk_from: str = ""
    spot: bool = False
    spot_request: str = ""  # of the machine in whose place it comes


class Change(NamedTuple):
    cloud_id: str
    before: str
    after: str


class World:
    def __init__(self, base: BaseMachines, store: Store, rules: Rules, next_ip: Callable[[str, int], str]) -> None:
        self.lock = threading.RLock()
        self.rules = rules
        self.machines: dict[str, Machine] = {}
        self.room: MachineRoom = NoRoom()
        self.vcpus_of: Callable[[str], int] = lambda _quota_code: rules.vcpu_quota
        self._base = base
        self._store = store
        self._next_ip = next_ip
        self._tokens: dict[tuple[str, str], str] = {}
        self._unsettled: set[str] = set()  # only these can change with time
        self._terminated: set[str] = set()  # still listed
        self._forgotten: set[str] = set()
        self._cancelled: set[str] = set(store.all("cancelled"))
        self._reclaiming: set[str] = set()
        self._halting: Counter[str] = Counter()
        self._porters = ThreadPoolExecutor(8, thread_name_prefix="porter")

    # -------------------------------------------------------------- launching
    def launch(self, request: LaunchRequest) -> Machine:
        with self.lock:
            now = self.settle()
            known = self._tokens.get((request.token, request.zone)) if request.token else None
            if known:
                return self._again(self.machines[known], request)
            check_type(request.instance_type, request.zone)
            spot = request.spot or bool(request.spot_request)
            check_quota([(request.instance_type, spot)], self.machines.values(), self.vcpus_of)
            machine = self._new(request, now)
            self._base.make(machine)
            self._take_in(machine)
            self._keep(machine)
            return machine

    def _again(self, machine: Machine, request: LaunchRequest) -> Machine:
        if machine.fingerprint != request.fingerprint:
            text = "Arguments on this idempotent request are inconsistent with arguments used in previous request(s)."
            raise Ec2Error("IdempotentParameterMismatch", text)
        if machine.state in ENDING:
            text = "The request uses the same client token as a request for which the instance has been terminated."
            raise Ec2Error("IdempotentInstanceTerminated", text)
        return machine

    def _new(self, request: LaunchRequest, now: float) -> Machine:
        in_zone = sum(1 for one in self.machines.values() if one.zone == request.zone)
        machine = Machine(
            cloud_id=f"i-{secrets.token_hex(9)[:17]}",
            token=request.token,
            fingerprint=request.fingerprint,
            zone=request.zone,
            instance_type=request.instance_type,
            private_ip=self._next_ip(request.zone, in_zone),
            shutdown_behavior=request.shutdown_behavior,
            launch=request.launch,
            disk_from=request.disk_from,
            spot_request=request.spot_request or (f"sir-{secrets.token_hex(4)}" if request.spot else ""),
            created_at=now,
            launch_time=now,
        )
        machine.begin(now, self.rules.boot_seconds)
        return machine

    def _take_in(self, machine: Machine) -> None:
        self.machines[machine.cloud_id] = machine
        if machine.token:
            self._tokens[machine.token, machine.zone] = machine.cloud_id

    def _keep(self, machine: Machine) -> None:
        """Known to the base server, to time and to the disk: after every change."""
        if machine.changes_at is None:
            self._unsettled.discard(machine.cloud_id)
        else:
            self._unsettled.add(machine.cloud_id)
        if machine.state == "terminated":
            self._terminated.add(machine.cloud_id)
        self._base.show(machine)
        self._store.put("machine", machine.cloud_id, machine.stored())

    # -------------------------------------------------------------- looking
    def listed(self) -> list[Machine]:
        """Without the new ones that cannot be found yet and the terminated ones that AWS has forgotten."""
        with self.lock:
            now = self.settle()
            return [one for one in self.machines.values() if self._is_listed(one, now)]

    def _is_listed(self, machine: Machine, now: float) -> bool:
        if machine.cloud_id in self._forgotten:
            return False
        return now - machine.created_at >= self.rules.hidden_seconds

    def find(self, cloud_ids: Sequence[str]) -> list[Machine]:
        """All of them, or an error that names those that do not exist."""
        with self.lock:
            now = self.settle()
            for one in cloud_ids:
                if not _ID.fullmatch(one):
                    raise malformed(one)
            found = {one: self.machines.get(one) for one in cloud_ids}
            missing = [one for one, machine in found.items() if not machine or not self._is_listed(machine, now)]
            if missing:
                raise not_found(missing)
            return [machine for machine in found.values() if machine]

    # -------------------------------------------------------------- orders: all or nothing
    def start(self, cloud_ids: Sequence[str]) -> list[Change]:
        with self.lock:
            machines = self.find(cloud_ids)
            for one in machines:
                if one.state not in UP and one.state != "stopped":
                    raise wrong_state(one.cloud_id, "started")
                if one.reclaimed:
                    raise Ec2Error("IncorrectSpotRequestState", f"Only Spot itself starts {one.cloud_id} again.")
            cold = [one for one in machines if one.state == "stopped"]
            wanted = [(one.instance_type, bool(one.spot_request)) for one in cold]
            check_quota(wanted, self.machines.values(), self.vcpus_of)
            for one in cold:
                check_type(one.instance_type, one.zone)
            return [self._start_one(one) for one in machines]

    def _start_one(self, machine: Machine) -> Change:
        before = machine.state
        if before == "stopped":
            machine.begin(time.time(), self.rules.boot_seconds)
            self._keep(machine)
        return Change(machine.cloud_id, before, machine.state)

    def stop(self, cloud_ids: Sequence[str], *, force: bool = False) -> list[Change]:
        with self.lock:
            machines = self.find(cloud_ids)
            for one in machines:
                if one.state == "pending" or one.state in ENDING:
                    raise wrong_state(one.cloud_id, "stopped")
            return [self._stop_one(one, BY_API, force=force) for one in machines]

    def _stop_one(self, machine: Machine, reason: Reason, *, force: bool = False) -> Change:
        before = machine.state
        if before == "running":
            self._end(machine, "stopping", reason, force=force)
        elif before == "stopping" and force:
            self._send_porter(machine, force=True)
        return Change(machine.cloud_id, before, machine.state)

    def restart(self, cloud_ids: Sequence[str]) -> None:
        with self.lock:
            machines = self.find(cloud_ids)
            for one in machines:
                if one.state != "running":
                    raise wrong_state(one.cloud_id, "rebooted")
            for one in machines:
                self._halting[one.cloud_id] += 1
                self._porters.submit(self._restart, one)

    def _restart(self, machine: Machine) -> None:
        try:
            self.room.restart(machine.cloud_id, machine.private_ip, machine.user_data)
        except Exception:
            log.exception("%s did not come up again", machine.cloud_id)
        finally:
            with self.lock:
                self._halting[machine.cloud_id] -= 1

    def change_type(self, cloud_id: str, instance_type: str) -> None:
        with self.lock:
            [machine] = self.find([cloud_id])
            if machine.state != "stopped":
                raise wrong_state(cloud_id, "modified")
            if not is_type(instance_type):
                raise Ec2Error("InvalidInstanceAttributeValue", f"Invalid value '{instance_type}' for InstanceType.")
            machine.instance_type = instance_type
            self._keep(machine)

    def terminate(self, cloud_ids: Sequence[str]) -> list[Change]:
        with self.lock:
            return [self._terminate_one(one, BY_API) for one in self.find(cloud_ids)]

    def _terminate_one(self, machine: Machine, reason: Reason) -> Change:
        before = machine.state
        if before not in ENDING:
            self._end(machine, "shutting-down", reason, force=True)
            if machine.spot_request and machine.spot_request not in self._cancelled:
                self._replace(machine)
        return Change(machine.cloud_id, before, machine.state)

    def _replace(self, machine: Machine) -> None:
        """A lasting Spot request wants its machine: AWS makes the next one by itself, for the same request."""
        where = (machine.zone, machine.instance_type, machine.shutdown_behavior)
        self.launch(LaunchRequest("", "", *where, dict(machine.launch), spot_request=machine.spot_request))

    def cancel_spot(self, request_ids: Sequence[str]) -> None:
        with self.lock:
            known = {one.spot_request for one in self.machines.values() if one.spot_request}
            unknown = [one for one in request_ids if one not in known]
            if unknown:
                text = f"The spot instance request ID '{unknown[0]}' does not exist"
                raise Ec2Error("InvalidSpotInstanceRequestID.NotFound", text)
            self._cancelled |= set(request_ids)
            for one in request_ids:
                self._store.put("cancelled", one, True)

    def reclaim(self, cloud_id: str, notice_seconds: float = 120) -> None:
        """AWS wants it back: told on the machine at once, done after the notice."""
        with self.lock:
            machine = self.machines[cloud_id]
            if not machine.spot_request or machine.state != "running":
                raise ValueError(f"{cloud_id} is no Spot machine that runs")
            machine.reclaim_at = time.time() + notice_seconds
            self._reclaiming.add(cloud_id)
            self._keep(machine)

    def _take_back(self, now: float) -> None:
        for cloud_id in list(self._reclaiming):
            machine = self.machines[cloud_id]
            if machine.state == "running" and machine.reclaim_at is not None and machine.reclaim_at <= now:
                machine.reclaimed = True
                self._stop_one(machine, RECLAIMED)
            if machine.state != "running":
                machine.reclaim_at = None
                self._reclaiming.discard(cloud_id)

    def power_off(self, cloud_id: str) -> None:
        """From inside the machine. Said of a machine that is not running: nothing."""
        with self.lock:
            self.settle()
            machine = self.machines.get(cloud_id)
            if machine is None or machine.state != "running":
                return
            if machine.shutdown_behavior == "terminate":
                self._terminate_one(machine, FROM_INSIDE)
            else:
                self._stop_one(machine, FROM_INSIDE)

    def _end(self, machine: Machine, state: str, reason: Reason, *, force: bool) -> None:
        machine.end(time.time(), self.rules.stop_seconds, state=state, reason=reason)
        self._keep(machine)
        self._send_porter(machine, force=force)

    def _send_porter(self, machine: Machine, *, force: bool) -> None:
        """The state is not reached before the machine's processes are gone."""
        self._halting[machine.cloud_id] += 1
        self._porters.submit(self._halt, machine.cloud_id, machine.state == "shutting-down", force)

    def _halt(self, cloud_id: str, erase: bool, force: bool) -> None:
        try:
            self.room.halt(cloud_id, force=force)
            if erase:
                self.room.erase(cloud_id)
        except Exception:
            log.exception("%s could not be brought down", cloud_id)
        finally:
            with self.lock:
                self._halting[cloud_id] -= 1

    # -------------------------------------------------------------- time
    def settle(self) -> float:
        """Every change that is due; returns now."""
        with self.lock:
            now = time.time()
            self._take_back(now)
            for cloud_id in list(self._unsettled):
                machine = self.machines[cloud_id]
                if machine.changes_at is not None and machine.changes_at <= now and not self._halting[cloud_id]:
                    self._arrive(machine, now)
            for cloud_id in list(self._terminated):
                if now - (self.machines[cloud_id].terminated_at or now) >= self.rules.forget_seconds:
                    self._forget(cloud_id)
            return now

    def _arrive(self, machine: Machine, now: float) -> None:
        machine.arrive(now)
        self._keep(machine)
        if machine.state == "running":
            self._boot(machine)
        elif machine.state == "terminated":
            self._base.destroy(machine)

    def _boot(self, machine: Machine) -> None:
        """What fails inside a machine is not AWS's failure: it runs, and its notebook does not answer."""
        try:
            if machine.disk_from:
                self.room.fill_disk(machine.cloud_id, machine.disk_from)
            self.room.boot(machine.cloud_id, machine.private_ip, machine.user_data)
        except Exception:
            log.exception("%s did not boot", machine.cloud_id)

    def _forget(self, cloud_id: str) -> None:
        self._terminated.discard(cloud_id)
        self._forgotten.add(cloud_id)
        self._base.forget(cloud_id)

    # -------------------------------------------------------------- restart
    def restore(self, last_alive: float) -> None:
        """A machine that was up when the simulator died was stopped by "its host" at the last second known."""
        with self.lock:
            for stored in self._store.all("machine").values():
                machine = Machine.restored(stored)
                self._take_in(machine)
                if machine.state not in _RESTING:
                    self._come_to_rest(machine, last_alive)
                self._make_again(machine)

    def _come_to_rest(self, machine: Machine, last_alive: float) -> None:
        if machine.state in UP:
            at = max(last_alive, machine.launch_time, machine.stretches[-1][0] or 0 if machine.stretches else 0)
            machine.end(at, 0, state="stopping", reason=HOST_FAILED)
        if machine.state == "shutting-down":
            self.room.erase(machine.cloud_id)
        machine.arrive(machine.changes_at or last_alive)

    def _make_again(self, machine: Machine) -> None:
        gone = machine.terminated_at
        if gone is not None and time.time() - gone >= self.rules.forget_seconds:
            self._forgotten.add(machine.cloud_id)
            return
        self._base.make(machine)
        if machine.state == "terminated":
            self._base.destroy(machine)
        self._keep(machine)

    def close(self) -> None:
        self._porters.shutdown(wait=True)
        self.room.close()
