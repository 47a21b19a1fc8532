"""What a closing of a course would do, or is doing: the dry run. By the rules that carry it out; changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from courses.models import Course, Enrollment
from instances import disk_books
from instances.books import HOURS_PER_MONTH
from instances.closing_records import Closing
from instances.closing_rules import Step, next_step
from instances.closing_statement import codes, images_there
from instances.closing_steps import Found, closes_for, found, kept_until, machines_of
from instances.course_images import heir_of
from instances.disk_rules import COSTS, Standing
from instances.home_rules import Standing as Home
from instances.homes import not_cleared_of, offered
from instances.launch_rules import usd_for
from instances.models import CourseImage, DiskSnapshot
from spend.reports import by_person

_STEPS = {
    Step.STOP: gettext_lazy("Stopped, archived, proved, deleted"),
    Step.ARCHIVE: gettext_lazy("Archived, proved, deleted"),
    Step.WAIT: gettext_lazy("Under way"),
    Step.VERIFY: gettext_lazy("Archived; to be proved, then deleted"),
    Step.DELETE: gettext_lazy("Archived and proved; to be deleted"),
}


@dataclass(frozen=True, slots=True)
class Machine:
    found: Found
    step: Step
    archive_usd: Decimal  # at most, for as long as it is kept: AWS stores what is used of a disk, we count all of it

    @property
    def words(self) -> str:
        one, account = self.found.archive, self.found.machine.account
        if account is not None and account.shut_since is not None:
            return _("Its AWS account cannot be entered: the page of AWS accounts says what can be done")
        if one is not None and one.reason:
            return one.reason
        if one is not None and one.standing in (Standing.WANTED, Standing.PENDING):
            return _("Being archived")
        return str(_STEPS[self.step])


@dataclass(slots=True)
class Person:
    """What one person gets: which disks are archived, until when they are kept; what they have spent. USD."""

    owner: Enrollment
    closes_at: datetime
    kept_until: datetime
    spent_usd: Decimal = Decimal(0)
    machines: list[Machine] = field(default_factory=list)
    copies: list[DiskSnapshot] = field(default_factory=list)

    @property
    def archive_usd(self) -> Decimal:
        return sum((one.archive_usd for one in self.machines), Decimal(0))


@dataclass(frozen=True, slots=True)
class Downloads:
    """Files that students take along: how many machines' are there, or on their way."""

    ready: int
    packing: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    people: Sequence[Person]  # who has a machine or a copy
    images: Sequence[CourseImage]
    inherited: Sequence[tuple[CourseImage, Course]]  # and who launches from them
    codes: Sequence[dict[str, Any]]
    downloads: Downloads | None  # None: they are not offered

    @property
    def machines(self) -> list[Machine]:
        return [machine for person in self.people for machine in person.machines]

    @property
    def running(self) -> int:
        return sum(machine.step is Step.STOP for machine in self.machines)

    @property
    def disk_gb(self) -> int:
        return sum(machine.found.machine.disk_gb for machine in self.machines)

    @property
    def disks_usd_month(self) -> Decimal:
        return sum((one.found.machine.disk_usd_hour for one in self.machines), Decimal(0)) * HOURS_PER_MONTH

    @property
    def copies(self) -> list[DiskSnapshot]:
        return [copy for person in self.people for copy in person.copies]

    @property
    def copies_gb(self) -> int:
        return sum(copy.size_gb for copy in self.copies)

    @property
    def images_gb(self) -> int:
        return sum(image.size_gb for image in self.images)

    @property
    def images_usd_month(self) -> Decimal:
        return sum((image.usd_month for image in self.images), Decimal(0))

    @property
    def copies_usd_month(self) -> Decimal:
        return sum((copy.usd_month for copy in self.copies), Decimal(0))

    @property
    def archive_usd(self) -> Decimal:
        return sum((person.archive_usd for person in self.people), Decimal(0))

    @property
    def unclaimed(self) -> int:
        return sum(one["n"] for one in self.codes)


def plan(closing: Closing, now: datetime) -> Plan:
    """`closing` may be one that is not announced yet. The same number of queries for 3 machines and for 300."""
    people: dict[int, Person] = {}

    def of(owner: Enrollment) -> Person:
        if owner.pk not in people:
            people[owner.pk] = Person(owner, closes_for(closing, owner), kept_until(closing, owner))
        return people[owner.pk]

    for one in found(list(machines_of(closing))):
        of(one.machine.owner).machines.append(_machine(closing, one, now))
    copies = DiskSnapshot.objects.filter(course=closing.course, standing__in=COSTS)
    for copy in copies.select_related("owner__limits", "instance"):
        of(copy.owner).copies.append(copy)
    for line in by_person(closing.course):
        if line.enrollment.pk in people:
            people[line.enrollment.pk].spent_usd = line.spent_usd
    by_name = sorted(people.values(), key=lambda person: (person.owner.name, person.owner.pk))
    heirs = [(one, heir_of(one)) for one in images_there(closing.course)]
    going, inherited = [one for one, heir in heirs if heir is None], [(one, heir) for one, heir in heirs if heir]
    return Plan(by_name, going, inherited, codes(closing.course, now), _downloads(closing, now))


def _downloads(closing: Closing, now: datetime) -> Downloads | None:
    if not offered():
        return None
    rows = list(not_cleared_of(closing.course).select_related("instance").defer("mark"))
    ready = [row for row in rows if row.standing(now) is Home.READY]
    ways = (Home.WAITING, Home.PACKING, Home.CHECKING)
    on_their_way = sum(row.standing(now) in ways for row in rows)
    return Downloads(len(ready), on_their_way, sum(row.size_bytes for row in ready))


def _machine(closing: Closing, one: Found, now: datetime) -> Machine:
    hour = disk_books.snapshot_usd_hour(one.machine.disk_gb)
    return Machine(one, next_step(one.facts, now), usd_for(hour, closing.keep_days * 24 * 3600))
