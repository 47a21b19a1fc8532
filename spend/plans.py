"""Money over time: amounts that are released later, and the plan that a course's spend is held against."""

import uuid

from django.db import models
from django.db.models import Q

from courses.models import Course, User


class BudgetRelease(models.Model):
    """So much more for one budget from a moment on. Due until `released_at` or `cancelled_at` is set."""

    budget = models.ForeignKey("spend.Budget", models.PROTECT, related_name="releases")
    amount_usd = models.DecimalField(max_digits=14, decimal_places=6)  # added to the budget then
    release_at = models.DateTimeField()
    why = models.CharField(max_length=300)
    who = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    # Releases that were planned with one click ("everybody, at the midterm") carry the same one.
    together = models.UUIDField(default=uuid.uuid4, db_index=True)
    created_at = models.DateTimeField()
    released_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)
    cancelled_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")

    class Meta:
        app_label = "spend"
        ordering = ("release_at", "pk")
        constraints = (
            models.CheckConstraint(condition=Q(amount_usd__gt=0), name="release_adds_something"),
            models.CheckConstraint(
                condition=Q(released_at=None) | Q(cancelled_at=None), name="release_not_released_and_cancelled"
            ),
        )
        indexes = (
            models.Index(
                fields=("release_at",), condition=Q(released_at=None, cancelled_at=None), name="releases_to_come"
            ),
        )

    def __str__(self) -> str:
        return f"{self.budget} +{self.amount_usd} USD on {self.release_at:%Y-%m-%d}"


class PlanPoint(models.Model):
    """So much of the course's budget is planned to be spent by the end of this day. None: evenly over the course."""

    course = models.ForeignKey(Course, models.CASCADE, related_name="plan_points")
    day = models.DateField()
    usd = models.DecimalField(max_digits=14, decimal_places=6)

    class Meta:
        app_label = "spend"
        ordering = ("day",)
        constraints = (
            models.UniqueConstraint(fields=("course", "day"), name="one_plan_point_per_day"),
            models.CheckConstraint(condition=Q(usd__gte=0), name="plan_not_negative"),
        )

    def __str__(self) -> str:
        return f"{self.course} {self.day}: {self.usd} USD"
