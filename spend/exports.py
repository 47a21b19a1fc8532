"""The course's spend as tables to take away: CSV, XLSX, Parquet. Nothing here is written back.

Column names are not translated: scripts read them. In CSV and XLSX no cell is a formula; Parquet keeps texts.
"""

import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet

from courses.models import Course
from courses.sheets import XLSX, csv_text, harmless, xlsx
from spend.models import Charge
from spend.reports import NOTHING, Accrued, Line, by_person

if TYPE_CHECKING:
    import pandas

TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": XLSX,
    "parquet": "application/vnd.apache.parquet",
}
XLSX_ROWS = 100_000  # a spreadsheet ends at a million, patience before
_CHUNK = 5_000

_PEOPLE: dict[str, Callable[[Line], Any]] = {
    "name": lambda line: line.enrollment.name,
    "email": lambda line: line.enrollment.email,
    "role": lambda line: line.enrollment.role,
    "status": lambda line: line.enrollment.status,
    "section": lambda line: line.enrollment.section,
    "team": lambda line: line.team,
    "spent_usd": lambda line: line.spent_usd,
    "machines_usd": lambda line: line.compute_usd,
    "disks_usd": lambda line: line.disk_usd,
    "addresses_usd": lambda line: line.address_usd,
    "held_usd": lambda line: line.held_usd,
    "left_usd": lambda line: line.left_usd,
    "share_percent": lambda line: round(line.share * 100, 2),
}
# Column: where it is read.
_CHARGE = {
    "hour_utc": "hour",
    "name": "enrollment__name",
    "email": "enrollment__email",
    "team": "team__name",
    "kind": "kind",
    "preset": "group",
    "resource": "key",
    "seconds": "seconds",
    "idle_seconds": "idle_seconds",
    "amount_usd": "amount_usd",
    "idle_usd": "idle_usd",
}


class TooManyRows(Exception):
    """More than a file of this kind should hold."""


def spend_frame(course: Course, *, accrued: Accrued = NOTHING) -> "pandas.DataFrame":
    """One row per person as in `reports.by_person`; amounts stay Decimal (USD), so that they add up."""
    return _frame(by_person(course, accrued=accrued), _PEOPLE)


def spend_csv(course: Course, *, accrued: Accrued = NOTHING) -> str:
    """The frame as CSV, safe to open in a spreadsheet."""
    return _csv(spend_frame(course, accrued=accrued))


def table_file(columns: Sequence[str], rows: Iterable[Sequence[Any]], ending: str) -> bytes:
    """A table of a page as a file; `ending` is a key of TYPES. Amounts come as Decimal (USD)."""
    import pandas  # here, because it would add a second and 60 MB to every web worker

    frame = pandas.DataFrame(list(rows), columns=list(columns), dtype=object)
    if ending == "parquet":
        return bytes(frame.convert_dtypes().to_parquet(index=False))
    return xlsx("spend", [columns, *frame.itertuples(index=False)]) if ending == "xlsx" else _csv(frame).encode()


def charges_csv(charges: QuerySet[Charge]) -> Iterator[str]:
    """Piece by piece: two million rows need no more memory than five thousand."""
    yield csv_text([list(_CHARGE)])
    for some in _chunks(charges):
        yield csv_text(some)


def charges_xlsx(charges: QuerySet[Charge]) -> bytes:
    """Raises TooManyRows."""
    if charges[: XLSX_ROWS + 1].count() > XLSX_ROWS:
        raise TooManyRows
    return xlsx("charges", chain([list(_CHARGE)], chain.from_iterable(_chunks(charges))))


def charges_parquet(charges: QuerySet[Charge]) -> bytes:
    """Written in groups of rows: what is held is the packed file."""
    import pyarrow
    import pyarrow.parquet

    kinds = {"usd": pyarrow.decimal128(14, 6), "seconds": pyarrow.int64()}
    schema = pyarrow.schema([(name, kinds.get(name.rpartition("_")[2], pyarrow.string())) for name in _CHARGE])
    content = io.BytesIO()
    with pyarrow.parquet.ParquetWriter(content, schema) as writer:
        for some in _chunks(charges):
            columns = zip(*some, strict=True)
            writer.write_table(pyarrow.table([list(column) for column in columns], schema=schema))
    return content.getvalue()


def _chunks(charges: QuerySet[Charge]) -> Iterator[list[list[Any]]]:
    """Rows in the order of _CHARGE. Plain values: a model's instance for each would take most of the time."""
    rows = charges.values_list(*_CHARGE.values()).iterator(chunk_size=_CHUNK)
    while some := [_plain(row) for row in islice(rows, _CHUNK)]:
        yield some


def _plain(row: tuple[Any, ...]) -> list[Any]:
    hour, name, email, team, *rest = row
    return [hour.astimezone(UTC).strftime("%Y-%m-%dT%H:00:00Z"), name, email, team or "", *rest]


def _frame(rows: Sequence[Any], columns: Mapping[str, Callable[[Any], Any]]) -> "pandas.DataFrame":
    import pandas  # here, as above

    return pandas.DataFrame({name: [read(one) for one in rows] for name, read in columns.items()}, dtype=object)


def _csv(frame: "pandas.DataFrame") -> str:
    return str(frame.map(harmless).to_csv(index=False, lineterminator="\r\n"))
