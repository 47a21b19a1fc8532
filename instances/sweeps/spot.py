"""The round of Spot's prices: what a Spot machine costs now, from AWS, onto the run that the meter charges.

Held and frozen is the price on demand; Spot's is never above it, because AWS was asked for no more than that.
"""

import logging
from datetime import datetime
from decimal import Decimal

from cloud.base import Cloud, CloudError
from instances import books
from instances.accounts import door_for
from instances.models import Instance, Run
from instances.sweeps.rounds import if_any, sweep_over

logger = logging.getLogger(__name__)


def spot(cloud: Cloud, now: datetime) -> int:
    """One question for each type and zone in use. Of a run that has ended as well, until the meter has charged it."""
    known: dict[tuple[int | None, str, str], list[tuple[datetime, Decimal]]] = {}
    runs = (
        Run.objects.filter(settled_at=None, instance__spot=True)
        .select_related("instance__account")
        .order_by("started_at")
    )

    def price(run: Run) -> None:
        where = (run.instance_type, run.instance.zone)
        # Each account gives its own names to the zones.
        key = (run.instance.account_id, *where)
        if key not in known:
            known[key] = prices_for(run.instance, run.instance_type, run.started_at, cloud=cloud)
        price_run(run, known[key])

    return sweep_over("spot", if_any(runs), price, now=now)


def prices_for(
    machine: Instance, instance_type: str, since: datetime, *, cloud: Cloud
) -> list[tuple[datetime, Decimal]]:
    """None of a machine on demand, nor while AWS tells none."""
    where = (instance_type, machine.zone)
    try:
        return list(door_for(cloud, machine).catalog.spot_prices(*where, since)) if machine.spot else []
    except CloudError as error:
        logger.warning("spot: no price of %s in %s: %s", *where, error)
        return []


def price_run(run: Run, prices: list[tuple[datetime, Decimal]]) -> None:
    """Changes that are not on the run yet, in order; one that AWS told too late holds from the next hour on."""
    last = datetime.fromisoformat(run.price_changes[-1][0]) if run.price_changes else None
    for since, usd_hour in prices:
        from_then = max(since, run.started_at, run.metered_until or run.started_at)
        new = last is None or from_then > last
        if new and books.price_in_force(run, min(usd_hour, run.price_usd_hour), since=from_then):
            last = from_then
