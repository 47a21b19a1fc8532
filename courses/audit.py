"""The audit's rows. `note` is for what leaves no row elsewhere; the collector (`portal/auditing.py`) chains all of it.

    note("budget_looked", kind=Kind.LOOK, who=ta, course=course, about=line, address=address_of(request), now=now)

Written in the caller's transaction: it is there when the thing was done, and only then.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar, NoReturn

from django.db import models
from django.utils.translation import gettext_lazy as _

from courses.models import Course, Enrollment, User


class Kind(models.TextChoices):
    """What the page filters by."""

    MONEY = "money", _("Money")
    DECISION = "decision", _("Decision")
    CODE = "code", _("Codes")
    REVEAL = "reveal", _("Code shown")
    OVERRIDE = "override", _("Override")
    MACHINE = "machine", _("Machine")
    SIGN_IN = "sign_in", _("Sign-in")
    LOOK = "look", _("Look at a student")
    EXPORT = "export", _("Export")
    PRIVACY = "privacy", _("Privacy")


class AppendOnly(Exception):
    """Somebody tried to edit or delete what is only ever added to."""


class AppendOnlyRows(models.QuerySet["models.Model"]):
    def update(self, **_values: object) -> NoReturn:
        raise AppendOnly(self.model.__name__)

    def delete(self) -> NoReturn:
        raise AppendOnly(self.model.__name__)

    def erase(self, now: datetime) -> int:
        """The one change there is: forgets what is personal; `verify_audit` knows such entries. Returns how many."""
        rows = self.filter(erased_at=None)
        blank: dict[str, object] = {"why": "", "subject": "", "address": None, "erased_at": now}
        if hasattr(self.model, "salt"):
            blank["salt"] = ""
        return models.QuerySet.update(rows, **blank)


class _Row(models.Model):
    """What a note and an entry have in common."""

    kind = models.CharField(max_length=10, choices=Kind)
    what = models.CharField(max_length=60)  # a word of `portal/audit_words.py`, or one that explains itself
    facts = models.JSONField(default=dict)  # amounts as text (USD), ids, states: nothing that names a person
    at = models.DateTimeField()
    # Personal, and forgotten one day.
    why = models.TextField(blank=True)
    subject = models.CharField(max_length=254, blank=True)  # an e-mail address with no person behind it
    address = models.GenericIPAddressField(null=True, blank=True)  # from where
    erased_at = models.DateTimeField(null=True, blank=True)

    objects: ClassVar[models.Manager] = AppendOnlyRows.as_manager()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return f"{self.kind} {self.what}"

    def save(self, *args: object, **kwargs: object) -> None:
        if not self._state.adding:
            raise AppendOnly(type(self).__name__)
        super().save(*args, force_insert=True)

    def delete(self, *args: object, **kwargs: object) -> NoReturn:  # type: ignore[override]
        raise AppendOnly(type(self).__name__)


class AuditNote(_Row):
    """Something was done that leaves no row of its own: somebody looked, exported, was not let in."""

    who = models.ForeignKey(User, models.SET_NULL, null=True, blank=True, related_name="+")
    course = models.ForeignKey(Course, models.CASCADE, null=True, blank=True, related_name="+")
    about = models.ForeignKey(Enrollment, models.SET_NULL, null=True, blank=True, related_name="+")  # whose it is

    class Meta:
        app_label = "courses"
        ordering = ("pk",)


def _loose(to: type[models.Model]) -> models.ForeignKey:
    """Kept whatever becomes of the other row: a database that changed entries by itself would break the chain."""
    return models.ForeignKey(to, models.DO_NOTHING, null=True, blank=True, db_constraint=False, related_name="+")


class AuditEntry(_Row):
    """One link of the chain. The database itself refuses to edit or delete one (see the migration)."""

    number = models.BigIntegerField(primary_key=True)  # 1, 2, 3, … without a gap
    source = models.CharField(max_length=30)  # which table it was read from
    source_pk = models.BigIntegerField()
    who = _loose(User)  # empty: the portal itself, or nobody known
    course = _loose(Course)
    about = _loose(Enrollment)
    recorded_at = models.DateTimeField()
    salt = models.CharField(max_length=32, blank=True)
    sealed = models.CharField(max_length=64)  # of `why`, `subject` and `address`
    digest = models.CharField(max_length=64)  # of all else, and of the entry before

    class Meta:
        app_label = "courses"
        ordering = ("number",)
        constraints = (models.UniqueConstraint(fields=("source", "source_pk"), name="each_thing_is_audited_once"),)
        indexes = (
            models.Index(fields=("course", "-number"), name="audit_of_course"),
            models.Index(fields=("about", "-number"), name="audit_about"),
            models.Index(fields=("who", "-number"), name="audit_by"),
            models.Index(fields=("kind", "-number"), name="audit_kind"),
            models.Index(fields=("source", "recorded_at"), name="audit_source_recorded"),
        )


class AuditHead(models.Model):
    """The chain's last link: who appends locks this one row."""

    number = models.BigIntegerField(default=0)
    digest = models.CharField(max_length=64)

    class Meta:
        app_label = "courses"


class AuditCursor(models.Model):
    """Up to which row a table is surely read, also by transactions that were open then."""

    source = models.CharField(max_length=30, primary_key=True)
    upto = models.BigIntegerField(default=0)

    class Meta:
        app_label = "courses"


def note(
    what: str,
    *,
    kind: Kind,
    now: datetime,
    who: User | None = None,
    course: Course | None = None,
    about: Enrollment | None = None,
    why: str = "",
    subject: str = "",
    address: str | None = None,
    facts: Mapping[str, object] | None = None,
) -> AuditNote:
    """Remembers that something was done. `course` is the one of `about` when that is given."""
    row = AuditNote(
        what=what,
        kind=kind,
        who=who,
        course=course or (about.course if about else None),
        about=about,
        why=why,
        subject=subject,
        address=address,
        facts=dict(facts or {}),
        at=now,
    )
    row.save()
    return row
