"""What staff see of failed codes: the queue with all that a decision needs, and one code's whole story. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Count, Exists, Max, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from courses.models import Course, Enrollment
from credits.diagnosis import causes_of
from credits.models import CodeBatch, CodeEvent, CreditCode, FailedReport, Purpose


@dataclass(frozen=True, slots=True)
class OpenReport:
    """One line of the queue."""

    report: FailedReport  # with code, batch, team, holder, enrollment
    cause: str  # its title
    reveals: int
    revealed_by_others: int  # looks by anybody but the one who reports
    first_revealed_at: datetime | None
    last_revealed_at: datetime | None
    reports_of_code: int
    reports_of_person: int
    replaced_before: int  # of this person
    sources: Sequence[CodeBatch]  # batches of the same value that have a free code: its own first, then the reserve


def open_reports(course: Course) -> list[OpenReport]:
    """The oldest first. A fixed number of queries, however long the queue and the history."""
    titles = {cause.key: cause.title for cause in causes_of(course)}
    stocked = _stocked(course)
    rows = _with_facts(FailedReport.objects.filter(course=course, status=FailedReport.Status.OPEN))
    return [_line(row, titles, stocked) for row in rows]


def waiting_reports(course: Course) -> int:
    """How many wait for a person."""
    return FailedReport.objects.filter(course=course, status=FailedReport.Status.OPEN).count()


def reports_of(enrollment: Enrollment) -> QuerySet[FailedReport]:
    """What this person has reported, newest first, with code and replacement: for their own page. One query."""
    return (
        FailedReport.objects.filter(enrollment=enrollment)
        .select_related("code__batch", "replacement__batch", "decided_by")
        .order_by("-at", "-pk")
    )


def story_of(code: CreditCode) -> QuerySet[CodeEvent]:
    """Everything that happened to the code, in order. One query."""
    return code.events.select_related("who")


def _with_facts(reports: QuerySet[FailedReport]) -> QuerySet[FailedReport]:
    looks = CodeEvent.objects.filter(code=OuterRef("code"), verb=CodeEvent.Verb.REVEALED)
    others = looks.exclude(who=OuterRef("enrollment__user"))
    of_code = FailedReport.objects.filter(code=OuterRef("code"))
    of_person = FailedReport.objects.filter(enrollment=OuterRef("enrollment"))
    return reports.select_related(
        "code__batch__course", "code__holder", "code__team", "enrollment__user", "enrollment__team"
    ).annotate(
        reveals=_count(looks, "code"),
        revealed_by_others=_count(others, "code"),
        first_look=Subquery(looks.order_by("at").values("at")[:1]),
        last_look=Subquery(looks.order_by("code").values("code").annotate(last=Max("at")).values("last")),
        of_code=_count(of_code, "code"),
        of_person=_count(of_person, "enrollment"),
        replaced_before=_count(of_person.filter(replacement__isnull=False), "enrollment"),
    )


def _count(rows: QuerySet[Any], by: str) -> Coalesce:
    """Counted for each outer row by itself: joins of several histories would multiply each other."""
    return Coalesce(Subquery(rows.order_by().values(by).annotate(n=Count("pk")).values("n")), 0)


def _stocked(course: Course) -> list[CodeBatch]:
    free = CreditCode.objects.filter(batch=OuterRef("pk"), status=CreditCode.Status.AVAILABLE)
    return list(CodeBatch.objects.filter(Exists(free), course=course).order_by("redeem_by", "pk"))


def _line(row: FailedReport, titles: dict[str, str], stocked: list[CodeBatch]) -> OpenReport:
    own = [batch for batch in stocked if batch.pk == row.code.batch_id]
    reserve = [
        batch
        for batch in stocked
        if batch.purpose == Purpose.RESERVE and batch.value_usd == row.code.batch.value_usd and batch not in own
    ]
    facts = vars(row)
    return OpenReport(
        report=row,
        cause=titles.get(row.cause, row.cause),
        reveals=facts["reveals"],
        revealed_by_others=facts["revealed_by_others"],
        first_revealed_at=facts["first_look"],
        last_revealed_at=facts["last_look"],
        reports_of_code=facts["of_code"],
        reports_of_person=facts["of_person"],
        replaced_before=facts["replaced_before"],
        sources=[*own, *reserve],
    )
