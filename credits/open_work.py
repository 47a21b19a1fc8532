"""How much waits for staff, for the row of links that every staff page of codes has. One query."""

from dataclasses import dataclass

from django.db.models import Count, QuerySet, Subquery
from django.db.models.functions import Coalesce

from courses.models import Course
from credits.models import CodeWait, CreditRequest, FailedReport


@dataclass(frozen=True, slots=True)
class Work:
    requests: int
    reports: int
    waiting: int  # people and teams in the queues for stock


def open_work(course: Course) -> Work:
    asked = CreditRequest.objects.filter(course=course, status=CreditRequest.Status.ASKED)
    reports = FailedReport.objects.filter(course=course, status=FailedReport.Status.OPEN)
    waits = CodeWait.objects.filter(batch__course=course, closed_at=None)
    row = Course.objects.filter(pk=course.pk).values_list(
        _number(asked, "course"), _number(reports, "course"), _number(waits, "batch__course")
    )
    return Work(*row.get())


def _number(rows: "QuerySet[CreditRequest] | QuerySet[FailedReport] | QuerySet[CodeWait]", by: str) -> Coalesce:
    return Coalesce(Subquery(rows.order_by().values(by).annotate(n=Count("pk")).values("n")), 0)
