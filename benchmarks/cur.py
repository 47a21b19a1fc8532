"""`make bench-cur`: how much memory and time a data export of LINES lines takes, read by us and whole by pandas.

Each reader is a process of its own; the small file is a twentieth. pandas reads PANDAS_LINES, by default a tenth:
all of them would not fit into a small server. The last line is one JSON object: `lines`, `peak_mb` (CSV.gz),
`peak_mb_small`, `peak_mb_parquet`, `seconds`, `seconds_parquet`, `pandas_lines`, `pandas_peak_mb`.
"""

import gzip
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet

from tests.spend.bills import Line, write_csv, write_parquet

LINES = int(os.environ.get("LINES", 5_000_000))
PANDAS_LINES = int(os.environ.get("PANDAS_LINES", LINES // 10))
BLOCK = 50_000  # different lines; the file repeats them
READ = """
import os, resource, sys, time
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
os.environ.setdefault("LAMPLIGHTER_DEMO", "1")
import django
django.setup()
from pathlib import Path
began = time.monotonic()
{read}
print(lines, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.monotonic() - began)
"""
OURS = "from spend.cur import read_export; lines = read_export([Path(sys.argv[1])]).lines"
PANDAS = "import pandas; lines = len(pandas.read_csv(sys.argv[1]))"


def lines_of_a_block() -> list[Line]:
    began = datetime(2026, 10, 1, tzinfo=UTC)
    kinds = ("BoxUsage:g4dn.xlarge", "EBS:VolumeUsage.gp3", "PublicIPv4:InUseAddress", "DataTransfer-Out-Bytes")
    return [
        Line(began + timedelta(hours=n % 740), f"m{n % 300:03}", kinds[n % 4], f"{n % 7919 / 10_000_000:.10f}")
        for n in range(BLOCK)
    ]


def csv_gz(folder: Path, lines: int) -> Path:
    """Gzip files may be put one behind the other: the block is packed once."""
    header, _newline, rows = write_csv(folder / "block.csv", lines_of_a_block()).read_bytes().partition(b"\n")
    packed, path = gzip.compress(rows, 1), folder / f"{lines}.csv.gz"
    with path.open("wb") as file:
        file.write(gzip.compress(header + b"\n"))
        for _n in range(max(1, lines // BLOCK)):
            file.write(packed)
    return path


def parquet(folder: Path, lines: int) -> Path:
    table = pyarrow.parquet.read_table(write_parquet(folder / "block.parquet", lines_of_a_block()))
    path = folder / f"{lines}.parquet"
    with pyarrow.parquet.ParquetWriter(path, table.schema) as writer:
        for _n in range(max(1, lines // BLOCK)):
            writer.write_table(table)
    return path


def read(how: str, path: Path) -> tuple[int, float, float]:
    """Lines, peak resident memory in MB, seconds; of a fresh process."""
    command = [sys.executable, "-c", READ.format(read=how), str(path)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return int(found[0]), float(found[1]), float(found[2])


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="lamplighter-bench-cur-") as name:
        folder = Path(name)
        found = {
            "CSV.gz, a twentieth": read(OURS, csv_gz(folder, LINES // 20)),
            "CSV.gz": read(OURS, csv_gz(folder, LINES)),
            "Parquet": read(OURS, parquet(folder, LINES)),
            "CSV.gz, whole by pandas": read(PANDAS, csv_gz(folder, PANDAS_LINES)),
        }
    print("| what | lines | peak MB | seconds |\n|---|---|---|---|")
    for what, (lines, peak_mb, seconds) in found.items():
        print(f"| {what} | {lines:,} | {peak_mb:.0f} | {seconds:.1f} |")
    small, large, columnar, whole = found.values()
    print(
        json.dumps(
            {
                "lines": large[0],
                "peak_mb": round(large[1]),
                "peak_mb_small": round(small[1]),
                "peak_mb_parquet": round(columnar[1]),
                "seconds": round(large[2], 1),
                "seconds_parquet": round(columnar[2], 1),
                "pandas_lines": whole[0],
                "pandas_peak_mb": round(whole[1]),
            }
        )
    )


if __name__ == "__main__":
    main()
