"""Machines of an account that belong to no row of ours, with what they cost: for staff. Asks AWS nothing."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from cloud.base import CloudState, MachineView
from instances.account_records import CloudAccount
from instances.launch_rules import usd_for
from instances.models import ForeignMachine, StrayMachine
from instances.pricing import prices_of

_COSTS = (CloudState.PENDING, CloudState.RUNNING)


@dataclass(frozen=True, slots=True)
class NotOurs:
    """USD at the on-demand price; None where the type has no known price. `so_far_usd`: since its last start."""

    cloud_id: str
    name: str
    instance_type: str
    state: str
    since: datetime
    last_seen_at: datetime
    usd_hour: Decimal | None
    so_far_usd: Decimal | None


def foreign_machines(now: datetime) -> list[NotOurs]:
    """GPU machines in the course's own account that the portal did not start: never touched. Two queries."""
    rows = list(ForeignMachine.objects.filter(account=None))
    prices = prices_of(row.instance_type for row in rows)
    return [_told(row, row.launched_at, prices, now) for row in rows]


def foreign_in(accounts: Collection[CloudAccount], now: datetime) -> dict[int, list[NotOurs]]:
    """The same of linked accounts, by their keys. Two queries for all."""
    rows = list(ForeignMachine.objects.filter(account__in=accounts))
    prices = prices_of(row.instance_type for row in rows)
    found: defaultdict[int, list[NotOurs]] = defaultdict(list)
    for row in rows:
        if row.account_id is not None:
            found[row.account_id].append(_told(row, row.launched_at, prices, now))
    return dict(found)


def note_foreign(views: Sequence[MachineView], account: CloudAccount | None, now: datetime) -> None:
    """What AWS listed just now in one account (None: the course's own) is written down; what is gone is forgotten."""
    for view in views:
        seen = {"cloud_state": view.state, "launched_at": view.launched_at, "last_seen_at": now}
        seen |= {"instance_type": view.instance_type, "name": view.name[:80], "account": account}
        ForeignMachine.objects.update_or_create(
            cloud_id=view.cloud_id, defaults=seen, create_defaults={**seen, "first_seen_at": now}
        )
    gone = ForeignMachine.objects.filter(account=account).exclude(cloud_id__in=[view.cloud_id for view in views])
    gone.delete()


def stray_machines(now: datetime) -> list[NotOurs]:
    """Machines with our tag and without a row: the repair round stops them. What it sees no more, because it is gone or
    its account is shut, costs no more than until then, as far as is known. Two queries."""
    rows = list(StrayMachine.objects.all()[:100])
    prices = prices_of(row.instance_type for row in rows)
    return [_told(row, row.first_seen_at, prices, min(now, row.last_seen_at)) for row in rows]


def _told(
    row: ForeignMachine | StrayMachine, since: datetime, prices: dict[str, Decimal | None], now: datetime
) -> NotOurs:
    price = prices[row.instance_type]
    runs = row.cloud_state in _COSTS
    seconds = (now - since).total_seconds()
    return NotOurs(
        cloud_id=row.cloud_id,
        name=row.name,
        instance_type=row.instance_type,
        state=row.cloud_state,
        since=since,
        last_seen_at=row.last_seen_at,
        usd_hour=price if runs else Decimal(0),
        so_far_usd=usd_for(price, seconds) if price and runs else (Decimal(0) if not runs else None),
    )
