"""Reads a data export of AWS (CUR 2.0, and its older form) as CSV, CSV.gz or Parquet, in bounded memory.

Only sums by day, machine, kind and line type are kept, however many lines there are. Writes nothing.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.utils.translation import gettext as _

from cloud.costs import MACHINE_TAG, kind_of

if TYPE_CHECKING:
    import pyarrow

# Our word → what the column is called: CUR 2.0 first, then the older report's CSV and Parquet.
COLUMNS: dict[str, Sequence[str]] = {
    "type": ("line_item_line_item_type", "lineItem/LineItemType"),
    "start": ("line_item_usage_start_date", "lineItem/UsageStartDate"),
    "usage_type": ("line_item_usage_type", "lineItem/UsageType"),
    "quantity": ("line_item_usage_amount", "lineItem/UsageAmount"),
    "usd": ("line_item_unblended_cost", "lineItem/UnblendedCost"),
    "currency": ("line_item_currency_code", "lineItem/CurrencyCode"),
    "tags": ("resource_tags", f"resourceTags/user:{MACHINE_TAG}", f"resource_tags_user_{MACHINE_TAG.lower()}"),
}
_OPTIONAL = ("currency", "quantity")
USAGE_TYPES = ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")  # before credits
_TAG_KEYS = (f"user_{MACHINE_TAG.lower()}", f"user_{MACHINE_TAG}", f"user:{MACHINE_TAG}", MACHINE_TAG)
MACHINE_LETTERS = 40  # of a tag, in our rows; AWS takes 256
_BLOCK = 1024 * 1024  # bytes of CSV at once; the reader holds some 32 of them
_ROWS = 65_536  # of Parquet at once


class NotAnExport(Exception):
    """The file is no cost and usage export. `str()` says what is missing, for the person who sent it."""


@dataclass(slots=True)
class Sums:
    """USD; `quantity` is of usage alone."""

    usage_usd: Decimal = Decimal(0)
    quantity: Decimal = Decimal(0)
    credit_usd: Decimal = Decimal(0)
    refund_usd: Decimal = Decimal(0)
    other_usd: Decimal = Decimal(0)

    def add(self, line_type: str, usd: Decimal, quantity: Decimal) -> None:
        if line_type in USAGE_TYPES:
            self.usage_usd += usd
            self.quantity += quantity
        elif line_type == "Credit":
            self.credit_usd += usd
        elif line_type == "Refund":
            self.refund_usd += usd
        else:
            self.other_usd += usd


@dataclass(slots=True)
class Statement:
    """What the files together say. `by` is by (UTC day, machine's tag, cut, or "", kind)."""

    lines: int = 0
    by: dict[tuple[date, str, str], Sums] = field(default_factory=lambda: defaultdict(Sums))

    @property
    def total(self) -> Sums:
        whole = Sums()
        for one in self.by.values():
            for name in Sums.__dataclass_fields__:
                setattr(whole, name, getattr(whole, name) + getattr(one, name))
        return whole

    @property
    def days(self) -> tuple[date, date]:
        """First and last. Raises NotAnExport when there is no line."""
        if not self.by:
            raise NotAnExport(_("There is no line in this file."))
        return min(day for day, _machine, _kind in self.by), max(day for day, _machine, _kind in self.by)


def cut_tag(tag: str | None) -> str:
    """The tag as far as a row holds it. Cut before anything is summed: of two long names that begin alike (they are in
    the account, whosever they are) each would else be a row, and the second is refused with all others.

    No cut one can be a machine of ours: a slug is shorter.
    """
    return (tag or "")[:MACHINE_LETTERS]


def read_export(paths: Sequence[Path]) -> Statement:
    """All parts of one export. Raises NotAnExport."""
    import pyarrow  # here, because it would add 60 MB to every web worker

    found = Statement()
    for path in paths:
        try:
            for batch in _batches(path):
                _add(found, batch)
        except pyarrow.ArrowException as error:
            said = str(error).splitlines()[0][:160]
            raise NotAnExport(_("%(file)s cannot be read: %(said)s") % {"file": path.name, "said": said}) from error
        except (OSError, EOFError) as error:  # a file cut short
            raise NotAnExport(_("%(file)s is damaged or cut short.") % {"file": path.name}) from error
    return found


def _batches(path: Path) -> Iterator["pyarrow.RecordBatch"]:
    with path.open("rb") as file:
        magic = file.read(4)
    if magic == b"PAR1":
        yield from _parquet(path)
    elif magic[:2] == b"PK":
        raise NotAnExport(_("This is a ZIP file: unpack it first, and send the CSV, CSV.gz or Parquet file in it."))
    else:
        yield from _csv(path, "gzip" if magic[:2] == b"\x1f\x8b" else None)


def _parquet(path: Path) -> Iterator["pyarrow.RecordBatch"]:
    import pyarrow.parquet

    with pyarrow.parquet.ParquetFile(path, pre_buffer=False) as file:
        names = _names(file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=_ROWS, columns=list(names.values()), use_threads=False):
            yield batch.select(list(names.values())).rename_columns(list(names))


def _csv(path: Path, compression: str | None) -> Iterator["pyarrow.RecordBatch"]:
    import pyarrow
    import pyarrow.csv

    with pyarrow.input_stream(str(path), compression=compression) as stream:
        header = _header(path, compression)
        names = _names(header)
        convert = pyarrow.csv.ConvertOptions(
            include_columns=list(names.values()),
            column_types={name: pyarrow.string() for name in names.values()},
            strings_can_be_null=False,
        )
        read = pyarrow.csv.ReadOptions(block_size=_BLOCK, use_threads=False)
        parse = pyarrow.csv.ParseOptions(newlines_in_values=False)
        with pyarrow.csv.open_csv(stream, read_options=read, parse_options=parse, convert_options=convert) as reader:
            for batch in reader:
                yield batch.rename_columns(list(names))


def _header(path: Path, compression: str | None) -> list[str]:
    import csv
    import gzip

    opener = gzip.open if compression else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:  # type: ignore[operator]
        try:
            return next(csv.reader(file), [])
        except (UnicodeDecodeError, csv.Error) as error:
            raise NotAnExport(_("This is not a cost and usage export: its first line cannot be read.")) from error


def _names(columns: Sequence[str]) -> dict[str, str]:
    """Our word → the file's name for it. Raises NotAnExport."""
    found = {}
    for word, known in COLUMNS.items():
        name = next((name for name in known if name in columns), None)
        if name is None and word not in _OPTIONAL:
            raise NotAnExport(
                _("This is not a cost and usage export: the column %(column)s is missing.") % {"column": known[0]}
            )
        if name is not None:
            found[word] = name
    return found


# ------------------------------------------------------------------ sums of one batch
def _add(found: Statement, batch: "pyarrow.RecordBatch") -> None:
    import pyarrow
    from pyarrow import compute

    columns = {name: batch.column(name) for name in batch.schema.names}
    if "currency" in columns:
        _must_be_usd(compute.unique(columns["currency"]).to_pylist())
    empty = pyarrow.array(["0"] * batch.num_rows)
    table = pyarrow.table(
        {
            "day": compute.utf8_slice_codeunits(columns["start"].cast(pyarrow.string()), 0, 10),
            "type": columns["type"].cast(pyarrow.string()),
            "usage_type": columns["usage_type"].cast(pyarrow.string()),
            "machine": _machines(columns["tags"]),
            "usd": _exact(columns["usd"]),
            "quantity": _exact(columns.get("quantity", empty)),
        }
    )
    keys = ["day", "type", "usage_type", "machine"]
    summed = table.group_by(keys, use_threads=False).aggregate([("usd", "sum"), ("quantity", "sum")])
    for row in summed.to_pylist():
        key = (_day(row["day"]), cut_tag(row["machine"]), kind_of(row["usage_type"] or ""))
        found.by[key].add(row["type"], row["usd_sum"] or Decimal(0), row["quantity_sum"] or Decimal(0))
    found.lines += batch.num_rows


def _exact(column: Any) -> Any:
    """As decimals with 12 places: AWS writes up to ten, and sums of binary fractions do not add up."""
    import pyarrow
    from pyarrow import compute

    if pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type):
        column = compute.if_else(compute.equal(compute.utf8_trim_whitespace(column), ""), "0", column)
        # Through a type that holds all places: a direct cast refuses to lose any.
        column = column.cast(pyarrow.decimal256(60, 30))
    elif pyarrow.types.is_floating(column.type):
        column = compute.round(column, 12)
    return column.cast(pyarrow.decimal128(38, 12), safe=False)


