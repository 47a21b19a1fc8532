"""Alerts as rows: what a course wants to hear of, what is so now, who is told, and the chats that it goes to.

What raises an alarm is decided by `alerts.py`; this only remembers.
"""

from decimal import Decimal
from typing import Any

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from courses.models import Course, Enrollment, User


def _percents() -> list[int]:
    return [50, 80, 100]


def _usd(**more: Any) -> models.DecimalField:
    return models.DecimalField(max_digits=14, decimal_places=6, **more)


class AlertPolicy(models.Model):
    """What counts as alarming in one course. The cap is not here: nothing switches it off."""

    course = models.OneToOneField(Course, models.CASCADE, related_name="alert_policy")
    percents = models.JSONField(default=_percents)  # of each budget, spent and held
    forecast_days = models.PositiveIntegerField(default=7)  # gone so many days before the course ends
    pace_factor = models.DecimalField(max_digits=5, decimal_places=2, default=Decimal(2))  # today against the plan
    median_factor = models.DecimalField(
        max_digits=5, decimal_places=2, default=Decimal(5)
    )  # one's day, a machine's hour
    idle_usd = _usd(default=Decimal(5))  # of one person's idle time in seven days
    disk_days = models.PositiveIntegerField(default=14)  # a disk that no machine used for so long
    credit_days = models.PositiveIntegerField(default=21)  # credit of the account that ends in so many days
    quiet_from = models.PositiveIntegerField(default=22)  # hours of the course's day; equal: no quiet hours
    quiet_to = models.PositiveIntegerField(default=7)
    group_minutes = models.PositiveIntegerField(default=15)  # one message per person and period
    tell_students = models.BooleanField(default=True)

    class Meta:
        app_label = "spend"
        constraints = (
            models.CheckConstraint(condition=Q(quiet_from__lt=24) & Q(quiet_to__lt=24), name="quiet_hours_of_a_day"),
        )

    def __str__(self) -> str:
        return f"alerts of {self.course}"

    @classmethod
    def of(cls, course: Course) -> "AlertPolicy":
        """The course's, or the default one (not saved)."""
        return getattr(course, "alert_policy", None) or cls(course=course)


class Gravity(models.IntegerChoices):
    NOTE = 1, _("Note")
    WARNING = 2, _("Warning")
    GRAVE = 3, _("Grave")  # told in quiet hours, too


class Alarm(models.Model):
    """One crossing. Open until what raised it is no longer so; then the next crossing is another row."""

    class Kind(models.TextChoices):
        THRESHOLD = "threshold", _("Budget used")
        FORECAST = "forecast", _("Budget gone early")
        PACE = "pace", _("Spending faster than planned")
        UNUSUAL = "unusual", _("Far above the others")
        MACHINE = "machine", _("A dear machine")
        IDLE = "idle", _("Money for idle machines")
        DISK = "disk", _("Forgotten disk")
        CREDIT = "credit", _("Credit expires")

    course = models.ForeignKey(Course, models.CASCADE, related_name="alarms")
    kind = models.CharField(max_length=10, choices=Kind)
    key = models.CharField(max_length=120)  # what it is about: "budget/12/80"
    about = models.ForeignKey(Enrollment, models.CASCADE, null=True, blank=True, related_name="alarms")
    gravity = models.PositiveSmallIntegerField(choices=Gravity, default=Gravity.WARNING)
    title = models.CharField(max_length=200)  # as staff read it, like the text
    text = models.CharField(max_length=600)
    facts = models.JSONField(default=dict)
    raised_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True, blank=True)
    seen_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    seen_at = models.DateTimeField(null=True, blank=True)  # acknowledged
    seen_note = models.CharField(max_length=300, blank=True)

    class Meta:
        app_label = "spend"
        ordering = ("-raised_at", "-pk")
        constraints = (
            models.UniqueConstraint(fields=("course", "key"), condition=Q(cleared_at=None), name="one_open_alarm"),
        )
        indexes = (models.Index(fields=("course", "-raised_at")),)

    def __str__(self) -> str:
        return f"{self.key} {self.raised_at:%Y-%m-%d %H:%M}"


class ChatChannel(models.Model):
    """A room of the course's chat. Its address lets anybody write there: sealed, and never shown again."""

    course = models.ForeignKey(Course, models.CASCADE, related_name="chat_channels")
    name = models.CharField(max_length=80)
    service = models.CharField(max_length=40)  # as the chat calls itself: "Slack"
    sealed_url = models.TextField()
    least = models.PositiveSmallIntegerField(choices=Gravity, default=Gravity.NOTE)  # nothing below it
    tells_machines = models.BooleanField(default=False)  # warnings and troubles of machines, too
    events_after = models.BigIntegerField(default=0)  # machines' events up to this one were told, or came before
    enabled = models.BooleanField(default=True)
    created_at = models.DateTimeField()
    ok_at = models.DateTimeField(null=True, blank=True)  # last message that arrived
    problem = models.CharField(max_length=300, blank=True)  # why the last one did not
    problem_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "spend"
        ordering = ("name", "pk")

    def __str__(self) -> str:
        return self.name


class ChatMessage(models.Model):
    """One message to one room. Due as long as `sent_at` is empty; claimed and repeated as letters are."""

    key = models.CharField(max_length=120, unique=True)
    channel = models.ForeignKey(ChatChannel, models.CASCADE, related_name="messages")
    title = models.CharField(max_length=200)
    body = models.TextField()
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)
    claimed_until = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0)

    class Meta:
        app_label = "spend"
        ordering = ("pk",)
        indexes = (models.Index(fields=("id",), condition=Q(sent_at=None), name="chat_messages_due"),)

    def __str__(self) -> str:
        return self.key


class AlarmNote(models.Model):
    """One alarm for one person or room, until it is part of a message: those of a period become one."""

    alarm = models.ForeignKey(Alarm, models.CASCADE, related_name="notes")
    to = models.ForeignKey(Enrollment, models.CASCADE, null=True, blank=True, related_name="+")
    channel = models.ForeignKey(ChatChannel, models.CASCADE, null=True, blank=True, related_name="+")
    due_at = models.DateTimeField()  # end of the period, or of the quiet hours
    put_at = models.DateTimeField(null=True, blank=True)  # when it went into a message
    message = models.CharField(max_length=120, blank=True)  # key of the letter or chat message

    class Meta:
        app_label = "spend"
        constraints = (
            models.UniqueConstraint(fields=("alarm", "to"), condition=Q(to__isnull=False), name="one_note_per_person"),
            models.UniqueConstraint(
                fields=("alarm", "channel"), condition=Q(channel__isnull=False), name="one_note_per_room"
            ),
            models.CheckConstraint(
                condition=Q(to__isnull=False, channel=None) | Q(to=None, channel__isnull=False),
                name="note_to_person_or_room",
            ),
        )
        indexes = (models.Index(fields=("due_at",), condition=Q(put_at=None), name="notes_to_put"),)

    def __str__(self) -> str:
        return f"{self.alarm} for {self.to or self.channel}"
