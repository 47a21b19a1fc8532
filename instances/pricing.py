"""What a type costs an hour in our region: as AWS's price list said when it was last read, else the shipped snapshot.

A type without a price is unknown: whoever asks must refuse it. Prices of machines that exist are frozen on their rows.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings

from cloud.base import Cloud, CloudError
from cloud.prices import known_types
from cloud.prices import price_of as snapshot_price
from instances.models import Preset, TypePrice

logger = logging.getLogger(__name__)

# The snapshot is of us-east-1; every price that was read in us-west-2 was the same. Elsewhere it would be a guess.
SNAPSHOT_REGIONS = frozenset({"us-east-1", "us-west-2"})
STALE = timedelta(days=7)
_LEAP = Decimal(5)  # a price that is so many times another is a list that was misread, not a new price


@dataclass(frozen=True, slots=True)
class Refreshed:
    """By type: what is different now, what the list does not have, and what AWS did not answer."""

    changed: dict[str, tuple[Decimal | None, Decimal]]
    unknown: list[str]
    doubtful: list[str]
    unanswered: list[str]


def prices_of(types: Iterable[str]) -> dict[str, Decimal | None]:
    """USD per hour of each; None: unknown. One query."""
    wanted = list(dict.fromkeys(types))
    rows = TypePrice.objects.filter(region=settings.AWS_REGION, instance_type__in=wanted)
    read = dict(rows.values_list("instance_type", "usd_hour"))
    return {name: read.get(name, _snapshot(name)) for name in wanted}


def all_prices() -> dict[str, Decimal | None]:
    """Of every type that is known at all."""
    read = TypePrice.objects.filter(region=settings.AWS_REGION).values_list("instance_type", flat=True)
    return prices_of([*known_types(), *read])


def _snapshot(instance_type: str) -> Decimal | None:
    return snapshot_price(instance_type) if settings.AWS_REGION in SNAPSHOT_REGIONS else None


def stale_types(now: datetime) -> list[str]:
    """Types of presets whose price was not read for a week."""
    wanted = {name for types in Preset.objects.values_list("instance_types", flat=True) for name in types}
    fresh = TypePrice.objects.filter(region=settings.AWS_REGION, read_at__gt=now - STALE)
    return sorted(wanted - set(fresh.values_list("instance_type", flat=True)))


def refresh(types: Iterable[str], *, cloud: Cloud, now: datetime) -> Refreshed:
    """Read these from AWS's price list. What AWS does not tell, or tells in doubt, stays as it is."""
    wanted = list(dict.fromkeys(types))
    known = prices_of(wanted)
    found = Refreshed({}, [], [], [])
    for name in wanted:
        try:
            price = cloud.catalog.price(name)
        except CloudError as error:
            logger.warning("price of %s: no answer: %s", name, error)
            found.unanswered.append(name)
            continue
        _take(name, known[name], price, found, now)
    return found


def _take(name: str, known: Decimal | None, price: Decimal | None, found: Refreshed, now: datetime) -> None:
    if price is None:
        found.unknown.append(name)
    elif known is not None and not known / _LEAP <= price <= known * _LEAP:
        logger.error("price of %s: the list says %s, known is %s: not taken", name, price, known)
        found.doubtful.append(name)
    else:
        values = {"usd_hour": price, "read_at": now}
        TypePrice.objects.update_or_create(region=settings.AWS_REGION, instance_type=name, defaults=values)
        if price != known:
            found.changed[name] = (known, price)
