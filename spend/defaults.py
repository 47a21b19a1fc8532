"""What a new team and a new person of a course get, so that a roster that grows needs no second thought."""

from datetime import datetime
from decimal import Decimal

from django.db import models
from django.db.models import Q

from courses.models import Course, User
from spend.models import Budget, Level
from spend.opening import open_budgets


class BudgetDefaults(models.Model):
    """Amounts in USD. A course without them opens no budgets by itself."""

    course = models.OneToOneField(Course, models.CASCADE, related_name="budget_defaults")
    team_usd = models.DecimalField(max_digits=14, decimal_places=6)
    person_usd = models.DecimalField(max_digits=14, decimal_places=6)

    class Meta:
        app_label = "spend"
        constraints = (
            models.CheckConstraint(
                condition=Q(team_usd__gte=0) & Q(person_usd__gte=0), name="budget_defaults_not_negative"
            ),
        )

    def __str__(self) -> str:
        return f"{self.course}: {self.person_usd}"


def set_defaults(course: Course, *, team_usd: Decimal, person_usd: Decimal) -> BudgetDefaults:
    """For whoever comes from now on; budgets that are open stay as they are."""
    return BudgetDefaults.objects.update_or_create(
        course=course, defaults={"team_usd": team_usd, "person_usd": person_usd}
    )[0]


def open_missing(course: Course, *, why: str, who: User | None, now: datetime) -> int:
    """Budgets for whoever lacks one, by the course's defaults; returns how many. Nothing without defaults or course
    budget: the course's own amount is for a person to decide."""
    defaults = BudgetDefaults.objects.filter(course=course).first()
    if defaults is None or not Budget.objects.filter(course=course, level=Level.COURSE).exists():
        return 0
    mine = Budget.objects.filter(course=course)
    before = mine.count()
    open_budgets(
        course,
        course_usd=Decimal(0),  # it has one
        team_usd=defaults.team_usd,
        person_usd=defaults.person_usd,
        why=why,
        who=who,
        now=now,
    )
    return mine.count() - before
