"""Machines of the account that belong to no row of ours, with what they cost: for staff to look into. Reads only."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from cloud.base import CloudState
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
    """GPU machines that the portal did not start: never touched. Two queries."""
    rows = list(ForeignMachine.objects.all())
    prices = prices_of(row.instance_type for row in rows)
    return [_told(row, row.launched_at, prices, now) for row in rows]


def stray_machines(now: datetime) -> list[NotOurs]:
    """Machines with our tag and without a row: the repair round stops them. Two queries."""
    rows = list(StrayMachine.objects.all()[:100])
    prices = prices_of(row.instance_type for row in rows)
    return [_told(row, row.first_seen_at, prices, now) for row in rows]


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
