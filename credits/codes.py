"""The text of a code: trimming, what cannot be one, what is easily misread. Pure; knows no database and no AWS.

A code is opaque: no length or letters beyond these bounds are assumed, and case counts.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import StrEnum

LONGEST = 256  # the billing API's bound
# AWS states no least length, but a code is money for whoever types it: what can be guessed is a number, a tick or a
# half-copied cell. Every code seen had ten characters or more.
SHORTEST = 6
# The billing API's pattern leaves these out; a cell that holds one is a formula, a sentence or two cells.
FORBIDDEN = frozenset("<>\"&%|'")
# Come along with a paste and are not seen: byte order mark, zero-width characters, soft hyphen.
INVISIBLE = frozenset("\ufeff\u200b\u200c\u200d\u2060\u00ad\u200e\u200f")
# What a spreadsheet makes of a long number, for good: 1.23457E+15.
_SHORTENED = re.compile(r"\d([.,]\d+)?[eE]\+\d+")


class Problem(StrEnum):
    EMPTY = "empty"
    TOO_SHORT = "too short"
    TOO_LONG = "too long"
    SPACE = "space inside"
    INVISIBLE = "invisible character inside"
    FORBIDDEN = "forbidden character"
    FORMULA = "formula"
    SHORTENED = "shortened number"


class NotACode(ValueError):
    """The message names the problem and never the text."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.value)
        self.problem = problem


def clean(text: str) -> str:
    """The code without what a paste puts around it. Raises `NotACode`."""
    code = _trim(text)
    problem = _problem(code)
    if problem:
        raise NotACode(problem)
    return code


def last_four(code: str) -> str:
    """What lists show. Of a short code at most half, so that a list never shows a whole one."""
    return code[-min(4, len(code) // 2) :] if len(code) > 1 else ""


def _trim(text: str) -> str:
    start, end = 0, len(text)
    while start < end and _is_padding(text[start]):
        start += 1
    while end > start and _is_padding(text[end - 1]):
        end -= 1
    return text[start:end]


def _is_padding(char: str) -> bool:
    return char.isspace() or char in INVISIBLE


def _problem(code: str) -> Problem | None:
    found = (
        (Problem.EMPTY, not code),
        (Problem.FORMULA, code.startswith("=")),
        (Problem.SHORTENED, bool(_SHORTENED.fullmatch(code))),
        (Problem.TOO_SHORT, len(code) < SHORTEST),
        (Problem.TOO_LONG, len(code) > LONGEST),
        (Problem.SPACE, any(char.isspace() for char in code)),
        (Problem.INVISIBLE, any(char in INVISIBLE or unicodedata.category(char).startswith("C") for char in code)),
        (Problem.FORBIDDEN, bool(FORBIDDEN & set(code))),
    )
    return next((problem for problem, is_so in found if is_so), None)


@dataclass(frozen=True, slots=True)
class LookAlike:
    position: int  # counted from 1, as a person counts
    char: str
    mistaken_for: str


_MISTAKEN = {
    "0": "O",
    "O": "0",
    "1": "Il",
    "I": "1l",
    "l": "1I",
    "5": "S",
    "S": "5",
    "8": "B",
    "B": "8",
    "2": "Z",
    "Z": "2",
}


def look_alikes(code: str) -> list[LookAlike]:
    """Characters that a person typing the code off a screen gets wrong, in order."""
    return [
        LookAlike(position, char, _MISTAKEN[char]) for position, char in enumerate(code, start=1) if char in _MISTAKEN
    ]
