"""Announcing the closing of a course, moving its day, calling it off; and what pages say of it. Stops nothing itself.

Nothing needs to be blocked: after a course's last day nobody launches, starts or extends (`launch_rules.OVER`), and a
closing never comes before that day.
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils.translation import gettext as _

from courses.events import CourseEvent, note
from courses.models import Course, Enrollment, User
from instances import closing_letters
from instances.closing_records import Closing

REMIND = timedelta(days=3)  # before it begins
LAST_CALL = timedelta(days=3)  # before archives are deleted


class ClosingRefused(Exception):
    """`str()` is a sentence for whoever asked; `field` is what it is about."""

    def __init__(self, message: str, field: str = "last_day") -> None:
        super().__init__(message)
        self.field = field


def open_closings() -> QuerySet[Closing]:
    """Neither called off nor finished."""
    return Closing.objects.filter(called_off_at=None, finished_at=None).select_related("course", "who")


def announce(course: Course, *, last_day: date, keep_days: int, who: User, now: datetime) -> Closing:
    """Row, event and everybody's letter. Raises ClosingRefused."""
    _refuse_bad_day(course, last_day, None, now)
    try:
        with transaction.atomic():
            facts = {"last_day": last_day, "keep_days": keep_days}
            made = Closing.objects.create(course=course, who=who, announced_at=now, **facts)
            _tell(made, _("Closing announced"), who, now)
            closing_letters.announced(made, now)
    except IntegrityError:
        raise ClosingRefused(_("It is announced already. Look who did it, and for when.")) from None
    return made


def change(closing: Closing, *, last_day: date, keep_days: int, who: User, now: datetime) -> bool:
    """Another day, or archives kept for another time. False when nothing is different. Raises ClosingRefused."""
    with transaction.atomic():
        row = locked(closing.pk)
        if row is None:
            raise ClosingRefused(_("It is called off or finished."))
        if (row.last_day, row.keep_days) == (last_day, keep_days):
            return False
        if row.closes_at <= now:
            _refuse_once_begun(row, last_day, keep_days)
        else:
            _refuse_bad_day(row.course, last_day, row.last_day, now)
        row.last_day, row.keep_days, row.reminded_at = last_day, keep_days, None
        row.save(update_fields=("last_day", "keep_days", "reminded_at"))
        _tell(row, _("Closing changed"), who, now)
        closing_letters.announced(row, now)
    return True


def call_off(closing: Closing, *, who: User, now: datetime) -> bool:
    """What is archived and deleted stays so; nothing more is. False when somebody was faster."""
    with transaction.atomic():
        row = locked(closing.pk)
        if row is None:
            return False
        row.called_off_at = now
        row.save(update_fields=("called_off_at",))
        _tell(row, _("Closing called off"), who, now)
        closing_letters.called_off(row, now)
    return True


def locked(pk: int) -> Closing | None:
    """Held by each step of it to its end: once `call_off` has come back, no step follows."""
    rows = Closing.objects.select_for_update(no_key=True, of=("self",)).select_related("course", "who")
    return rows.filter(pk=pk, called_off_at=None, finished_at=None).first()


def earliest_day(course: Course, now: datetime) -> date:
    """The first last day that may be announced now."""
    today = now.astimezone(ZoneInfo(course.timezone)).date()
    return max(course.ends_on, today + timedelta(days=settings.CLOSING_NOTICE_DAYS))


def _refuse_bad_day(course: Course, last_day: date, before: date | None, now: datetime) -> None:
    if last_day < course.ends_on:
        text = _("The course goes on until %(day)s. Change its last day in the set-up first.")
        raise ClosingRefused(text % {"day": closing_letters.day(course.ends_on)})
    earliest = earliest_day(course, now)
    if last_day < earliest and (before is None or last_day < before):
        text = _("People are told at least %(n)s days before: %(day)s at the earliest.")
        values = {"n": settings.CLOSING_NOTICE_DAYS, "day": closing_letters.day(earliest)}
        raise ClosingRefused(text % values)


def _refuse_once_begun(row: Closing, last_day: date, keep_days: int) -> None:
    if last_day != row.last_day:
        raise ClosingRefused(
            _("It has begun: its day cannot be moved any more. Call it off, and announce another one.")
        )
    if keep_days < row.keep_days:
        raise ClosingRefused(_("People were told that archives are kept for longer."), "keep_days")


def _tell(row: Closing, why: str, who: User, now: datetime) -> None:
    facts = {"closing": row.pk, "last_day": row.last_day.isoformat(), "keep_days": row.keep_days}
    note(row.course, CourseEvent.Kind.SETTINGS, who=who, now=now, why=why, facts=facts)


# ------------------------------------------------------------------ everybody's pages
def with_closing(lines: QuerySet[Enrollment]) -> QuerySet[Enrollment]:
    """Each roster line with `closing_id`, the open closing of its course: no question more for a page."""
    found = Closing.objects.filter(course=OuterRef("course"), called_off_at=None, finished_at=None)
    return lines.annotate(closing_id=Subquery(found.values("pk")[:1]))


def told_on_pages(lines: Iterable[Enrollment]) -> list[Closing]:
    """The closings of these lines (from `with_closing`); asks nothing when there is none."""
    keys = {vars(line)["closing_id"] for line in lines} - {None}
    return list(Closing.objects.filter(pk__in=keys).select_related("course").order_by("last_day")) if keys else []