def _machines(tags: Any) -> Any:
    """The machine's tag of each line; empty or null without one."""
    import pyarrow
    from pyarrow import compute

    if pyarrow.types.is_map(tags.type):
        values = [compute.map_lookup(tags, pyarrow.scalar(key), "first") for key in _TAG_KEYS]
        return compute.coalesce(*values)
    coded = tags.cast(pyarrow.string()).dictionary_encode()
    names = pyarrow.array([_machine_in(text or "") for text in coded.dictionary.to_pylist()], pyarrow.string())
    return names.take(coded.indices)


@lru_cache(maxsize=50_000)
def _machine_in(text: str) -> str:
    """CUR 2.0 in CSV has all tags as one JSON object; the older report has the tag's value itself."""
    if not text.startswith("{"):
        return text
    try:
        tags = json.loads(text)
    except ValueError:
        return ""
    return str(next((tags[key] for key in _TAG_KEYS if tags.get(key)), ""))


def _must_be_usd(currencies: Sequence[str | None]) -> None:
    other = sorted({one for one in currencies if one and one != "USD"})
    if other:
        raise NotAnExport(_("This account is billed in %(currency)s, not in USD.") % {"currency": ", ".join(other)})


def _day(text: str | None) -> date:
    try:
        return date.fromisoformat(text or "")
    except ValueError as error:
        raise NotAnExport(_("“%(text)s” is no day of use.") % {"text": text}) from error
