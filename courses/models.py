"""Who: people, courses, teams, and who is what in which course. Knows no money and no machine."""

import uuid
from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import PermissionsMixin
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _


class UserManager(BaseUserManager["User"]):
    def create_user(self, email: str, password: str | None = None, **extra: object) -> "User":
        user = self.model(email=self.normalize_email(email).lower(), **extra)
        user.set_password(password) if password else user.set_unusable_password()
        user.save(using=self._db)
        return user


class User(AbstractBaseUser, PermissionsMixin):
    """A person who has signed in. What they may do is said by their enrollments alone."""

    email = models.EmailField(_("e-mail"), unique=True)
    full_name = models.CharField(_("name"), max_length=200, blank=True)
    is_active = models.BooleanField(default=True)
    is_operator = models.BooleanField(_("runs this installation"), default=False)
    date_joined = models.DateTimeField(auto_now_add=True)
    forgotten_at = models.DateTimeField(null=True, blank=True, editable=False)  # name and address are removed

    objects: ClassVar[UserManager] = UserManager()
    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"

    def __str__(self) -> str:
        return self.full_name or self.email


class Course(models.Model):
    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=200)
    term = models.CharField(max_length=60, blank=True)
    timezone = models.CharField(max_length=60, default="UTC")
    starts_on = models.DateField()
    ends_on = models.DateField()  # disks are paid for until the end of this day
    contact = models.CharField(_("whom to ask"), max_length=200, blank=True)
    # What makes an address of a login, for rosters without addresses: "ada" is ada@<this>.
    email_domain = models.CharField(max_length=100, blank=True)
    team_min = models.PositiveSmallIntegerField(default=3)
    team_max = models.PositiveSmallIntegerField(default=5)
    students_form_teams = models.BooleanField(default=True)
    # So many days after the last one, what is personal is removed. Empty: it is kept.
    retention_days = models.PositiveSmallIntegerField(null=True, blank=True, default=365)
    # Who may look though they are no active students (`entry.py`). Empty: alumni as long as their data is kept.
    waitlisted_enter = models.BooleanField(default=True)
    dropped_enter = models.BooleanField(default=False)
    auditors_enter = models.BooleanField(default=True)
    alumni_for = models.DurationField(null=True, blank=True)  # after the last day
    # Steps of the guided set-up that somebody has confirmed.
    setup_done = models.JSONField(default=list, blank=True)

    class Meta:
        constraints = (
            models.CheckConstraint(
                condition=Q(team_min__gte=1) & Q(team_max__gte=F("team_min")), name="course_team_sizes_in_order"
            ),
        )

    def __str__(self) -> str:
        return self.name


class Milestone(models.Model):
    """A dated piece of course work: explains the shape of the spend."""

    course = models.ForeignKey(Course, models.CASCADE, related_name="milestones")
    name = models.CharField(max_length=120)
    handed_out_on = models.DateField()
    due_on = models.DateField()

    class Meta:
        ordering = ("due_on",)

    def __str__(self) -> str:
        return self.name


class Team(models.Model):
    course = models.ForeignKey(Course, models.CASCADE, related_name="teams")
    name = models.CharField(max_length=120)
    # Dissolved: it keeps what it spent, and takes nobody in any more.
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("name",)
        constraints = (models.UniqueConstraint("course", Lower("name"), name="team_name_once_per_course"),)

    def __str__(self) -> str:
        return self.name


class Role(models.TextChoices):
    STUDENT = "student", _("Student")
    TA = "ta", _("TA")
    INSTRUCTOR = "instructor", _("Instructor")
    SPONSOR = "sponsor", _("Sponsor")
    AUDITOR = "auditor", _("Guest auditor")  # looks; has no budget


STAFF_ROLES = (Role.TA, Role.INSTRUCTOR)
NO_BUDGET_ROLES = (Role.SPONSOR, Role.AUDITOR)  # they look, and launch nothing


class EnrollmentStatus(models.TextChoices):
    ACTIVE = "active", _("Active")
    WAITLISTED = "waitlisted", _("Waitlisted")
    DROPPED = "dropped", _("Dropped")


class Enrollment(models.Model):
    """One roster line. The person behind it may not have signed in yet: then `user` is empty."""

    Role = Role
    Status = EnrollmentStatus

    course = models.ForeignKey(Course, models.CASCADE, related_name="enrollments")
    user = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="enrollments")
    email = models.EmailField()  # lower case; the roster's word
    name = models.CharField(max_length=200)
    role = models.CharField(max_length=12, choices=Role, default=Role.STUDENT)
    status = models.CharField(max_length=12, choices=EnrollmentStatus, default=EnrollmentStatus.ACTIVE)
    section = models.CharField(max_length=60, blank=True)
    # The university's own number for the person: recognises a line whose address has changed.
    roster_key = models.CharField(max_length=60, blank=True)
    team = models.ForeignKey(Team, models.SET_NULL, null=True, blank=True, related_name="members")
    # What leaves the house (AWS tags) instead of a name.
    opaque_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    forgotten_at = models.DateTimeField(null=True, blank=True, editable=False)  # name and address are removed

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint("course", Lower("email"), name="one_roster_line_per_address"),
            models.UniqueConstraint(
                fields=("course", "user"), condition=Q(user__isnull=False), name="one_enrollment_per_person"
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def is_staff_role(self) -> bool:
        return self.role in STAFF_ROLES


# At the end: they refer to the models above.
from courses.audit import AuditCursor as AuditCursor  # noqa: E402
from courses.audit import AuditEntry as AuditEntry  # noqa: E402
from courses.audit import AuditHead as AuditHead  # noqa: E402
from courses.audit import AuditNote as AuditNote  # noqa: E402
from courses.events import CourseEvent as CourseEvent  # noqa: E402
from courses.invitations import TeamInvitation as TeamInvitation  # noqa: E402
from courses.roster_profiles import RosterProfile as RosterProfile  # noqa: E402
