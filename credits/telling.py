"""Letters about reports, requests, prizes and dates: subject and body. No letter ever holds a code."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from django.conf import settings
from django.utils import translation
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from courses.models import Course
from credits.models import ContestPlace, CreditCode, FailedReport, RequestDecision

Letter = tuple[str, str]


@contextmanager
def in_portal_language() -> Iterator[None]:
    """Whoever decides may read another language than those who get the mail."""
    with translation.override(settings.LANGUAGE_CODE):
        yield


def _page(course: Course) -> str:
    return f"{settings.PORTAL_URL}/c/{course.slug}/"


def _with_page(subject: str, parts: list[str], course: Course) -> Letter:
    return subject, "\n\n".join([*(part for part in parts if part), _page(course)]) + "\n"


def replaced_letter(report: FailedReport) -> Letter:
    words = {"last4": report.code.last4, "batch": report.code.batch.name}
    return _with_page(
        _("Another AWS code for you: %(batch)s") % words,
        [_("Your code …%(last4)s was replaced. The new one is on your page.") % words, report.why],
        report.course,
    )


def answer_letter(report: FailedReport) -> Letter:
    words = {"last4": report.code.last4}
    return _with_page(
        _("About your AWS code …%(last4)s") % words,
        [_("You told us that AWS did not take your code …%(last4)s.") % words, report.why],
        report.course,
    )


def request_letter(decision: RequestDecision) -> Letter:
    request = decision.request
    words = {"amount": f"{decision.amount_usd:,.2f}", "asked": f"{request.amount_usd:,.2f}"}
    if decision.verb != RequestDecision.Verb.APPROVED:
        subject, said = _("Your request was not granted"), _("You asked for $%(asked)s. The answer is no.") % words
    else:
        subject = _("Your request was granted: $%(amount)s") % words
        as_code = _("You asked for $%(asked)s and have a code of $%(amount)s now. It is on your page.")
        as_budget = _("You asked for $%(asked)s. The budget was raised by $%(amount)s.")
        said = (as_code if decision.serve == RequestDecision.Serve.CODE else as_budget) % words
    return _with_page(subject, [said, decision.why], request.course)


def prize_letter(place: ContestPlace, code: CreditCode) -> Letter:
    words = {
        "contest": place.contest.name,
        "rank": place.rank,
        "value": f"{code.batch.value_usd:,.2f}",
    }
    return _with_page(
        _("You have won: %(contest)s") % words,
        [_("Place %(rank)d in “%(contest)s” wins $%(value)s of AWS credit. The code is on your page.") % words],
        place.contest.course,
    )


def redeem_soon_letter(code: CreditCode, day: date) -> Letter:
    words = {"last4": code.last4, "batch": code.batch.name, "day": date_format(day, "DATE_FORMAT")}
    return _with_page(
        _("Redeem your AWS code by %(day)s") % words,
        [
            _("AWS takes your code …%(last4)s (%(batch)s) until %(day)s and not later.") % words,
            _("If you have redeemed it already, tell us on your page, and this reminder stops."),
        ],
        code.batch.course,
    )


def unclaimed_letter(course: Course, lines: list[str]) -> Letter:
    return _with_page(
        _("Credit is about to be lost in %(course)s") % {"course": course.name},
        [_("These codes have not been given out, and AWS takes them only until the day named:"), "\n".join(lines)],
        course,
    )
