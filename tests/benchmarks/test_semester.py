"""The semester's replay: thinning its rounds changes nothing, and a short stretch keeps every promise."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from benchmarks import semester
from benchmarks.semester_people import ZONE, Does, Person, Segment, Semester, Sitting
from benchmarks.semester_people import semester as plan_semester
from benchmarks.semester_stage import Outage, replay
from benchmarks.semester_without import by_hand, with_alarm
from demo.seed.calendar import calendar_around
from instances.models import Instance, InstanceEvent, Run
from spend.models import Charge, Hold

MONDAY = datetime(2019, 2, 4, 9, tzinfo=ZONE)
NEVER = Outage(MONDAY - timedelta(days=90), MONDAY - timedelta(days=90))


def sitting(person: int, minute: float, *segments: Segment, **more: Any) -> Sitting:
    defaults: dict[str, Any] = {"preset": "homework", "by_hand": False, "leaves_after": 2.5}
    return Sitting(person, MONDAY + timedelta(minutes=minute), segments=segments, **{**defaults, **more})


def a_day(hours: float, *sittings: Sitting, hammers: int = -1) -> Semester:
    people = [Person(n, 1.0, 0.5, True, n == hammers, False) for n in range(1 + max(s.person for s in sittings))]
    ends_at = MONDAY + timedelta(hours=hours)
    return Semester(calendar_around(MONDAY.date()), people, sittings, MONDAY - timedelta(minutes=1), ends_at)


EVERYTHING = a_day(
    4.4,
    sitting(0, 3.2, Segment(Does.CELLS, 21.4), Segment(Does.TYPES, 14), by_hand=True),
    sitting(1, 5.1, Segment(Does.CELLS, 9.3), Segment(Does.NOTHING, 41), Segment(Does.CELLS, 12), tab_open=True),
    sitting(2, 12.7, Segment(Does.DOWNLOADS, 13), Segment(Does.TRAINS, 170, attended=False), keep_hours=1),
    sitting(3, 14.4, Segment(Does.CELLS, 5), Segment(Does.HANGS, 60, attended=False)),
    sitting(0, 120.3, Segment(Does.CELLS, 8.8)),
    hammers=1,
)
# Long enough for the machine whose training ends meanwhile to put itself out.
AWAY = Outage(MONDAY + timedelta(minutes=165), MONDAY + timedelta(minutes=245))
THROTTLED = Outage(MONDAY + timedelta(minutes=35, seconds=17), MONDAY + timedelta(minutes=52))


def trace() -> dict[str, list[Any]]:
    """Everything that happened, with machines by their order instead of their chance names."""
    number = {pk: n for n, pk in enumerate(Instance.objects.order_by("pk").values_list("pk", flat=True))}
    events = InstanceEvent.objects.order_by("at", "instance_id", "kind", "new_state")
    runs = Run.objects.order_by("instance_id", "number")
    return {
        "events": [(number[e.instance_id], e.kind, e.new_state, e.at) for e in events],
        "runs": [(number[r.instance_id], r.started_at, r.ended_at) for r in runs],
        "charges": sorted((c.enrollment_id, c.kind, c.hour, c.seconds, c.amount_usd) for c in Charge.objects.all()),
        "holds left": list(Hold.objects.filter(closed_at=None).values_list("amount_usd", flat=True)),
    }


def forget_everything() -> None:
    from django.core.management import call_command

    call_command("flush", verbosity=0, interactive=False)


@pytest.mark.slow
@pytest.mark.django_db(transaction=True, reset_sequences=True)
def test_the_rounds_that_are_left_out_change_nothing() -> None:
    found = replay(EVERYTHING, 1, thin=True, away=AWAY, throttled=THROTTLED)
    thin = trace()
    forget_everything()
    every = replay(EVERYTHING, 1, thin=False, away=AWAY, throttled=THROTTLED)
    full = trace()
    enrollments = {charge[0] for charge in full["charges"]}
    shift = min(enrollments) - min(charge[0] for charge in thin["charges"])
    thin["charges"] = sorted((one[0] + shift, *one[1:]) for one in thin["charges"])
    for name, rows in full.items():
        assert thin[name] == rows, name
    assert found.ticks < every.ticks / 1.5
    assert {"warned", "kept", "renewed", "moved"} <= {kind for _n, kind, _state, _at in full["events"]}


@pytest.mark.slow
@pytest.mark.django_db(transaction=True)
def test_two_weeks_of_a_few_students_keep_every_promise(capsys: pytest.CaptureFixture[str]) -> None:
    plan = plan_semester(157, 6, 2)
    away = Outage(plan.starts_at + timedelta(days=5, hours=2), plan.starts_at + timedelta(days=5, hours=8))
    found = replay(plan, 157, away=away, throttled=NEVER)
    told = semester.keys(plan, found, *(
        rule(plan.sittings, found.usd_hour, plan.ends_at) for rule in (by_hand, with_alarm)
    ))  # fmt: skip
    assert told.keys() == {
        "spent", "wasted", "wasted_without_portal", "wasted_cpu_alarm", "max_over_cap", "working_stopped",
        "off_p50_min", "off_p95_min",
    }  # fmt: skip
    assert len(found.stops) > 10
    assert told["max_over_cap"] == 0
    assert found.stopped_at_work == []
    assert 0 < told["off_p50_min"] <= 32.5
    assert told["wasted"] < told["wasted_without_portal"] / 2
    assert found.books == []
    assert 0 <= found.spent - found.true_spent < 0.01 * found.spent + 0.05
    semester.tell(plan, found, 0)
    assert capsys.readouterr().out.splitlines()[-1].startswith('{"spent"')


def test_by_hand_a_forgotten_machine_runs_until_its_student_is_back_and_an_alarm_stops_who_writes() -> None:
    writes = sitting(0, 0, Segment(Does.CELLS, 10), Segment(Does.TYPES, 90))
    later = sitting(0, 60 * 24, Segment(Does.CELLS, 30), by_hand=True)
    plan = a_day(72, writes, later)
    hand, alarm = (rule(plan.sittings, {"homework": 1.0}, plan.ends_at) for rule in (by_hand, with_alarm))
    assert hand.on == pytest.approx(24 + (30 + 2.5 + 2 * 3) / 60, abs=0.1)
    assert hand.working_stopped == 0
    assert alarm.working_stopped == 1
    assert alarm.on < 5
