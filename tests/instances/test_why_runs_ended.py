""" "What if?" replays as stopped for being unused only what was; each run is ended here by the product's own rounds."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from instances import books, restarting, services, sweeps
from instances.models import Instance, Policy, Preset, Run
from instances.whatif import Past
from instances.whatif_views import past_of
from spend.services import budget_of, set_amount
from tests.instances.conftest import HOUR, NOON, Stage, events, fresh

MINUTE = timedelta(minutes=1)


@pytest.fixture
def used(stage: Stage) -> Instance:
    """Runs, and is in use."""
    row = stage.running()
    stage.active.add(row.slug)
    stage.wait(20, step=5)
    Instance.objects.filter(pk=row.pk).update(trace=[[0, 1200, "g"]])
    return fresh(row)


def ended(stage: Stage, row: Instance, minutes: float, step: float = 1) -> Past:
    """What is replayed of its run, which is over within so many minutes."""
    assert stage.wait(minutes, until=lambda: fresh(row).state in ("stopped", "terminated"), step=step)
    [past] = past_of(row.course)
    return past


def no_more_money(stage: Stage, row: Instance) -> None:
    budget = budget_of(row.owner)
    budget.refresh_from_db()
    set_amount(budget, budget.spent_usd + budget.held_usd, why="test", who=None, now=stage.now)


def test_what_nobody_used_any_more_was_stopped_as_unused(stage: Stage, used: Instance) -> None:
    stage.active.clear()
    assert ended(stage, used, 45).by_rule
    assert Run.objects.get().ended_by == "sweeps"


def test_so_was_what_ran_out_of_its_lease_at_the_very_stop_that_was_announced(stage: Stage, used: Instance) -> None:
    """The lease is bridged up to there; which of the two rounds comes first is chance."""
    stage.active.clear()
    assert stage.wait(45, until=lambda: bool(events(used, "warned")))
    Instance.objects.filter(pk=used.pk).update(lease_until=stage.now + 10 * MINUTE)
    stage.later(10 * 60)
    sweeps.lease(stage.cloud, stage.now)
    assert ended(stage, used, 5).by_rule
    assert fresh(used).reason.startswith("Stopped: its time was paid for until")


def test_so_was_what_its_own_watch_put_out_while_the_portal_was_away(stage: Stage, used: Instance) -> None:
    stage.active.clear()
    stage.wait(35, until=lambda: bool(events(used, "warned")))
    stage.later(11 * 60)
    Instance.objects.filter(pk=used.pk).update(seen_at=stage.now - MINUTE)
    stage.machine(used).power_off(stage.now)
    assert ended(stage, used, 5).by_rule
    assert Run.objects.get().ended_by == "watch"


# ------------------------------------------------------------------ other ends
def out_of_money(stage: Stage, row: Instance) -> None:
    no_more_money(stage, row)
    stage.wait(230, step=10)


def out_of_money_while_warned(stage: Stage, row: Instance) -> None:
    """The lease is not bridged up to the announced stop: there is nothing left to pay for it."""
    stage.active.clear()
    assert stage.wait(35, until=lambda: bool(events(row, "warned")))
    until = stage.now + 4 * MINUTE
    Instance.objects.filter(pk=row.pk).update(lease_until=until)
    run = Run.objects.get(instance=row)
    books.trim_hold(run, until, now=stage.now)
    books.hold_until(run, until, who=None, now=stage.now)
    no_more_money(stage, row)


def at_its_longest(stage: Stage, row: Instance) -> None:
    Preset.objects.filter(pk=row.preset_id).update(longest_seconds=5 * HOUR)
    stage.wait(290, step=10)


def by_the_end_of_the_course(stage: Stage, row: Instance) -> None:
    row.course.ends_on = NOON.date()
    row.course.save()
    stage.wait(700, step=10)


def by_awss_schedule(stage: Stage, row: Instance) -> None:
    """No round of the portal's comes for hours."""
    stage.later(4 * HOUR)


def by_aws(stage: Stage, row: Instance) -> None:
    stage.machine(row).stop(stage.now)
    stage.machine(row).state_reason = "Server.InternalError: Internal error on launch"


def by_aws_for_good(stage: Stage, row: Instance) -> None:
    stage.machine(row).terminate(stage.now)


