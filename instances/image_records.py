"""The course's own images, saved from a machine of its staff: what each is, where it is used, what it costs."""

from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import Q

from courses.models import Course, User
from instances.disk_records import snapshot_slug
from instances.disk_rules import IN_MOTION, Standing


class CourseImage(models.Model):
    """Machines that run from it are not touched by anything that happens to it."""

    STANDINGS: ClassVar = [(one.value, one.value) for one in Standing]

    slug = models.CharField(max_length=12, unique=True, default=snapshot_slug)
    course = models.ForeignKey(Course, models.CASCADE, related_name="images")
    title = models.CharField(max_length=80)
    instance = models.ForeignKey("instances.Instance", models.PROTECT, related_name="+")
    standing = models.CharField(max_length=10, choices=STANDINGS, default=Standing.WANTED)
    reason = models.CharField(max_length=300, blank=True)
    made_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    wanted_at = models.DateTimeField()
    image_id = models.CharField(max_length=40, blank=True)
    absent_since = models.DateTimeField(null=True, blank=True)  # looks since then did not list what AWS is to make
    snapshot_ids = models.JSONField(default=list, blank=True)
    size_gb = models.PositiveIntegerField()
    usd_hour = models.DecimalField(max_digits=10, decimal_places=6)
    tried_at = models.DateTimeField(null=True, blank=True)  # a machine was launched from it, to try it out

    class Meta:
        app_label = "instances"
        ordering = ("-wanted_at", "-pk")
        indexes = (models.Index(fields=("id",), condition=Q(standing__in=sorted(IN_MOTION)), name="images_in_motion"),)

    def __str__(self) -> str:
        return self.title

    @property
    def cloud_name(self) -> str:
        """AWS takes it once: asked again, the same image is found by it."""
        return f"lamplighter-course-{self.slug}"

    @property
    def usd_month(self) -> Decimal:
        return self.usd_hour * 730

    @property
    def is_there(self) -> bool:
        return self.standing == Standing.KEPT
