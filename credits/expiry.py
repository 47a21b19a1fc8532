"""What is about to be lost: codes not yet redeemed, credit not yet used, stock not given out; and the letters about it.

Days are UTC dates: AWS's are.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from django.db.models import Count, Q, QuerySet
from django.utils.formats import date_format
from django.utils.translation import ngettext

from courses.models import Course, Enrollment, EnrollmentStatus, Role
from credits import letters
from credits.models import CodeBatch, CreditCode
from credits.telling import in_portal_language, redeem_soon_letter, unclaimed_letter

Status = CreditCode.Status
HOLDER_DAYS = (14, 3)  # before the last day, a holder is reminded
STOCK_DAYS = (28, 14, 3)  # before it, the instructors hear of what nobody has: early enough to open or award it


class Loss(StrEnum):
    REDEEM = "redeem"  # a code that somebody has and must still redeem
    USE = "use"  # credit that is on somebody's account


@dataclass(frozen=True, slots=True)
class Expiring:
    """A code and the last day on which it (or its credit) is good."""

    code: CreditCode  # with batch, holder, team
    loss: Loss
    day: date
    days: int  # left, 0 on the day itself

    @property
    def whose(self) -> str:
        return str(self.code.team or self.code.holder)


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """Codes of one batch that nobody has. USD."""

    batch: CodeBatch
    number: int
    day: date
    days: int

    @property
    def usd(self) -> Decimal:
        return self.number * self.batch.value_usd


def expiring(course: Course, today: date, *, days: int = HOLDER_DAYS[0]) -> list[Expiring]:
    """What people of this course lose within so many days, the soonest first. One query."""
    return _expiring(CreditCode.objects.filter(batch__course=course), today, days)


def unclaimed(course: Course | None, today: date, *, days: int = STOCK_DAYS[0]) -> list[Unclaimed]:
    """Stock that is lost within so many days unless it is given out, the soonest first. One query."""
    free = Q(codes__status=Status.AVAILABLE)
    batches = CodeBatch.objects.filter(redeem_by__range=(today, today + timedelta(days=days)))
    if course is not None:
        batches = batches.filter(course=course)
    found = batches.select_related("course").annotate(free=Count("codes", filter=free)).filter(free__gt=0)
    return [
        Unclaimed(batch, vars(batch)["free"], batch.redeem_by, (batch.redeem_by - today).days)
        for batch in found.order_by("redeem_by", "pk")
        if batch.redeem_by
    ]


def remind(now: datetime) -> int:
    """Write the letters that are due, each once per code (or batch) and step; returns how many people were thought of.

    A day on which this did not run is made up for on the next one.
    """
    today = now.date()
    with in_portal_language():
        return _remind_holders(today, now) + _warn_instructors(today, now)


def _expiring(codes: QuerySet[CreditCode], today: date, days: int) -> list[Expiring]:
    until = today + timedelta(days=days)
    held = codes.filter(
        Q(status=Status.CLAIMED, batch__redeem_by__range=(today, until))
        | Q(status=Status.REDEEMED, batch__expires_on__range=(today, until))
    ).select_related("batch__course", "holder", "team")
    return sorted((_line(code, today) for code in held), key=lambda line: (line.day, line.whose, line.code.pk))


def _line(code: CreditCode, today: date) -> Expiring:
    claimed = code.status == Status.CLAIMED
    day = code.batch.redeem_by if claimed else code.batch.expires_on
    assert day is not None  # noqa: S101 - for the type: the query asked for a day
    return Expiring(code, Loss.REDEEM if claimed else Loss.USE, day, (day - today).days)


def _step(days: int, steps: Sequence[int]) -> int:
    """The step that is due with so many days left: the smallest that is not below."""
    return min(step for step in steps if step >= days)


def _remind_holders(today: date, now: datetime) -> int:
    """About codes to be redeemed. Of credit that is on an account, only the account can say what is left."""
    claimed = CreditCode.objects.filter(status=Status.CLAIMED)
    lines = _expiring(claimed, today, HOLDER_DAYS[0])
    teams = _members(line.code.team_id for line in lines if line.code.team_id)
    written = 0
    for line in lines:
        code = line.code
        people = teams[code.team_id] if code.team_id else [code.holder]
        subject, body = redeem_soon_letter(code, line.day)
        for person in people:
            if person and person.status == EnrollmentStatus.ACTIVE:
                key = f"redeem/{code.pk}/{person.pk}/{_step(line.days, HOLDER_DAYS)}"
                letters.write(key, to=person.email, subject=subject, body=body, now=now)
                written += 1
    return written


def _members(team_ids: Iterable[int]) -> dict[int | None, list[Enrollment]]:
    found: dict[int | None, list[Enrollment]] = defaultdict(list)
    for line in Enrollment.objects.filter(team__in=set(team_ids), status=EnrollmentStatus.ACTIVE):
        found[line.team_id].append(line)
    return found


def _warn_instructors(today: date, now: datetime) -> int:
    """One letter per course, day of expiry and step, with all its batches."""
    by_letter: dict[tuple[int, date], list[Unclaimed]] = defaultdict(list)
    for line in unclaimed(None, today):
        by_letter[line.batch.course_id, line.day].append(line)
    written = 0
    for (course_id, day), lines in by_letter.items():
        subject, body = unclaimed_letter(lines[0].batch.course, [_said(line) for line in lines])
        step = _step(lines[0].days, STOCK_DAYS)
        staff = Enrollment.objects.filter(course=course_id, role=Role.INSTRUCTOR, status=EnrollmentStatus.ACTIVE)
        for person in staff:
            key = f"unclaimed/{course_id}/{day}/{step}/{person.pk}"
            letters.write(key, to=person.email, subject=subject, body=body, now=now)
            written += 1
    return written


def _said(line: Unclaimed) -> str:
    words = {
        "batch": line.batch.name,
        "number": line.number,
        "usd": f"{line.usd:,.2f}",
        "day": date_format(line.day, "DATE_FORMAT"),
    }
    text = ngettext(
        "%(batch)s: %(number)d code, $%(usd)s, until %(day)s",
        "%(batch)s: %(number)d codes, $%(usd)s, until %(day)s",
        line.number,
    )
    return text % words
