"""What the past cost: charges by the meter's own rules, holds opened and closed, and every total that sums them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Q

from courses.models import Course, Enrollment
from demo.seed.habits import PlannedRun
from demo.seed.past import Lived
from demo.seed.story import LEASE, paid_until, renewals
from instances import books
from instances.idle_hours import idle_in_run, with_idle_time
from instances.launch_rules import course_end, usd_for
from instances.models import Run
from spend.metering import MICRODOLLAR, ChargeLine, Segment, charge_lines, with_idle
from spend.models import ZERO, Budget, Charge, Hold, Level, MoneyMove
from spend.rebuild import rebuild_totals

_CHUNK = 2000
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Bill:
    """One resource of one machine, from its hold to its last charge."""

    key: str
    budget: Budget
    owner: Enrollment
    group: str  # the preset's slug
    holds: list[tuple[datetime, Decimal, str]]  # when, how much more, why
    lines: list[ChargeLine]
    closed_at: datetime
    closed_why: str

    @property
    def cost_usd(self) -> Decimal:
        return sum((line.amount_usd for line in self.lines), ZERO)

    @property
    def held_usd(self) -> Decimal:
        return sum((amount for _at, amount, _why in self.holds), ZERO)


def keep_the_books(course: Course, past: Sequence[Lived]) -> Decimal:
    """Write all money rows of the past; returns what it cost in USD."""
    budgets = {b.enrollment_id: b for b in Budget.objects.filter(course=course, level=Level.PERSON)}
    bills = [bill for lived in past for bill in _bills(course, budgets[lived.machine.owner_id], lived)]
    Hold.objects.bulk_create((_hold(bill) for bill in bills), batch_size=_CHUNK)
    moves = sorted((move for bill in bills for move in _moves(bill)), key=lambda move: move.at)
    MoneyMove.objects.bulk_create(moves, batch_size=_CHUNK)
    Charge.objects.bulk_create((charge for bill in bills for charge in _charges(course, bill)), batch_size=_CHUNK)
    rebuild_totals(course)
    return _total_up(course, bills)


def _bills(course: Course, budget: Budget, lived: Lived) -> Iterator[Bill]:
    machine, owner = lived.machine, lived.machine.owner
    for run, planned in zip(lived.runs, lived.planned.runs, strict=True):
        yield Bill(
            key=run.hold_key,
            budget=budget,
            owner=owner,
            group=machine.preset.slug,
            holds=_leases(run, planned),
            lines=_run_lines(run, planned),
            closed_at=planned.ended_at,
            closed_why=f"{run} ended",
        )
    seconds = (course_end(books.dates_of(course)) - machine.created_at).total_seconds()
    why = f"Disk of {machine.slug} to the end of the course"
    yield Bill(
        key=machine.disk_key,
        budget=budget,
        owner=owner,
        group=machine.preset.slug,
        holds=[(machine.created_at, usd_for(machine.disk_usd_hour, seconds), why)],
        lines=_lines(books.disk_segment(machine)),
        closed_at=lived.planned.deleted_at,
        closed_why=f"{machine.slug} is deleted",
    )


def _leases(run: Run, planned: PlannedRun) -> list[tuple[datetime, Decimal, str]]:
    """The first lease, and what each longer one set aside on top: together all that the run may have cost."""
    slug, margin = run.instance.slug, books.stop_margin()
    first = usd_for(run.usd_hour, (LEASE + margin).total_seconds())
    whole = usd_for(run.usd_hour, (paid_until(planned) + margin - run.started_at).total_seconds())
    moments = [at for at, _until in renewals(planned)] or [planned.kept_at or planned.asked_at]
    share = ((whole - first) / len(moments)).quantize(MICRODOLLAR)
    shares = [share] * (len(moments) - 1)
    amounts = [*shares, whole - first - sum(shares, ZERO)]
    longer = [(at, more, f"Longer lease of {slug}") for at, more in zip(moments, amounts, strict=True) if more]
    return [(planned.asked_at, first, f"First lease of {slug}"), *longer]


def _run_lines(run: Run, planned: PlannedRun) -> list[ChargeLine]:
    """From the last use to the stop nobody worked."""
    compute, *others = books.run_segments(run)
    hours = with_idle_time({}, run.number, planned.last_active_at, planned.ended_at)
    return [
        *with_idle(_lines(compute), idle_in_run(hours, run.number)),
        *(line for segment in others for line in _lines(segment)),
    ]


def _lines(segment: Segment) -> list[ChargeLine]:
    return charge_lines(segment, segment.ended_at or segment.started_at)


def _hold(bill: Bill) -> Hold:
    return Hold(key=bill.key, budget=bill.budget, amount_usd=ZERO, opened_at=bill.holds[0][0], closed_at=bill.closed_at)


def _moves(bill: Bill) -> Iterator[MoneyMove]:
    for at, amount, why in bill.holds:
        yield _move(bill, MoneyMove.Kind.HOLD, amount, why, at)
    freed = bill.held_usd - bill.cost_usd
    if freed < 0:
        raise ValueError(f"{bill.key} cost more than was held for it")
    yield _move(bill, MoneyMove.Kind.RELEASE, freed, bill.closed_why, bill.closed_at)


def _move(bill: Bill, kind: MoneyMove.Kind, amount_usd: Decimal, why: str, at: datetime) -> MoneyMove:
    return MoneyMove(budget=bill.budget, kind=kind, key=bill.key, amount_usd=amount_usd, why=why, at=at)


def _charges(course: Course, bill: Bill) -> Iterator[Charge]:
    for line in bill.lines:
        yield Charge(
            key=bill.key,
            kind=line.kind,
            hour=line.hour,
            budget=bill.budget,
            course=course,
            team_id=bill.owner.team_id,
            enrollment=bill.owner,
            group=bill.group,
            seconds=line.seconds,
            amount_usd=line.amount_usd,
            idle_seconds=line.idle_seconds,
            idle_usd=line.idle_usd,
            posted_at=min(line.hour + _HOUR, bill.closed_at),
        )


def _total_up(course: Course, bills: Sequence[Bill]) -> Decimal:
    """Each budget's `spent` is what was charged to it and to all below it. Nothing is held any more."""
    spent: defaultdict[int, Decimal] = defaultdict(Decimal)
    for bill in bills:
        spent[bill.budget.pk] += bill.cost_usd
    root = Budget.objects.get(course=course, level=Level.COURSE)
    known = {b.pk: b for b in Budget.objects.filter(Q(course=course) | Q(pk=root.parent_id))}
    for budget in sorted(known.values(), key=lambda b: b.level, reverse=True):
        budget.spent_usd = spent[budget.pk]
        if budget.parent_id is not None:
            spent[budget.parent_id] += spent[budget.pk]
    Budget.objects.bulk_update(known.values(), ["spent_usd"])
    return spent[root.pk]
