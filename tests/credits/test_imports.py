"""A file of codes comes in whole or not at all, whatever file it is; every row is in exactly one list."""

import io
import secrets
import time

import pytest
from openpyxl import Workbook

from courses.table_words import unreadable_words
from courses.tables import NotATable, Table, Unreadable, read, read_text
from credits import stock
from credits.codes import Problem
from credits.imports import Mapping, confirm, guess, preview
from credits.models import CodeBatch, CodeEvent, CreditCode
from credits.words import problem_words
from tests.conftest import Cast
from tests.credits.conftest import NOW, code_text, make_batch

CSV = "Name,Promo code,Value\nAda,PC1AAAA,100\nBen,PC1BBBB,100\n,,\nCy,PC1CCCC,100\n"


def _xlsx(rows: list[list[object]]) -> bytes:
    book, packed = Workbook(), io.BytesIO()
    for row in rows:
        book.active.append(row)
    book.save(packed)
    return packed.getvalue()


def _codes(table: Table) -> list[tuple[int, str]]:
    mapping = guess(table)
    rows = list(table.column(mapping.column))
    return rows[1:] if mapping.has_heading else rows


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_usual_encodings_and_delimiters_give_the_same_rows(encoding: str, delimiter: str) -> None:
    content = CSV.replace("Ada", "Zoé").replace(",", delimiter).encode(encoding)
    assert _codes(read(content)) == [(2, "PC1AAAA"), (3, "PC1BBBB"), (5, "PC1CCCC")]


def test_pasted_lines_are_a_table_of_one_column_with_its_first_line_a_code() -> None:
    table = read_text("PC1AAAA\r\n  PC1BBBB \n\nPC1CCCC")
    assert guess(table) == Mapping(0, has_heading=False)
    assert [number for number, _text in _codes(table)] == [1, 2, 4]


def test_quoted_cells_may_hold_delimiters_and_line_breaks_and_rows_keep_their_line() -> None:
    table = read_text('Note,Code\n"two\nlines, and a comma",PC1AAAA\nx,PC1BBBB\n')
    assert _codes(table) == [(2, "PC1AAAA"), (4, "PC1BBBB")]


def test_without_a_heading_the_column_that_looks_like_codes_is_guessed() -> None:
    assert guess(read_text("Ada,100,PC1AAAA\nBen,100,PC1BBBB\n")) == Mapping(2, has_heading=False)


def test_excel_numbers_formulas_and_dates_are_told_from_codes() -> None:
    rows = [["Code"], ["PC1AAAA"], [123456789012], [12345678901234567890], ["=A2"], ["PC1BBBB"], [None], ["PC1AAAA"]]
    table = read(_xlsx(rows))
    assert _codes(table) == [
        (2, "PC1AAAA"),
        (3, "123456789012"),
        (4, "1.23457E+19"),
        (5, "=A2"),
        (6, "PC1BBBB"),
        (8, "PC1AAAA"),
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", Unreadable.EMPTY),
        (b"\xef\xbb\xbf\r\n \r\n", Unreadable.EMPTY),
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 20, Unreadable.NOT_TEXT),
        (b"\xff\xd8\xff\xe0JFIF" + bytes(range(1, 256)) * 20, Unreadable.NOT_TEXT),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 100, Unreadable.OLD_EXCEL),
        (b"PK\x03\x04 this is no workbook", Unreadable.BROKEN_EXCEL),
        (b'code\n"PC1AAAA\nPC1BBBB\nPC1CCCC\n', Unreadable.OPEN_QUOTE),
        (b"x" * 20_000_001, Unreadable.TOO_BIG),
        (b"a\n" * 100_001, Unreadable.TOO_BIG),
    ],
)
def test_what_is_no_table_is_refused_whole_and_said_plainly(content: bytes, reason: Unreadable) -> None:
    with pytest.raises(NotATable) as caught:
        read(content)
    assert caught.value.reason == reason
    assert len(unreadable_words(caught.value)) > 15


def test_a_workbook_cut_in_half_is_refused() -> None:
    content = _xlsx([[code_text(n)] for n in range(100)])
    with pytest.raises(NotATable) as caught:
        read(content[: len(content) // 2])
    assert caught.value.reason == Unreadable.BROKEN_EXCEL


def test_the_preview_writes_nothing_and_puts_every_row_in_one_list(cast: Cast, batch: CodeBatch) -> None:
    lines = [code_text(0), "PC1NEW", "", "two codes", "PC1NEW", "=SUM(A1)", "1.23457E+15"]
    table = read_text("Code,Who\n" + "".join(f"{line},x\n" for line in lines))
    before = CreditCode.objects.count()
    seen = preview(table, guess(table))
    assert CreditCode.objects.count() == before
    assert [line.number for line in seen.new] == [3]
    assert [line.number for line in seen.known] == [2, 6]
    assert {line.number: line.problem for line in seen.problems} == {
        4: Problem.EMPTY,
        5: Problem.SPACE,
        7: Problem.FORMULA,
        8: Problem.SHORTENED,
    }
    assert all(problem_words(line.problem) for line in seen.problems if line.problem)
    done = confirm(batch, table, guess(table), who=cast.instructor.user, now=NOW)
    assert done == seen
    assert CreditCode.objects.count() == before + 1
    again = confirm(batch, table, guess(table), who=cast.instructor.user, now=NOW)
    assert (len(again.new), len(again.known)) == (0, 3)


def test_no_preview_holds_a_code(batch: CodeBatch) -> None:
    table = read_text("PC1SECRETCODE\n" + code_text(1) + "\nPC1 BROKENCODE\n")
    shown = repr(preview(table, Mapping(0, has_heading=False)))
    for secret in ("PC1SECRETCODE", code_text(1), "BROKENCODE"):
        assert secret not in shown


def test_an_import_that_dies_in_the_middle_leaves_nothing(
    cast: Cast, batch: CodeBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(*_rows: object, **_options: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(stock.CodeEvent.objects, "bulk_create", dies)  # the codes are written by then
    before = (CreditCode.objects.count(), CodeEvent.objects.count())
    table = read_text("\n".join(f"PC1NEW{n:04d}" for n in range(1000)))
    with pytest.raises(RuntimeError):
        confirm(batch, table, guess(table), who=cast.instructor.user, now=NOW)
    assert (CreditCode.objects.count(), CodeEvent.objects.count()) == before


@pytest.mark.slow
def test_fifty_thousand_rows_come_in_while_a_person_waits(cast: Cast) -> None:
    batch = make_batch(cast.course, codes=0)
    text = "code,value\n" + "".join(f"PC{secrets.token_hex(8)},100\n" for _n in range(50_000))
    began = time.monotonic()
    table = read(text.encode())
    assert len(confirm(batch, table, guess(table), who=cast.instructor.user, now=NOW).new) == 50_000
    assert time.monotonic() - began < 60  # alone: about 8 s
    assert batch.codes.count() == 50_000
