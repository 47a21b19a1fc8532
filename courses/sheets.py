"""Tables that people open in a spreadsheet: cells that it would run are made plain text. Knows no rows of ours."""

import csv
import io
from collections.abc import Iterable, Sequence

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# A spreadsheet runs what begins like this, and a roster's names come from outside.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(value: object) -> object:
    """Text that a spreadsheet would take for a formula, made plain text by an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def csv_text(lines: Iterable[Sequence[object]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows([harmless(cell) for cell in line] for line in lines)
    return text.getvalue()


def xlsx(title: str, lines: Iterable[Sequence[object]]) -> bytes:
    """One sheet. Numbers are numbers, everything else is text: no cell is a formula."""
    from openpyxl import Workbook  # here, because it would add to every web worker's start and memory
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

    book = Workbook(write_only=True)
    sheet = book.create_sheet(title)
    for line in lines:
        plain = [harmless(cell) for cell in line]
        sheet.append([ILLEGAL_CHARACTERS_RE.sub("", cell) if isinstance(cell, str) else cell for cell in plain])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()
