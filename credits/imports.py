"""A batch's codes out of a table: which column holds them, what would become of each row, and then doing it.

The preview writes nothing; confirming writes all new codes or none. What is returned names rows, never a code.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from django.views.decorators.debug import sensitive_variables

from courses.models import User
from courses.tables import Table
from credits.codes import NotACode, clean, last_four
from credits.models import CodeBatch
from credits.stock import Added, add_codes, sort_lines

_EXAMPLES = 4  # rows that stand for a column
_HEADINGS = ("code", "coupon", "voucher", "promo", "credit", "兑换码", "código", "gutschein")


@dataclass(frozen=True, slots=True)
class Mapping:
    """What staff say (or leave as guessed) about the table."""

    column: int  # of the codes, from 0
    has_heading: bool  # the first row is no code


def guess(table: Table) -> Mapping:
    """The column whose heading says so; without one, the column with the most different texts that could be codes."""
    first = [cell.strip().lower() for cell in table.rows[0].cells]
    for column, heading in enumerate(first):
        if any(word == heading or f" {word}" in f" {heading}" for word in _HEADINGS):
            return Mapping(column, has_heading=True)
    best = max(range(table.width), key=lambda column: _likely(table, column))
    return Mapping(best, has_heading=not _could_be(table.rows[0].cells[best] if best < len(first) else ""))


def described(table: Table, column: int) -> str:
    """The column for a person who has to choose: its heading and a few ends of cells, never a whole code."""
    texts = [text.strip() for _number, text in islice(table.column(column), _EXAMPLES)]
    ends = ", ".join(f"…{last_four(text)}" for text in texts[1:] if last_four(text))
    # A heading is a word; what has a digit may be a code already.
    first = texts[0] if texts[0] and not any(c.isdigit() for c in texts[0]) else f"…{last_four(texts[0])}"
    return f"{first[:40]} · {ends}" if ends else first[:40]


def preview(table: Table, mapping: Mapping) -> Added:
    """Every row in exactly one list: new, known already, problem. Writes nothing."""
    return sort_lines(_texts(table, mapping))[0]


@sensitive_variables()
def confirm(batch: CodeBatch, table: Table, mapping: Mapping, *, who: User, now: datetime) -> Added:
    """All that is new now comes in; what became known since the preview is listed as known. Nothing half."""
    return add_codes(batch, _texts(table, mapping), who=who, now=now)


def _texts(table: Table, mapping: Mapping) -> Iterator[tuple[int, str]]:
    cells = table.column(mapping.column)
    if mapping.has_heading:
        next(cells, None)
    return cells


def _likely(table: Table, column: int) -> tuple[int, int]:
    texts = {text.strip() for _number, text in table.column(column) if _could_be(text)}
    # Codes have letters and digits; names, dates and amounts mostly have not.
    mixed = sum(any(c.isdigit() for c in text) and any(c.isalpha() for c in text) for text in texts)
    return mixed, len(texts)


def _could_be(text: str) -> bool:
    try:
        clean(text)
    except NotACode:
        return False
    return True
