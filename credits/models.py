"""AWS promotional codes: bearer money, opaque text, encrypted at rest. One code to one claimant, ever."""

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from courses.models import Course, Enrollment, Team, User
from credits.drafts import ImportDraft
from credits.letters import Letter
from credits.records import (
    CodesCheck,
    Contest,
    ContestPlace,
    CourseRedemption,
    CreditRequest,
    FailedReport,
    RedemptionCause,
    RequestDecision,
)

__all__ = (
    "BatchEvent",
    "CodeBatch",
    "CodeEvent",
    "CodeShare",
    "CodeWait",
    "CodesCheck",
    "Contest",
    "ContestPlace",
    "CourseRedemption",
    "CreditCode",
    "CreditRequest",
    "FailedReport",
    "ImportDraft",
    "Letter",
    "Purpose",
    "RedemptionCause",
    "RequestDecision",
)


class Purpose(models.TextChoices):
    EVERYONE = "everyone", _("Everyone")
    TEAMS = "teams", _("Teams")
    PRIZE = "prize", _("Prize")
    RESERVE = "reserve", _("Reserve")


class CodeBatch(models.Model):
    """Codes that came together: same value, promotion and dates."""

    Purpose = Purpose

    course = models.ForeignKey(Course, models.CASCADE, related_name="code_batches")
    name = models.CharField(max_length=120)
    value_usd = models.DecimalField(max_digits=10, decimal_places=2)  # per code
    promotion = models.CharField(max_length=120, blank=True)
    purpose = models.CharField(max_length=10, choices=Purpose, default=Purpose.EVERYONE)
    rule = models.JSONField(default=dict, blank=True)  # who may claim: `entitlement.Rule`; empty means its defaults
    replace_at_once = models.BooleanField(default=True)  # a person's first bad code, without asking staff
    redeem_by = models.DateField(null=True, blank=True)
    expires_on = models.DateField(null=True, blank=True)  # of the credit, once redeemed
    opens_at = models.DateTimeField(null=True, blank=True)
    closes_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("created_at",)

    def __str__(self) -> str:
        return self.name


class CreditCode(models.Model):
    class Status(models.TextChoices):
        AVAILABLE = "available", _("Available")
        CLAIMED = "claimed", _("Claimed")
        REDEEMED = "redeemed", _("Redeemed")
        QUARANTINED = "quarantined", _("Quarantined")
        REVOKED = "revoked", _("Revoked")
        COURSE = "course", _("Course account")  # redeemed by the course itself, or with AWS for that

    batch = models.ForeignKey(CodeBatch, models.PROTECT, related_name="codes")
    ciphertext = models.TextField()
    digest = models.CharField(max_length=64, unique=True)  # keyed hash: finds doubles without decrypting
    last4 = models.CharField(max_length=4)
    status = models.CharField(max_length=12, choices=Status, default=Status.AVAILABLE)
    # A person's code has a holder, a team's code a team, a free one neither.
    holder = models.ForeignKey(Enrollment, models.PROTECT, null=True, blank=True, related_name="codes")
    team = models.ForeignKey(Team, models.PROTECT, null=True, blank=True, related_name="codes")
    # What the code is for: empty for the one that everyone may claim, else the prize, the request …
    entitlement = models.CharField(max_length=100, blank=True)
    claimed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("batch", "holder", "entitlement"),
                condition=Q(status__in=("claimed", "redeemed")),
                name="one_code_per_claimant",
            ),
            models.UniqueConstraint(
                fields=("batch", "team", "entitlement"),
                condition=Q(status__in=("claimed", "redeemed")),
                name="one_code_per_team",
            ),
            models.CheckConstraint(
                condition=Q(status="available", holder=None, team=None) | ~Q(status="available"),
                name="available_code_has_no_holder",
            ),
            models.CheckConstraint(
                condition=Q(claimed_at__isnull=False) & (Q(holder__isnull=False) | Q(team__isnull=False))
                | ~Q(status__in=("claimed", "redeemed")),
                name="claimed_code_has_a_holder",
            ),
            models.CheckConstraint(condition=Q(holder=None) | Q(team=None), name="a_person_or_a_team_holds_it"),
        )
        ordering = ("pk",)
        # The + 0 makes PostgreSQL use this index for "the first free one": through the primary key it would read all
        # codes that are given out already, each time.
        indexes = (models.Index("batch", F("id") + 0, condition=Q(status="available"), name="free_codes"),)

    def __str__(self) -> str:
        return f"…{self.last4}"


