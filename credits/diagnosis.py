"""What may be wrong with a code in this course: shipped causes under the staff's own words, the most frequent first."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from django.db.models import Count, Max, Q
from django.utils.translation import gettext as _

from courses.models import Course, User
from credits.known_causes import KNOWN
from credits.models import FailedReport, RedemptionCause
from credits.signals import Cause, recognised

LOUD = 10  # reports of one cause that the instructor should know about


def causes_of(course: Course) -> list[Cause]:
    """All that may be chosen, the most reported in this course first. Two queries."""
    seen = _seen(course)
    found = {cause.key: _translated(cause) for cause in KNOWN}
    for row in _rows(course):
        found[row.key] = _from_row(row)
        if not row.enabled:
            del found[row.key]
    counted = [replace(cause, seen=seen.get(cause.key, 0)) for cause in found.values()]
    # "Something else" stays last, however often it is chosen: it helps nobody.
    return sorted(counted, key=lambda cause: (cause.key == "other", -cause.seen))


def cause_of(course: Course, key: str) -> Cause | None:
    return next((cause for cause in causes_of(course) if cause.key == key), None)


def diagnose(course: Course, text: str) -> list[Cause]:
    """The causes that the pasted message speaks of, the surest first; empty when it says nothing that we know."""
    return recognised(text, causes_of(course))


@dataclass(frozen=True, slots=True)
class LoudCause:
    cause: Cause
    people: int
    last_at: datetime


def loud_causes(course: Course, *, least: int = LOUD) -> list[LoudCause]:
    """Causes reported so often that something should be said to everybody, the most frequent first."""
    titles = {cause.key: cause for cause in causes_of(course)}
    rows = (
        FailedReport.objects.filter(course=course)
        .order_by()
        .values("cause")
        .annotate(reports=Count("pk"), people=Count("enrollment", distinct=True), last_at=Max("at"))
        .filter(reports__gte=least)
        .order_by("-reports")
    )
    return [LoudCause(titles[row["cause"]], row["people"], row["last_at"]) for row in rows if row["cause"] in titles]


def change_cause(
    course: Course | None, cause: Cause, *, enabled: bool = True, who: User | None, now: datetime
) -> RedemptionCause:
    """The staff's own words (and outcome) for a cause, of one course or of the whole installation; or a new cause."""
    if cause.outcome not in RedemptionCause.Outcome.values:
        raise ValueError(f"no outcome: {cause.outcome}")
    row, _created = RedemptionCause.objects.update_or_create(
        course=course,
        key=cause.key,
        defaults={
            "title": cause.title,
            "signals": "\n".join(signal.strip() for signal in cause.signals if signal.strip()),
            "answer": cause.answer,
            "next_step": cause.next_step,
            "outcome": cause.outcome,
            "enabled": enabled,
            "changed_by": who,
            "changed_at": now,
        },
    )
    return row


def shipped_again(course: Course | None, key: str) -> bool:
    """Forget what staff said about a cause; False when they said nothing."""
    return bool(RedemptionCause.objects.filter(course=course, key=key).delete()[0])


def _seen(course: Course) -> dict[str, int]:
    return dict(FailedReport.objects.filter(course=course).order_by().values_list("cause").annotate(Count("pk")))


def _rows(course: Course) -> Iterable[RedemptionCause]:
    """Those of the installation first, so that the course's own stand above them."""
    rows = RedemptionCause.objects.filter(Q(course=course) | Q(course=None))
    return sorted(rows, key=lambda row: (row.course_id is not None, row.pk))


def _translated(cause: Cause) -> Cause:
    return replace(cause, title=_(cause.title), answer=_(cause.answer), next_step=_(cause.next_step))


def _from_row(row: RedemptionCause) -> Cause:
    signals = tuple(line.strip() for line in row.signals.splitlines() if line.strip())
    return Cause(row.key, row.title, signals, row.answer, row.next_step, row.outcome)
