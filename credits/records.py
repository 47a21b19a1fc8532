"""Rows about what people say and staff decide about codes: causes, failed attempts, requests, contests, redemptions.

Rows only; none of them ever holds the text of a code. Django finds them because `models.py` names them.
"""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from courses.models import Course, Enrollment, Team, User


class CauseOutcome(models.TextChoices):
    ASK = "ask", _("The student can put it right")
    REPLACE = "replace", _("Put the code aside and replace it")
    WAIT = "wait", _("It solves itself")
    STAFF = "staff", _("Staff look at it")


class RedemptionCause(models.Model):
    """What staff say about one cause: it stands before the shipped text (`known_causes.py`) of the same key.

    Without a course it holds for all of this installation. A key that is not shipped is a cause of their own.
    """

    Outcome = CauseOutcome

    course = models.ForeignKey(Course, models.CASCADE, null=True, blank=True, related_name="redemption_causes")
    key = models.SlugField(max_length=40)
    title = models.CharField(max_length=200)
    signals = models.TextField(blank=True)  # one phrase per line, as `signals.py` reads them
    answer = models.TextField()
    next_step = models.TextField(blank=True)
    outcome = models.CharField(max_length=10, choices=CauseOutcome)
    enabled = models.BooleanField(default=True)
    changed_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    changed_at = models.DateTimeField()

    class Meta:
        app_label = "credits"
        constraints = (
            models.UniqueConstraint(fields=("course", "key"), name="one_cause_per_course_and_key"),
            models.UniqueConstraint(fields=("key",), condition=Q(course=None), name="one_cause_per_key"),
        )

    def __str__(self) -> str:
        return self.key


class FailedReport(models.Model):
    """A holder says that AWS did not take a code, and why as far as they know; then what came of it."""

    class Status(models.TextChoices):
        ANSWERED = "answered", _("Answered by the help")
        REPLACED = "replaced", _("Replaced")
        OPEN = "open", _("With the staff")
        CLOSED = "closed", _("Closed")

    class Decision(models.TextChoices):
        REPLACE = "replace", _("Replaced")
        ANSWER = "answer", _("Answered")
        CLOSE = "close", _("Closed")

    code = models.ForeignKey("credits.CreditCode", models.PROTECT, related_name="reports")
    course = models.ForeignKey(Course, models.CASCADE, related_name="failed_reports")
    enrollment = models.ForeignKey(Enrollment, models.PROTECT, related_name="failed_reports")  # who reported it
    cause = models.SlugField(max_length=40)  # the key; its words may change, or go
    message = models.TextField(blank=True)  # what AWS said, without any code
    status = models.CharField(max_length=10, choices=Status)
    replacement = models.OneToOneField(
        "credits.CreditCode", models.PROTECT, null=True, blank=True, related_name="replaces"
    )
    address = models.GenericIPAddressField(null=True, blank=True)
    at = models.DateTimeField()
    # A person's decision; empty while it is open and where the portal itself answered or replaced.
    decision = models.CharField(max_length=10, choices=Decision, blank=True)
    decided_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    why = models.TextField(blank=True)  # to the student

    class Meta:
        app_label = "credits"
        ordering = ("at", "pk")
        indexes = (
            models.Index(fields=("course", "cause")),
            models.Index(fields=("course", "at"), condition=Q(status="open"), name="open_reports"),
        )

    def __str__(self) -> str:
        return f"{self.cause} {self.code}"


class CreditRequest(models.Model):
    """Somebody asks for more, for themselves or for their team."""

    class Status(models.TextChoices):
        ASKED = "asked", _("Waiting for an answer")
        APPROVED = "approved", _("Approved")
        DENIED = "denied", _("Denied")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    course = models.ForeignKey(Course, models.CASCADE, related_name="credit_requests")
    enrollment = models.ForeignKey(Enrollment, models.PROTECT, related_name="credit_requests")
    team = models.ForeignKey(Team, models.PROTECT, null=True, blank=True, related_name="credit_requests")
    amount_usd = models.DecimalField(max_digits=10, decimal_places=2)
    reason = models.TextField()
    status = models.CharField(max_length=10, choices=Status, default=Status.ASKED)
    at = models.DateTimeField()

    class Meta:
        app_label = "credits"
        ordering = ("at", "pk")
        constraints = (
            models.CheckConstraint(condition=Q(amount_usd__gt=0), name="something_is_asked_for"),
            models.UniqueConstraint(
                fields=("enrollment",), condition=Q(status="asked", team=None), name="one_open_request_per_person"
            ),
            models.UniqueConstraint(fields=("team",), condition=Q(status="asked"), name="one_open_request_per_team"),
        )

    def __str__(self) -> str:
        return f"{self.enrollment} {self.amount_usd}"


