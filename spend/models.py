"""Money: budgets in a tree, holds and charges on them. Knows what costs money only by a text key."""

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Round
from django.db.models.lookups import LessThanOrEqual
from django.utils.translation import gettext_lazy as _

from courses.models import Course, Enrollment, Team, User
from spend.totals import ChargeKind, CourseDay, DailySpend, PersonTotal

ZERO = Decimal(0)


def _usd(**more: Any) -> models.DecimalField:
    """USD with a millionth: a second of a T4 is $0.000146."""
    return models.DecimalField(max_digits=14, decimal_places=6, **more)


class Level(models.TextChoices):
    """Root first: this is also the order in which budgets are locked."""

    SPONSOR = "1-sponsor", _("sponsor")
    COURSE = "2-course", _("course")
    TEAM = "3-team", _("team")
    PERSON = "4-person", _("your own")


class Budget(models.Model):
    """An amount that may be spent here and below.

    `spent_usd` and `held_usd` are running totals of the charges and open holds of this budget and of all
    below it, so that no page and no verdict ever sums history. The database itself refuses to go over.
    """

    Level = Level

    level = models.CharField(max_length=10, choices=Level)
    parent = models.ForeignKey("self", models.PROTECT, null=True, blank=True, related_name="children")
    name = models.CharField(max_length=200)
    # Empty for a sponsor alone; a team's and a person's budget name their course, too.
    course = models.ForeignKey(Course, models.PROTECT, null=True, blank=True, related_name="budgets")
    team = models.OneToOneField(Team, models.PROTECT, null=True, blank=True, related_name="budget")
    enrollment = models.OneToOneField(Enrollment, models.PROTECT, null=True, blank=True, related_name="budget")
    amount_usd = _usd()
    spent_usd = _usd(default=ZERO)
    held_usd = _usd(default=ZERO)
    # What the provider charged although nothing was held for it: always 0, or a person is called.
    overrun_usd = _usd(default=ZERO)

    class Meta:
        ordering = ("level", "name")
        constraints = (
            # Rounded because SQLite counts in binary fractions, where 0.1 + 0.2 is more than 0.3.
            models.CheckConstraint(
                condition=LessThanOrEqual(
                    Round(F("spent_usd") + F("held_usd") - F("amount_usd") - F("overrun_usd"), precision=6), ZERO
                ),
                name="budget_cap_holds",
            ),
            models.CheckConstraint(
                condition=Q(level=Level.SPONSOR, course=None)
                | Q(level=Level.COURSE, course__isnull=False)
                | Q(level=Level.TEAM, team__isnull=False, course__isnull=False)
                | Q(level=Level.PERSON, enrollment__isnull=False, course__isnull=False),
                name="budget_belongs_to_its_level",
            ),
            models.CheckConstraint(
                condition=Q(amount_usd__gte=0) & Q(spent_usd__gte=0) & Q(held_usd__gte=0) & Q(overrun_usd__gte=0),
                name="budget_amounts_not_negative",
            ),
            models.UniqueConstraint(fields=("course",), condition=Q(level="2-course"), name="one_budget_per_course"),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def left_usd(self) -> Decimal:
        """What may still be held: amount − spent − held, never below 0."""
        return max(ZERO, self.amount_usd - self.spent_usd - self.held_usd)


class Hold(models.Model):
    """Money set aside on one budget and all above it for what one resource may still cost."""

    key = models.CharField(max_length=120, unique=True)  # "machine/<slug>/run/<n>", "machine/<slug>/disk"
    budget = models.ForeignKey(Budget, models.PROTECT, related_name="holds")  # the lowest of the path
    amount_usd = _usd()  # what is still held; charges draw it down
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = (models.CheckConstraint(condition=Q(amount_usd__gte=0), name="hold_not_negative"),)
        indexes = (models.Index(fields=("budget",), condition=Q(closed_at=None), name="open_holds"),)

    def __str__(self) -> str:
        return self.key


class Charge(models.Model):
    """What one resource cost in one UTC hour. Appended, never edited; said twice it stays one row."""

    Kind = ChargeKind

    key = models.CharField(max_length=120)
    kind = models.CharField(max_length=10, choices=ChargeKind)
    hour = models.DateTimeField()  # the UTC hour's first second
    budget = models.ForeignKey(Budget, models.PROTECT, related_name="charges")  # the lowest of the path: a person's
    # Copied so that a report by course, team or person is one indexed sum, also after somebody moved.
    course = models.ForeignKey(Course, models.PROTECT, related_name="charges", db_index=False)
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="charges", db_index=False)
    enrollment = models.ForeignKey(Enrollment, models.PROTECT, related_name="charges", db_index=False)
    group = models.CharField(max_length=80, blank=True)  # what kind of resource: a preset's slug
    seconds = models.PositiveIntegerField()
    idle_seconds = models.PositiveIntegerField(default=0)  # of these: nobody and nothing used it, as far as known
    amount_usd = _usd()
    idle_usd = _usd(default=ZERO)  # part of `amount_usd`
    posted_at = models.DateTimeField()

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("key", "kind", "hour"), name="one_charge_per_resource_and_hour"),
        )
        indexes = (
            models.Index(fields=("course", "hour")),
            models.Index(fields=("team", "hour")),
            models.Index(fields=("enrollment", "hour")),
        )

    def __str__(self) -> str:
        return f"{self.key} {self.kind} {self.hour:%Y-%m-%d %H}h"


