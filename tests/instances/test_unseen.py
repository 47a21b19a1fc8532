"""What the cloud does not show, shows late, or shows without a row: nothing is done in the dark."""

from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cloud.base import LaunchSpec, Transient
from instances import queries, services, sweeps
from instances.foreign import stray_machines
from instances.models import Instance, SweepBeat
from instances.sweeps import mending
from tests.instances.conftest import HOUR, NOON, Stage, check_books, compute_seconds, events, fresh, held


def test_a_blind_cloud_changes_nothing_and_leaves_no_beat(stage: Stage) -> None:
    row = stage.running()
    before = Instance.objects.values().get(pk=row.pk)
    stage.cloud.blind()
    stage.later(2 * HOUR)
    stage.repair()
    assert Instance.objects.values().get(pk=row.pk) == before
    assert SweepBeat.objects.get(name="repair").finished_at < stage.now - timedelta(hours=1)
    stage.cloud.see()
    stage.repair()
    assert fresh(row).state == "running"


def test_a_machine_that_is_gone_is_believed_gone_after_five_minutes_and_counted_until_it_was_last_seen(
    stage: Stage,
) -> None:
    row = stage.running()
    stage.active.add(row.slug)
    stage.wait(30)
    last_seen = stage.now
    vanish(stage, row)
    stage.later(60)
    stage.repair()
    assert fresh(row).state == "running"
    assert stage.wait(6, until=lambda: fresh(row).state == "terminated")
    assert stage.now - last_seen >= timedelta(minutes=5)
    stage.wait(1)
    assert compute_seconds(row) == (last_seen - NOON).total_seconds()
    assert held(row) == 0
    assert len(events(row, "trouble")) == 1
    check_books()


