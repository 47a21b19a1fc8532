"""What the provider says that it cost, how far that is from our own count, and the corrections that follow.

Our charges are never edited: a correction is a row of its own.
"""

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from courses.models import Course, Enrollment, Team, User
from spend.totals import ChargeKind


def _usd(**more: Any) -> models.DecimalField:
    return models.DecimalField(max_digits=14, decimal_places=6, **more)


class Source(models.TextChoices):
    COST_EXPLORER = "explorer", _("Cost Explorer")
    EXPORT = "export", _("Data export (CUR)")


class Cause(models.TextChoices):
    """Why the provider's figure is not ours."""

    PRICE = "price", _("Another price")
    TIME = "time", _("Another number of hours")
    LATE = "late", _("Not on the provider’s account yet")
    UNTAGGED = "untagged", _("Without a machine’s tag")
    FOREIGN = "foreign", _("Tagged as a machine that this portal does not know")
    OTHER = "other", _("Another service")
    TRANSFER = "transfer", _("Data transfer")
    NONE = "none", _("None")

    @property
    def means(self) -> str:
        return str(CAUSE_MEANS.get(self, ""))


CAUSE_MEANS = {
    Cause.PRICE: _("The same hours at another price: the price list changed, or Spot’s price did."),
    Cause.TIME: _("The provider counted more or fewer hours than we saw the machine run."),
    Cause.LATE: _("Counted by us, not billed yet: the provider’s figures come 8 to 24 hours late and grow for days."),
    Cause.UNTAGGED: _("It carries no machine’s name, so it may be anybody’s. Is the “Name” tag activated for cost?"),
    Cause.FOREIGN: _("Its tag is not of this portal: another installation, or a machine made by hand."),
    Cause.OTHER: _("Storage, monitoring and the like in the same account, which this portal does not meter."),
    Cause.TRANSFER: _("Data sent to the internet: metered by the provider only."),
}


class Reconciliation(models.Model):
    """One look at the provider's figures: which days, from where, and what came of it."""

    source = models.CharField(max_length=10, choices=Source)
    first = models.DateField()  # UTC days, both included
    last = models.DateField()
    at = models.DateTimeField()
    who = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")  # empty: the daily round
    name = models.CharField(max_length=300, blank=True)  # of the file
    lines = models.PositiveBigIntegerField(default=0)  # that were read
    usage_usd = _usd(default=Decimal(0))  # before credits
    credit_usd = _usd(default=Decimal(0))  # negative
    refund_usd = _usd(default=Decimal(0))  # negative
    other_usd = _usd(default=Decimal(0))  # taxes and fees
    problem = models.CharField(max_length=300, blank=True)  # why it brought nothing

    class Meta:
        app_label = "spend"
        ordering = ("-at", "-pk")

    def __str__(self) -> str:
        return f"{self.source} {self.first} to {self.last}"


class ProviderCost(models.Model):
    """The provider's figure for one UTC day, machine and kind of cost, as it was last read. USD before credits."""

    source = models.CharField(max_length=10, choices=Source)
    day = models.DateField()
    machine = models.CharField(max_length=40, blank=True)  # the tag's value; empty: untagged
    kind = models.CharField(max_length=10)  # a ChargeKind, or "other"
    usage_usd = _usd(default=Decimal(0))
    quantity = models.DecimalField(max_digits=18, decimal_places=6, default=Decimal(0))  # hours, GB-months, GB
    credit_usd = _usd(default=Decimal(0))
    refund_usd = _usd(default=Decimal(0))
    as_of = models.DateTimeField()

    class Meta:
        app_label = "spend"
        constraints = (
            models.UniqueConstraint(fields=("source", "day", "machine", "kind"), name="one_provider_cost_per_day"),
        )

    def __str__(self) -> str:
        return f"{self.day} {self.machine or '-'} {self.kind}"


