"""A course's closing after its last day, as a row: announced by whom, when, for which day; called off, or finished."""

from datetime import date, datetime, timedelta

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from courses.models import Course, User
from instances.launch_rules import start_of


class Closing(models.Model):
    """Nothing happens before `closes_at`. Moving the date changes the row; each change is a `CourseEvent`."""

    course = models.ForeignKey(Course, models.PROTECT, related_name="closings")
    last_day = models.DateField()  # its last second still belongs to the course, in the course's own zone
    keep_days = models.PositiveSmallIntegerField(validators=[MinValueValidator(7), MaxValueValidator(365)])
    who = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    announced_at = models.DateTimeField()
    reminded_at = models.DateTimeField(null=True, blank=True)  # everybody, days before it begins
    last_call_at = models.DateTimeField(null=True, blank=True)  # the last time that owners of archives were called
    called_off_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)  # nothing of the course is left at the provider
    statement = models.JSONField(null=True, blank=True)  # the final one, frozen: `closing_statement.py`

    class Meta:
        app_label = "instances"
        ordering = ("-announced_at", "-pk")
        constraints = (
            models.UniqueConstraint(
                fields=("course",),
                condition=Q(called_off_at=None, finished_at=None),
                name="one_open_closing_per_course",
            ),
        )

    def __str__(self) -> str:
        return f"closing of {self.course}"

    @property
    def day(self) -> date:
        """The last one on which machines run: a course that was made longer meanwhile is not closed before its end."""
        return max(self.last_day, self.course.ends_on)

    @property
    def closes_at(self) -> datetime:
        """UTC."""
        return start_of(self.day + timedelta(days=1), self.course.timezone)

    @property
    def kept_until(self) -> datetime:
        """Of archives of those who have no later day of their own. UTC."""
        return self.closes_at + timedelta(days=self.keep_days)

    @property
    def kept_day(self) -> date:
        """The last whole day on which archives are there, as a person of the course counts."""
        return self.day + timedelta(days=self.keep_days)
