"""A list between upload and confirmation: sealed, its owner's alone, and forgotten after an hour."""

import base64
import zlib
from datetime import datetime, timedelta

from django.db import models, transaction
from django.views.decorators.debug import sensitive_variables

from courses.models import Course, User
from credits import vault

KEPT = timedelta(hours=1)


class ImportDraft(models.Model):
    """What somebody uploaded or pasted, encrypted like the codes themselves. Deleted when it is confirmed."""

    class Kind(models.TextChoices):
        CODES = "codes"
        ROSTER = "roster"  # gradebooks come as rosters: what else is in the file stays sealed, too
        TEAMS = "teams"

    course = models.ForeignKey(Course, models.CASCADE, related_name="+")
    who = models.ForeignKey(User, models.CASCADE, related_name="+")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.CODES)
    sealed = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        app_label = "credits"
        # A second upload replaces the first: no forgotten list stays behind.
        constraints = (models.UniqueConstraint(fields=("course", "who", "kind"), name="one_draft_per_person"),)

    def __str__(self) -> str:
        return f"{self.course} {self.created_at:%H:%M}"


@sensitive_variables()
def keep(
    course: Course, content: bytes, *, who: User, now: datetime, kind: str = ImportDraft.Kind.CODES
) -> ImportDraft:
    """Replaces what the same person has uploaded here before."""
    sealed = vault.seal(base64.b64encode(zlib.compress(content)).decode("ascii"))
    with transaction.atomic():
        ImportDraft.objects.filter(course=course, who=who, kind=kind).delete()
        return ImportDraft.objects.create(course=course, who=who, kind=kind, sealed=sealed, created_at=now)


@sensitive_variables()
def content_of(draft: ImportDraft) -> bytes:
    return zlib.decompress(base64.b64decode(vault.unseal(draft.sealed)))


def forget_old(now: datetime) -> int:
    """Returns how many lists nobody confirmed in time."""
    return ImportDraft.objects.filter(created_at__lt=now - KEPT).delete()[0]
