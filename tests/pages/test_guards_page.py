"""The guards' page: lights that say what is so, and a drill that is begun, watched and called off there."""

from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from courses.models import AuditEntry
from instances import sweeps
from instances.drill_records import DrillRound, FireDrill, GuardProof
from instances.drill_rules import ORDER
from instances.guard_names import Guard
from instances.models import Instance, SweepBeat
from instances.states import State
from portal import auditing
from portal.guards import guards
from portal.lights import Light, Shine, lights
from spend.models import Budget
from tests.instances.conftest import Stage, fresh
from tests.pages.conftest import heard_of, signed_in

URL = "/c/dl19/staff/guards/"


@pytest.fixture
def staff(today: Stage) -> Client:
    return signed_in(today.cast.ta.user)


def lit(today: Stage) -> dict[str, Light]:
    now = timezone.now()
    return {light.key: light for light in lights(today.cast.course, now, guards(now, 60))}


def up(row: Instance) -> None:
    """It runs and reports, and the sweeps are on time."""
    heard_of(row)
    SweepBeat.objects.update(finished_at=timezone.now())


def proved(row: Instance, *which: Guard, days_ago: float = 0) -> None:
    at = timezone.now() - timedelta(days=days_ago)
    for guard in which:
        GuardProof.objects.update_or_create(course=row.course, guard=guard, defaults={"at": at, "instance": row})


def test_a_light_is_healthy_only_when_its_guard_was_seen_to_act(today: Stage, staff: Client) -> None:
    assert {light.shine for light in lit(today).values()} == {Shine.UNPROVED}
    row = today.running()
    up(row)
    proved(row, Guard.SWEEPS, Guard.SCHEDULE, Guard.WATCH)
    assert {key: light.shine for key, light in lit(today).items()} == {
        "sweeps": Shine.HEALTHY,
        "machine": Shine.UNPROVED,  # its timer was never seen
        "aws": Shine.HEALTHY,
    }
    proved(row, Guard.TIMER)
    assert lit(today)["machine"].shine is Shine.HEALTHY
    page = staff.get(URL).content.decode()
    assert page.count("Healthy</span>") == 3
    assert f">{row.slug}</a>" in page
    proved(row, Guard.SCHEDULE, days_ago=31)
    assert lit(today)["aws"].word == "Not proved lately"


def test_a_failing_light_says_why_and_what_to_do(today: Stage, staff: Client) -> None:
    row = today.running()
    proved(row, *ORDER)
    now = timezone.now()
    up(row)
    SweepBeat.objects.filter(name="idle").update(finished_at=now - timedelta(minutes=20))
    Instance.objects.filter(pk=row.pk).update(
        last_report_at=now - timedelta(minutes=30),
        state_since=now - timedelta(hours=1),
        guard_until=now - timedelta(minutes=5),
    )
    found = lit(today)
    assert [light.shine for light in found.values()] == [Shine.FAILING] * 3
    page = staff.get(URL).content.decode()
    for words in ("Late: idle. Last ended 20 min ago.", "1 machine does not report.", "AWS did not stop a machine"):
        assert words in page
    assert page.count("What to do:") == 3
    overview = staff.get("/c/dl19/staff/").content.decode()
    assert overview.count(": Failing</span>") == 3


def test_a_late_round_of_linked_accounts_is_named_with_its_age(today: Stage, staff: Client) -> None:
    SweepBeat.objects.update(finished_at=timezone.now())
    SweepBeat.objects.filter(name="accounts").update(finished_at=timezone.now() - timedelta(minutes=20))
    assert lit(today)["sweeps"].shine is Shine.FAILING
    assert "Late: accounts. Last ended 20 min ago." in staff.get(URL).content.decode()


def test_what_missed_its_turn_in_a_drill_fails_until_it_is_proved_again(today: Stage) -> None:
    row, now = today.running(), timezone.now()
    up(row)
    proved(row, *ORDER, days_ago=1)
    drill = FireDrill.objects.create(course=row.course, instance=row, at=now, most_usd=1, ended_at=now)
    facts = {"run_number": 1, "began_at": now, "bound_seconds": 300, "ended_at": now - timedelta(minutes=1)}
    DrillRound.objects.create(drill=drill, guard=Guard.TIMER, outcome="missed", words="AWS did it", **facts)
    assert lit(today)["machine"].shine is Shine.FAILING
    assert "AWS did it" in lit(today)["machine"].why
    proved(row, Guard.TIMER)
    assert lit(today)["machine"].shine is Shine.HEALTHY


def test_a_drill_is_begun_with_its_cost_in_sight_watched_and_called_off(today: Stage, staff: Client) -> None:
    page = staff.get(URL).content.decode()
    assert "Light the canary" in page
    assert "Homework: T4 16 GB: $0." in page
    assert staff.post(URL, {"preset": str(today.preset.pk)}).status_code == 302
    drill = FireDrill.objects.get()
    assert drill.instance.owner == today.cast.ta
    page = staff.get(URL).content.decode()
    assert "Light the canary" not in page
    assert page.count("its turn comes") == 3
    again = staff.post(URL, {"preset": str(today.preset.pk)})
    assert again.status_code == 422
    assert "under way" in again.content.decode()
    staff.post(f"{URL}{drill.pk}/call-off")
    today.now = timezone.now()
    for _n in range(3):
        today.repair()
        sweeps.drills(today.cloud, today.now)
        today.later(30)
    drill.refresh_from_db()
    assert (drill.ended_at is not None, drill.called_off_by) == (True, today.cast.ta.user)
    assert fresh(drill.instance).state == State.TERMINATED
    assert "called off" in staff.get(URL).content.decode()
    auditing.collect(timezone.now() + timedelta(hours=1))
    told = AuditEntry.objects.filter(what__startswith="drill_").order_by("number")
    assert [entry.what for entry in told] == ["drill_begun", "drill_called_off", "drill_over"]


def test_what_the_budget_cannot_pay_is_refused_beside_the_field(today: Stage, staff: Client) -> None:
    Budget.objects.filter(enrollment=today.cast.ta).update(amount_usd=0)
    answer = staff.post(URL, {"preset": str(today.preset.pk)})
    assert answer.status_code == 422
    assert 'id="id_preset_error"' in answer.content.decode()
    assert not FireDrill.objects.exists()
    assert staff.post(URL, {"preset": "999"}).status_code == 422


def test_when_nobody_is_heard_the_portals_light_fails_and_no_machine_is_blamed(today: Stage, staff: Client) -> None:
    rows = today.running(today.cast.student), today.running(today.cast.ta)
    for row in rows:
        up(row)
    hours = timezone.now() - timedelta(hours=2)
    silent = {"last_report_at": hours, "state_since": hours}
    Instance.objects.filter(pk__in=[row.pk for row in rows]).update(**silent)
    light = lit(today)["sweeps"]
    assert light.shine is Shine.FAILING
    assert light.why == "No machine has reported for 120 min, although machines of 2 people run."
    assert "/agent/" in light.do
    assert "does not report" not in staff.get(URL).content.decode()
    assert "No machine has reported" in staff.get(URL).content.decode()
    assert "do not report" not in lit(today)["machine"].why
