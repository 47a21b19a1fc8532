"""Fire drills, what each guard did in them, and when a guard last was seen to stop a machine of the course."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from courses.models import Course, User
from instances.guard_names import Guard

GUARDS = [(guard.value, guard.value) for guard in Guard]


class FireDrill(models.Model):
    """A canary machine and who lit it. One at a time per course: the database holds that."""

    course = models.ForeignKey(Course, models.PROTECT, related_name="drills")
    instance = models.OneToOneField("instances.Instance", models.PROTECT, related_name="drill")
    who = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField()
    most_usd = models.DecimalField(max_digits=10, decimal_places=6)  # what was told before the click
    called_off_at = models.DateTimeField(null=True, blank=True)
    called_off_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    trouble = models.CharField(max_length=300, blank=True)  # why it did not come to its end
    ended_at = models.DateTimeField(null=True, blank=True)  # the canary is deleted

    class Meta:
        app_label = "instances"
        ordering = ("-at", "-pk")
        constraints = (
            models.UniqueConstraint(fields=("course",), condition=Q(ended_at=None), name="one_drill_at_a_time"),
        )
        indexes = (models.Index(fields=("course", "-at")),)

    def __str__(self) -> str:
        return f"drill of {self.course_id} at {self.at}"


class DrillRound(models.Model):
    """One guard's turn, which is one run of the canary."""

    class Outcome(models.TextChoices):
        RUNNING = "running", _("under way")
        PROVED = "proved", _("proved")
        LATE = "late", _("acted, but late")
        MISSED = "missed", _("did not act")
        VOID = "void", _("cut short")  # somebody stopped the canary: nothing is said about the guard

    drill = models.ForeignKey(FireDrill, models.CASCADE, related_name="rounds")
    guard = models.CharField(max_length=10, choices=GUARDS)
    run_number = models.PositiveIntegerField()
    began_at = models.DateTimeField()  # asked for
    bound_seconds = models.PositiveIntegerField()
    outcome = models.CharField(max_length=10, choices=Outcome, default=Outcome.RUNNING)
    stopped_by = models.CharField(max_length=10, choices=GUARDS, blank=True)
    took_seconds = models.PositiveIntegerField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    words = models.CharField(max_length=300, blank=True)  # why it ended, as the machine's own page says it

    class Meta:
        app_label = "instances"
        ordering = ("pk",)
        constraints = (models.UniqueConstraint(fields=("drill", "guard"), name="one_round_per_guard"),)

    def __str__(self) -> str:
        return f"{self.guard}: {self.outcome}"


class GuardProof(models.Model):
    """When a guard last stopped a machine of the course, by drill or in earnest. One row per guard."""

    course = models.ForeignKey(Course, models.CASCADE, related_name="guard_proofs")
    guard = models.CharField(max_length=10, choices=GUARDS)
    at = models.DateTimeField()
    instance = models.ForeignKey("instances.Instance", models.CASCADE, related_name="+")
    by_drill = models.BooleanField(default=False)

    class Meta:
        app_label = "instances"
        constraints = (models.UniqueConstraint(fields=("course", "guard"), name="one_proof_per_guard"),)

    def __str__(self) -> str:
        return f"{self.guard} at {self.at}"
