"""Template words of the codes' pages: states as badges, problems of lines, long lists cut. Decides nothing."""

from collections.abc import Sequence
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from credits import words
from credits.codes import Problem
from credits.models import CreditCode

register = template.Library()

MOST_LINES = 100  # of a list of lines; who has more looks at their file
_STYLES = {
    CreditCode.Status.AVAILABLE: "",
    CreditCode.Status.CLAIMED: "",
    CreditCode.Status.REDEEMED: "good",
    CreditCode.Status.QUARANTINED: "failed",
    CreditCode.Status.REVOKED: "failed",
    CreditCode.Status.COURSE: "good",
}


@register.filter
def problem_word(problem: str) -> str:
    return words.problem_words(Problem(problem))


@register.filter
def first_lines(lines: Sequence[Any]) -> Sequence[Any]:
    return lines[:MOST_LINES]


@register.filter
def beyond(lines: Sequence[Any]) -> int:
    """How many `first_lines` leaves out."""
    return max(0, len(lines) - MOST_LINES)


@register.filter
def code_badge(code: CreditCode) -> SafeString:
    style = _STYLES[CreditCode.Status(code.status)]
    label = code.get_status_display()
    return format_html('<span class="badge {}"><span class="dot" aria-hidden="true"></span>{}</span>', style, label)
