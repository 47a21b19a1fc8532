"""What the provider says that the account cost, in our own words. Knows no boto3, no Django, nothing of ours.

Twins: `AwsCosts` (AWS, or anything that speaks its wire protocol) and `FakeCosts` (in memory). One contract test runs
over both: tests/cloud/test_costs.py.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Protocol

MACHINE_TAG = "Name"  # its value is our slug, on machine, disk and network interface
KINDS = ("compute", "disk", "snapshot", "address", "transfer", "other")


@dataclass(frozen=True, slots=True)
class UsageCost:
    """Usage before credits: one UTC day, machine (its tag; empty: untagged) and kind. USD; `quantity` in AWS's unit."""

    day: date
    machine: str
    kind: str  # one of KINDS
    usd: Decimal
    quantity: Decimal  # hours, GB-months, GB: by kind


@dataclass(frozen=True, slots=True)
class DayTotal:
    """One UTC day of the whole account, by kind of record. Credits and refunds are negative. USD."""

    day: date
    usage_usd: Decimal
    credit_usd: Decimal
    refund_usd: Decimal
    other_usd: Decimal  # taxes, fees
    is_estimated: bool  # AWS may still change it


@dataclass(frozen=True, slots=True)
class ExportFile:
    key: str
    bytes: int
    modified_at: datetime


class Costs(Protocol):
    """Raise `CloudError`s: Transient, or Refused when the account may not ask. Each call costs a cent at least."""

    def usage(self, first: date, last: date) -> list[UsageCost]:
        """Every day from `first` to `last` (UTC, both included) that has any."""
        ...

    def totals(self, first: date, last: date) -> list[DayTotal]: ...

    def export_files(self, place: str, period: str) -> list[ExportFile]:
        """The newest data export of one billing period ("2026-10"); `place` is "s3://bucket/prefix/export-name"."""
        ...

    def fetch(self, place: str, key: str, path: Path) -> None:
        """One of these files, written to `path` piece by piece."""
        ...


# Which usage types are what; the region's prefix is taken off before ("USE2-BoxUsage:g5.xlarge").
_REGION = re.compile(r"^[A-Z]{2,4}\d?-(?=[A-Z])")
_STARTS: Sequence[tuple[str, str]] = (
    ("BoxUsage", "compute"),
    ("SpotUsage", "compute"),
    ("DedicatedUsage", "compute"),
    ("EBS:Snapshot", "snapshot"),
    ("EBS:Volume", "disk"),
    ("PublicIPv4:", "address"),
    ("ElasticIP:", "address"),
    ("DataTransfer-", "transfer"),
    ("AWS-Out-Bytes", "transfer"),
    ("AWS-In-Bytes", "transfer"),
)


def kind_of(usage_type: str) -> str:
    """One of KINDS, by AWS's usage type."""
    bare = _REGION.sub("", usage_type)
    # Between regions: "USE1-USW2-AWS-Out-Bytes".
    bare = _REGION.sub("", bare) if "AWS-" in bare and not bare.startswith("AWS-") else bare
    return next((kind for start, kind in _STARTS if bare.startswith(start)), "other")


def place_of(place: str) -> tuple[str, str]:
    """("bucket", "prefix/export-name") of "s3://bucket/prefix/export-name". Raises ValueError."""
    found = re.fullmatch(r"s3://([a-z0-9.-]{3,63})/(.+?)/?", place)
    if found is None:
        raise ValueError(f"{place!r} is not s3://bucket/prefix/export-name")
    return found[1], found[2]
