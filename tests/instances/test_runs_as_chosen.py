"""What runs is of the type that was chosen and is held for, and is charged as what it is: after any number of changes,
refusals, lost answers and deaths, and also where AWS's machine is another one than the row believes."""

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest

from cloud.base import Refused, Transient
from instances import services, starting
from instances.models import Instance, Preset, Run
from instances.resizing import request_resize
from spend.models import Charge, Hold
from tests.instances.conftest import HOUR, Stage, check_books, compute_seconds, events, fresh, held
from tests.instances.test_single_faults import Died

A, B, C = "g4dn.xlarge", "g5.xlarge", "g6.xlarge"
USD = {A: Decimal("0.526"), B: Decimal("1.006"), C: Decimal("0.8048")}
FAULTS: dict[str, Callable[[], BaseException]] = {"lost": lambda: Transient("no answer"), "died": Died}


def preset(stage: Stage, slug: str, instance_type: str) -> Preset:
    return Preset.objects.create(
        course=stage.cast.course, slug=slug, name=slug.title(), instance_types=[instance_type],
        image_id="ami-course", disk_gb=100, lease_seconds=2 * HOUR, ceiling_usd_hour=Decimal("1.20"),
    )  # fmt: skip


@pytest.fixture
def dear(stage: Stage) -> Preset:
    return preset(stage, "dear", B)


@pytest.fixture
def third(stage: Stage) -> Preset:
    return preset(stage, "third", C)


@pytest.fixture
def row(stage: Stage) -> Instance:
    found = stage.stop(stage.running())
    stage.wait(1)
    return fresh(found)


def resize(stage: Stage, row: Instance, preset: Preset) -> None:
    request_resize(fresh(row), preset, who=row.owner.user, now=stage.now)