class MoneyMove(models.Model):
    """Every change of a budget or a hold that is not a charge: who, when, why. Appended only."""

    class Kind(models.TextChoices):
        GRANT = "grant", _("Budget changed")
        HOLD = "hold", _("Held")
        RELEASE = "release", _("Released")
        OVERRUN = "overrun", _("Charged beyond the hold")
        CARRY = "carry", _("Spent before a move")

    budget = models.ForeignKey(Budget, models.PROTECT, related_name="moves")
    kind = models.CharField(max_length=10, choices=Kind)
    key = models.CharField(max_length=120, blank=True)
    amount_usd = _usd()  # signed for GRANT and CARRY, else positive
    why = models.CharField(max_length=300)
    who = models.ForeignKey(User, models.SET_NULL, null=True, blank=True)  # empty: the portal itself
    at = models.DateTimeField()

    class Meta:
        ordering = ("at", "pk")
        indexes = (models.Index(fields=("budget", "at")),)

    def __str__(self) -> str:
        return f"{self.kind} {self.amount_usd}"


from spend.alarms import Alarm, AlarmNote, AlertPolicy, ChatChannel, ChatMessage, Gravity  # noqa: E402
from spend.defaults import BudgetDefaults  # noqa: E402
from spend.plans import BudgetRelease, PlanPoint  # noqa: E402
from spend.price_tags import PriceTag  # noqa: E402
from spend.readers import ReportReader  # noqa: E402
from spend.statement import (  # noqa: E402
    AccountCredit,
    Cause,
    Correction,
    Drift,
    ProviderCost,
    ProviderDay,
    Reconciliation,
    Source,
)

__all__ = [
    "ZERO",
    "AccountCredit",
    "Alarm",
    "AlarmNote",
    "AlertPolicy",
    "Budget",
    "BudgetDefaults",
    "BudgetRelease",
    "Cause",
    "Charge",
    "ChargeKind",
    "ChatChannel",
    "ChatMessage",
    "Correction",
    "CourseDay",
    "DailySpend",
    "Drift",
    "Gravity",
    "Hold",
    "Level",
    "MoneyMove",
    "PersonTotal",
    "PlanPoint",
    "PriceTag",
    "ProviderCost",
    "ProviderDay",
    "Reconciliation",
    "ReportReader",
    "Source",
]
