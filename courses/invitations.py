"""Invitations into a team: who asks whom, and what came of it. Verbs are in `teams.py`."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from courses.models import Enrollment, Team


class TeamInvitation(models.Model):
    """From a member of the team to somebody of the same course without one."""

    class Status(models.TextChoices):
        OPEN = "open", _("Waiting for an answer")
        ACCEPTED = "accepted", _("Accepted")
        DECLINED = "declined", _("Declined")
        WITHDRAWN = "withdrawn", _("Taken back")
        LAPSED = "lapsed", _("Lapsed")  # the team is full or gone, or they are in another one

    team = models.ForeignKey(Team, models.CASCADE, related_name="invitations")
    invited = models.ForeignKey(Enrollment, models.CASCADE, related_name="team_invitations")
    by = models.ForeignKey(Enrollment, models.CASCADE, related_name="+")
    status = models.CharField(max_length=10, choices=Status, default=Status.OPEN)
    at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "courses"
        ordering = ("-at", "-pk")
        constraints = (
            models.UniqueConstraint(
                fields=("team", "invited"), condition=Q(status="open"), name="one_open_invitation_per_team_and_person"
            ),
        )

    def __str__(self) -> str:
        return f"{self.team}: {self.invited}"
