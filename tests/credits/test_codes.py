"""The text of a code: opaque, trimmed, and refused only when it cannot be one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from credits import codes
from credits.codes import NotACode, Problem


@pytest.mark.parametrize("around", ["", " ", "\t", "\n", "\r\n", "\u00a0", "\ufeff", "\u200b", " \ufeff "])
def test_what_a_paste_puts_around_a_code_is_dropped(around: str) -> None:
    assert codes.clean(around + "PC12ab-XYZ" + around) == "PC12ab-XYZ"


def test_case_and_length_are_the_providers_business() -> None:
    assert codes.clean("aBcdef") != codes.clean("ABcdef")
    assert codes.clean("x" * 6) == "x" * 6
    assert len(codes.clean("x" * 256)) == 256


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", Problem.EMPTY),
        (" \ufeff ", Problem.EMPTY),
        ("x", Problem.TOO_SHORT),
        ("PC-12", Problem.TOO_SHORT),
        (" =1 ", Problem.FORMULA),
        ("x" * 257, Problem.TOO_LONG),
        ("PC1 PC2", Problem.SPACE),
        ("PC1\u00a0PC2", Problem.SPACE),
        ("PC1\u200bPC2", Problem.INVISIBLE),
        ("PC1\x00PC2", Problem.INVISIBLE),
        ("PC1&PC2", Problem.FORBIDDEN),
        ("<script>", Problem.FORBIDDEN),
    ],
)
def test_what_cannot_be_a_code_is_refused_with_its_reason_and_without_its_text(text: str, problem: Problem) -> None:
    with pytest.raises(NotACode) as caught:
        codes.clean(text)
    assert caught.value.problem == problem
    assert not text.strip() or text.strip() not in str(caught.value)


@given(st.text(max_size=300))
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    try:
        once = codes.clean(text)
    except NotACode:
        return
    assert codes.clean(once) == once
    assert codes.last_four(once) != once


def test_the_last_four_never_give_a_short_code_away() -> None:
    assert codes.last_four("PC1ABCDEFG") == "DEFG"
    assert codes.last_four("ABCD") == "CD"
    assert codes.last_four("A") == ""


def test_letters_that_are_misread_are_pointed_at() -> None:
    found = codes.look_alikes("AO0x1")
    assert [(hint.position, hint.char, hint.mistaken_for) for hint in found] == [
        (2, "O", "0"),
        (3, "0", "O"),
        (5, "1", "Il"),
    ]
