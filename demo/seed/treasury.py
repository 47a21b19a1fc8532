"""What the demo's staff see of money besides the spend: a plan, a release to come, AWS's bill, alarms, a halt."""

import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db.models import QuerySet, Sum
from django.db.models.functions import TruncDate

from cloud.fake_costs import FakeCosts, Record
from courses.models import Course, User
from credits.vault import seal
from demo.seed.calendar import Calendar
from demo.seed.course import Roster
from instances.halts import Halt
from instances.launch_rules import start_of
from spend.alarming import limits_of
from spend.alert_words import words
from spend.alerts import BudgetFacts, CourseFacts, CreditFacts, alarms
from spend.models import Alarm, AlertPolicy, Budget, Charge, ChatChannel, Gravity, Level, PlanPoint
from spend.reconciling import LOOK_BACK, reconcile_explorer
from spend.releasing import of_level, plan_release
from spend.trueing import book_final

_SEED = 41
# Of the course's budget, by the end of which week: homework first, most of it for the projects at the end.
_PLAN = ((4, "0.04"), (8, "0.12"), (12, "0.32"), (14, "0.50"))
_USAGE = {"compute": "BoxUsage:g4dn.xlarge", "disk": "EBS:VolumeUsage.gp3", "address": "PublicIPv4:InUseAddress"}
_CREDIT_SHARE = Decimal("0.9")


def fill_the_treasury(roster: Roster, calendar: Calendar, now: datetime) -> None:
    """After the books of the past: the bill is told from them."""
    who = roster.instructors[0].user
    assert who  # noqa: S101 - the seed has signed everybody in
    course = roster.course
    _plan(course)
    _release_later(course, calendar, who, now)
    _open_a_room(course, now)
    _remember_a_halt(course, who, roster.assistants[0].user, now)
    _remember_alarms(course, who, now)
    _read_the_bill(course, now)


def _plan(course: Course) -> None:
    amount = Budget.objects.get(course=course, level=Level.COURSE).amount_usd
    PlanPoint.objects.bulk_create(
        PlanPoint(course=course, day=course.starts_on + timedelta(weeks=week), usd=amount * Decimal(share))
        for week, share in _PLAN
    )


def _release_later(course: Course, calendar: Calendar, who: User, now: datetime) -> None:
    teams = of_level(list(Budget.objects.filter(course=course)), Level.TEAM)
    final = calendar.work[-1]
    at = start_of(final.handed_out_on, course.timezone) + timedelta(hours=8)
    plan_release(teams, amount_usd=Decimal(150), release_at=at, why=f"For {final.name}", who=who, now=now)


def _open_a_room(course: Course, now: datetime) -> None:
    """Invented, so it is switched off: nothing of the demo goes out to a chat."""
    ChatChannel.objects.create(
        course=course,
        name="#dl-staff",
        service="Slack",
        sealed_url=seal("slack://T00000000/B00000000/demodemodemodemodemodemo"),
        least=Gravity.WARNING,
        enabled=False,
        created_at=now - timedelta(weeks=9),
        ok_at=now - timedelta(weeks=4),
    )


def _remember_a_halt(course: Course, who: User, ta: User | None, now: datetime) -> None:
    at = now - timedelta(weeks=5, hours=3)
    why = "AWS reports trouble in us-east-1: idle machines off until it is over."
    Halt.objects.create(
        course=course,
        reach=Halt.Reach.IDLE,
        why=why,
        who=ta,
        at=at,
        lifted_at=at + timedelta(hours=2, minutes=20),
        lifted_by=who,
    )


def _remember_alarms(course: Course, who: User, now: datetime) -> None:
    """Raised by the rules themselves from what was so then. What is alarming now the portal's own round finds."""
    ago = (
        (timedelta(weeks=6), timedelta(days=2), _pitch_week(course)),
        (timedelta(weeks=3), timedelta(days=1), _old_credit(now.date() - timedelta(weeks=3))),
    )
    for before, lasted, told in ago:
        at = now - before
        facts = CourseFacts(today=at.date(), ends_on=course.ends_on, planned_today_usd=Decimal(0), **told)
        for one in alarms(facts, limits_of(AlertPolicy.of(course))):
            title, text = words(one.kind, one.facts)
            Alarm.objects.create(
                course=course,
                kind=one.kind,
                key=one.key,
                gravity=one.gravity,
                title=title,
                text=text,
                facts=dict(one.facts),
                raised_at=at,
                cleared_at=at + lasted,
                seen_by=who,
                seen_at=at + timedelta(hours=1),
                seen_note="Expected: the pitches are on Thursday." if one.kind == "forecast" else "",
            )


def _pitch_week(course: Course) -> dict[str, tuple[BudgetFacts, ...]]:
    budget = Budget.objects.get(course=course, level=Level.COURSE)
    used, rate = budget.amount_usd * Decimal("0.3"), budget.amount_usd / 80
    return {"budgets": (BudgetFacts(budget.pk, "course", course.name, budget.amount_usd, used, rate),)}


def _old_credit(day: date) -> dict[str, tuple[CreditFacts, ...]]:
    return {"credits": (CreditFacts("7000000000", "Pilot credit", Decimal(180), day + timedelta(days=20)),)}


# ------------------------------------------------------------------ AWS's bill
def _read_the_bill(course: Course, now: datetime) -> None:
    """Cost Explorer's newest answer, told from our own books with what differs in practice."""
    at = now - timedelta(hours=2)
    book_final(reconcile_explorer(FakeCosts(records=list(_records(course, now))), now=at), now=at)


def _records(course: Course, now: datetime) -> Iterator[Record]:
    rng = random.Random(_SEED)
    today = now.astimezone(UTC).date()
    dearer = _some_machine(course, now)
    for key, kind, day, usd, seconds in _ours(course, now):
        machine = key.split("/")[1]
        if kind not in _USAGE or day == today:  # of today nothing is on the bill yet
            continue
        factor = Decimal("1.04") if machine == dearer and kind == "compute" else Decimal(1)
        untagged = kind == "disk" and rng.random() < 0.01
        yield Record(day, "" if untagged else machine, _USAGE[kind], usd * factor, Decimal(seconds) / 3600)
        yield Record(day, "", "Credit", -usd * _CREDIT_SHARE, record_type="Credit")
    for n in range(1, LOOK_BACK + 1):
        day = today - timedelta(days=n)
        yield Record(day, "", "TimedStorage-ByteHrs", Decimal("0.11"), Decimal(5))
        yield Record(day, "", "DataTransfer-Out-Bytes", Decimal("0.09") * rng.randint(1, 9), Decimal(9))
        if n == 6:
            yield Record(day, "ml-sandbox", "BoxUsage:t3.large", Decimal("1.99"), Decimal(24))
            yield Record(day, "", "Refund", Decimal("-4.50"), record_type="Refund")


def _ours(course: Course, now: datetime) -> QuerySet[Charge, tuple[str, str, date, Decimal, int]]:
    recent = Charge.objects.filter(course=course, hour__gte=now - timedelta(days=LOOK_BACK + 2))
    days = recent.annotate(day=TruncDate("hour", tzinfo=UTC)).order_by("day", "key", "kind")
    return days.values_list("key", "kind", "day").annotate(usd=Sum("amount_usd"), time=Sum("seconds"))


def _some_machine(course: Course, now: datetime) -> str:
    """Whose price changed."""
    about = now - timedelta(days=6)
    found = Charge.objects.filter(course=course, kind="compute", hour__lt=about).order_by("-hour", "pk").first()
    return found.key.split("/")[1] if found else ""
