"""Why the provider's figure for one day, machine and kind is not ours. Pure: no database, no clock."""

from dataclasses import dataclass
from decimal import Decimal

CENT = Decimal("0.01")
# Figures younger than this may still grow: the provider's own come 8 to 24 hours late, and are corrected after.
LATE_DAYS = 3
_COUNTED = ("compute", "disk", "snapshot", "address")
_IN_HOURS = ("compute", "address")  # what the provider counts in hours, as we do
_TIME_SHARE = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Compared:
    """One day, machine and kind. USD; `provider_quantity` is in hours for machines and addresses."""

    machine: str  # empty: untagged
    is_known: bool  # we have booked something for this machine at some time
    kind: str
    ours_usd: Decimal  # with what was corrected before
    ours_seconds: int
    provider_usd: Decimal
    provider_quantity: Decimal
    age_days: int

    @property
    def drift_usd(self) -> Decimal:
        return self.provider_usd - self.ours_usd


def cause_of(one: Compared) -> str:
    """The name of a `Cause`. Less than a cent is none: the provider rounds, too."""
    if abs(one.drift_usd) < CENT:
        return "none"
    if one.kind not in _COUNTED:
        return "transfer" if one.kind == "transfer" else "other"
    if not one.machine:
        return "untagged"
    if not one.is_known:
        return "foreign"
    if not one.provider_usd and not one.provider_quantity:
        return "late"
    return "time" if _other_time(one) else ("late" if _still_coming(one) else "price")


def is_final(cause: str, *, age_days: int, provider_usd: Decimal) -> bool:
    """Whether a known machine's difference may be booked without a person: the provider has told of it, and is done."""
    return age_days >= LATE_DAYS and provider_usd > 0 and cause in ("price", "time", "transfer")


def _other_time(one: Compared) -> bool:
    if not one.ours_seconds:
        return True  # the provider counted a machine of ours on a day on which we counted none
    if one.kind not in _IN_HOURS or not one.provider_quantity:
        return False
    hours = Decimal(one.ours_seconds) / 3600
    return abs(one.provider_quantity - hours) > hours * _TIME_SHARE


def _still_coming(one: Compared) -> bool:
    return one.age_days < LATE_DAYS and one.drift_usd < 0