class CodeEvent(models.Model):
    """Everything that ever happened to a code: claim, reveal, report. Appended only; never holds the code."""

    class Verb(models.TextChoices):
        IMPORTED = "imported", _("Imported")
        CLAIMED = "claimed", _("Claimed")
        AWARDED = "awarded", _("Awarded")
        RETURNED = "returned", _("Returned to stock")
        QUARANTINED = "quarantined", _("Quarantined")
        REVOKED = "revoked", _("Revoked")
        REVEALED = "revealed", _("Shown")
        REDEEMED = "redeemed", _("Reported redeemed")
        FAILED = "failed", _("Reported failed")
        TAKEN = "taken", _("Taken for the course account")
        CREDITED = "credited", _("In the course account")

    code = models.ForeignKey(CreditCode, models.PROTECT, related_name="events")
    verb = models.CharField(max_length=12, choices=Verb)
    who = models.ForeignKey(User, models.SET_NULL, null=True, blank=True)
    why = models.CharField(max_length=300, blank=True)
    address = models.GenericIPAddressField(null=True, blank=True)
    at = models.DateTimeField()

    class Meta:
        ordering = ("at", "pk")

    def __str__(self) -> str:
        return f"{self.verb} {self.code}"


class CodeShare(models.Model):
    """Who has had a part in a team's code: they keep seeing it after a move, and claim no second one elsewhere."""

    code = models.ForeignKey(CreditCode, models.CASCADE, related_name="shares")
    batch = models.ForeignKey(CodeBatch, models.CASCADE)
    entitlement = models.CharField(max_length=100, blank=True)  # as on the code
    enrollment = models.ForeignKey(Enrollment, models.CASCADE, related_name="code_shares")

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("batch", "entitlement", "enrollment"), name="one_share_per_person"),
        )

    def __str__(self) -> str:
        return f"{self.enrollment} {self.code}"


class CodeWait(models.Model):
    """A place in the queue for a batch without stock. Open until it is served or, with a reason, closed."""

    batch = models.ForeignKey(CodeBatch, models.CASCADE, related_name="waits")
    seq = models.PositiveIntegerField()  # the order of arrival; the clock may say the same time twice
    enrollment = models.ForeignKey(Enrollment, models.CASCADE, related_name="code_waits")
    team = models.ForeignKey(Team, models.CASCADE, null=True, blank=True, related_name="code_waits")
    at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    code = models.ForeignKey(CreditCode, models.PROTECT, null=True, blank=True, related_name="+")  # what it got
    why = models.CharField(max_length=40, blank=True)  # closed without a code: the `Refusal`

    class Meta:
        ordering = ("batch", "seq")
        constraints = (
            models.UniqueConstraint(fields=("batch", "seq"), name="places_are_numbered"),
            models.UniqueConstraint(
                fields=("batch", "enrollment"), condition=Q(closed_at=None, team=None), name="one_place_per_person"
            ),
            models.UniqueConstraint(fields=("batch", "team"), condition=Q(closed_at=None), name="one_place_per_team"),
        )
        indexes = (models.Index(fields=("batch", "seq"), condition=Q(closed_at=None), name="open_places"),)

    def __str__(self) -> str:
        return f"{self.batch} {self.seq}"


class BatchEvent(models.Model):
    """What staff decided about a batch, and why. Appended only."""

    class Verb(models.TextChoices):
        OPENED = "opened", _("Opened")
        CLOSED = "closed", _("Closed")
        SCHEDULED = "scheduled", _("Opening scheduled")
        RULE = "rule", _("Rule changed")
        FACTS = "facts", _("Described")

    batch = models.ForeignKey(CodeBatch, models.CASCADE, related_name="events")
    verb = models.CharField(max_length=12, choices=Verb)
    who = models.ForeignKey(User, models.SET_NULL, null=True, blank=True)
    why = models.CharField(max_length=300, blank=True)
    facts = models.JSONField(default=dict)  # times or rule as they are from now on
    at = models.DateTimeField()

    class Meta:
        ordering = ("at", "pk")

    def __str__(self) -> str:
        return f"{self.verb} {self.batch}"
