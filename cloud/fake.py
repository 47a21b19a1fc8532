"""The cloud in memory: the working twin of `Ec2Cloud`, with virtual time, that breaks on command.

For tests. Time passes only as the given clock says; delays are virtual, nothing sleeps.
"""

import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from copy import copy
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cloud.base import (
    CloudError,
    CloudState,
    LaunchSpec,
    MachineView,
    NoCapacity,
    NotFound,
    NotOffered,
    Outcome,
    QuotaReached,
    Refused,
    TokenMismatch,
    Transient,
)
from cloud.fake_accounts import FakeAccounts
from cloud.fake_catalog import FakeCatalog
from cloud.fake_disks import FakeDisks
from cloud.fake_faults import Faults
from cloud.fake_machine import ENDING, FakeMachine, Stretch
from cloud.prices import facts_of
from cloud.quotas import quota_of

ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
_QUOTA_COUNTS = frozenset({CloudState.PENDING, CloudState.RUNNING})
_EVERYWHERE = "*"
_LATE = timedelta(seconds=60)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class FakeCloud:
    """Breaking it: `faults.break_before/break_after/on_call`, `blind`, `fill`, `refuse`, and the attributes below.

    `boot_seconds`, `stop_seconds`, `vcpu_quota`, `offerings`, `images`, `hidden_seconds` may be changed at any time.
    `marks_replacements`: whether the machine that a Spot request makes in place of another has its tags.
    `twin(installation)` is another portal's door to the same account.
    """

    def __init__(
        self,
        clock: Callable[[], datetime] = _utc_now,
        *,
        boot_seconds: float = 0,
        stop_seconds: float = 0,
        zones: Sequence[str] = ZONES,
        vcpu_quota: int | None = None,
        installation: str = "lamplighter",
    ) -> None:
        self.clock = clock
        self.boot_seconds = boot_seconds
        self.stop_seconds = stop_seconds
        self.zones = tuple(zones)
        self.vcpu_quota = vcpu_quota
        self.installation = installation
        self.offerings: dict[str, Sequence[str]] = {}  # by type; a type of the price list is else offered everywhere
        self.images: Collection[str] | None = None  # None: any image exists
        self.hidden_seconds = 0.0  # a new machine is not visible for so long after its launch
        self.forgotten_seconds = 3600.0  # a terminated machine is listed for so long
        self.faults = Faults()
        self.break_before = self.faults.break_before
        self.break_after = self.faults.break_after
        self.on_call = self.faults.on_call
        self.heal = self.faults.heal
        self.count = self.faults.count
        self.catalog = FakeCatalog(
            self.faults,
            lambda: self.vcpu_quota,
            lambda image: self.images is None or image in self.images,
            self._of_others,
        )
        self._machines: dict[str, FakeMachine] = {}
        self.disks = FakeDisks(self._settled, self.faults, clock, installation)
        self._by_token: dict[tuple[str, str], str] = {}
        self._full: set[tuple[str, str]] = set()
        self._refusals: dict[tuple[str, str], CloudError] = {}
        self.cancelled_requests: set[str] = set()
        self.marks_replacements = True
        self.accounts = FakeAccounts(self._another_account, self.faults)
        self._ids_from = 0  # no id of one account is an id of another
        self._blinded = False
        self._lock = threading.RLock()

    # -------------------------------------------------------------- the protocol
    def run(self, spec: LaunchSpec) -> MachineView:
        return self.faults.around("run", (spec,), lambda: self._run(spec))

    def rehearse(self, spec: LaunchSpec) -> None:
        self.faults.around("rehearse", (spec,), lambda: self._check_spec(spec))

    def find_by_token(self, token: str) -> MachineView | None:
        def find() -> MachineView | None:
            found = [view for view in self._visible() if view.token == token]
            return min(found, key=lambda view: view.launched_at) if found else None

        return self.faults.around("find_by_token", (token,), find)

    def describe_all(self) -> list[MachineView]:
        return self.faults.around("describe_all", (), self._visible)

    def start(self, cloud_ids: Sequence[str]) -> list[Outcome]:
        return self._batch("start", cloud_ids, self._start)

    def stop(self, cloud_ids: Sequence[str], *, force: bool = False) -> list[Outcome]:
        return self._batch("stop", cloud_ids, lambda machine, now: machine.stop(now))

    def terminate(self, cloud_ids: Sequence[str]) -> list[Outcome]:
        return self._batch("terminate", cloud_ids, self._terminate)

    def restart(self, cloud_ids: Sequence[str]) -> list[Outcome]:
        return self._batch("restart", cloud_ids, lambda machine, now: machine.restart(now))

    def change_type(self, cloud_id: str, instance_type: str) -> None:
        def change() -> None:
            machine = self._settled().get(cloud_id)
            if machine is None:
                raise NotFound(f"The instance ID '{cloud_id}' does not exist", code="InvalidInstanceID.NotFound")
            if instance_type not in self.offerings and facts_of(instance_type) is None:
                raise Refused(f"Invalid value '{instance_type}'.", code="InvalidInstanceAttributeValue")
            machine.change_type(instance_type)

        self.faults.around("change_type", (cloud_id, instance_type), change)

    def cancel_spot(self, request_ids: Sequence[str]) -> list[Outcome]:
        ids = list(dict.fromkeys(request_ids))

        def cancel() -> list[Outcome]:
            self.cancelled_requests |= set(ids)
            return [Outcome(one) for one in ids]

        try:
            return self.faults.around("cancel_spot", (ids,), cancel)
        except CloudError as error:
            return [Outcome(one, error) for one in ids]

    def schedule_stop(self, cloud_id: str, at: datetime) -> None:
        def put() -> None:
            machine = self._settled().get(cloud_id)
            now = self.clock()
            if machine:  # AWS keeps a schedule for anything; it fails when it runs
                machine.stops_at = at if at > now else now + _LATE

        self.faults.around("schedule_stop", (cloud_id, at), put)

    def cancel_scheduled_stop(self, cloud_id: str) -> None:
        def drop() -> None:
            machine = self._settled().get(cloud_id)
            if machine:
                machine.stops_at = None

        self.faults.around("cancel_scheduled_stop", (cloud_id,), drop)

    def zones_offering(self, instance_type: str) -> list[str]:
        def ask() -> list[str]:
            return [zone for zone in self.zones if zone in self._zones_of(instance_type)]

        return self.faults.around("zones_offering", (instance_type,), ask)

    # -------------------------------------------------------------- breaking it
    def blind(self) -> None:
        """Nothing can be read any more (describe, find) until `see()`; orders still work."""
        self._blinded = True

    def see(self) -> None:
        self._blinded = False

    def fill(self, *, zone: str = _EVERYWHERE, instance_type: str = _EVERYWHERE) -> None:
        """No capacity there any more, for launches and starts."""
        self._full.add((instance_type, zone))

    def empty(self) -> None:
        self._full.clear()

    def refuse(self, op: str, cloud_id: str, error: CloudError | None) -> None:
        """`op` on this one machine fails with `error` inside its batch; None lifts it."""
        if error is None:
            self._refusals.pop((op, cloud_id), None)
        else:
            self._refusals[op, cloud_id] = error

    def power_off(self, cloud_id: str) -> None:
        """From inside the machine: what its own timer or `poweroff` does."""
        with self._lock:
            self._settled()[cloud_id].power_off(self.clock())

    def reclaim(self, cloud_id: str) -> None:
        """AWS takes a Spot machine back."""
        with self._lock:
            self._settled()[cloud_id].reclaim(self.clock())

    def kill(self, cloud_id: str) -> None:
        """The cloud ends the machine by itself, disk included (its hardware died)."""
        with self._lock:
            self._terminate(self._settled()[cloud_id], self.clock())

    def twin(self, installation: str) -> "FakeCloud":
        other = copy(self)
        other.installation = installation
        other.catalog = copy(self.catalog)
        other.catalog.others = other._of_others
        other.disks = copy(self.disks)
        other.disks.installation = installation
        return other

    def _another_account(self, account_id: str) -> "FakeCloud":
        other = FakeCloud(self.clock, boot_seconds=self.boot_seconds, stop_seconds=self.stop_seconds)
        other.installation, other.images = self.installation, self.images
        other._ids_from = int(account_id) * 1000
        return other

    # -------------------------------------------------------------- ground truth
    @property
    def machines(self) -> Mapping[str, FakeMachine]:
        """Every machine there ever was, of every installation, by cloud id, as of now."""
        with self._lock:
            return dict(self._settled())

    def runs(self, cloud_id: str) -> list[Stretch]:
        return self.machines[cloud_id].stretches

    def ran_seconds(self, cloud_id: str) -> float:
        """Seconds in state running up to now: what AWS bills, before its minimum of 60 s per start."""
        return self.machines[cloud_id].ran_seconds(self.clock())

    # -------------------------------------------------------------- how it works
    def _settled(self) -> dict[str, FakeMachine]:
        with self._lock:
            now = self.clock()
            for machine in self._machines.values():
                machine.settle(now)
            return self._machines

    def _visible(self) -> list[MachineView]:
        if self._blinded:
            raise Transient("Request limit exceeded.", code="RequestLimitExceeded")
        with self._lock:
            now = self.clock()
            return [m.view() for m in self._settled().values() if self._ours(m) and self._listed(m, now)]

    def _of_others(self) -> list[MachineView]:
        with self._lock:
            found = [m for m in self._settled().values() if not self._ours(m) and m.state not in ENDING]
            return [m.view() for m in found if m.spec.instance_type[0] in "gp"]

    def _ours(self, machine: FakeMachine) -> bool:
        return machine.installation == self.installation

    def _listed(self, machine: FakeMachine, now: datetime) -> bool:
        if now - machine.created_at < timedelta(seconds=self.hidden_seconds):
            return False
        gone = machine.terminated_at
        return gone is None or now - gone < timedelta(seconds=self.forgotten_seconds)

    def _run(self, spec: LaunchSpec) -> MachineView:
        with self._lock:
            known = self._by_token.get((spec.token, spec.zone))
            if known:
                return self._again(self._settled()[known], spec)
            self._check_spec(spec)
            self._check_room(spec.instance_type, spec.zone, spot=bool(spec.spot_usd_hour))
            machine = self._make(spec)
            self._machines[machine.cloud_id] = machine
            self._by_token[spec.token, spec.zone] = machine.cloud_id
            return machine.view()

    def _again(self, machine: FakeMachine, spec: LaunchSpec) -> MachineView:
        if machine.spec != spec:
            raise TokenMismatch("The token was used with other parameters.", code="IdempotentParameterMismatch")
        if machine.state in ENDING:
            raise Refused("The machine of this token is terminated.", code="IdempotentInstanceTerminated")
        return machine.view()

    def _check_spec(self, spec: LaunchSpec) -> None:
        known = self.images is None or spec.image_id in self.images or spec.image_id in self.disks.images_kept
        if not known:
            raise Refused(f"The image id '[{spec.image_id}]' does not exist", code="InvalidAMIID.NotFound")
        offered = self._zones_of(spec.instance_type)
        if not offered:
            raise Refused(f"Invalid value '{spec.instance_type}' for InstanceType.", code="InvalidParameterValue")
        if spec.zone not in offered:
            raise NotOffered(f"{spec.instance_type} is not supported in {spec.zone}.", code="Unsupported")

    def _check_room(self, instance_type: str, zone: str, *, spot: bool) -> None:
        wanted, bucket = _vcpus(instance_type), quota_of(instance_type, spot=spot)
        up = [m for m in self._settled().values() if m.state in _QUOTA_COUNTS and bool(m.spot_request) == spot]
        used = sum(_vcpus(m.spec.instance_type) for m in up if quota_of(m.spec.instance_type, spot=spot) == bucket)
        allowed = self.catalog.vcpus.get(bucket.code if bucket else "", self.vcpu_quota)
        if allowed is not None and used + wanted > allowed:
            if spot:
                raise QuotaReached("Max spot instance count exceeded", code="MaxSpotInstanceCountExceeded")
            text = f"You have requested more vCPU capacity than your current vCPU limit of {allowed} allows."
            raise QuotaReached(text, code="VcpuLimitExceeded")
        if any((t, z) in self._full for t in (instance_type, _EVERYWHERE) for z in (zone, _EVERYWHERE)):
            text = f"We currently do not have sufficient {instance_type} capacity in {zone}."
            raise NoCapacity(text, code="InsufficientInstanceCapacity")

    def _zones_of(self, instance_type: str) -> Sequence[str]:
        everywhere = self.zones if facts_of(instance_type) else ()
        return self.offerings.get(instance_type, everywhere)

    def _make(self, spec: LaunchSpec) -> FakeMachine:
        number = len(self._machines) + 1
        now = self.clock()
        machine = FakeMachine(
            cloud_id=f"i-{self._ids_from + number:017x}",
            installation=self.installation,
            spec=spec,
            instance_type=spec.instance_type,
            private_ip=f"127.60.{number // 250}.{number % 250 + 1}",
            boot=timedelta(seconds=self.boot_seconds),
            stopping=timedelta(seconds=self.stop_seconds),
            created_at=now,
            launched_at=now,
            spot_request=f"sir-{self._ids_from + number:017x}" if spec.spot_usd_hour else "",
        )
        machine.boot_up(now)
        return machine

    def _terminate(self, machine: FakeMachine, now: datetime) -> None:
        """A Spot request that was not cancelled makes another machine at once. That has no token."""
        alive = machine.state not in ENDING
        machine.terminate(now)
        if alive and machine.spot_request and machine.spot_request not in self.cancelled_requests:
            again = self._make(replace(machine.spec, token=""))
            again.spot_request = machine.spot_request
            again.installation = machine.installation if self.marks_replacements else ""
            self._machines[again.cloud_id] = again

    def _start(self, machine: FakeMachine, now: datetime) -> None:
        if machine.state is CloudState.STOPPED:
            self._check_room(machine.instance_type, machine.spec.zone, spot=bool(machine.spot_request))
        machine.start(now)

    def _batch(self, op: str, cloud_ids: Sequence[str], act: Callable[[FakeMachine, datetime], None]) -> list[Outcome]:
        """A CloudError of the whole call comes back in every outcome, as the protocol says."""
        ids = list(dict.fromkeys(cloud_ids))
        if not ids:
            return []

        def effect() -> list[Outcome]:
            with self._lock:
                self._settled()
                return [self._one(op, cloud_id, act) for cloud_id in ids]

        try:
            return self.faults.around(op, (ids,), effect)
        except CloudError as error:
            return [Outcome(cloud_id, error) for cloud_id in ids]

    def _one(self, op: str, cloud_id: str, act: Callable[[FakeMachine, datetime], None]) -> Outcome:
        now = self.clock()
        machine = self._machines.get(cloud_id)
        if machine is None or not self._listed(machine, now):
            text = f"The instance ID '{cloud_id}' does not exist"
            return Outcome(cloud_id, NotFound(text, code="InvalidInstanceID.NotFound"))
        if (op, cloud_id) in self._refusals:
            return Outcome(cloud_id, self._refusals[op, cloud_id])
        try:
            machine.boot = timedelta(seconds=self.boot_seconds)
            machine.stopping = timedelta(seconds=self.stop_seconds)
            act(machine, now)
        except CloudError as error:
            return Outcome(cloud_id, error)
        return Outcome(cloud_id)


def _vcpus(instance_type: str) -> int:
    facts = facts_of(instance_type)
    return facts.vcpu if facts else 4
