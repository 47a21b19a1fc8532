"""A student's packed files as rows: the archive with its moments, its parts, and who fetched it when."""

from datetime import datetime

from django.db import models
from django.db.models import Q

from courses.models import Course, Enrollment, User
from instances.disk_records import snapshot_slug
from instances.home_rules import Facts, Standing, standing_of
from instances.states import State


class HomeArchive(models.Model):
    """The home directory of one machine, packed on the machine and sent to the bucket. Moods are derived."""

    slug = models.CharField(max_length=12, unique=True, default=snapshot_slug)
    instance = models.ForeignKey("instances.Instance", models.PROTECT, related_name="homes")
    owner = models.ForeignKey(Enrollment, models.PROTECT, related_name="homes")
    course = models.ForeignKey(Course, models.PROTECT, related_name="homes")
    asked_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    asked_at = models.DateTimeField()
    part_bytes = models.PositiveIntegerField()
    upload_id = models.CharField(max_length=300, blank=True)
    began_at = models.DateTimeField(null=True, blank=True)  # the bucket gave that id
    # What the machine says: which program of it packs (the newest alone counts), and how far it is.
    packer = models.CharField(max_length=40, blank=True)
    heard_at = models.DateTimeField(null=True, blank=True)
    last_number = models.PositiveIntegerField(default=0)  # of a part that was signed: none is used twice
    mark = models.JSONField(null=True, blank=True)  # where it goes on after a death; its own words
    sent_bytes = models.BigIntegerField(default=0)
    read_bytes = models.BigIntegerField(default=0)
    total_bytes = models.BigIntegerField(default=0)
    files = models.PositiveIntegerField(default=0)
    left_out = models.PositiveIntegerField(default=0)  # named in the archive itself
    packed_at = models.DateTimeField(null=True, blank=True)
    # What the bucket says.
    size_bytes = models.BigIntegerField(default=0)
    checksum = models.CharField(max_length=60, blank=True)
    ready_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    failed_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    cleared_at = models.DateTimeField(null=True, blank=True)  # nothing of it is in the bucket any more

    class Meta:
        app_label = "instances"
        ordering = ("-asked_at", "-pk")
        constraints = (
            models.UniqueConstraint(
                fields=("instance",), condition=Q(ready_at=None, failed_at=None), name="one_home_archive_at_a_time"
            ),
        )
        indexes = (
            models.Index(fields=("id",), condition=Q(cleared_at=None), name="homes_not_cleared"),
            models.Index(fields=("owner", "-asked_at")),
        )

    def __str__(self) -> str:
        return self.slug

    @property
    def key(self) -> str:
        """In the bucket: names nobody."""
        return f"{self.course_id}/{self.slug}.tar.gz"

    @property
    def facts(self) -> Facts:
        return Facts(
            asked_at=self.asked_at,
            machine=State(self.instance.state),
            began_at=self.began_at,
            packed_at=self.packed_at,
            ready_at=self.ready_at,
            expires_at=self.expires_at,
            failed_at=self.failed_at,
            cleared_at=self.cleared_at,
            sent_bytes=self.sent_bytes,
        )

    def standing(self, now: datetime) -> Standing:
        return standing_of(self.facts, now)

    @property
    def percent(self) -> int:
        return min(99, 100 * self.read_bytes // self.total_bytes) if self.total_bytes else 0


class HomePart(models.Model):
    """Signed for exactly these bytes; `sent_at` once the machine says that the bucket has them."""

    archive = models.ForeignKey(HomeArchive, models.CASCADE, related_name="parts")
    number = models.PositiveIntegerField()
    size = models.PositiveIntegerField()
    sha256 = models.CharField(max_length=44)  # base64
    signed_at = models.DateTimeField()
    etag = models.CharField(max_length=80, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "instances"
        ordering = ("number",)
        constraints = (models.UniqueConstraint(fields=("archive", "number"), name="home_part_once"),)


class HomeDownload(models.Model):
    """One click on the download: who got an address that is good for minutes, when, from where."""

    archive = models.ForeignKey(HomeArchive, models.CASCADE, related_name="downloads")
    who = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    at = models.DateTimeField()
    address = models.GenericIPAddressField(null=True, blank=True)

    class Meta:
        app_label = "instances"
        ordering = ("-at",)
