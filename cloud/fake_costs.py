"""The account's costs in memory: the working twin of `AwsCosts`, that breaks on command. For tests."""

import shutil
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

from cloud.costs import DayTotal, ExportFile, UsageCost, kind_of
from cloud.fake_faults import Faults


@dataclass(frozen=True, slots=True)
class Record:
    """One line of the bill."""

    day: date
    machine: str
    usage_type: str
    usd: Decimal
    quantity: Decimal = Decimal(0)
    record_type: str = "Usage"


@dataclass(slots=True)
class FakeCosts:
    """Breaking it: `faults.break_before("usage" | "totals" | "export_files" | "fetch", …)`."""

    records: list[Record] = field(default_factory=list)
    files: dict[str, dict[str, Path]] = field(default_factory=dict)  # by period: key → file
    estimated: set[date] = field(default_factory=set)
    faults: Faults = field(default_factory=Faults)

    def bill(self, day: date, machine: str, usage_type: str, usd: str, quantity: str = "0") -> None:
        self.records.append(Record(day, machine, usage_type, Decimal(usd), Decimal(quantity)))

    def usage(self, first: date, last: date) -> list[UsageCost]:
        return self.faults.around("usage", (first, last), lambda: self._usage(first, last))

    def totals(self, first: date, last: date) -> list[DayTotal]:
        return self.faults.around("totals", (first, last), lambda: self._totals(first, last))

    def export_files(self, place: str, period: str) -> list[ExportFile]:
        def told() -> list[ExportFile]:
            at = datetime.now(UTC)
            return [ExportFile(key, path.stat().st_size, at) for key, path in self.files.get(period, {}).items()]

        return self.faults.around("export_files", (place, period), told)

    def fetch(self, place: str, key: str, path: Path) -> None:
        known = {name: source for files in self.files.values() for name, source in files.items()}
        self.faults.around("fetch", (place, key), lambda: shutil.copyfile(known[key], path))

    def _usage(self, first: date, last: date) -> list[UsageCost]:
        sums: dict[tuple[date, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
        for one in self._between(first, last):
            if one.record_type == "Usage":
                found = sums[one.day, one.machine, kind_of(one.usage_type)]
                found[0] += one.usd
                found[1] += one.quantity
        return [UsageCost(*key, usd, quantity) for key, (usd, quantity) in sorted(sums.items())]

    def _totals(self, first: date, last: date) -> list[DayTotal]:
        records = self._between(first, last)
        days = sorted({one.day for one in records})
        return [self._total(day, [one for one in records if one.day == day]) for day in days]

    def _total(self, day: date, records: list[Record]) -> DayTotal:
        sums: dict[str, Decimal] = defaultdict(Decimal)
        for one in records:
            sums[one.record_type] += one.usd
        usage, credit, refund = sums.pop("Usage", 0), sums.pop("Credit", 0), sums.pop("Refund", 0)
        other = sum(sums.values(), Decimal(0))
        return DayTotal(day, Decimal(usage), Decimal(credit), Decimal(refund), other, day in self.estimated)

    def _between(self, first: date, last: date) -> list[Record]:
        return [one for one in self.records if first <= one.day <= last]
