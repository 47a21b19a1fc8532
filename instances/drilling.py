"""The fire drill: a canary is lit, one guard after another stops it, and each is written down. Asks AWS nothing.

Which step is next is `drill_rules.decide`; the beat takes one at a time, from what is in the rows. A portal that dies
in the middle goes on where it was; until then the canary's lease ends it, as every machine's does.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from courses.models import Course, Enrollment, User
from instances import books
from instances.drill_records import DrillRound, FireDrill
from instances.drill_rules import ALL, LEASES, ORDER, Next, Standing, bound_of, decide
from instances.guard_names import Guard
from instances.launch_rules import Refusal, affordable, course_end, usd_for
from instances.models import Instance, Policy, Preset, Run
from instances.refusals import LaunchRefused, words
from instances.requesting import kind_of, request_launch, request_start
from instances.states import ENDED, State
from instances.stopping import request_stop, request_terminate
from spend.services import BudgetRefused, budget_of, check

logger = logging.getLogger(__name__)
Outcome = DrillRound.Outcome


class DrillRefused(Exception):
    """`str()` says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of a whole drill with one preset, in USD. `most`: if every guard acts as late as it may; `disk`: held, and freed
    when the canary is deleted."""

    preset: Preset
    usd_hour: Decimal
    most: Decimal
    disk: Decimal


# ------------------------------------------------------------------ before the click
def cost_of(preset: Preset, owner: Enrollment, now: datetime) -> Cost | None:
    """None: no type of it has a price that the course allows."""
    wanted = affordable(kind_of(preset))
    if not wanted:
        return None
    usd_hour = max(c.usd_hour for c in wanted) + books.address_usd_hour()
    seconds = sum(LEASES[guard] + settings.STOP_MARGIN_SECONDS for guard in ORDER)
    left = (course_end(books.dates_for(owner, owner.course)) - now).total_seconds()
    return Cost(preset, usd_hour, usd_for(usd_hour, seconds), usd_for(books.disk_usd_hour(preset.disk_gb), left))


def costs_for(owner: Enrollment, now: datetime) -> list[Cost]:
    """What a drill may be made with, cheapest first. Spot is AWS's to take back: no proof."""
    presets = Preset.objects.filter(course=owner.course, enabled=True, market=Preset.Market.ON_DEMAND)
    found = (cost_of(preset, owner, now) for preset in presets.select_related("course"))
    return sorted((cost for cost in found if cost), key=lambda cost: cost.most + cost.disk)


# ------------------------------------------------------------------ what people do
def start(owner: Enrollment, preset: Preset, *, who: User | None, now: datetime) -> FireDrill:
    """Canary, holds, and the first round, or nothing. `owner`: the staff member's own line, whose budget pays.

    Raises DrillRefused.
    """
    cost = cost_of(preset, owner, now)
    if cost is None or preset.market != Preset.Market.ON_DEMAND:
        raise DrillRefused(words(Refusal.NO_PRICE, preset) if cost is None else _("Spot machines prove no guard."))
    if open_drill(owner.course):
        raise DrillRefused(_already())
    try:
        check(budget_of(owner), cost.most + cost.disk)
        with transaction.atomic():
            canary = request_launch(owner, preset, who=who, now=now, proving=ORDER[0])
            drill = FireDrill.objects.create(course=owner.course, instance=canary, who=who, at=now, most_usd=cost.most)
            _open_round(drill, canary, ORDER[0], now)
    except (BudgetRefused, LaunchRefused) as refused:
        raise DrillRefused(str(refused)) from refused
    except IntegrityError as error:  # somebody clicked at the same moment
        raise DrillRefused(_already()) from error
    return drill


def _already() -> str:
    return _("A fire drill of this course is under way. Wait for its end, or call it off.")


def call_off(drill: FireDrill, *, who: User | None, now: datetime) -> bool:
    """The canary is deleted, whatever it is at. False: it is over, or called off already."""
    mine = FireDrill.objects.filter(pk=drill.pk, ended_at=None, called_off_at=None)
    return bool(mine.update(called_off_at=now, called_off_by=who))


def open_drill(course: Course) -> FireDrill | None:
    return FireDrill.objects.filter(course=course, ended_at=None).select_related("instance__preset", "who").first()


# ------------------------------------------------------------------ what the beat does
def advance(drill: FireDrill, now: datetime) -> Next:
    """One step; the same one again if it is said twice."""
    rows = Instance.objects.select_related("owner__user", "course__machine_policy", "preset")
    canary = rows.get(pk=drill.instance_id)
    current = drill.rounds.filter(outcome=Outcome.RUNNING).first()
    run = Run.objects.filter(instance=canary, number=current.run_number).first() if current else None
    step = decide(_standing(drill, canary, current, run, now))
    act = _ACTS.get(step)
    if act:
        act(drill, canary, current, run, now)
    return step


