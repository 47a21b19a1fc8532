"""What an account has of ours that would be lost with it, and what that comes to in USD. Reads only; asks AWS nothing.

The same moments as the write-off takes (`losing.py`), so that nobody confirms one thing and gets another.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Prefetch, QuerySet

from courses.models import Enrollment
from instances.account_records import CloudAccount
from instances.books import disk_segment, run_segments, stop_margin, unposted_usd
from instances.disk_books import snapshot_segment
from instances.disk_rules import COSTS, IN_MOTION
from instances.home_records import HomeArchive
from instances.homes import open_homes
from instances.loss_rules import counted_until
from instances.models import DiskSnapshot, Instance, Run
from instances.states import ENDED
from spend.models import Hold

ZERO = Decimal(0)


# ------------------------------------------------------------------ what is there
def machines_in(account: CloudAccount) -> QuerySet[Instance]:
    return Instance.objects.filter(account=account).exclude(state__in=ENDED).order_by("pk")


def copies_in(account: CloudAccount) -> QuerySet[DiskSnapshot]:
    """Those that are there, or on their way."""
    return DiskSnapshot.objects.filter(instance__account=account, standing__in=IN_MOTION | COSTS).order_by("pk")


def packing_in(account: CloudAccount) -> QuerySet[HomeArchive]:
    """Files that still lie on a machine there. What is packed is in the course's own bucket, and stays."""
    return open_homes().filter(instance__account=account, packed_at=None).order_by("pk")


# ------------------------------------------------------------------ up to when each counts
def run_until(machine: Instance, run: Run) -> datetime:
    """The last second that this open run was seen alive."""
    paid = machine.lease_until + stop_margin() if machine.lease_until else None
    last = min((at for at in (paid, run.stopping_at) if at), default=None)  # AWS bills no second of stopping
    return counted_until(run.started_at, run.seen_at, machine.last_report_at, last)


def disk_until(machine: Instance, run: Run | None) -> datetime | None:
    """None: it never had a disk, as far as anybody heard. `run`: the open one."""
    if machine.disk_since is None:
        return None
    known = (machine.disk_since, machine.seen_at, run and run_until(machine, run))
    return max(at for at in known if at)


def copy_until(copy: DiskSnapshot) -> datetime | None:
    """None: it was never made, as far as anybody heard."""
    return None if copy.since is None else max(copy.since, copy.seen_at or copy.since)


# ------------------------------------------------------------------ in USD
@dataclass(frozen=True, slots=True)
class LostMachine:
    """`due_usd`: still to be charged, up to `until`. `held_usd`: for its run and its disk, until then."""

    machine: Instance
    until: datetime | None
    due_usd: Decimal
    held_usd: Decimal


@dataclass(frozen=True, slots=True)
class LostCopy:
    copy: DiskSnapshot
    until: datetime | None
    due_usd: Decimal
    held_usd: Decimal


@dataclass(frozen=True, slots=True)
class Loss:
    machines: Sequence[LostMachine]
    copies: Sequence[LostCopy]
    packing: int

    @property
    def is_empty(self) -> bool:
        return not (self.machines or self.copies or self.packing)

    @property
    def disks(self) -> int:
        return sum(one.machine.disk_since is not None for one in self.machines)

    @property
    def disk_gb(self) -> int:
        return sum(one.machine.disk_gb for one in self.machines if one.machine.disk_since is not None)

    @property
    def copies_gb(self) -> int:
        return sum(one.copy.size_gb for one in self.copies)

    @property
    def all(self) -> list[LostMachine | LostCopy]:
        return [*self.machines, *self.copies]

    @property
    def held_usd(self) -> Decimal:
        return sum((one.held_usd for one in self.all), ZERO)

    @property
    def due_usd(self) -> Decimal:
        return sum((one.due_usd for one in self.all), ZERO)

    @property
    def back_usd(self) -> Decimal:
        """Free again in the budgets."""
        return sum((max(ZERO, one.held_usd - one.due_usd) for one in self.all), ZERO)

    @property
    def owners(self) -> list[Enrollment]:
        """Each once."""
        owned = [one.machine.owner for one in self.machines] + [one.copy.owner for one in self.copies]
        return list({owner.pk: owner for owner in owned}.values())


def loss(account: CloudAccount, now: datetime) -> Loss:
    """The same number of queries for 3 machines and for 300."""
    unsettled = Prefetch("runs", Run.objects.filter(settled_at=None), to_attr="unsettled")
    machines = list(machines_in(account).select_related("owner", "preset").prefetch_related(unsettled))
    copies = list(copies_in(account).select_related("owner", "instance__preset"))
    keys = {key for machine in machines for key in _keys(machine)} | {copy.key for copy in copies}
    held = dict(Hold.objects.filter(key__in=keys, closed_at=None).values_list("key", "amount_usd"))
    return Loss(
        [_machine(machine, held, now) for machine in machines],
        [LostCopy(copy, copy_until(copy), _copy_due(copy, now), held.get(copy.key, ZERO)) for copy in copies],
        packing_in(account).count(),
    )


def _runs(machine: Instance) -> list[Run]:
    found: list[Run] = machine.unsettled  # type: ignore[attr-defined]
    return found


def _keys(machine: Instance) -> set[str]:
    return {machine.run_hold_key, machine.disk_key, *(run.hold_key for run in _runs(machine))}


def _machine(machine: Instance, held: Mapping[str, Decimal], now: datetime) -> LostMachine:
    runs = _runs(machine)
    until = disk_until(machine, next((run for run in runs if run.ended_at is None), None))
    due = ZERO
    for run in runs:
        run.ended_at = run.ended_at or run_until(machine, run)  # not saved: what the books will say
        due += unposted_usd(run_segments(run), run.metered_until, now)
    if until is not None:
        machine.disk_until = until
        due += unposted_usd([disk_segment(machine)], machine.disk_metered_until, now)
    return LostMachine(machine, until, due, sum((held.get(key, ZERO) for key in _keys(machine)), ZERO))


def _copy_due(copy: DiskSnapshot, now: datetime) -> Decimal:
    copy.until = copy_until(copy)
    return unposted_usd([snapshot_segment(copy)], copy.metered_until, now) if copy.until else ZERO
