"""Homework as a link: which repositories a course's links may name, and the links that its home page shows."""

from collections.abc import Mapping
from datetime import datetime

from django.db import models
from django.utils.translation import gettext as _

from courses.models import Course, User
from instances.homework_rules import (
    Assignment,
    BadLink,
    Wrong,
    assignment,
    pull_allowed,
    pulls,
    source,
)
from instances.models import Preset


class HomeworkSource(models.Model):
    """What lies at or below this address may be pulled by the course's links."""

    course = models.ForeignKey(Course, models.CASCADE, related_name="homework_sources")
    address = models.CharField(max_length=200)  # https://github.com/d2l-ai, without a slash at its end
    added_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    added_at = models.DateTimeField()

    class Meta:
        app_label = "instances"
        ordering = ("address",)
        constraints = (models.UniqueConstraint(fields=("course", "address"), name="homework_source_once"),)

    def __str__(self) -> str:
        return self.address


class Homework(models.Model):
    """One link of the course's home page."""

    course = models.ForeignKey(Course, models.CASCADE, related_name="homeworks")
    preset = models.ForeignKey(Preset, models.CASCADE, related_name="+")
    title = models.CharField(max_length=80)
    repo = models.CharField(max_length=200)
    branch = models.CharField(max_length=100, blank=True)
    path = models.CharField(max_length=200, blank=True)
    added_by = models.ForeignKey(User, models.SET_NULL, null=True, related_name="+")
    added_at = models.DateTimeField()

    class Meta:
        app_label = "instances"
        ordering = ("added_at", "pk")

    def __str__(self) -> str:
        return self.title

    @property
    def query(self) -> str:
        """The link's own part, behind the course's address."""
        return f"preset={self.preset.slug}&{Assignment(self.repo, self.branch, self.path).query}"


def allowed_in(course: Course) -> list[str]:
    return list(HomeworkSource.objects.filter(course=course).values_list("address", flat=True))


def asked_for(course: Course, asked: Mapping[str, str]) -> Assignment:
    """The assignment of a link's `repo`, `branch` and `path`. Raises BadLink."""
    values = (asked.get(name, "").strip() for name in ("repo", "branch", "path"))
    repo, branch, path = values
    return assignment(repo, branch, path, allowed=allowed_in(course))


def may_open(course: Course, path: str) -> bool:
    """Whether a link may lead to this path of a notebook's host: not to a pull that no link of the course asks for."""
    where, _mark, query = path.partition("?")
    return not pulls(where) or pull_allowed(where, query, allowed_in(course))


def may_pull(instance_id: int, path: str, query: str) -> bool:
    """The same of a pull that the machine itself is asked for, by whatever page."""
    return pull_allowed(path, query, allowed_in(Course.objects.get(instances=instance_id)))


def allow(course: Course, address: str, *, who: User, now: datetime) -> HomeworkSource:
    """Said twice it is one row. Raises BadLink."""
    plain = source(address)
    row, _made = HomeworkSource.objects.get_or_create(
        course=course, address=plain, defaults={"added_by": who, "added_at": now}
    )
    return row


def wrong_words(error: BadLink) -> str:
    return {
        Wrong.NOT_HTTPS: _("The repository's address must begin with https://"),
        Wrong.NO_REPO: _("This is not the plain address of a repository: no names, ports or question marks in it."),
        Wrong.NOT_ALLOWED: _("This course's links may not open that repository. Staff can allow it under Homework."),
        Wrong.BRANCH: _("This is not the name of a branch."),
        Wrong.PATH: _("The path must lie inside the repository: no “..”, no backslash."),
        Wrong.TOO_LONG: _("Address, branch and path together are too long."),
    }[error.wrong]