class ProviderDay(models.Model):
    """The whole account on one UTC day: its `ProviderCost`s summed as they are written, so that no page does."""

    source = models.CharField(max_length=10, choices=Source)
    day = models.DateField()
    usage_usd = _usd(default=Decimal(0))
    credit_usd = _usd(default=Decimal(0))
    refund_usd = _usd(default=Decimal(0))
    as_of = models.DateTimeField()

    class Meta:
        app_label = "spend"
        constraints = (models.UniqueConstraint(fields=("source", "day"), name="one_provider_day"),)

    def __str__(self) -> str:
        return f"{self.source} {self.day}"


class Drift(models.Model):
    """How far the provider is from us, for one UTC day, machine and kind. Corrections that are booked count as ours."""

    # Empty: nobody's machine. With one course in the account it is that course's.
    course = models.ForeignKey(Course, models.CASCADE, null=True, blank=True, related_name="drifts")
    enrollment = models.ForeignKey(Enrollment, models.SET_NULL, null=True, blank=True, related_name="+")
    source = models.CharField(max_length=10, choices=Source)
    day = models.DateField()
    machine = models.CharField(max_length=40, blank=True)
    kind = models.CharField(max_length=10)
    ours_usd = _usd(default=Decimal(0))
    corrected_usd = _usd(default=Decimal(0))  # signed, booked before
    provider_usd = _usd(default=Decimal(0))
    cause = models.CharField(max_length=10, choices=Cause)
    as_of = models.DateTimeField()

    class Meta:
        app_label = "spend"
        constraints = (models.UniqueConstraint(fields=("source", "day", "machine", "kind"), name="one_drift_per_day"),)
        indexes = (models.Index(fields=("course", "day")),)

    def __str__(self) -> str:
        return f"{self.day} {self.machine or '-'} {self.kind}: {self.drift_usd}"

    @property
    def drift_usd(self) -> Decimal:
        """Above 0: the provider charges more than we counted."""
        return self.provider_usd - self.ours_usd - self.corrected_usd

    @property
    def kind_word(self) -> str:
        words = {**dict(ChargeKind.choices), "transfer": Cause.TRANSFER.label}
        return str(words.get(self.kind, Cause.OTHER.label))


class AccountCredit(models.Model):
    """A credit of the account as AWS told it last. What AWS no longer lists is deleted."""

    credit_id = models.CharField(max_length=80, primary_key=True)
    name = models.CharField(max_length=200, blank=True)
    amount_usd = _usd()
    left_usd = _usd()  # less what the open month has used
    ends_on = models.DateField(null=True, blank=True)
    as_of = models.DateTimeField()

    class Meta:
        app_label = "spend"
        ordering = ("ends_on", "credit_id")

    def __str__(self) -> str:
        return f"{self.credit_id}: {self.left_usd} USD"


class Correction(models.Model):
    """Our count made true to the provider's, for one day and machine. Appended only; counts as spent."""

    key = models.CharField(max_length=200, unique=True)
    budget = models.ForeignKey("spend.Budget", models.PROTECT, related_name="corrections")
    course = models.ForeignKey(Course, models.PROTECT, related_name="corrections")
    enrollment = models.ForeignKey(Enrollment, models.PROTECT, null=True, blank=True, related_name="corrections")
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="+")  # as of then
    machine = models.CharField(max_length=40, blank=True)
    kind = models.CharField(max_length=10)  # what was miscounted: a ChargeKind, or "other"
    day = models.DateField()
    source = models.CharField(max_length=10, choices=Source)
    cause = models.CharField(max_length=10, choices=Cause)
    amount_usd = _usd()  # signed: above 0 it cost more than we had counted
    why = models.CharField(max_length=300)
    who = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")  # empty: the daily round
    at = models.DateTimeField()

    class Meta:
        app_label = "spend"
        ordering = ("day", "pk")
        constraints = (models.CheckConstraint(condition=~Q(amount_usd=0), name="correction_is_something"),)
        indexes = (
            models.Index(fields=("course", "day")),
            models.Index(fields=("day", "machine")),
        )

    def __str__(self) -> str:
        return f"{self.key} {self.amount_usd}"
