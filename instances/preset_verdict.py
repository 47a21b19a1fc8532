"""Can a preset be had here? From what AWS offers and allows, and what it costs. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any


class Verdict(StrEnum):
    READY = "ready"
    NOT_OFFERED = "not-offered"
    NO_QUOTA = "no-quota"
    NO_PRICE = "no-price"
    NO_IMAGE = "no-image"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class TypeFound:
    """What was found of one type. `vcpus_allowed`: None when AWS did not say; `zones`: of ours, that offer it."""

    instance_type: str
    zones: tuple[str, ...]
    usd_hour: Decimal | None
    vcpus: int  # that one machine counts; 0: not known
    quota_code: str
    quota_name: str
    vcpus_allowed: int | None

    def as_data(self) -> dict[str, Any]:
        return {**asdict(self), "usd_hour": None if self.usd_hour is None else str(self.usd_hour)}


@dataclass(frozen=True, slots=True)
class Found:
    verdict: Verdict
    usable: tuple[str, ...] = ()  # types that can be launched now, in order
    lacking: TypeFound | None = None  # the first that only a larger quota keeps back


def judge(types: Sequence[TypeFound], ceiling_usd_hour: Decimal, *, has_image: bool) -> Found:
    """The first thing that stands in the way of every type; READY when one can be had."""
    if not has_image:
        return Found(Verdict.NO_IMAGE)
    priced = [one for one in types if one.usd_hour is not None and one.usd_hour <= ceiling_usd_hour]
    if not priced:
        return Found(Verdict.NO_PRICE)
    offered = [one for one in priced if one.zones]
    if not offered:
        return Found(Verdict.NOT_OFFERED)
    allowed = [one for one in offered if one.vcpus_allowed is not None and one.vcpus_allowed >= max(1, one.vcpus)]
    if allowed:
        return Found(Verdict.READY, tuple(one.instance_type for one in allowed))
    if any(one.vcpus_allowed is None for one in offered):
        return Found(Verdict.UNKNOWN)
    return Found(Verdict.NO_QUOTA, lacking=offered[0])
