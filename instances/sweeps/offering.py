"""Seldom: prices, whether presets can be had, and GPU machines of others. Each looks whether it is due by itself."""

import logging
from datetime import datetime, timedelta

from cloud.base import Cloud, CloudError
from instances import preflight, preset_checks, pricing
from instances.foreign import note_foreign
from instances.models import SweepBeat
from instances.sweeps.rounds import beat, for_each

logger = logging.getLogger(__name__)
_HOURLY = timedelta(hours=1)
_TYPES_AT_ONCE = 20  # the price list is asked one type at a time


def offers(cloud: Cloud, now: datetime) -> int:
    stale = pricing.stale_types(now)[:_TYPES_AT_ONCE]
    if stale:
        pricing.refresh(stale, cloud=cloud, now=now)
    looked_at = for_each("offers", preset_checks.due(now), lambda one: preset_checks.check(one, cloud=cloud, now=now))
    for_each("quotas", [cloud], lambda door: preflight.look(door, now))
    for_each("preflight", [now], preflight.warn)
    for_each("foreign", [cloud], lambda door: look_at_foreign(door, now))
    beat("offers", looked_at, seconds=0, now=now)
    return looked_at


def look_at_foreign(cloud: Cloud, now: datetime) -> None:
    """Once an hour: all GPU machines of the course's own account that no portal of ours started. They are only written
    down. Linked accounts are looked through daily (`account_survey.py`)."""
    if SweepBeat.objects.filter(name="foreign", finished_at__gt=now - _HOURLY).exists():
        return
    try:
        views = cloud.catalog.gpu_machines()
    except CloudError as error:
        logger.warning("foreign machines: AWS did not say: %s", error)
        return
    note_foreign(views, None, now)
    beat("foreign", len(views), seconds=0, now=now)
