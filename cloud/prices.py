"""What a machine type is and costs: a dated snapshot of on-demand Linux prices in us-east-1, shipped with the product.

Does not ask AWS. A type without a price is unknown here: callers must refuse it, never take it for free.
"""

import csv
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path

_SNAPSHOT = Path(__file__).parent / "data" / "prices.csv"


@dataclass(frozen=True, slots=True)
class TypeFacts:
    instance_type: str
    gpu: str
    gpu_count: Decimal  # a fraction for types that share one GPU
    gpu_memory_gib: Decimal  # of all its GPUs together
    vcpu: int  # what AWS's quotas count
    memory_gib: Decimal
    arch: str
    usd_hour: Decimal | None
    as_of: date  # the day the price was read


def _facts(row: dict[str, str]) -> TypeFacts:
    return TypeFacts(
        instance_type=row["instance_type"],
        gpu=row["gpu"],
        gpu_count=Decimal(row["gpu_count"]),
        gpu_memory_gib=Decimal(row["gpu_memory_gib"]),
        vcpu=int(row["vcpu"]),
        memory_gib=Decimal(row["memory_gib"]),
        arch=row["arch"],
        usd_hour=Decimal(row["usd_hour_us_east_1"]) if row["usd_hour_us_east_1"] else None,
        as_of=date.fromisoformat(row["as_of"]),
    )


@cache
def _snapshot() -> dict[str, TypeFacts]:
    with _SNAPSHOT.open(newline="") as lines:
        return {row["instance_type"]: _facts(row) for row in csv.DictReader(lines)}


def facts_of(instance_type: str) -> TypeFacts | None:
    return _snapshot().get(instance_type)


def price_of(instance_type: str) -> Decimal | None:
    """USD per hour on demand; None when unknown, which means: deny."""
    facts = facts_of(instance_type)
    return facts.usd_hour if facts else None


def known_types() -> list[str]:
    return list(_snapshot())
