"""Reading AWS's own export: both forms, exact sums, memory that does not grow with the lines, files that are none."""

import gzip
import resource
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from spend.cur import NotAnExport, read_export
from tests.race import race
from tests.spend.bills import Line, write_csv, write_parquet

DAY = datetime(2026, 10, 5, tzinfo=UTC)
FIRST = date(2026, 10, 5)
Write = Callable[[Path, Iterable[Line]], Path]


@pytest.fixture(params=["bill.csv", "bill.csv.gz", "bill.snappy.parquet"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Iterable[Line]], Path]:
    kind = write_parquet if request.param.endswith("parquet") else write_csv
    return partial(kind, tmp_path / request.param)


def test_every_kind_of_line_is_summed_apart(write: Callable[[Iterable[Line]], Path]) -> None:
    found = read_export(
        [
            write(
                [
                    Line(DAY, "mone", "BoxUsage:g4dn.xlarge", "0.526"),
                    Line(DAY + timedelta(hours=1), "mone", "BoxUsage:g4dn.xlarge", "0.2630000000", "0.5"),
                    Line(DAY, "mone", "EBS:VolumeUsage.gp3", "0.0002191781", "0.0027397260"),
                    Line(DAY, "mone", "BoxUsage:g4dn.xlarge", "-0.526", "1", "Credit", "AWS Promotional Credit"),
                    Line(DAY, "mone", "BoxUsage:g4dn.xlarge", "-0.1", "0", "Refund", "EC2 outage"),
                    Line(DAY, "", "NatGateway-Hours", "0.045"),
                    Line(DAY, "", "", "0.07", "0", "Tax", "VAT, 20%"),
                    Line(DAY + timedelta(days=1), "mtwo", "USE2-SpotUsage:g5.xlarge", "0.4"),
                ]
            )
        ]
    )
    compute = found.by[FIRST, "mone", "compute"]
    assert (compute.usage_usd, compute.quantity) == (Decimal("0.789"), Decimal("1.5"))
    assert (compute.credit_usd, compute.refund_usd) == (Decimal("-0.526"), Decimal("-0.1"))
    assert found.by[FIRST, "mone", "disk"].usage_usd == Decimal("0.0002191781")
    assert found.by[FIRST, "", "other"].usage_usd == Decimal("0.045")
    assert found.by[FIRST, "", "other"].other_usd == Decimal("0.07")
    assert found.by[date(2026, 10, 6), "mtwo", "compute"].usage_usd == Decimal("0.4")
    assert found.days == (FIRST, date(2026, 10, 6))
    assert (found.lines, found.total.usage_usd) == (8, Decimal("1.2342191781"))


def test_three_thousand_small_amounts_add_up_exactly(write: Callable[[Iterable[Line]], Path]) -> None:
    lines = [Line(DAY, f"m{n % 7}", "BoxUsage:g4dn.xlarge", "0.0001461111") for n in range(3_000)]
    assert read_export([write(lines)]).total.usage_usd == Decimal("0.4383333")


def test_the_parts_of_one_export_are_one_statement(tmp_path: Path) -> None:
    parts = [write_csv(tmp_path / f"{n}.csv.gz", [Line(DAY, "mone", "BoxUsage:x", "1")]) for n in range(3)]
    assert read_export(parts).total.usage_usd == 3


def test_the_older_report_is_read_as_well(tmp_path: Path) -> None:
    path = tmp_path / "old.csv"
    path.write_text(
        "identity/LineItemId,lineItem/LineItemType,lineItem/UsageStartDate,lineItem/UsageType,lineItem/UsageAmount,"
        "lineItem/UnblendedCost,lineItem/CurrencyCode,resourceTags/user:Name\n"
        "a,Usage,2026-10-05T00:00:00Z,BoxUsage:g4dn.xlarge,1,0.526,USD,mone\n"
        "b,Usage,2026-10-05T00:00:00Z,BoxUsage:g4dn.xlarge,1,1E-7,USD,\n"
    )
    found = read_export([path])
    assert found.by[FIRST, "mone", "compute"].usage_usd == Decimal("0.526")
    assert found.by[FIRST, "", "compute"].usage_usd == Decimal("1E-7")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name,email\nAda,ada@demo.edu\n", "the column line_item_line_item_type is missing"),
        (b"", "the column line_item_line_item_type is missing"),
        (b"PK\x03\x04zip", "This is a ZIP file"),
        (b"PAR1 but no more", "cannot be read"),
        (gzip.compress(b"x" * 100_000, mtime=0)[:60], "damaged or cut short"),
        (b"\xff\xfe\x00binary\x00", "its first line cannot be read"),
    ],
)
def test_a_file_that_is_no_export_says_what_is_wrong(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "bill"
    path.write_bytes(content)
    with pytest.raises(NotAnExport, match=said):
        read_export([path])


def test_a_bill_in_another_currency_and_one_without_lines_are_refused(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "bill.csv", [Line(DAY, "mone", "BoxUsage:x", "1")])
    path.write_text(path.read_text().replace(",USD,", ",CNY,"))
    with pytest.raises(NotAnExport, match="billed in CNY"):
        read_export([path])
    with pytest.raises(NotAnExport, match="no line"):
        _days = read_export([write_csv(path, [])]).days


def peak_mb(path: Path) -> float:
    read_export([path])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.django_db(transaction=True)
def test_memory_does_not_grow_with_the_lines(tmp_path: Path) -> None:
    """Each file is read by a process of its own: six times the lines need hardly more memory."""
    lines = [Line(DAY + timedelta(hours=n % 700), f"m{n % 50}", "BoxUsage:x", "0.1") for n in range(10_000)]
    small = write_csv(tmp_path / "small.csv", lines)
    large, (header, *rows) = tmp_path / "large.csv", small.read_text().splitlines(keepends=True)
    large.write_text(header + "".join(rows * 6))
    assert large.stat().st_size > 25e6
    peaks = [race([partial(peak_mb, path)])[0].value for path in (small, large)]
    assert peaks[1] < peaks[0] + 40, peaks
