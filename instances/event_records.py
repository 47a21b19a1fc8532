"""What happened to machines: one row for the audit, the timeline and the outbox; and who reads which kind of it."""

from enum import StrEnum

from django.db import models
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from courses.models import User


class Reader(StrEnum):
    EVERYBODY = "everybody"  # its student too: the reason is in a student's words
    STAFF = "staff"  # the reason names the account's numbers, or is ours to mend


class InstanceEvent(models.Model):
    """Audit, timeline and outbox in one row: written in the transaction of the change it tells of."""

    class Kind(models.TextChoices):
        MOVED = "moved", _("Changed state")
        REFUSED = "refused", _("AWS said no")
        READY = "ready", _("Notebook ready")
        WARNED = "warned", _("Warned")
        WARNING_OVER = "warning_over", _("Used again")
        KEPT = "kept", _("Kept on")
        RENEWED = "renewed", _("Extended")
        MONEY = "money", _("Money")
        OPENED = "opened", _("Notebook opened")
        AWAITED = "awaited", _("Stops when done")
        SAVED = "saved", _("Saved")
        DISK = "disk", _("Disk")
        QUEUED = "queued", _("Queue")
        WRONG_CALL = "wrong_call", _("Its student calls the stop wrong")
        TROUBLE = "trouble", _("Trouble")

    instance = models.ForeignKey("Instance", models.PROTECT, related_name="events")
    kind = models.CharField(max_length=14, choices=Kind)
    old_state = models.CharField(max_length=12, blank=True)
    new_state = models.CharField(max_length=12, blank=True)
    reason = models.CharField(max_length=300)
    who = models.ForeignKey(User, models.SET_NULL, null=True, blank=True)  # empty: the portal itself
    facts = models.JSONField(default=dict)  # what the decision was made from
    at = models.DateTimeField()
    # Outbox: a mail is due when `mail_to` is set and `mailed_at` is not.
    mail_to = models.EmailField(blank=True)
    mailed_at = models.DateTimeField(null=True, blank=True)
    mail_claimed_at = models.DateTimeField(null=True, blank=True)  # a process is sending it

    class Meta:
        ordering = ("at", "pk")
        indexes = (
            models.Index(fields=("instance", "at")),
            models.Index(fields=("id",), condition=~Q(mail_to="") & Q(mailed_at=None), name="mails_due"),
        )

    def __str__(self) -> str:
        return f"{self.instance} {self.kind}"


Kind = InstanceEvent.Kind
# Every kind stands here, and a test holds that: whoever adds one chooses who reads it.
READER: dict[Kind, Reader] = {
    Kind.MOVED: Reader.EVERYBODY,
    Kind.REFUSED: Reader.EVERYBODY,
    Kind.READY: Reader.EVERYBODY,
    Kind.WARNED: Reader.EVERYBODY,
    Kind.WARNING_OVER: Reader.EVERYBODY,
    Kind.KEPT: Reader.EVERYBODY,
    Kind.RENEWED: Reader.EVERYBODY,
    Kind.MONEY: Reader.EVERYBODY,
    Kind.OPENED: Reader.EVERYBODY,
    Kind.AWAITED: Reader.EVERYBODY,
    Kind.SAVED: Reader.EVERYBODY,
    Kind.DISK: Reader.EVERYBODY,
    Kind.QUEUED: Reader.EVERYBODY,
    Kind.WRONG_CALL: Reader.EVERYBODY,
    Kind.TROUBLE: Reader.STAFF,
}


STAFFS = frozenset(kind for kind, reader in READER.items() if reader is Reader.STAFF)


def readable(events: QuerySet[InstanceEvent], *, staff: bool) -> QuerySet[InstanceEvent]:
    """Those that the reader may read: all for the course's staff, else what is written for a student."""
    return events if staff else events.exclude(kind__in=STAFFS)
