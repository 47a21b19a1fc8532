"""The charges behind a figure as a page shows them: whose, what for, how long, how much, and what they add up to."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.shortcuts import get_object_or_404
from django.utils.functional import Promise

from courses.models import Course, Enrollment, Team
from spend import breakdown
from spend.breakdown import PURPOSE_WORDS, Cost
from spend.models import Charge
from spend.rows import Wanted, charges_of, own_charges, shown_usd


@dataclass(frozen=True, slots=True)
class Line:
    charge: Charge
    machine: str  # slug; empty: not of a machine
    usd: Decimal
    preset: str


@dataclass(frozen=True, slots=True)
class RowsPage:
    """`total_usd` is None where only all the charges could say it."""

    wanted: Wanted
    lines: Sequence[Line]
    after: str
    total_usd: Decimal | None
    words: Sequence[str | Promise]  # what was asked for


def rows_page(course: Course, wanted: Wanted, after: str) -> RowsPage:
    """Raises BadCursor, and Http404 for a person or team of another course."""
    words = _words(course, wanted)
    found = charges_of(course, wanted, after)
    presets = dict(course.presets.values_list("slug", "name"))
    return RowsPage(wanted, _lines(found.charges, wanted, presets), found.after, _total(course, wanted), words)


def own_rows_page(enrollment: Enrollment, wanted: Wanted, after: str) -> RowsPage:
    """The same of one person's own. Raises BadCursor."""
    found = own_charges(enrollment, wanted, after)
    presets = dict(enrollment.course.presets.values_list("slug", "name"))
    days = breakdown.own_days(enrollment, wanted.period)
    total = sum((_part(cost, wanted) for _day, cost in days), Decimal(0)) if wanted.preset is None else None
    words = [PURPOSE_WORDS[wanted.purpose]] if wanted.purpose else []
    return RowsPage(wanted, _lines(found.charges, wanted, presets), found.after, total, words)


def _lines(charges: Sequence[Charge], wanted: Wanted, presets: dict[str, str]) -> list[Line]:
    return [
        Line(one, _machine(one.key), shown_usd(one, wanted.purpose), presets.get(one.group, one.group))
        for one in charges
    ]


def _machine(key: str) -> str:
    kind, _slash, rest = key.partition("/")
    return rest.partition("/")[0] if kind == "machine" else ""


def _words(course: Course, wanted: Wanted) -> list[str | Promise]:
    words: list[str | Promise] = []
    if wanted.person is not None:
        words.append(get_object_or_404(course.enrollments, pk=wanted.person).name)
    if wanted.team:
        words.append(get_object_or_404(Team, course=course, pk=wanted.team).name)
    if wanted.preset:
        words.append(course.presets.filter(slug=wanted.preset).values_list("name", flat=True).first() or wanted.preset)
    if wanted.purpose:
        words.append(PURPOSE_WORDS[wanted.purpose])
    return words


def _total(course: Course, wanted: Wanted) -> Decimal | None:
    """From the sums, never from the charges."""
    if wanted.person is None and wanted.team is None:
        cells = breakdown.cells(course, wanted.period)
        asked = [cell for cell in cells if wanted.preset is None or cell.group == wanted.preset]
        return _part(breakdown.total(asked), wanted)
    if wanted.preset is not None:
        return None
    only = {"enrollment": wanted.person} if wanted.person is not None else {"team": wanted.team or None}
    costs = breakdown.by_person_and_team(course, wanted.period, only=only)
    return sum((_part(one.cost, wanted) for one in costs), Decimal(0))


def _part(cost: Cost, wanted: Wanted) -> Decimal:
    return cost.by.get(wanted.purpose, Decimal(0)) if wanted.purpose else cost.usd
