"""Every change of a course's policy: who, when, what and why. Appended, never edited."""

from django.db import models

from courses.models import Course, User


class PolicyEdit(models.Model):
    """`before` and `after` are whole rules as `policy_rules.to_json` writes them."""

    course = models.ForeignKey(Course, models.CASCADE, related_name="policy_edits")
    who = models.ForeignKey(User, models.SET_NULL, null=True, blank=True)  # empty: by whoever runs the installation
    at = models.DateTimeField()
    why = models.CharField(max_length=300)
    before = models.JSONField()
    after = models.JSONField()
    to_running = models.BooleanField()  # else machines that were on kept the limits they had
    kept_by = models.PositiveIntegerField(default=0)  # so many machines were on and kept them

    class Meta:
        ordering = ("-at", "-pk")
        indexes = (models.Index(fields=("course", "-at")),)

    def __str__(self) -> str:
        return f"{self.course} {self.at:%Y-%m-%d %H:%M}"