def test_a_machine_missing_from_one_list_only_goes_on(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    row = stage.running()
    stage.active.add(row.slug)
    plain = stage.cloud.describe_all
    for _minute in range(20):
        stage.later(60)
        monkeypatch.setattr(stage.cloud, "describe_all", list)
        stage.repair()
        stage.later(60)
        monkeypatch.setattr(stage.cloud, "describe_all", plain)
        stage.sweep()
    assert fresh(row).state == "running"
    assert fresh(row).absent_since is None


def test_lists_that_miss_it_for_an_hour_are_not_believed_while_its_token_finds_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = stage.running()
    monkeypatch.setattr(stage.cloud, "describe_all", list)
    for _minute in range(20):
        stage.later(60)
        stage.repair()
    assert fresh(row).state == "running"


def test_after_a_long_outage_one_missing_look_is_still_only_one(stage: Stage) -> None:
    row = stage.running()
    vanish(stage, row)
    stage.later(5 * HOUR)
    stage.repair()
    assert fresh(row).state == "running"


def test_hours_that_nobody_saw_are_not_charged_before_somebody_did(stage: Stage) -> None:
    row = stage.running()
    stage.later(2 * HOUR + 60)
    sweeps.meter(stage.now)
    assert compute_seconds(row) == 0
    stage.repair()
    sweeps.meter(stage.now)
    assert compute_seconds(row) == 2 * HOUR
    stage.later(HOUR)
    stage.repair()
    stage.later(2 * HOUR)  # of which nobody has seen anything
    sweeps.meter(stage.now)
    assert compute_seconds(row) == 3 * HOUR


def test_a_run_that_was_over_before_the_first_look_is_written_down_whole(stage: Stage) -> None:
    row = stage.launch()
    stage.later(95)
    stage.cloud.stop([row.cloud_id])
    stage.later(25)
    stage.sweep()
    assert fresh(row).state == "stopped"
    assert compute_seconds(row) == 95
    check_books()


def test_a_machine_with_our_tag_and_no_row_is_stopped_not_deleted_and_shown_to_staff(stage: Stage) -> None:
    foreign = stage.cloud.run(_spec("somebody", "x-1"))
    stage.wait(2)
    assert stage.cloud.machines[foreign.cloud_id].state == "stopped"
    [stray] = queries.strays()
    assert (stray.cloud_id, stray.name, stray.first_seen_at) == (
        foreign.cloud_id,
        "somebody",
        NOON + timedelta(minutes=1),
    )


def test_what_a_stray_costs_ends_when_it_is_stopped_and_it_is_forgotten_when_it_is_gone(stage: Stage) -> None:
    foreign = stage.cloud.run(_spec("somebody", "x-1"))
    stage.wait(3)
    stage.later(24 * HOUR)
    stage.repair()
    [shown] = stray_machines(stage.now)
    assert (shown.state, shown.usd_hour, shown.so_far_usd) == ("stopped", 0, 0)
    stage.cloud.terminate([foreign.cloud_id])
    stage.later(60)
    stage.repair()
    assert not queries.strays().exists()


def test_one_that_is_started_again_costs_from_then(stage: Stage) -> None:
    foreign = stage.cloud.run(_spec("somebody", "x-1"))
    stage.wait(3)
    stage.later(24 * HOUR)
    stage.repair()
    stage.cloud.break_before("stop", Transient("not now"), times=None)
    stage.cloud.start([foreign.cloud_id])
    stage.repair()
    stage.wait(60, step=4)
    [shown] = stray_machines(stage.now)
    assert (shown.state, shown.so_far_usd) == ("running", shown.usd_hour)


def test_deleted_while_the_portal_was_away_it_is_forgotten_too_and_until_then_costs_no_more(stage: Stage) -> None:
    foreign = stage.cloud.run(_spec("somebody", "x-1"))
    stage.cloud.break_before("stop", Transient("not now"), times=None)
    stage.wait(3)
    stage.cloud.terminate([foreign.cloud_id])
    [before] = stray_machines(stage.now)
    stage.later(24 * HOUR)  # AWS lists it no more
    assert [shown.so_far_usd for shown in stray_machines(stage.now)] == [before.so_far_usd]
    stage.repair()
    assert not queries.strays().exists()


def test_one_that_is_a_rows_own_again_is_no_stray(stage: Stage) -> None:
    row = stage.running()
    Instance.objects.filter(pk=row.pk).update(cloud_id="", state="failed", attempt=0)  # as an older backup has it
    stage.repair()
    assert queries.strays().exists()
    Instance.objects.filter(pk=row.pk).update(cloud_id=row.cloud_id, state="stopping")
    stage.repair()
    assert not queries.strays().exists()


def test_another_portals_machines_in_the_same_account_are_left_alone(stage: Stage) -> None:
    other = stage.cloud.twin("other-portal").run(_spec("theirs", "t-1"))
    stage.wait(2)
    assert stage.cloud.machines[other.cloud_id].state == "running"
    assert not queries.strays().exists()


def test_after_a_restored_backup_a_newer_machine_is_stopped_and_keeps_its_disk(stage: Stage) -> None:
    """Its row looks older than the machine: what is on it may be somebody's work."""
    stage.cloud.fill(zone="us-east-1a")
    row = stage.running()
    Instance.objects.filter(pk=row.pk).update(cloud_id="", attempt=1, state="failed")
    stage.wait(2)
    assert stage.machine_by_id(row.cloud_id).state == "stopped"


@pytest.mark.parametrize("answer", ["in time", "lost"])
def test_a_machine_launched_while_the_round_looks_is_not_taken_for_a_stray(stage: Stage, answer: str) -> None:
    row = stage.click_launch()
    if answer == "lost":
        stage.cloud.break_after("run", Transient("timed out"))
    done: list[int] = []

    def meanwhile() -> None:
        if not done:
            done.append(1)
            services.launch(row.pk, cloud=stage.cloud, now=stage.now)

    stage.cloud.on_call("describe_all", meanwhile)
    stage.repair()
    assert len(stage.alive()) == 1
    stage.wait(2)
    assert fresh(row).state == "running"
    assert not queries.strays().exists()


def test_one_bad_row_stops_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = stage.launch(), stage.launch(stage.cast.other_student)
    plain = mending.books.open_run

    def open_run(machine: Instance, *more: Any, **named: Any) -> object:
        if machine.pk == bad.pk:
            raise RuntimeError("a bad row")
        return plain(machine, *more, **named)

    monkeypatch.setattr(mending.books, "open_run", open_run)
    stage.repair()
    assert (fresh(bad).state, fresh(good).state) == ("launching", "running")


def test_ended_machines_cost_no_query(stage: Stage) -> None:
    def queries_of_a_sweep() -> int:
        with CaptureQueriesContext(connection) as seen:
            stage.later(60)
            stage.sweep()
        return len(seen)

    stage.running(stage.cast.other_student)
    few = queries_of_a_sweep()
    for _n in range(3):
        row = stage.running()
        services.request_terminate(fresh(row), who=None, now=stage.now)
        services.terminate([row.pk], cloud=stage.cloud, now=stage.now)
        stage.wait(2)
        stage.reporting.discard(row.slug)
    assert queries_of_a_sweep() == few


def test_a_call_that_fails_while_stopping_strays_does_not_end_the_round(stage: Stage) -> None:
    stage.cloud.run(_spec("somebody", "x-1"))
    row = stage.launch()
    stage.cloud.break_before("stop", Transient("busy"))
    stage.repair()
    assert fresh(row).state == "running"
    assert SweepBeat.objects.filter(name="repair").exists()


def vanish(stage: Stage, row: Instance) -> None:
    """Terminated long ago, as far as the cloud's lists go."""
    del stage.cloud._machines[fresh(row).cloud_id]
    stage.cloud._by_token.clear()


def _spec(name: str, token: str) -> LaunchSpec:
    return LaunchSpec(token, name, "g4dn.xlarge", "us-east-1a", "ami-course", 64, "")
