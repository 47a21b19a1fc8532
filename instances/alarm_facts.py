"""What alarms are decided from, gathered for one course: budgets, people, disks, credit. Reads only.

A fixed number of queries; work grows with people and open machines, never with history.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db.models import Max, Sum

from courses.models import Course
from instances.models import Instance
from instances.queries import accrued_in
from instances.states import State
from spend.alerts import RATE_DAYS, BudgetFacts, CourseFacts, CreditFacts, DiskFacts, MachineFacts, PersonFacts
from spend.metering import rounded
from spend.models import ZERO, AccountCredit, Budget, DailySpend, Level
from spend.planning import planned_on

_HOURS_A_MONTH = 730
_WORDS = {Level.SPONSOR: "sponsor", Level.COURSE: "course", Level.TEAM: "team", Level.PERSON: "person"}
_DAY = timedelta(days=1)


def course_facts(course: Course, now: datetime) -> CourseFacts:
    today = now.astimezone(UTC).date()
    accrued = accrued_in(course, now)
    week = _by_person_and_day(course, today - RATE_DAYS * _DAY, today)
    budgets = _budgets(course)
    return CourseFacts(
        today=today,
        ends_on=course.ends_on,
        planned_today_usd=planned_on(course, today),
        budgets=_budget_facts(budgets, accrued, _rates(week, today)),
        people=_people(course, week, accrued, today),
        machines=_machines(course),
        disks=_disks(course),
        credits=[
            CreditFacts(one.credit_id, one.name, one.left_usd, one.ends_on)
            for one in AccountCredit.objects.exclude(ends_on=None)
            if one.ends_on
        ],
    )


def _budgets(course: Course) -> list[Budget]:
    """The course's, and its sponsor's: lowest first."""
    found = list(Budget.objects.filter(course=course).select_related("enrollment", "parent"))
    roots = {one.parent for one in found if one.level == Level.COURSE and one.parent is not None}
    return sorted([*found, *roots], key=lambda one: (one.level, one.pk), reverse=True)


def _budget_facts(
    budgets: list[Budget], accrued: Mapping[int, Decimal], rates: Mapping[int, Decimal]
) -> list[BudgetFacts]:
    """What open machines have used but not booked counts at every level above them, and so does the pace."""
    more: dict[int, Decimal] = defaultdict(Decimal)
    pace: dict[int, Decimal] = defaultdict(Decimal)
    facts = []
    for one in budgets:  # from persons up, so that what is below is summed already
        if one.enrollment_id is not None:
            more[one.pk] += accrued.get(one.enrollment_id, ZERO)
            pace[one.pk] += rates.get(one.enrollment_id, ZERO)
        if one.parent_id is not None:
            more[one.parent_id] += more[one.pk]
            pace[one.parent_id] += pace[one.pk]
        facts.append(
            BudgetFacts(
                pk=one.pk,
                level=_WORDS[Level(one.level)],
                name=one.name,
                amount_usd=one.amount_usd,
                used_usd=rounded(one.spent_usd + more[one.pk]),
                rate_usd_day=rounded(pace[one.pk]),
                enrollment=one.enrollment_id,
                team=one.team_id,
            )
        )
    return facts


def _by_person_and_day(course: Course, first: date, last: date) -> dict[int, dict[date, tuple[Decimal, Decimal]]]:
    """(USD, idle USD) by enrollment id and UTC day."""
    rows = DailySpend.objects.filter(course=course, day__range=(first, last)).order_by()
    found: dict[int, dict[date, tuple[Decimal, Decimal]]] = defaultdict(dict)
    for pk, day, usd, idle in rows.values_list("enrollment", "day").annotate(Sum("amount_usd"), Sum("idle_usd")):
        found[pk][day] = (rounded(usd), rounded(idle))
    return found


def _rates(week: Mapping[int, Mapping[date, tuple[Decimal, Decimal]]], today: date) -> dict[int, Decimal]:
    """Mean of the last complete days: today's would make mornings look thrifty."""
    return {
        pk: sum((usd for day, (usd, _idle) in days.items() if day < today), ZERO) / RATE_DAYS
        for pk, days in week.items()
    }


def _people(
    course: Course,
    week: Mapping[int, Mapping[date, tuple[Decimal, Decimal]]],
    accrued: Mapping[int, Decimal],
    today: date,
) -> list[PersonFacts]:
    return [
        PersonFacts(
            enrollment=pk,
            today_usd=week.get(pk, {}).get(today, (ZERO, ZERO))[0] + rounded(accrued.get(pk, ZERO)),
            idle_usd=sum((idle for _usd, idle in week.get(pk, {}).values()), ZERO),
        )
        for pk in sorted({*week, *accrued})
    ]


def _machines(course: Course) -> list[MachineFacts]:
    running = Instance.objects.filter(course=course, state=State.RUNNING).order_by("pk")
    return [MachineFacts(one.slug, one.owner_id, rounded(one.usd_hour)) for one in running]


def _disks(course: Course) -> list[DiskFacts]:
    stopped = Instance.objects.filter(course=course, state=State.STOPPED, disk_since__isnull=False)
    return [
        DiskFacts(
            key=row.slug,
            enrollment=row.owner_id,
            since=vars(row)["last_ended"] or row.state_since,
            usd_month=rounded(row.disk_usd_hour * _HOURS_A_MONTH),
        )
        for row in stopped.annotate(last_ended=Max("runs__ended_at"))
    ]
