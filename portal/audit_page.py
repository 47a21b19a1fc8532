"""What the audit's page and its files show: entries by filter, in pieces. Reads only."""

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from django import forms
from django.db.models import Q, QuerySet
from django.http import QueryDict
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from courses.audit import Kind
from courses.doors import number_in
from courses.models import AuditEntry, Course
from courses.sheets import harmless
from portal.audit_words import words

PAGE = 100
FILE_MOST = 100_000  # entries in one file; the period narrows it
BY_PEOPLE = "people"
COLUMNS = (
    "number", "at", "kind", "what", "who", "about", "course", "why", "from", "facts", "recorded_at", "digest",
)  # fmt: skip


class Filters(forms.Form):
    """All optional; what cannot be read is said next to its field and filters nothing."""

    kind = forms.ChoiceField(
        label=_("What"),
        required=False,
        choices=[("", _("Everything")), (BY_PEOPLE, _("What people did")), *Kind.choices],
    )
    person = forms.CharField(
        label=_("Person"), required=False, max_length=100, help_text=_("Who did it, or whose it is: part of the name.")
    )
    first = forms.DateField(label=_("From"), required=False, widget=forms.DateInput({"type": "date"}))
    last = forms.DateField(label=_("Until"), required=False, widget=forms.DateInput({"type": "date"}))

    def clean(self) -> dict[str, object]:
        said = self.cleaned_data
        if said.get("first") and said.get("last") and said["first"] > said["last"]:
            self.add_error("last", _("This day is before the first one."))
        return said


@dataclass(frozen=True, slots=True)
class Line:
    entry: AuditEntry
    said: str
    who: str
    facts: str


@dataclass(frozen=True, slots=True)
class Shown:
    """One piece of the list, newest first."""

    form: Filters
    lines: list[Line]
    older: int | None  # the number to go on before
    newest: bool  # nothing newer than these


def shown(course: Course | None, query: QueryDict) -> Shown:
    """`course` None: of the whole installation. Two queries, however long the history."""
    form = Filters(query)
    form.is_valid()
    before = number_in(query.get("before", ""))
    found = entries(course, form)
    if before is not None:
        found = found.filter(number__lt=before)
    piece = list(found[: PAGE + 1])
    older = piece[PAGE - 1].number if len(piece) > PAGE else None
    return Shown(form, [_line(entry) for entry in piece[:PAGE]], older, newest=before is None)


def _line(entry: AuditEntry) -> Line:
    return Line(entry, words(entry.what), who_of(entry), facts_of(entry))


def entries(course: Course | None, form: Filters) -> QuerySet[AuditEntry]:
    said = form.cleaned_data
    found = AuditEntry.objects.select_related("who", "about", "course").order_by("-number")
    if course is not None:
        found = found.filter(course=course)
    if said.get("kind") == BY_PEOPLE:
        found = found.exclude(who=None, subject="")
    elif said.get("kind"):
        found = found.filter(kind=said["kind"])
    if said.get("person"):
        text = said["person"].strip()
        found = found.filter(
            Q(who__full_name__icontains=text)
            | Q(who__email__icontains=text)
            | Q(about__name__icontains=text)
            | Q(about__email__icontains=text)
            | Q(subject__icontains=text)
        )
    if said.get("first"):
        found = found.filter(at__gte=_midnight(said["first"]))
    if said.get("last"):
        found = found.filter(at__lt=_midnight(said["last"] + timedelta(days=1)))
    return found


def _midnight(day: date) -> datetime:
    """Where the day begins for whoever looks: the page's times are in the same zone."""
    return datetime.combine(day, time(), timezone.get_current_timezone())


def lines(found: QuerySet[AuditEntry]) -> Iterator[list[object]]:
    """For a file: the column names, then one line each. Read in pieces."""
    yield list(COLUMNS)
    for entry in found[:FILE_MOST].iterator(2000):
        yield _cells(entry)


def _cells(entry: AuditEntry) -> list[object]:
    return [
        entry.number,
        entry.at.astimezone(UTC).isoformat(timespec="seconds"),
        entry.kind,
        entry.what,
        who_of(entry),
        entry.about.name if entry.about else "",
        entry.course.slug if entry.course else "",
        entry.why,
        entry.address or "",
        facts_of(entry),
        entry.recorded_at.astimezone(UTC).isoformat(timespec="seconds"),
        entry.digest,
    ]


def who_of(entry: AuditEntry) -> str:
    return str(entry.who) if entry.who else entry.subject


def facts_of(entry: AuditEntry) -> str:
    """`usd=5.00 key=machine/x/disk`: what has a value, in a fixed order."""
    return " ".join(f"{name}={value}" for name, value in sorted(entry.facts.items()) if value not in ("", None, {}))


def csv_lines(found: QuerySet[AuditEntry]) -> Iterator[str]:
    for line in lines(found):
        text = io.StringIO()
        csv.writer(text, lineterminator="\r\n").writerow([harmless(cell) for cell in line])
        yield text.getvalue()
