"""The kill switch as rows: who stopped a course or everything, why, and which machines, so that undo knows them."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from courses.models import Course, User


class Halt(models.Model):
    """Nothing may be launched or started while it is open. Without a course: in the whole installation."""

    class Reach(models.TextChoices):
        ALL = "all", _("Every machine")
        IDLE = "idle", _("Idle machines only")

    course = models.ForeignKey(Course, models.CASCADE, null=True, blank=True, related_name="halts")
    reach = models.CharField(max_length=4, choices=Reach)
    why = models.CharField(max_length=200)
    who = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField()
    lifted_at = models.DateTimeField(null=True, blank=True)
    lifted_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    restart = models.BooleanField(default=False)  # the machines that it stopped are to run again

    class Meta:
        app_label = "instances"
        ordering = ("-at", "-pk")
        constraints = (
            models.UniqueConstraint(fields=("course",), condition=Q(lifted_at=None), name="one_open_halt_per_course"),
            models.UniqueConstraint(
                fields=("reach",), condition=Q(lifted_at=None, course=None), name="one_open_halt_of_all"
            ),
        )

    def __str__(self) -> str:
        return f"halt of {self.course or 'everything'}"


class HaltedMachine(models.Model):
    """A machine that a halt stopped while it was wanted. Restarted at most once."""

    halt = models.ForeignKey(Halt, models.CASCADE, related_name="machines")
    instance = models.ForeignKey("instances.Instance", models.CASCADE, related_name="+")
    at = models.DateTimeField()
    done_at = models.DateTimeField(null=True, blank=True)  # after undo: it runs again, or will not
    problem = models.CharField(max_length=300, blank=True)  # why it does not run again

    class Meta:
        app_label = "instances"
        constraints = (models.UniqueConstraint(fields=("halt", "instance"), name="halted_once"),)

    def __str__(self) -> str:
        return f"{self.instance_id} by {self.halt_id}"
