"""Disks that outlive a run: the course's policy for them, and each snapshot with what it costs."""

import secrets
from decimal import Decimal
from typing import ClassVar

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from courses.models import Course, Enrollment, User
from instances.disk_rules import COSTS, IN_MOTION, Standing

_LETTERS = "abcdefghijkmnpqrstuvwxyz23456789"


def snapshot_slug() -> str:
    return "s" + "".join(secrets.choice(_LETTERS) for _n in range(11))


class DiskPolicy(models.Model):
    """What the course does with disks by itself. Nothing, unless staff say so: copies cost money, too."""

    course = models.OneToOneField(Course, models.CASCADE, related_name="disk_policy")
    nightly_keep = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(30)])  # copies kept; 0: none
    archive_days = models.PositiveIntegerField(default=0)  # unused for so long: to a snapshot; 0: never
    archive_warn_days = models.PositiveIntegerField(default=3)  # warned so long before
    # A download of a student's files is offered for so long, then deleted.
    download_days = models.PositiveIntegerField(default=30, validators=[MinValueValidator(1), MaxValueValidator(90)])

    class Meta:
        app_label = "instances"

    def __str__(self) -> str:
        return f"disks of {self.course}"

    @classmethod
    def of(cls, course: Course) -> "DiskPolicy":
        """The course's policy, or the default one (not saved)."""
        return getattr(course, "disk_policy", None) or cls(course=course)


class DiskSnapshot(models.Model):
    """A copy of one machine's disk: `size_gb` at `usd_hour` from `since` to `until`, paid by its owner."""

    class Why(models.TextChoices):
        ASKED = "asked", _("Made by its owner")
        NIGHTLY = "nightly", _("Nightly")
        ARCHIVE = "archive", _("Archived: the disk was unused")
        KEPT = "kept", _("Kept when the machine was deleted")
        CLOSING = "closing", _("Archived: the course is over")
        MOVED = "moved", _("To go on elsewhere")

    STANDINGS: ClassVar = [(one.value, one.value) for one in Standing]

    slug = models.CharField(max_length=12, unique=True, default=snapshot_slug)  # its key at AWS
    instance = models.ForeignKey("instances.Instance", models.PROTECT, related_name="snapshots")
    owner = models.ForeignKey(Enrollment, models.PROTECT, related_name="snapshots")
    course = models.ForeignKey(Course, models.PROTECT, related_name="snapshots")
    why = models.CharField(max_length=8, choices=Why)
    standing = models.CharField(max_length=10, choices=STANDINGS, default=Standing.WANTED)
    reason = models.CharField(max_length=300, blank=True)  # why it failed or went, for its owner
    asked_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    wanted_at = models.DateTimeField()
    then_delete = models.BooleanField(default=False)  # once it is kept, the machine goes
    # A new machine of this preset begins with it as soon as the old one is gone (`moving_on.py`).
    go_on_as = models.ForeignKey("instances.Preset", models.SET_NULL, null=True, blank=True, related_name="+")
    keep_until = models.DateTimeField(null=True, blank=True)  # its course closes: deleted then
    verified_at = models.DateTimeField(null=True, blank=True)  # seen complete at AWS, before its machine was deleted
    asked_at = models.DateTimeField(null=True, blank=True)  # last call to AWS
    calling_until = models.DateTimeField(null=True, blank=True)
    # What AWS says.
    cloud_id = models.CharField(max_length=40, blank=True)
    image_id = models.CharField(max_length=40, blank=True)  # what a restored machine boots from
    seen_at = models.DateTimeField(null=True, blank=True)
    absent_since = models.DateTimeField(null=True, blank=True)  # looks since then did not list it
    # Money.
    size_gb = models.PositiveIntegerField()  # the whole disk, until AWS tells how much of it is used
    usd_hour = models.DecimalField(max_digits=10, decimal_places=6)
    since = models.DateTimeField(null=True, blank=True)
    until = models.DateTimeField(null=True, blank=True)
    metered_until = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "instances"
        ordering = ("-wanted_at", "-pk")
        constraints = (
            models.UniqueConstraint(
                fields=("instance",), condition=Q(standing__in=["pending", "wanted"]), name="one_snapshot_at_a_time"
            ),
        )
        indexes = (
            models.Index(fields=("id",), condition=Q(standing__in=sorted(IN_MOTION | COSTS)), name="snapshots_there"),
            models.Index(fields=("id",), condition=Q(settled_at=None), name="snapshots_to_settle"),
            models.Index(fields=("owner", "-wanted_at")),
        )

    def __str__(self) -> str:
        return self.slug

    @property
    def key(self) -> str:
        """Of its hold and its charges."""
        return f"machine/{self.instance.slug}/snapshot/{self.slug}"

    @property
    def image_name(self) -> str:
        """Of the image that a restored machine boots from. AWS takes it once: a lost one is found by it."""
        return f"lamplighter-{self.slug}"

    @property
    def usd_month(self) -> Decimal:
        return self.usd_hour * 730

    @property
    def is_there(self) -> bool:
        return self.standing == Standing.KEPT