def start(stage: Stage, row: Instance, *, minutes: int = 2) -> Instance:
    services.request_start(fresh(row), who=row.owner.user, now=stage.now)
    with suppress(Died):
        services.start(row.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(minutes)
    return fresh(row)


def stop(stage: Stage, row: Instance) -> Instance:
    stage.stop(row)
    stage.wait(4)
    assert fresh(row).state == "stopped"
    return fresh(row)


def refuse(stage: Stage, instance_type: str) -> None:
    refusal = Refused("no such type", code="InvalidInstanceAttributeValue")
    stage.cloud.break_before("change_type", refusal, times=None, when=lambda _id, wanted: wanted == instance_type)


def lose(stage: Stage, how: str, *, after: bool) -> None:
    (stage.cloud.break_after if after else stage.cloud.break_before)("change_type", FAULTS[how]())


def runs_as(stage: Stage, row: Instance, instance_type: str) -> None:
    """At AWS, on the row, in the books, and held for."""
    row = fresh(row)
    assert (row.state, stage.machine(row).instance_type, row.instance_type) == ("running", instance_type, instance_type)
    run = Run.objects.get(instance=row, ended_at=None)
    assert (run.instance_type, run.price_usd_hour) == (instance_type, USD[instance_type])
    least = run.usd_hour * (row.lease_seconds + 300) / 3600
    assert Hold.objects.get(key=run.hold_key, closed_at=None).amount_usd >= least.quantize(Decimal("0.0001"))


def ends_well(stage: Stage, row: Instance) -> None:
    """Stopped, with books of what ran and nothing held but its disk."""
    if fresh(row).state == "running":
        stop(stage, row)
    stage.wait(2)
    charged = Charge.objects.filter(kind="compute", key__startswith=f"machine/{row.slug}/run/")
    due = Decimal(0)
    for run in row.runs.all():
        assert run.ended_at
        due += (
            max(Decimal((run.ended_at - run.started_at).total_seconds()), Decimal(60)) * USD[run.instance_type] / 3600
        )
    assert abs(sum((line.amount_usd for line in charged), Decimal(0)) - due) < Decimal("0.0001")
    assert compute_seconds(row) == sum(max(one.seconds(stage.now), 60) for one in stage.cloud.runs(row.cloud_id))
    assert held(row) == Hold.objects.get(key=row.disk_key).amount_usd
    check_books()


# ------------------------------------------------------------------ a refusal after two changes
@pytest.mark.parametrize("lost", ["", "lost", "died"])
@pytest.mark.parametrize("after", [False, True])
def test_a_refusal_after_two_changes_makes_it_what_aws_last_had(
    stage: Stage, row: Instance, dear: Preset, third: Preset, lost: str, after: bool
) -> None:
    resize(stage, row, dear)
    if lost:  # B may have been asked for, and taken, before the student thought better of it
        lose(stage, lost, after=after)
        start(stage, row, minutes=0)
        stop(stage, row)
    resize(stage, row, third)
    refuse(stage, C)
    row = start(stage, row, minutes=3)
    assert (row.state, row.instance_type, row.preset, row.price_usd_hour) == ("stopped", A, stage.preset, USD[A])
    assert row.lease_seconds == 4 * HOUR
    assert "stays what it was" in events(row, "refused")[-1].reason
    assert not Hold.objects.filter(key=row.run_hold_key, closed_at=None).exists()
    assert [run.instance_type for run in row.runs.all()] == [A]  # nothing ran that nobody chose
    start(stage, row)
    runs_as(stage, row, A)
    ends_well(stage, row)


def test_a_death_between_the_refusal_and_its_note_starts_nothing(
    stage: Stage, row: Instance, dear: Preset, third: Preset, monkeypatch: pytest.MonkeyPatch
) -> None:
    resize(stage, row, dear)
    resize(stage, row, third)
    refuse(stage, C)
    plain, dying = starting._not_fitting, [Died()]

    def dies_once(*args: Any) -> None:
        if dying:
            raise dying.pop()
        plain(*args)

    monkeypatch.setattr(starting, "_not_fitting", dies_once)
    row = start(stage, row, minutes=4)
    assert not dying
    assert (row.state, row.instance_type, row.runs.count()) == ("stopped", A, 1)
    assert len(events(row, "refused")) == 1
    start(stage, row)
    runs_as(stage, row, A)
    ends_well(stage, row)


def test_what_was_changed_and_started_is_what_the_next_refusal_leaves(
    stage: Stage, row: Instance, dear: Preset, third: Preset
) -> None:
    resize(stage, row, dear)
    start(stage, row)
    runs_as(stage, row, B)
    stop(stage, row)
    resize(stage, row, third)
    refuse(stage, C)
    row = start(stage, row)
    assert (row.state, row.instance_type, row.preset) == ("stopped", B, dear)
    ends_well(stage, row)


# ------------------------------------------------------------------ an answer that nobody got
@pytest.mark.parametrize("how", FAULTS)
@pytest.mark.parametrize("after", [False, True])
def test_who_goes_back_after_a_lost_answer_gets_what_they_went_back_to(
    stage: Stage, row: Instance, dear: Preset, how: str, after: bool
) -> None:
    resize(stage, row, dear)
    lose(stage, how, after=after)
    start(stage, row, minutes=0)
    assert stage.machine(row).instance_type == (B if after else A)
    stop(stage, row)
    resize(stage, row, stage.preset)
    start(stage, row)
    runs_as(stage, row, A)
    ends_well(stage, row)


def test_a_type_that_aws_refuses_where_nothing_is_known_to_go_back_to_stops_the_start_with_a_word(
    stage: Stage, row: Instance
) -> None:
    stage.machine(row).change_type(B)  # in AWS's console
    stage.wait(1)
    refuse(stage, A)
    row = start(stage, row)
    assert (row.state, row.runs.count()) == ("stopped", 1)
    assert "AWS refused this machine" in row.reason
    assert events(row, "trouble")[-1].mail_to
    stage.cloud.heal()
    start(stage, row)
    runs_as(stage, row, A)
    ends_well(stage, row)


# ------------------------------------------------------------------ AWS has another one than the row believes
def test_a_round_that_sees_another_type_has_it_asked_for_again_at_the_start(stage: Stage, row: Instance) -> None:
    stage.machine(row).change_type(B)  # in AWS's console, or a call of ours that came through late
    stage.wait(1)
    start(stage, row)
    runs_as(stage, row, A)
    ends_well(stage, row)


def changed_at_the_last_moment(stage: Stage, row: Instance, instance_type: str, *, once: bool = True) -> None:
    """A call of a process that was given up comes through between ours and the start."""
    left = [1]

    def change(_ids: object) -> None:
        if not once or (left and left.pop()):
            stage.machine(row).change_type(instance_type)

    stage.cloud.on_call("start", change)


@pytest.mark.parametrize(("chosen", "ran"), [(A, B), (B, A)], ids=["dearer than chosen", "cheaper than chosen"])
def test_what_comes_up_as_another_type_is_stopped_at_once_and_charged_as_what_it_is(
    stage: Stage, row: Instance, dear: Preset, chosen: str, ran: str
) -> None:
    if chosen == B:
        resize(stage, row, dear)
    stage.cloud.stop_seconds = 30
    changed_at_the_last_moment(stage, row, ran)
    row = start(stage, row, minutes=1)
    run = row.runs.get(number=2)
    assert (row.state, run.instance_type, run.price_usd_hour) == ("stopping", ran, USD[ran])
    margin = run.usd_hour * 300 / 3600
    assert Hold.objects.get(key=run.hold_key).amount_usd >= margin.quantize(Decimal("0.0001"))
    stage.wait(2)
    row = fresh(row)
    assert (row.state, row.instance_type) == ("stopped", chosen)
    assert f"came up as {ran}" in row.reason
    told = [event for event in events(row) if f"came up as {ran}" in event.reason and event.mail_to]
    assert {event.mail_to for event in told} >= {row.owner.email}
    assert [event.kind for event in told].count("trouble") == 1
    ends_well(stage, row)
    start(stage, row)
    runs_as(stage, row, chosen)
    ends_well(stage, row)


def test_no_budget_for_the_dearer_minutes_keeps_nobody_from_stopping_it(stage: Stage, row: Instance) -> None:
    Preset.objects.filter(pk=stage.preset.pk).update(lease_seconds=60)
    Instance.objects.filter(pk=row.pk).update(lease_seconds=60)
    services.request_start(fresh(row), who=None, now=stage.now)
    budget = Hold.objects.get(key=row.disk_key).budget
    budget.refresh_from_db()
    type(budget).objects.filter(pk=budget.pk).update(amount_usd=budget.spent_usd + budget.held_usd)
    changed_at_the_last_moment(stage, row, B)
    services.start(row.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(2)
    assert (fresh(row).state, row.runs.get(number=2).instance_type) == ("stopped", B)


@pytest.mark.parametrize("how", ["deleted", "stopped", "off before the look"])
def test_what_ends_before_it_was_seen_to_run_is_charged_as_what_it_was(stage: Stage, row: Instance, how: str) -> None:
    changed_at_the_last_moment(stage, row, B)
    start(stage, row, minutes=0)
    stage.later(20)
    ends: dict[str, Callable[[], object]] = {
        "deleted": lambda: services.request_terminate(fresh(row), who=None, now=stage.now),
        "stopped": lambda: services.request_stop(fresh(row), reason="enough", who=None, now=stage.now),
        "off before the look": lambda: stage.cloud.stop([row.cloud_id]),
    }
    ends[how]()
    stage.wait(4)
    run = row.runs.get(number=2)
    assert (run.instance_type, run.price_usd_hour) == (B, USD[B])
    check_books()


def test_what_somebody_starts_at_aws_before_its_change_is_charged_as_what_it_still_was(
    stage: Stage, row: Instance, dear: Preset
) -> None:
    resize(stage, row, dear)
    stage.cloud.start([row.cloud_id])
    stage.wait(3)
    assert [(run.instance_type, run.price_usd_hour) for run in row.runs.all()] == [(A, USD[A])] * 2
    start(stage, row)
    runs_as(stage, row, B)
    ends_well(stage, row)


def test_of_a_type_without_a_known_price_not_less_than_the_chosen_ones_is_charged(stage: Stage, row: Instance) -> None:
    stage.cloud.offerings["x9.nonesuch"] = ()
    changed_at_the_last_moment(stage, row, "x9.nonesuch")
    start(stage, row)
    run = row.runs.get(number=2)
    assert (run.instance_type, run.price_usd_hour) == ("x9.nonesuch", USD[A])
