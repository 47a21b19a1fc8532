"""What is halted now: looked at inside every launch and start, and shown on everybody's page. Halts nothing itself."""

from collections.abc import Iterable

from django.db.models import F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from courses.models import Course, Enrollment
from instances.halts import Halt
from instances.refusals import LaunchRefused


def open_halts(course: Course | None) -> QuerySet[Halt]:
    """Those that bind this course, its own and the installation's; without one, the installation's alone."""
    bound = Q(course=None) if course is None else Q(course=None) | Q(course=course)
    return Halt.objects.filter(bound, lifted_at=None).select_related("who", "course")


def refuse_if_halted(course: Course) -> None:
    """Only after the budgets are locked, in the same transaction: see `wait_for_launches`. Raises LaunchRefused."""
    row = open_halts(course).first()
    if row is not None:
        raise LaunchRefused(words(row))


def words(row: Halt) -> str:
    """Who stopped it and why, for everybody's page, row and mail."""
    said = {"who": row.who or _("The staff"), "why": row.why}
    if row.course_id is None:
        return _("%(who)s has stopped all machines of this installation: %(why)s") % said
    if row.reach == Halt.Reach.IDLE:
        return _("%(who)s has stopped idle machines, and nothing is launched: %(why)s") % said
    return _("%(who)s has stopped all machines of this course: %(why)s") % said


def with_halt(lines: QuerySet[Enrollment]) -> QuerySet[Enrollment]:
    """Each roster line with `halt_id`, the open halt that binds its course: no question more for a page."""
    opened = Halt.objects.filter(lifted_at=None)
    own = opened.filter(course=OuterRef("course")).values("pk")[:1]
    everywhere = opened.filter(course=None).values("pk")[:1]
    return lines.annotate(halt_id=Coalesce(Subquery(everywhere), Subquery(own)))


def told_on_pages(lines: Iterable[Enrollment]) -> list[Halt]:
    """The halts of these lines (from `with_halt`); asks nothing when there is none."""
    keys = {vars(line)["halt_id"] for line in lines} - {None}
    if not keys:
        return []
    return list(Halt.objects.filter(pk__in=keys).select_related("who", "course").order_by(F("course").asc()))