class RequestDecision(models.Model):
    """What became of a request. Written once, never edited."""

    class Verb(models.TextChoices):
        APPROVED = "approved", _("Approved")
        DENIED = "denied", _("Denied")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    class Serve(models.TextChoices):
        CODE = "code", _("A code of the reserve")
        BUDGET = "budget", _("A larger budget")

    request = models.OneToOneField(CreditRequest, models.CASCADE, related_name="decision")
    verb = models.CharField(max_length=10, choices=Verb)
    amount_usd = models.DecimalField(max_digits=10, decimal_places=2, default=0)  # 0 unless approved
    serve = models.CharField(max_length=10, choices=Serve, blank=True)
    code = models.OneToOneField("credits.CreditCode", models.PROTECT, null=True, blank=True, related_name="+")
    why = models.TextField(blank=True)  # to the student
    who = models.ForeignKey(User, models.SET_NULL, null=True, blank=True)
    at = models.DateTimeField()

    class Meta:
        app_label = "credits"
        constraints = (
            models.CheckConstraint(
                condition=Q(verb="approved", amount_usd__gt=0) & ~Q(serve="") | Q(amount_usd=0, serve="", code=None),
                name="only_approved_requests_are_served",
            ),
        )

    def __str__(self) -> str:
        return f"{self.verb} {self.request_id}"


class Contest(models.Model):
    """Places that win a code of one batch."""

    course = models.ForeignKey(Course, models.CASCADE, related_name="contests")
    name = models.CharField(max_length=120)
    places = models.PositiveSmallIntegerField()  # the first so many win
    pool = models.ForeignKey("credits.CodeBatch", models.PROTECT, related_name="contests")
    created_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        app_label = "credits"
        ordering = ("created_at",)
        constraints = (models.UniqueConstraint(fields=("course", "name"), name="contest_name_once_per_course"),)

    def __str__(self) -> str:
        return self.name


class ContestPlace(models.Model):
    """One line of the ranking, who is behind it, and what it won."""

    contest = models.ForeignKey(Contest, models.CASCADE, related_name="ranking")
    rank = models.PositiveIntegerField()  # the same number twice is a tie
    name = models.CharField(max_length=200)  # as the leaderboard has it
    score = models.CharField(max_length=40, blank=True)
    team = models.ForeignKey(Team, models.PROTECT, null=True, blank=True, related_name="contest_places")
    enrollment = models.ForeignKey(Enrollment, models.PROTECT, null=True, blank=True, related_name="contest_places")
    code = models.OneToOneField("credits.CreditCode", models.PROTECT, null=True, blank=True, related_name="prize_of")
    awarded_by = models.ForeignKey(User, models.SET_NULL, null=True, blank=True)
    awarded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        app_label = "credits"
        ordering = ("rank", "pk")
        constraints = (
            models.UniqueConstraint(fields=("contest", "name"), name="one_line_per_name"),
            models.CheckConstraint(condition=Q(team=None) | Q(enrollment=None), name="a_person_or_a_team_is_behind_it"),
        )

    def __str__(self) -> str:
        return f"{self.rank}. {self.name}"

    @property
    def holder(self) -> Team | Enrollment | None:
        return self.team or self.enrollment


class CourseRedemption(models.Model):
    """One attempt to put a code into the course's own account. Never blindly repeated: AWS's call has no token."""

    class State(models.TextChoices):
        ASKED = "asked", _("Asked for")  # AWS has surely heard nothing
        CALLING = "calling", _("With AWS")  # AWS may have heard it
        UNCLEAR = "unclear", _("Unclear")  # the answer was lost; the account has to be looked at
        CONFIRMED = "confirmed", _("In the course account")
        FAILED = "failed", _("Refused by AWS")

    course = models.ForeignKey(Course, models.PROTECT, related_name="redemptions")
    code = models.ForeignKey("credits.CreditCode", models.PROTECT, related_name="redemptions")
    state = models.CharField(max_length=10, choices=State, default=State.ASKED)
    before = models.JSONField(default=list)  # the account's credit ids just before the call
    credit_id = models.CharField(max_length=32, null=True, blank=True, unique=True)
    amount_usd = models.DecimalField(max_digits=10, decimal_places=2, null=True, blank=True)  # as AWS credited it
    ends_on = models.DateField(null=True, blank=True)
    said = models.TextField(blank=True)  # AWS's words, without the code
    why = models.CharField(max_length=300, blank=True)
    who = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    asked_at = models.DateTimeField()
    called_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    budgeted_at = models.DateTimeField(null=True, blank=True)  # counted into the course's budget, once

    class Meta:
        app_label = "credits"
        ordering = ("asked_at", "pk")
        constraints = (
            # Two at once could not be told apart by looking at the account.
            models.UniqueConstraint(fields=("state",), condition=Q(state="calling"), name="one_redemption_at_a_time"),
            models.UniqueConstraint(
                fields=("code",), condition=~Q(state="failed"), name="one_redemption_per_code_unless_it_failed"
            ),
        )

    def __str__(self) -> str:
        return f"{self.state} {self.code}"


class CodesCheck(models.Model):
    """Whether the books of all codes added up at a moment. One row per check."""

    at = models.DateTimeField()
    codes = models.PositiveIntegerField()  # how many were looked at
    differences = models.JSONField(default=list)  # sentences; empty: they add up

    class Meta:
        app_label = "credits"
        ordering = ("-at", "-pk")

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d} {len(self.differences)}"
