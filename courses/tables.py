"""A file or pasted text as rows of plain text: CSV in any usual encoding, or XLSX. Knows no database.

Either all rows are read or `NotATable` says why not: half a file must never look like a whole one.
"""

import codecs
import csv
import io
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import islice

MOST_BYTES = 20_000_000
MOST_UNPACKED_BYTES = 200_000_000  # of an XLSX: a small file can hold a very large one
MOST_ROWS = 100_000
_DELIMITERS = ("\t", ";", ",", "|")
_EXACT_DIGITS = 15  # more than these a spreadsheet does not keep


class Unreadable(StrEnum):
    EMPTY = "empty"
    TOO_BIG = "too big"
    NOT_TEXT = "not text"  # a photo, a PDF, a program
    OLD_EXCEL = "old excel"  # .xls: to be saved as .xlsx
    BROKEN_EXCEL = "broken excel"
    OPEN_QUOTE = "quotation mark"


class NotATable(ValueError):
    """`line` is where it happened, 0 when it is the whole file."""

    def __init__(self, reason: Unreadable, line: int = 0) -> None:
        super().__init__(f"{reason.value} (line {line})" if line else reason.value)
        self.reason = reason
        self.line = line


@dataclass(frozen=True, slots=True)
class Row:
    number: int  # as the file's own program counts lines or rows, from 1
    cells: tuple[str, ...] = field(repr=False)  # codes, perhaps: error pages and logs show what things look like


@dataclass(frozen=True, slots=True)
class Table:
    rows: tuple[Row, ...]  # without those that are empty altogether

    @property
    def width(self) -> int:
        return max((len(row.cells) for row in self.rows), default=0)

    def column(self, index: int) -> Iterator[tuple[int, str]]:
        """Number and text of each row's cell; empty where a row is shorter."""
        for row in self.rows:
            yield row.number, row.cells[index] if index < len(row.cells) else ""


def read(content: bytes) -> Table:
    """What the file is, is decided by its content; its name may say anything. Raises `NotATable`."""
    if len(content) > MOST_BYTES:
        raise NotATable(Unreadable.TOO_BIG)
    if content.startswith(b"PK\x03\x04"):
        return _table(_xlsx_rows(content))
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        raise NotATable(Unreadable.OLD_EXCEL)
    return read_text(_decoded(content))


def read_text(text: str) -> Table:
    """CSV, with whichever delimiter it has, or one cell per line. Raises `NotATable`."""
    if "\x00" in text:
        raise NotATable(Unreadable.NOT_TEXT)
    return _table(_csv_rows(text.removeprefix("\ufeff")))


def _table(rows: Iterator[Row]) -> Table:
    filled = tuple(islice((row for row in rows if any(cell.strip() for cell in row.cells)), MOST_ROWS + 1))
    if not filled:
        raise NotATable(Unreadable.EMPTY)
    if len(filled) > MOST_ROWS:
        raise NotATable(Unreadable.TOO_BIG)
    return Table(filled)


def _decoded(content: bytes) -> str:
    """UTF-8 or UTF-16 by its mark; else UTF-8 if it is that, else what Western Windows writes."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    elif b"\x00" in content:
        raise NotATable(Unreadable.NOT_TEXT)
    else:
        encodings = ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            return _looked_at(content.decode(encoding))
        except UnicodeDecodeError:
            continue
    raise NotATable(Unreadable.NOT_TEXT)


def _looked_at(text: str) -> str:
    """Almost any bytes are *some* Windows text: what is full of control characters is none."""
    control = sum(char < " " and char not in "\t\r\n" for char in text)
    if control > len(text) / 200:
        raise NotATable(Unreadable.NOT_TEXT)
    return text


def _csv_rows(text: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    first_line = 1
    try:
        for cells in reader:
            yield Row(first_line, tuple(cells))
            first_line = reader.line_num + 1
    except csv.Error as error:
        # An open quotation mark swallows all that follows into one cell: those rows would be lost without a word.
        raise NotATable(Unreadable.OPEN_QUOTE, first_line) from error


def _delimiter(text: str) -> str:
    """The one that most of the first lines have, as often each time."""
    lines = [line for line in islice(io.StringIO(text), 50) if line.strip()]

    def fits(delimiter: str) -> int:
        counts = [line.count(delimiter) for line in lines]
        usual = max(set(counts), key=counts.count, default=0)
        return counts.count(usual) if usual else 0

    best = max(_DELIMITERS, key=fits)
    return best if fits(best) else ","


def _xlsx_rows(content: bytes) -> Iterator[Row]:
    """The first sheet. Formulas come as their text (`=A1`), so that none is taken for a code."""
    from openpyxl import load_workbook  # here, because it would slow the start of every process
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            if sum(part.file_size for part in packed.infolist()) > MOST_UNPACKED_BYTES:
                raise NotATable(Unreadable.TOO_BIG)
        book = load_workbook(io.BytesIO(content), read_only=True, data_only=False)
        try:
            for number, cells in enumerate(book.worksheets[0].iter_rows(values_only=True), start=1):
                yield Row(number, tuple(_cell_text(value) for value in cells))
        finally:
            book.close()
    except NotATable:
        raise
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, IndexError, OSError, SyntaxError) as error:
        raise NotATable(Unreadable.BROKEN_EXCEL) from error


def _cell_text(value: object) -> str:
    """A number beyond what a spreadsheet keeps exactly is shown as one shows it (1.23457E+19): its digits are lost."""
    if value is None:
        return ""
    if isinstance(value, int | float) and not isinstance(value, bool):
        exact = float(value).is_integer() and abs(value) < 10**_EXACT_DIGITS
        return str(int(value)) if exact else f"{float(value):.5E}"
    return str(value)
