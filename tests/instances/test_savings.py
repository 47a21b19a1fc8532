"""What the guards saved: until the owner comes back, and not a second more; and what a deadline will want."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from courses.models import Milestone
from instances import services, sweeps
from instances.deadlines import DeadlinePeak, count_peaks, nights
from instances.demand import Stretch, expected, peak_of
from instances.models import Instance
from instances.savings import GuardSaving, GuardStop, saved_in
from instances.states import State
from spend.models import Budget
from tests.instances.conftest import Stage, fresh

EIGHT = datetime(2019, 3, 5, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)


def forgotten(stage: Stage) -> Instance:
    """A machine that nobody uses until the guard has stopped it."""
    row = stage.running()
    assert stage.wait(60, until=lambda: fresh(row).state == State.STOPPED)
    return row


def test_nothing_is_saved_until_the_owner_is_back_and_then_only_up_to_then(stage: Stage) -> None:
    row = forgotten(stage)
    stop = GuardStop.objects.get()
    stage.later(10 * 3600)
    sweeps.counting(stage.now)
    assert saved_in(stage.cast.course).usd == 0
    assert saved_in(stage.cast.course).open_stops == 1
    services.request_start(fresh(row), who=row.owner.user, now=stage.now)
    services.start(row.pk, cloud=stage.cloud, now=stage.now)
    stage.sweep()
    began = row.runs.latest("number").started_at
    for _twice in range(2):
        sweeps.counting(stage.now)
    hours = Decimal(int((began - stop.at).total_seconds())) / 3600
    saved = saved_in(stage.cast.course)
    assert abs(saved.usd - stop.usd_hour * hours) < Decimal("0.01")
    assert (saved.stops, saved.open_stops) == (1, 0)
    assert GuardSaving.objects.get().owner == row.owner


def test_what_the_budget_could_not_have_paid_is_not_claimed(stage: Stage) -> None:
    row = forgotten(stage)
    GuardStop.objects.update(usd_hour=1000)
    stage.later(3600)
    services.request_terminate(fresh(row), who=row.owner.user, now=stage.now)
    sweeps.counting(stage.now)
    saved = saved_in(stage.cast.course)
    assert saved.usd > 900
    budget = Budget.objects.get(enrollment=row.owner)
    assert saved.payable_usd == budget.amount_usd - budget.spent_usd


def test_a_stop_by_hand_saves_nothing(stage: Stage) -> None:
    stage.stop(stage.running())
    assert not GuardStop.objects.exists()


# ------------------------------------------------------------------ deadlines
def run(start: int, end: int | None, preset: str = "homework") -> Stretch:
    return Stretch(preset, EIGHT + start * HOUR, None if end is None else EIGHT + end * HOUR)


def test_the_peak_is_the_most_at_one_moment() -> None:
    peak = peak_of([run(0, 4), run(1, 3, "project"), run(2, 6), run(3, 5)], EIGHT, EIGHT + 12 * HOUR)
    assert (peak.machines, peak.at, dict(peak.presets)) == (3, EIGHT + 2 * HOUR, {"homework": 2, "project": 1})
    # The one that ended at three is not there when the next begins.
    assert peak_of([run(0, 3), run(3, 5)], EIGHT, EIGHT + 12 * HOUR).machines == 1
    assert peak_of([run(-9, None)], EIGHT, EIGHT + HOUR).machines == 1
    assert peak_of([], EIGHT, EIGHT + HOUR).machines == 0


def test_what_to_expect_is_the_median_of_the_last_deadlines_that_needed_machines() -> None:
    guess = expected([12, 40, 2, 30, 44])
    assert guess is not None
    assert (guess.likely, guess.low, guess.high, guess.seen) == (35, 12, 44, 4)  # the exam's two say nothing
    assert expected([]) is None


def test_a_deadline_is_counted_once_and_tells_the_next(stage: Stage) -> None:
    course, day = stage.cast.course, stage.now.date()
    over = Milestone.objects.create(course=course, name="HW1", handed_out_on=day, due_on=day)
    Milestone.objects.create(course=course, name="HW2", handed_out_on=day, due_on=day + timedelta(days=9))
    stage.running()
    assert count_peaks(stage.now) == 0  # it is not over
    stage.later(30 * 3600)
    assert count_peaks(stage.now) == 1
    assert count_peaks(stage.now) == 0
    assert DeadlinePeak.objects.get().milestone == over
    first, second = nights(course, stage.now)
    assert first.peak is not None
    assert first.peak.machines == 1
    assert second.expected is not None
    assert second.expected.likely == 1
