"""Our count made true to the provider's: each correction is a row of its own, counted as spent like a charge.

Which difference is due is read again under the lock, so that a correction said twice is booked once.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils.translation import gettext as _

from courses.models import Course, Enrollment, User
from spend.causes import CENT
from spend.metering import ChargeLine, rounded
from spend.models import ZERO, Budget, Charge, ChargeKind, Correction, Drift, Level
from spend.refusals import BudgetRefused, no_budget
from spend.services import add_to_budgets, book_overrun, lock_path
from spend.totals import add_to_course_days, add_to_totals


def book(drift: Drift, *, course: Course, why: str, who: User | None, now: datetime) -> Correction | None:
    """Book what is missing between us and the provider for this day, machine and kind; None when nothing is.

    On the person's budget when the machine is somebody's of this course, else on the course's. Raises BudgetRefused
    when there is no budget to book on.
    """
    person = drift.enrollment if drift.enrollment and drift.enrollment.course_id == course.pk else None
    with transaction.atomic():
        path = lock_path(_budget(course, person))
        amount = rounded(drift.provider_usd - charged(drift.day, drift.machine, drift.kind) - _corrected(drift))
        if abs(amount) < CENT:
            return None
        made = Correction.objects.create(
            key=_next_key(drift),
            budget=path[-1],
            course=course,
            enrollment=person,
            team_id=person.team_id if person else None,
            machine=drift.machine,
            kind=drift.kind,
            day=drift.day,
            source=drift.source,
            cause=drift.cause,
            amount_usd=amount,
            why=why[:300],
            who=who,
            at=now,
        )
        count_correction(made)
        book_overrun(path, made.key, amount, now)
        add_to_budgets(path, spent_usd=amount)
        Drift.objects.filter(pk=drift.pk).update(corrected_usd=_corrected(drift))
    return made


def book_all(drifts: Iterable[Drift], *, course: Course, why: str, who: User | None, now: datetime) -> list[Correction]:
    """Each in a transaction of its own. Raises BudgetRefused."""
    booked = (book(drift, course=course, why=why, who=who, now=now) for drift in drifts)
    return [one for one in booked if one is not None]


def count_correction(one: Correction) -> None:
    """Into the sums that pages read. Only under the locks of the person's and the course's budgets."""
    line = ChargeLine(ChargeKind.CORRECTION, _start(one.day), 0, one.amount_usd)
    if one.enrollment is None:
        add_to_course_days(one.course, [line])
        return
    one.enrollment.team_id = one.team_id  # in which it was spent
    add_to_totals(one.enrollment, [line], "")


def charged(day: date, machine: str, kind: str) -> Decimal:
    """What we counted for one machine on one UTC day, in USD; nothing without a machine."""
    if not machine:
        return ZERO
    found = _charges_of(machine).filter(kind=kind, hour__gte=_start(day), hour__lt=_start(day + timedelta(days=1)))
    return rounded(found.aggregate(Sum("amount_usd"))["amount_usd__sum"] or ZERO)


def _charges_of(machine: str) -> QuerySet[Charge]:
    return Charge.objects.filter(key__startswith=f"machine/{machine}/")


def _corrected(drift: Drift) -> Decimal:
    found = Correction.objects.filter(day=drift.day, machine=drift.machine, kind=drift.kind)
    return rounded(found.aggregate(Sum("amount_usd"))["amount_usd__sum"] or ZERO)


def _next_key(drift: Drift) -> str:
    """Read under the lock: the unique key is what keeps two processes from booking the same one twice."""
    same = Correction.objects.filter(day=drift.day, machine=drift.machine, kind=drift.kind)
    return f"{drift.day}/{drift.machine or '-'}/{drift.kind}/{same.count() + 1}"


def _budget(course: Course, person: Enrollment | None) -> Budget:
    if person is not None:
        found = Budget.objects.filter(enrollment=person).first()
        if found is None:
            raise no_budget(person)
        return found
    found = Budget.objects.filter(course=course, level=Level.COURSE).first()
    if found is None:
        raise BudgetRefused(_("%(name)s has no budget yet: open one first.") % {"name": course})
    return found


def _start(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
