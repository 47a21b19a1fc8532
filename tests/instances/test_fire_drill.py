"""The fire drill in virtual time: each guard's turn with those before it silenced, and what must never come of it.

The machine's own guards act here by what the portal answers to its reports, with the agent's own rule; as real
processes they are in `tests/machine/test_room.py`.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from benchmarks.semester_host import later
from instances import drilling, guard, services, sweeps
from instances.boot import margin_seconds
from instances.drill_records import DrillRound, FireDrill, GuardProof
from instances.drill_rules import ORDER
from instances.drilling import DrillRefused
from instances.guard_names import Guard
from instances.idle import Limits
from instances.models import Instance, InstanceEvent, Preset
from instances.reports import answer
from instances.resizing import request_resize
from instances.states import State
from spend.models import Budget, Level
from tests.instances.conftest import Stage, check_books, fresh

Outcome = DrillRound.Outcome
STEP = 20.0


@dataclass
class Range:
    """A course with a canary on it. `dead` names what does not work although its turn has come."""

    stage: Stage
    dead: set[str] = field(default_factory=set)
    portal_up: bool = True
    deadline: datetime | None = None
    watch: Limits = field(default_factory=Limits)

    def light(self) -> FireDrill:
        staff = self.stage.cast.instructor
        drill = drilling.start(staff, self.stage.preset, who=staff.user, now=self.stage.now)
        self.stage.reporting.add(drill.instance.slug)
        return drill

    def pass_time(self, minutes: float) -> None:
        for n in range(int(minutes * 60 / STEP)):
            self.stage.later(STEP)
            self._machine()
            if self.portal_up and n % 3 == 2:
                self._beat()

    def until_over(self, drill: FireDrill, minutes: float = 60) -> FireDrill:
        for _n in range(int(minutes)):
            if FireDrill.objects.get(pk=drill.pk).ended_at:
                break
            self.pass_time(1)
        return FireDrill.objects.get(pk=drill.pk)

    def _beat(self) -> None:
        stage = self.stage
        stage.agents_report()
        stage.repair()
        if Guard.SWEEPS not in self.dead:
            sweeps.idle(stage.cloud, stage.now)
            sweeps.lease(stage.cloud, stage.now)
        sweeps.drills(stage.cloud, stage.now)
        sweeps.meter(stage.now)

    def _machine(self) -> None:
        """What the canary does by itself: it asks the portal each minute, and goes by its last answer."""
        row = Instance.objects.filter(drill__ended_at=None, state=State.RUNNING).select_related("course").first()
        if row is None or self.stage.machine(row).state != "running":
            self.deadline, self.watch = None, Limits()
            return
        now, up = self.stage.now, self.stage.machine(row).stretches[-1].start
        if self.portal_up:
            said = answer(row, now=now)  # before the first one its timer has what user data told
            self.watch = Limits(**said["limits"])
            self.deadline = now + timedelta(seconds=said["lease_seconds_left"] + margin_seconds())
        over = self.deadline is not None and now >= self.deadline and Guard.TIMER not in self.dead
        unused = (now - up).total_seconds() >= later(self.watch).quiet and Guard.WATCH not in self.dead
        if over or unused:
            self.stage.cloud.power_off(row.cloud_id)


@pytest.fixture
def range_(stage: Stage) -> Range:
    return Range(stage)


def results(drill: FireDrill) -> dict[str, tuple[str, str]]:
    return {one.guard: (one.outcome, one.stopped_by) for one in drill.rounds.all()}


def test_each_guard_stops_the_canary_in_its_turn_within_its_bound(range_: Range) -> None:
    drill = range_.until_over(range_.light())
    assert results(drill) == {guard: (Outcome.PROVED, guard) for guard in ORDER}
    for one in drill.rounds.all():
        assert one.took_seconds
        assert one.took_seconds <= one.bound_seconds, one
    assert drill.trouble == ""
    assert fresh(drill.instance).state == State.TERMINATED
    assert range_.stage.kept() == []
    range_.stage.wait(2)
    check_books()
    spent = Budget.objects.get(enrollment=range_.stage.cast.instructor, level=Level.PERSON).spent_usd
    assert 0 < spent <= drill.most_usd + Decimal("0.01")  # and an hour of its disk
    proofs = GuardProof.objects.filter(course=drill.course)
    assert {(proof.guard, proof.by_drill) for proof in proofs} == {(guard, True) for guard in ORDER}
    assert not InstanceEvent.objects.filter(instance=drill.instance).exclude(mail_to="").exists()


def test_a_guard_that_does_not_act_is_found_out_and_the_canary_is_off_all_the_same(range_: Range) -> None:
    """In each round the guard whose turn it is does nothing; who stopped the canary then is shown instead."""
    drill, real = range_.light(), range_.stage.cloud.schedule_stop
    while FireDrill.objects.get(pk=drill.pk).ended_at is None:
        turn = drill.rounds.order_by("pk").last()
        range_.dead = {turn.guard} if turn else set()
        forgets = turn is not None and turn.guard == Guard.SCHEDULE
        range_.stage.cloud.schedule_stop = (lambda *_args: None) if forgets else real  # type: ignore[method-assign]
        if forgets:
            range_.stage.machine(drill.instance).stops_at = None  # AWS took it, and never runs it
        range_.pass_time(1)
    assert results(drill) == {
        Guard.SWEEPS: (Outcome.MISSED, ""),  # the drill itself stopped it
        Guard.WATCH: (Outcome.MISSED, ""),
        Guard.TIMER: (Outcome.MISSED, Guard.SCHEDULE),
        Guard.SCHEDULE: (Outcome.MISSED, Guard.TIMER),
    }
    assert range_.stage.kept() == []


def test_a_portal_that_dies_in_each_round_leaves_no_canary_on_and_goes_on_when_it_is_back(range_: Range) -> None:
    drill, died_in = range_.light(), []
    while FireDrill.objects.get(pk=drill.pk).ended_at is None:
        range_.pass_time(1)
        turn = drill.rounds.order_by("pk").last()
        if not _runs(drill) or turn is None or turn.guard in died_in:
            continue
        died_in.append(turn.guard)
        range_.pass_time(0.4)  # the machine has heard from the portal once
        run, lease = range_.stage.machine(drill.instance).stretches[-1], fresh(drill.instance).lease_seconds
        range_.portal_up = False
        range_.pass_time(20)
        range_.portal_up = True
        assert run.end is not None
        assert run.end <= run.start + timedelta(seconds=lease + 300), turn  # what is held for it
    assert died_in == list(ORDER)
    assert fresh(drill.instance).state == State.TERMINATED
    # Nobody saw when the machine switched itself off; AWS tells when its schedule ran.
    nobody = dict.fromkeys((Guard.SWEEPS, Guard.WATCH, Guard.TIMER), (Outcome.VOID, ""))
    assert results(drill) == {**nobody, Guard.SCHEDULE: (Outcome.PROVED, Guard.SCHEDULE)}
    check_books()


def _runs(drill: FireDrill) -> bool:
    return fresh(drill.instance).state == State.RUNNING


def test_silenced_is_only_the_canary(range_: Range) -> None:
    student = range_.stage.running()
    range_.stage.later(60)
    drill = range_.light()
    for _n in range(45):
        range_.pass_time(1)
    row = fresh(student)
    assert row.state == State.STOPPED  # unused since noon: by the ordinary rule, in the midst of the drill
    assert GuardProof.objects.exclude(by_drill=True).count() <= 1
    ordinary = Instance(lease_until=range_.stage.now, course=drill.course)
    assert guard.wanted(ordinary) == range_.stage.now + timedelta(seconds=150)


def test_one_at_a_time_and_only_what_the_budget_pays(range_: Range) -> None:
    drill = range_.light()
    stage = range_.stage
    with pytest.raises(DrillRefused, match="under way"):
        drilling.start(stage.cast.ta, stage.preset, who=stage.cast.ta.user, now=stage.now)
    assert drilling.call_off(drill, who=stage.cast.ta.user, now=stage.now)
    assert not drilling.call_off(drill, who=stage.cast.ta.user, now=stage.now)
    assert range_.until_over(drill).called_off_by == stage.cast.ta.user
    assert stage.kept() == []
    Budget.objects.filter(enrollment=stage.cast.ta).update(amount_usd=Decimal("0.10"))
    with pytest.raises(DrillRefused, match=r"\$"):
        drilling.start(stage.cast.ta, stage.preset, who=stage.cast.ta.user, now=stage.now)
    assert FireDrill.objects.count() == 1
    assert Instance.objects.filter(owner=stage.cast.ta).count() == 0


def test_a_canary_is_no_free_machine(range_: Range) -> None:
    """Neither kept nor started by hand, never renewed; and it counts as its owner's machine of that preset."""
    drill, stage = range_.light(), range_.stage
    while not _runs(drill):
        range_.pass_time(1)
    canary, who = fresh(drill.instance), stage.cast.instructor.user
    with pytest.raises(services.KeepRefused, match="fire drill"):
        services.keep_alive(canary, hours=1, who=who, now=stage.now)
    with pytest.raises(services.LaunchRefused, match="no more at once"):
        services.request_launch(stage.cast.instructor, stage.preset, who=who, now=stage.now)
    stage.active.add(canary.slug)  # somebody works on it all the while
    range_.pass_time(20)
    assert stage.machine(canary).stretches[0].end is not None
    Instance.objects.filter(pk=canary.pk).update(state=State.STOPPED)  # as between two rounds
    with pytest.raises(services.LaunchRefused, match="fire drill"):
        services.request_start(fresh(canary), who=who, now=stage.now)
    with pytest.raises(services.LaunchRefused, match="fire drill"):
        request_resize(fresh(canary), stage.preset, who=who, now=stage.now)


def test_a_stop_by_hand_says_nothing_about_a_guard(range_: Range) -> None:
    drill = range_.light()
    while not _runs(drill):
        range_.pass_time(1)
    range_.stage.stop(drill.instance)
    drill = range_.until_over(drill)
    assert results(drill)[Guard.SWEEPS] == (Outcome.VOID, "")
    assert not GuardProof.objects.filter(guard=Guard.SWEEPS).exists()


def test_spot_and_full_zones_end_a_drill_with_a_reason(range_: Range) -> None:
    stage = range_.stage
    stage.preset.market = Preset.Market.SPOT
    stage.preset.save()
    with pytest.raises(DrillRefused, match="Spot"):
        range_.light()
    stage.preset.market = Preset.Market.ON_DEMAND
    stage.preset.save()
    stage.cloud.fill()
    drill = range_.until_over(range_.light())
    assert "no machine in time" in drill.trouble
    assert stage.kept() == []
    check_books()
