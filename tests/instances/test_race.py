"""Many at the same instant, on PostgreSQL with real processes; each guard with a control that shows it is needed."""

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest
from django.utils import timezone

from courses.models import Enrollment, Team, User
from instances import requesting, services, sweeps
from instances.models import Instance, Preset
from instances.refusals import LaunchRefused
from spend import services as money
from spend.models import Budget, Hold, Level
from spend.opening import open_budgets
from spend.services import BudgetRefused
from tests.conftest import Cast
from tests.instances.conftest import Stage, check_books, fresh
from tests.instances.workers import Farm, farm
from tests.race import Outcome, race
from tests.simulated_aws import SimulatedAws, aws_credentials, sim, simulated_aws, until

__all__ = ["aws_credentials", "sim", "simulated_aws"]
pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def term(stage: Stage) -> Stage:
    """The course is on now: workers use the real clock."""
    today = timezone.now().date()
    stage.cast.course.starts_on, stage.cast.course.ends_on = today - timedelta(days=1), today + timedelta(days=30)
    stage.cast.course.save()
    stage.now = timezone.now()
    return stage


@pytest.fixture
def workers(sim: SimulatedAws, term: Stage, tmp_path: Path) -> Iterator[Farm]:
    term.preset.image_id = sim.network["image_id"]
    term.preset.save()
    with farm(sim, tmp_path) as found:
        yield found


def students(cast: Cast, count: int) -> list[Enrollment]:
    """So many more, each with a budget below the course."""
    found = []
    for n in range(count):
        user = User.objects.create_user(f"s{n}@demo.edu", full_name=f"Student {n}")
        found.append(Enrollment.objects.create(course=cast.course, user=user, email=user.email, name=f"Student {n}"))
    usd = Decimal(100)
    open_budgets(cast.course, course_usd=usd, team_usd=usd, person_usd=usd, why="late", who=None, now=timezone.now())
    return found


def click(who: Enrollment, preset: Preset) -> int:
    return services.request_launch(who, preset, who=who.user, now=timezone.now()).pk


def clicks(who: list[Enrollment], preset: Preset) -> list[Outcome]:
    return race([partial(click, one, preset) for one in who])


def test_two_clicks_of_one_person_at_once_give_one_machine(term: Stage) -> None:
    me = term.cast.student
    for _again in range(5):
        outcomes = clicks([me, me, me], term.preset)
        assert sorted(o.ok for o in outcomes) == [False, False, True]
        assert all("no more at once" in str(o.error) for o in outcomes if not o.ok)
        row = Instance.objects.get(state="requested")
        services.request_stop(row, reason="next", who=None, now=timezone.now())
    check_books()


def test_control_without_the_lock_on_the_person_they_get_more(term: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requesting, "locked", lambda e: Enrollment.objects.select_related("course").get(pk=e.pk))
    slow_down(monkeypatch)
    me = term.cast.student
    assert sum(o.ok for o in clicks([me, me, me], term.preset)) > 1


