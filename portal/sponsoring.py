"""What a sponsor sees: totals and trends of the courses that they pay for. No names, no machines. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property

from django.db.models import Count, Q, Sum
from django.utils.formats import date_format

from courses.models import Course, EnrollmentStatus, Role
from instances.savings import GuardSaving
from portal.spending import Row, today_of
from spend import breakdown, burndown
from spend.breakdown import PURPOSE_WORDS, Cell, Cost
from spend.models import ZERO, Budget, Level, PlanPoint
from spend.periods import week_of

FEW = 5  # below so many students a course's total would be somebody's


@dataclass(frozen=True, slots=True)
class CourseLine:
    """One course. USD. `students` is None below FEW."""

    course: Course
    budget: Budget | None
    cost: Cost
    students: int | None
    saved_usd: Decimal
    burndown: burndown.Burndown

    @property
    def per_student_usd(self) -> Decimal | None:
        return self.cost.usd / self.students if self.students else None


class Sponsoring:
    """Each part is read once; the number of queries does not depend on courses, people or history."""

    def __init__(self, courses: Sequence[Course], now: datetime) -> None:
        self.courses, self.now = courses, now

    @cached_property
    def budgets(self) -> dict[int, Budget]:
        found = Budget.objects.filter(course__in=self.courses, level=Level.COURSE).select_related("parent")
        return {budget.course_id: budget for budget in found if budget.course_id}

    @cached_property
    def grants(self) -> list[Budget]:
        """What the sponsors of these courses gave, each once."""
        found = {budget.parent.pk: budget.parent for budget in self.budgets.values() if budget.parent}
        return list(found.values())

    @cached_property
    def cells(self) -> list[tuple[int, Cell]]:
        return breakdown.cells_of(self.courses)

    @cached_property
    def total(self) -> Cost:
        return breakdown.total(cell for _course, cell in self.cells)

    @property
    def purposes(self) -> list[tuple[object, Decimal]]:
        return [(PURPOSE_WORDS[purpose], usd) for purpose, usd in self.total.parts if usd]

    @property
    def weeks(self) -> list[Row]:
        """Those between the first and the last spend, without any spend too."""
        sums = breakdown.together((cell for _course, cell in self.cells), lambda cell: week_of(cell.day))
        if not sums:
            return []
        mondays = range(min(sums).toordinal(), max(sums).toordinal() + 1, 7)
        days = [date.fromordinal(n) for n in mondays]
        return [Row(date_format(day, "MONTH_DAY_FORMAT"), sums.get(day, Cost()), {}) for day in days]

    @cached_property
    def lines(self) -> list[CourseLine]:
        students = self._students()
        saved = dict(
            GuardSaving.objects.filter(course__in=self.courses)
            .values_list("course")
            .annotate(Sum("saved_usd"))
            .order_by()
        )
        points: dict[int, list[tuple[date, Decimal]]] = {}
        for course, day, usd in PlanPoint.objects.filter(course__in=self.courses).values_list("course", "day", "usd"):
            points.setdefault(course, []).append((day, usd))
        return [
            self._line(course, students.get(course.pk, 0), saved.get(course.pk, ZERO), points.get(course.pk, []))
            for course in self.courses
        ]

    def _students(self) -> dict[int, int]:
        active = Q(enrollments__role=Role.STUDENT, enrollments__status=EnrollmentStatus.ACTIVE)
        found = Course.objects.filter(pk__in=[course.pk for course in self.courses])
        return dict(found.annotate(n=Count("enrollments", filter=active)).values_list("pk", "n"))

    def _line(
        self, course: Course, students: int, saved_usd: Decimal, points: list[tuple[date, Decimal]]
    ) -> CourseLine:
        mine = [cell for pk, cell in self.cells if pk == course.pk]
        budget = self.budgets.get(course.pk)
        spent = {day: cost.usd for day, cost in breakdown.together(mine, lambda cell: cell.day).items()}
        amount = budget.amount_usd if budget else ZERO
        ahead = burndown.burndown(amount, spent, points, course.starts_on, course.ends_on, today_of(self.now))
        return CourseLine(
            course, budget, breakdown.total(mine), students if students >= FEW else None, saved_usd, ahead
        )