def taken_back(stage: Stage, row: Instance) -> None:
    stage.cloud.reclaim(row.cloud_id)


def taken_back_as_announced(stage: Stage, row: Instance) -> None:
    Instance.objects.filter(pk=row.pk).update(reclaim_at=stage.now + 2 * MINUTE)
    stage.wait(1)
    assert events(row, "warned")
    stage.later(60)
    stage.cloud.reclaim(row.cloud_id)


def by_hand_from_inside(stage: Stage, row: Instance) -> None:
    stage.machine(row).power_off(stage.now)


def by_a_person(stage: Stage, row: Instance) -> None:
    stage.stop(row)


def by_a_person_within_the_second(stage: Stage, row: Instance) -> None:
    """AWS tells whole seconds: its end is before the click."""
    stage.later(0.7)
    stage.stop(row)
    assert stage.machine(row).ended_at == stage.now
    stage.machine(row).ended_at = stage.now.replace(microsecond=0)


def by_a_person_after_a_warning(stage: Stage, row: Instance) -> None:
    stage.active.clear()
    assert stage.wait(35, until=lambda: bool(events(row, "warned")))
    stage.wait(2)
    by_a_person_within_the_second(stage, row)


def when_its_work_was_done(stage: Stage, row: Instance) -> None:
    """As its student asked."""
    Instance.objects.filter(pk=row.pk).update(done_at=stage.now, awaited={"task": "t", "name": "train.py"})


def at_work_that_nobody_confirmed(stage: Stage, row: Instance) -> None:
    night = {"begins": 0, "ends": 1439, "quiet": 1800, "answer": 600, "unattended": 1800}
    Policy.objects.create(course=row.course, night=night)


def in_silence(stage: Stage, row: Instance) -> None:
    """Whether it was used then, nobody knows; another quiet time would have changed nothing."""
    stage.reporting.clear()
    stage.notebook_answers = False


OTHER_ENDS = [
    out_of_money,
    out_of_money_while_warned,
    at_its_longest,
    by_the_end_of_the_course,
    by_awss_schedule,
    by_aws,
    by_aws_for_good,
    taken_back,
    taken_back_as_announced,
    by_hand_from_inside,
    by_a_person,
    by_a_person_within_the_second,
    by_a_person_after_a_warning,
    when_its_work_was_done,
    at_work_that_nobody_confirmed,
    in_silence,
]


@pytest.mark.parametrize("end", OTHER_ENDS, ids=lambda end: end.__name__)
def test_every_other_end_stays_where_it_was(
    stage: Stage, used: Instance, end: Callable[[Stage, Instance], None]
) -> None:
    end(stage, used)
    assert not ended(stage, used, 60).by_rule


def used_again(stage: Stage, row: Instance) -> None:
    stage.active.add(row.slug)
    stage.wait(1)
    stage.active.clear()


def kept_on(stage: Stage, row: Instance) -> None:
    services.keep_alive(row, hours=4, who=row.owner.user, now=stage.now)


def booted_anew(stage: Stage, row: Instance) -> None:
    restarting.request_restart(row, who=row.owner.user, now=stage.now)
    restarting.restart([row.pk], cloud=stage.cloud, now=stage.now)


@pytest.mark.parametrize("take_back", [used_again, kept_on, booted_anew], ids=lambda one: one.__name__)
def test_a_warning_that_was_taken_back_says_nothing_about_the_end(
    stage: Stage, used: Instance, take_back: Callable[[Stage, Instance], None]
) -> None:
    """Its lease ended after that, and before another warning."""
    stage.active.clear()
    assert stage.wait(35, until=lambda: bool(events(used, "warned")))
    take_back(stage, used)
    stage.wait(15)
    Instance.objects.filter(pk=used.pk).update(lease_until=stage.now)
    sweeps.lease(stage.cloud, stage.now)
    assert not ended(stage, used, 5).by_rule
    assert len(events(used, "warned")) == 1


def test_the_past_is_one_question_however_many_runs_there_were(stage: Stage, used: Instance) -> None:
    stage.stop(used)
    stage.wait(2)
    run = Run.objects.get()
    for runs in (1, 40):
        for number in range(2, runs + 1):
            run.pk, run.number = None, number
            run.save()
        with CaptureQueriesContext(connection) as asked:
            found = past_of(used.course)
        assert (len(asked), len(found)) == (1, runs)