def _standing(
    drill: FireDrill, canary: Instance, current: DrillRound | None, run: Run | None, now: datetime
) -> Standing:
    since = _counts_from(canary, current, run) if current and run else None
    return Standing(
        state=canary.state,
        round_open=current is not None,
        run_ended=bool(run and run.ended_at and canary.state in (State.STOPPED, *ENDED)),
        rounds_left=len(ORDER) - drill.rounds.count(),
        given_up=bool(drill.called_off_at or drill.trouble),
        freed=canary.proving == ALL,
        running=(now - since).total_seconds() if since else None,
        waiting=(now - current.began_at).total_seconds() if current else 0.0,
        bound=current.bound_seconds if current else 0,
        sweep=settings.SWEEP_SECONDS,
    )


def _counts_from(canary: Instance, current: DrillRound, run: Run) -> datetime:
    """From its last use where a guard waits for that: starting a notebook is work, too."""
    used = canary.last_active_at
    waits = current.guard in (Guard.SWEEPS, Guard.WATCH)
    return max(run.started_at, used) if waits and used else run.started_at


def _open_round(drill: FireDrill, canary: Instance, guard: Guard, now: datetime) -> None:
    report = Policy.of(canary.course).report_seconds
    bound = bound_of(guard, report=report, sweep=settings.SWEEP_SECONDS, margin=settings.STOP_MARGIN_SECONDS)
    DrillRound.objects.create(drill=drill, guard=guard, run_number=canary.run_number, began_at=now, bound_seconds=bound)


def _begin(drill: FireDrill, canary: Instance, _current: DrillRound | None, _run: Run | None, now: datetime) -> None:
    done = set(drill.rounds.values_list("guard", flat=True))
    guard = next(guard for guard in ORDER if guard not in done)
    try:
        with transaction.atomic():
            _open_round(drill, request_start(canary, who=drill.who, now=now, proving=guard), guard, now)
    except (BudgetRefused, LaunchRefused) as refused:
        FireDrill.objects.filter(pk=drill.pk).update(trouble=str(refused)[:300])
    except IntegrityError:  # another beat began it
        logger.info("%s: the round of %s is begun already", drill, guard)


def _note(drill: FireDrill, canary: Instance, current: DrillRound | None, run: Run | None, now: datetime) -> None:
    if current is None or run is None or run.ended_at is None:
        return
    took = max(0, round((run.ended_at - _counts_from(canary, current, run)).total_seconds()))
    DrillRound.objects.filter(pk=current.pk, outcome=Outcome.RUNNING).update(
        outcome=_outcome(current, run.ended_by, took, freed=canary.proving == ALL),
        stopped_by=run.ended_by,
        took_seconds=took,
        ended_at=run.ended_at,
        words=canary.reason,
    )


def _outcome(current: DrillRound, by: str, took: int, *, freed: bool) -> str:
    if by == current.guard:
        return Outcome.PROVED if took <= current.bound_seconds else Outcome.LATE
    return Outcome.MISSED if by or freed else Outcome.VOID


def _overdue(drill: FireDrill, canary: Instance, _current: DrillRound | None, _run: Run | None, now: datetime) -> None:
    """First every guard again, should we die before the stop."""
    Instance.objects.filter(pk=canary.pk).update(proving=ALL)
    canary.proving = ALL
    request_stop(canary, reason=_("Stopped by the fire drill: its guard did not act in time."), who=None, now=now)


def _delete(drill: FireDrill, canary: Instance, current: DrillRound | None, _run: Run | None, now: datetime) -> None:
    if current and not drill.called_off_at and not drill.trouble:
        FireDrill.objects.filter(pk=drill.pk).update(trouble=_("AWS gave no machine in time: try again later."))
    request_terminate(canary, who=None, now=now, reason=_("The fire drill is over: its canary is deleted."))


def _close(drill: FireDrill, canary: Instance, _current: DrillRound | None, _run: Run | None, now: datetime) -> None:
    left = drill.rounds.filter(outcome=Outcome.RUNNING)
    left.update(outcome=Outcome.VOID, ended_at=now, words=canary.reason)
    cut_short = drill.trouble or ("" if drill.rounds.count() == len(ORDER) or drill.called_off_at else canary.reason)
    FireDrill.objects.filter(pk=drill.pk, ended_at=None).update(ended_at=now, trouble=cut_short)


_Act = Callable[[FireDrill, Instance, DrillRound | None, Run | None, datetime], None]
_ACTS: dict[Next, _Act] = {
    Next.NOTE: _note,
    Next.BEGIN: _begin,
    Next.OVERDUE: _overdue,
    Next.DELETE: _delete,
    Next.CLOSE: _close,
}
