"""How strict and how slow the simulated AWS is, changeable while it runs; and the limits that refuse a launch."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, fields
from decimal import Decimal
from functools import cache
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPE_OFFERINGS, INSTANCE_TYPES

from cloud.prices import price_of
from cloud.quotas import quota_of
from cloud.sim.errors import Ec2Error
from cloud.sim.machine import UP, Machine


@dataclass(slots=True)
class Rules:
    boot_seconds: float = 3.0  # pending → running
    stop_seconds: float = 2.0  # stopping → stopped, shutting-down → terminated
    forget_seconds: float = 3600.0  # a terminated machine is listed for so long
    hidden_seconds: float = 0.0  # a new machine cannot be found for so long
    hidden_image_seconds: float = 0.0  # a new image is not listed for so long
    snapshot_seconds: float = 2.0  # pending → completed
    vcpu_quota: int = 1024
    latency_ms: float = 0.0

    def change(self, values: dict[str, Any]) -> None:
        """Raises ValueError for a name that is none or a value that is no number of its kind."""
        kinds = {one.name: type(getattr(self, one.name)) for one in fields(self)}
        unknown = set(values) - set(kinds)
        if unknown:
            raise ValueError(f"No such setting: {', '.join(sorted(unknown))}")
        for name, value in values.items():
            setattr(self, name, kinds[name](value))

    def told(self) -> dict[str, Any]:
        return asdict(self)


@cache
def _offerings(region: str) -> dict[str, frozenset[str]]:
    zones: dict[str, set[str]] = defaultdict(set)
    for offer in INSTANCE_TYPE_OFFERINGS["availability-zone"][region]:
        zones[offer["InstanceType"]].add(offer["Location"])
    return {name: frozenset(found) for name, found in zones.items()}


def vcpus(instance_type: str) -> int:
    return int(INSTANCE_TYPES[instance_type]["VCpuInfo"]["DefaultVCpus"])


def spot_price(instance_type: str) -> Decimal:
    """USD an hour: two fifths of what it costs on demand, everywhere and always."""
    return ((price_of(instance_type) or Decimal(1)) * 2 / 5).quantize(Decimal("0.0001"))


def is_type(name: str) -> bool:
    return name in INSTANCE_TYPES


def check_type(instance_type: str, zone: str) -> None:
    if instance_type not in INSTANCE_TYPES:
        raise Ec2Error("InvalidParameterValue", f"Invalid value '{instance_type}' for InstanceType.")
    offered = _offerings(zone[:-1]).get(instance_type, frozenset())
    if zone not in offered:
        text = (
            f"Your requested instance type ({instance_type}) is not supported in your requested Availability Zone "
            f"({zone}). Please retry your request by choosing {', '.join(sorted(offered))}."
        )
        raise Ec2Error("Unsupported", text)


def check_quota(
    wanted: Iterable[tuple[str, bool]], machines: Iterable[Machine], vcpus_of: Callable[[str], int]
) -> None:
    """Each family of types has a quota of its own, on demand and Spot apart. `wanted`: types, and whether Spot."""
    asked: Counter[tuple[str, bool]] = Counter()
    for instance_type, spot in wanted:
        asked[_bucket(instance_type, spot)] += vcpus(instance_type)
    used: Counter[tuple[str, bool]] = Counter()
    for one in machines:
        if one.state in UP:
            used[_bucket(one.instance_type, bool(one.spot_request))] += vcpus(one.instance_type)
    for bucket, number in asked.items():
        code, spot = bucket
        _check_bucket(used[bucket] + number, vcpus_of(code), spot)


def _bucket(instance_type: str, spot: bool) -> tuple[str, bool]:
    found = quota_of(instance_type, spot=spot)
    return found.code if found else "", spot


def _check_bucket(wanted: int, quota: int, spot: bool) -> None:
    if wanted <= quota:
        return
    if spot:
        raise Ec2Error("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded")
    text = (
        f"You have requested more vCPU capacity than your current vCPU limit of {quota} allows for the instance "
        "bucket that the specified instance type belongs to."
    )
    raise Ec2Error("VcpuLimitExceeded", text)
