"""What a click on "keep" can buy: hours, and until the morning; each with its price. Offers, holds nothing."""

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.conf import settings

from instances.facts import limits_for, rules_of
from instances.launch_rules import usd_for
from instances.limits import own_limits_of
from instances.models import Instance

KEEP_HOURS = (1, 2, 4, 8)
MORNING = time(8)


@dataclass(frozen=True, slots=True)
class Keep:
    """An offer to keep a machine for some hours. `usd`: what that costs at most, the quiet time after it included."""

    hours: float
    usd: Decimal
    until: datetime
    is_morning: bool = False

    @property
    def value(self) -> str:
        """As a form sends it: with a point in every language."""
        return f"{self.hours:.4f}".rstrip("0").rstrip(".")


def keeps(machine: Instance, now: datetime) -> list[Keep]:
    """Within the course's policy, or the person's exception; what the budget says is told when it is clicked."""
    most = own_limits_of(machine.owner).keep_hours or rules_of(machine).keep_hours
    spans = [(float(hours), False) for hours in KEEP_HOURS if hours <= most]
    morning = (_morning(machine.course.timezone, now) - now).total_seconds() / 3600
    if KEEP_HOURS[1] < morning <= most:
        spans.append((morning, True))
    return [_offer(machine, hours, is_morning, now) for hours, is_morning in spans]


def _offer(machine: Instance, hours: float, is_morning: bool, now: datetime) -> Keep:
    tail = limits_for(machine, now).quiet + settings.STOP_MARGIN_SECONDS
    return Keep(hours, usd_for(machine.usd_hour, hours * 3600 + tail), now + timedelta(hours=hours), is_morning)


def _morning(zone: str, now: datetime) -> datetime:
    local = now.astimezone(ZoneInfo(zone))
    today = datetime.combine(local.date(), MORNING, local.tzinfo)
    return today if today > local else datetime.combine(local.date() + timedelta(days=1), MORNING, local.tzinfo)
