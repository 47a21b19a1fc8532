"""What AWS offers us, as rows: prices, whether a preset can be had, quotas asked for, others' GPU machines."""

from django.db import models
from django.utils.translation import gettext_lazy as _

from courses.models import Course, User


class TypePrice(models.Model):
    """The on-demand price of a type as AWS's price list says it. The newest stands before the shipped snapshot."""

    region = models.CharField(max_length=20)
    instance_type = models.CharField(max_length=40)
    usd_hour = models.DecimalField(max_digits=10, decimal_places=6)
    read_at = models.DateTimeField()

    class Meta:
        app_label = "instances"
        constraints = (
            models.UniqueConstraint(fields=("region", "instance_type"), name="one_price_per_region_and_type"),
        )

    def __str__(self) -> str:
        return f"{self.instance_type} in {self.region}: {self.usd_hour}"


class PresetCheck(models.Model):
    """What AWS said about a preset when it was last asked: whether it can be had here, and what is missing."""

    class Verdict(models.TextChoices):
        READY = "ready", _("Ready")
        NOT_OFFERED = "not-offered", _("Not offered here")
        NO_QUOTA = "no-quota", _("Quota too small")
        NO_PRICE = "no-price", _("No price below the ceiling")
        NO_IMAGE = "no-image", _("No image")
        UNKNOWN = "unknown", _("Not known")

    preset = models.OneToOneField("instances.Preset", models.CASCADE, related_name="check_result")
    verdict = models.CharField(max_length=12, choices=Verdict)
    words = models.CharField(max_length=500)  # for staff: what is so, and what to do
    request = models.CharField(max_length=1000, blank=True)  # ready to be sent to AWS
    facts = models.JSONField(default=list)  # what was found of each type
    checked_at = models.DateTimeField()

    class Meta:
        app_label = "instances"

    def __str__(self) -> str:
        return f"{self.preset_id}: {self.verdict}"


class QuotaAsk(models.Model):
    """A larger quota that was asked of AWS. The row is written before AWS is asked."""

    course = models.ForeignKey(Course, models.CASCADE, null=True, related_name="quota_asks")
    region = models.CharField(max_length=20)
    code = models.CharField(max_length=20)
    had = models.PositiveIntegerField()  # vCPUs
    wanted = models.PositiveIntegerField()  # vCPUs
    who = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    at = models.DateTimeField()
    request_id = models.CharField(max_length=80, blank=True)
    status = models.CharField(max_length=20, blank=True)  # AWS's word; empty: AWS was not asked, or did not answer
    problem = models.CharField(max_length=300, blank=True)
    looked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "instances"
        ordering = ("-at", "-pk")

    def __str__(self) -> str:
        return f"{self.code}: {self.wanted} vCPUs"


class ForeignMachine(models.Model):
    """A GPU machine in one of our accounts that the portal did not start: shown with its cost, never touched."""

    account = models.ForeignKey("CloudAccount", models.CASCADE, null=True, blank=True, related_name="foreign_machines")
    cloud_id = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=80, blank=True)
    instance_type = models.CharField(max_length=40)
    cloud_state = models.CharField(max_length=20)
    launched_at = models.DateTimeField()  # of its last start
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()

    class Meta:
        app_label = "instances"
        ordering = ("launched_at",)

    def __str__(self) -> str:
        return self.cloud_id
