"""Where machines run, if not in the course's own account: accounts that let the portal in, and whose they are."""

import secrets
from typing import ClassVar

from django.core.validators import RegexValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from cloud.accounts import LinkedAccount
from courses.models import Course, Team, User


def new_external_id() -> str:
    """Nobody chooses it: 32 random bytes that only the portal and that account's role know."""
    return secrets.token_urlsafe(32)


class CloudAccount(models.Model):
    """An AWS account with a role for the portal. The course's own account is no row: machines without one run there."""

    course = models.ForeignKey(Course, models.CASCADE, related_name="cloud_accounts")
    name = models.CharField(max_length=80)
    account_id = models.CharField(
        max_length=12, validators=[RegexValidator(r"\A[0-9]{12}\Z", _("An AWS account id has twelve digits."))]
    )
    external_id = models.CharField(max_length=64, default=new_external_id, editable=False)
    # What the stack told; empty until then.
    role_arn = models.CharField(max_length=200, blank=True)
    scheduler_role_arn = models.CharField(max_length=200, blank=True)
    security_group = models.CharField(max_length=40, blank=True)
    subnets = models.JSONField(default=dict, blank=True)  # zone → subnet id
    # Its network is joined to the portal's, no address twice. Else an address there may be another machine's here.
    # Frozen with each launch: whether there is a tunnel for it.
    network_joined = models.BooleanField(default=False)
    portal_arn = models.CharField(max_length=200, blank=True)  # who the portal is at AWS: whom the role is to trust
    added_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    added_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True, blank=True)
    passed_at = models.DateTimeField(null=True, blank=True)  # the newest check found nothing wrong then
    findings = models.JSONField(default=list, blank=True)  # of the last check: [{"what", "ok", "words"}]
    # Looks have failed since then: its machines are unseen.
    shut_since = models.DateTimeField(null=True, blank=True)
    shut_words = models.CharField(max_length=300, blank=True)
    # What it allows: facts of each type of each preset, by the preset's key, as AWS said them at `surveyed_at`.
    offers = models.JSONField(default=dict, blank=True)
    survey_asked_at = models.DateTimeField(null=True, blank=True)
    surveyed_at = models.DateTimeField(null=True, blank=True)
    # Given up by its instructor, for good: nothing is launched there any more. Answers again since: `found_at`.
    lost_at = models.DateTimeField(null=True, blank=True)
    lost_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    found_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "instances"
        ordering = ("name", "pk")
        constraints: ClassVar = [
            # One role, one external id: an account that several courses shared would be each one's machines to see.
            models.UniqueConstraint(
                fields=("account_id",), condition=models.Q(removed_at=None), name="account_linked_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.account_id})"

    @property
    def usable(self) -> bool:
        """For new machines; those that there are are looked after in any case."""
        return self.passed_at is not None and self.removed_at is None and self.lost_at is None

    @property
    def dials_out(self) -> bool:
        """No network leads to its machines' private addresses."""
        return not self.network_joined

    @property
    def entry(self) -> LinkedAccount:
        return LinkedAccount(
            account_id=self.account_id,
            role_arn=self.role_arn,
            external_id=self.external_id,
            scheduler_role_arn=self.scheduler_role_arn,
            subnets=tuple(sorted(self.subnets.items())),
            security_group=self.security_group,
        )


class TeamAccount(models.Model):
    """A team's new machines run in this account. Without such a row: in the course's own."""

    team = models.OneToOneField(Team, models.CASCADE, related_name="bound_account")
    account = models.ForeignKey(CloudAccount, models.CASCADE, related_name="teams")
    bound_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    bound_at = models.DateTimeField()

    class Meta:
        app_label = "instances"