def slow_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time between counting and writing, as on a busy day: for the control only."""
    for name in ("refusal", "start_refusal"):
        plain = getattr(requesting, name)

        def slowly(*args: object, plain: Callable[..., object] = plain) -> object:
            answer = plain(*args)
            time.sleep(0.2)
            return answer

        monkeypatch.setattr(requesting, name, slowly)


def two_of_a_team_start(term: Stage) -> list[Outcome]:
    team = Team.objects.create(course=term.cast.course, name="Pair")
    rows = []
    for one in (term.cast.student, term.cast.other_student):
        row = term.stop(term.running(one))
        assert term.wait(10, until=lambda row=row: fresh(row).state == "stopped")
        Enrollment.objects.filter(pk=one.pk).update(team=team)
        rows.append(fresh(row))
    Preset.objects.filter(pk=term.preset.pk).update(per_team=1)
    rows = [fresh(row) for row in rows]
    return race([partial(services.request_start, row, who=row.owner.user, now=term.now) for row in rows])


def test_two_of_a_team_who_start_at_once_get_one_machine(term: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    slow_down(monkeypatch)
    refused = [outcome.error for outcome in two_of_a_team_start(term) if not outcome.ok]
    assert [str(error)[:21] for error in refused] == ["Your team already has"]


def test_control_without_the_lock_on_the_team_both_start(term: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requesting, "_lock_team", lambda *_who: None)
    slow_down(monkeypatch)
    assert all(outcome.ok for outcome in two_of_a_team_start(term))


@pytest.mark.redis
@pytest.mark.slow
def test_ten_students_at_the_same_second_with_two_workers_get_ten_machines(term: Stage, workers: Farm) -> None:
    workers.hire(2)
    crowd = students(term.cast, 10)
    outcomes = clicks(crowd, term.preset)
    assert all(o.ok for o in outcomes), [str(o.error) for o in outcomes]
    for pk in [o.value for o in outcomes] * 2:  # each message twice: a queue may do that
        workers.send("launch", pk)
    until(lambda: Instance.objects.filter(cloud_id="").count() == 0, 90)
    repair(workers)
    until(lambda: repair(workers) or Instance.objects.filter(state="running").count() == 10, 30)
    machines = workers.machines()
    assert len(machines) == 10
    assert {m["cloud_id"] for m in machines} == set(Instance.objects.values_list("cloud_id", flat=True))
    assert {m["token"] for m in machines} == {f"{row.slug}-1" for row in Instance.objects.all()}
    assert Hold.objects.filter(closed_at=None, key__contains="/run/").count() == 10
    assert Hold.objects.filter(closed_at=None, key__endswith="/disk").count() == 10
    assert workers.sim.calls()["RunInstances"] == 10
    check_books()


def repair(workers: Farm) -> None:
    sweeps.repair(workers.cloud, timezone.now(), probe=lambda places: [True] * len(places))


def seven_fit(term: Stage, crowd: list[Enrollment]) -> None:
    """The course has left what seven launches hold, and a dollar."""
    one = crowd.pop()
    pk = click(one, term.preset)
    budget = Budget.objects.get(course=term.cast.course, level=Level.COURSE)
    per_launch = budget.held_usd
    services.request_stop(Instance.objects.get(pk=pk), reason="measured", who=None, now=timezone.now())
    Budget.objects.filter(pk=budget.pk).update(amount_usd=per_launch * 7 + 1)


def test_when_seven_fit_the_other_three_are_told_so(term: Stage) -> None:
    crowd = students(term.cast, 11)
    seven_fit(term, crowd)
    outcomes = clicks(crowd, term.preset)
    refused = [o.error for o in outcomes if not o.ok]
    assert sum(o.ok for o in outcomes) == 7
    assert [type(error) for error in refused] == [BudgetRefused] * 3
    assert all("The budget of the course" in str(error) for error in refused)
    assert Instance.objects.filter(state="requested").count() == 7
    check_books()


def test_control_without_the_lock_on_the_budgets_they_are_not(term: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database's own rule still holds the cap; but people get an error instead of a sentence, or a wrong one."""
    crowd = students(term.cast, 11)
    seven_fit(term, crowd)
    monkeypatch.setattr(money, "lock_path", unlocked_path)
    outcomes = clicks(crowd, term.preset)
    told = sum(isinstance(o.error, BudgetRefused | LaunchRefused) for o in outcomes)
    assert (sum(o.ok for o in outcomes), told) != (7, 3)


def unlocked_path(budget: Budget) -> list[Budget]:
    """As it is read, and a moment later it may be something else: on a busy day, that moment is there."""
    found = [budget]
    while found[0].parent_id:
        found.insert(0, Budget.objects.get(pk=found[0].parent_id))
    found[-1].refresh_from_db()
    time.sleep(0.1)
    return found
