"""What a student asks for and staff allow: one launch of a preset that needs it, or one machine that becomes such."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from courses.models import Enrollment, User


class LaunchApproval(models.Model):
    """Asked, then allowed or denied; allowed for one launch, until `valid_until`."""

    class Status(models.TextChoices):
        ASKED = "asked", _("Waits for the staff")
        ALLOWED = "allowed", _("Allowed")
        DENIED = "denied", _("Denied")
        WITHDRAWN = "withdrawn", _("Withdrawn")
        USED = "used", _("Launched")

    enrollment = models.ForeignKey(Enrollment, models.PROTECT, related_name="launch_approvals")
    preset = models.ForeignKey("instances.Preset", models.CASCADE, related_name="approvals")
    why = models.CharField(max_length=500)
    at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status, default=Status.ASKED)
    decided_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=500, blank=True)  # to the student
    valid_until = models.DateTimeField(null=True, blank=True)
    instance = models.OneToOneField(
        "instances.Instance", models.SET_NULL, null=True, blank=True, related_name="approval"
    )

    class Meta:
        app_label = "instances"
        ordering = ("at", "pk")
        constraints = (
            models.UniqueConstraint(
                fields=("enrollment", "preset"),
                condition=Q(status__in=("asked", "allowed")),
                name="one_open_approval_per_person_and_preset",
            ),
        )

    def __str__(self) -> str:
        return f"{self.enrollment}: {self.preset}"
