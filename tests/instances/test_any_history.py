"""Any history of clicks, faults and deaths ends well: the machines that there should be, books of exactly the seconds
that they ran, nothing held for what is not there, and a page that says the truth.

A few histories in every run; `make chaos` tells 5,000 (HISTORIES=…), each seed another set.
"""

import os
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from cloud.base import CloudState, MachineView, NotFound, Transient, WrongState
from instances import services, snapshots, sweeps
from instances.models import DiskSnapshot, Instance, Run, SweepBeat
from instances.refusals import LaunchRefused
from instances.repair import Do, Intent, Row, decide_repair
from instances.restarting import request_restart, restart
from instances.states import ENDED, State
from instances.steps import ready_after, settled, steps
from instances.sweeps import repairing
from spend.models import Hold
from spend.services import BudgetRefused
from tests.conftest import Cast
from tests.instances.conftest import Stage, check_books, compute_seconds, fresh
from tests.instances.test_single_faults import Died

HISTORIES = int(os.environ.get("LAMPLIGHTER_TEST_HISTORIES", "12"))
SEED = int(os.environ.get("LAMPLIGHTER_TEST_SEED", "1"))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(0 if HISTORIES > 50 else 180)]
WHO = st.integers(0, 1)
ORDERS = ("run", "start", "stop", "terminate", "restart", "schedule_stop", "cancel_scheduled_stop", "zones_offering")
LOOKS = ("describe_all", "find_by_token", "*")
FAULTS: dict[str, Callable[[], BaseException]] = {
    "lost": lambda: Transient("connection closed"),
    "throttled": lambda: Transient("Request limit exceeded.", code="RequestLimitExceeded"),
    "died": Died,
    "not found yet": lambda: NotFound("does not exist", code="InvalidInstanceID.NotFound"),
    "another state": lambda: WrongState("is not in a state", code="IncorrectInstanceState"),
}
# A launch or a look at the account is never answered so.
ONE_MACHINES_ERRORS = ("not found yet", "another state")
MINUTE = 60
# What many histories must have had done, whatever their seed: else they no longer try what they are for.
REACHED = {Do.LAUNCH, Do.ADOPT, Do.RUNS, Do.RUNS_ON, Do.STOP, Do.STOPPED, Do.TERMINATE, Do.TERMINATED}


class Histories(RuleBasedStateMachine):
    """Two students of one team, one preset, one cloud that breaks in every way it can, and a portal that dies."""

    make: Callable[[], Stage]
    seen: Counter[str] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self._undo = transaction.atomic()
        self._undo.__enter__()
        self.stage = self.make()
        self.cloud = self.stage.cloud
        self.unexact: dict[str, float] = {}  # seconds that nobody can know: it ended from inside, between two looks
        self.ended: list[tuple[str, datetime]] = []  # since the last look
        self.last_look = self.stage.now

    @initialize(
        boots=st.sampled_from([0, 45, 150]), stops=st.sampled_from([0, 45, 150]), hides=st.sampled_from([0, 45])
    )
    def begin(self, boots: int, stops: int, hides: int) -> None:
        self.cloud.boot_seconds, self.cloud.stop_seconds, self.cloud.hidden_seconds = boots, stops, hides
        self.launch(0, told=True)

    # ------------------------------------------------------------------ what breaks
    @rule(
        op=st.sampled_from(ORDERS + LOOKS),
        what=st.sampled_from(sorted(FAULTS)),
        after=st.booleans(),
        n=st.integers(1, 3),
    )
    def break_next(self, op: str, what: str, after: bool, n: int) -> None:
        if what in ONE_MACHINES_ERRORS and (op in ("run", "zones_offering", *LOOKS) or after):
            return
        plan = self.cloud.break_after if after else self.cloud.break_before
        plan(op, FAULTS[what](), times=1 if what == "died" else n)

    @rule(kind=st.sampled_from(["full", "quota", "blind"]))
    def scarce(self, kind: str) -> None:
        if kind == "full":
            self.cloud.fill()
        elif kind == "quota":
            self.cloud.vcpu_quota = 4
        else:
            self.cloud.blind()

    @rule()
    def plenty(self) -> None:
        self.cloud.empty()
        self.cloud.see()
        self.cloud.vcpu_quota = None

    @rule(
        op=st.sampled_from(ORDERS[:5]),
        who=WHO,
        act=st.sampled_from(["stop", "terminate", "sweep"]),
        after=st.booleans(),
    )
    def meanwhile(self, op: str, who: int, act: str, after: bool) -> None:
        """During the next such call somebody else acts, once."""
        left = [1]

        def once(*_args: object) -> None:
            if left and left.pop():
                self._safely({"stop": self.stop, "terminate": self.terminate}.get(act, self._repair_for), who)

        self.cloud.on_call(op, once, after=after)

    @rule(who=WHO, how=st.sampled_from(["power_off", "kill"]))
    def ends_by_itself(self, who: int, how: str) -> None:
        row = self._row(who, State.RUNNING)
        machine = row and self.cloud.machines.get(row.cloud_id)
        if row and machine and machine.state is CloudState.RUNNING:
            getattr(self.cloud, how)(row.cloud_id)
            self._nobody_knows(row.slug, self.stage.now - self.last_look + timedelta(seconds=MINUTE))
            self.ended.append((row.slug, self.stage.now))
            self.seen[how] += 1

    # ------------------------------------------------------------------ what people do
    @rule(who=WHO, told=st.booleans())
    def launch(self, who: int, told: bool) -> None:
        """`told`: the message reaches a worker; else the sweep finds the row."""
        with suppress(LaunchRefused, BudgetRefused):
            row = self.stage.click_launch(self._person(who))
            if told:
                self._safely(services.launch, row.pk, cloud=self.cloud, now=self.stage.now)

    @rule(who=WHO, told=st.booleans())
    def start(self, who: int, told: bool = True) -> None:
        row = self._row(who, State.STOPPED)
        if row:
            with suppress(LaunchRefused, BudgetRefused):
                services.request_start(row, who=row.owner.user, now=self.stage.now)
                if told:
                    self._safely(services.start, row.pk, cloud=self.cloud, now=self.stage.now)

    @rule(who=WHO, told=st.booleans())
    def stop(self, who: int, told: bool = True) -> None:
        row = self._row(who)
        if row and services.request_stop(row, reason="enough", who=row.owner.user, now=self.stage.now) and told:
            self._safely(services.stop, [row.pk], cloud=self.cloud, now=self.stage.now)

    @rule(who=WHO, told=st.booleans())
    def terminate(self, who: int, told: bool = True) -> None:
        row = self._row(who)
        if row and services.request_terminate(row, who=row.owner.user, now=self.stage.now) and told:
            self._safely(services.terminate, [row.pk], cloud=self.cloud, now=self.stage.now)

    @rule(who=WHO)
    def restart(self, who: int) -> None:
        row = self._row(who, State.RUNNING)
        if row and request_restart(row, who=row.owner.user, now=self.stage.now):
            self._safely(restart, [row.pk], cloud=self.cloud, now=self.stage.now)

    @rule(who=WHO, told=st.booleans())
    def copy(self, who: int, told: bool) -> None:
        row = self._row(who, State.STOPPED)
        if row:
            with suppress(LaunchRefused, BudgetRefused):
                one = snapshots.request_snapshot(
                    row, why=DiskSnapshot.Why.ASKED, who=row.owner.user, now=self.stage.now
                )
                if told:
                    self._safely(snapshots.take, one.pk, cloud=self.cloud, now=self.stage.now)

    @rule(who=WHO, hours=st.sampled_from([1, 8]))
    def keep(self, who: int, hours: int) -> None:
        row = self._row(who, State.RUNNING)
        if row:
            with suppress(LaunchRefused, BudgetRefused):
                services.keep_alive(row, hours=hours, who=row.owner.user, now=self.stage.now)

    @rule(who=WHO, used=st.booleans())
    def agent(self, who: int, used: bool) -> None:
        row = self._row(who, State.RUNNING)
        if row:
            self.stage.reporting.add(row.slug)
            (self.stage.active.add if used else self.stage.active.discard)(row.slug)

    @rule(who=WHO, what=st.sampled_from(["lost", "died"]), start=st.booleans())
    def asked_for_and_never_heard_of(self, who: int, what: str, start: bool) -> None:
        """AWS does it, and its answer is lost: what by chance alone befalls few launches and starts."""
        self.cloud.break_after("start" if start else "run", FAULTS[what]())
        (self.start if start else self.launch)(who, told=True)

    # ------------------------------------------------------------------ time
    @rule(minutes=st.sampled_from([1, 1, 2, 3, 6]))
    def minutes(self, minutes: int) -> None:
        for _minute in range(minutes):
            self._minute()

    @precondition(lambda self: not self.cloud._blinded)
    @rule(hours=st.sampled_from([1, 5]))
    def the_portal_is_away(self, hours: int) -> None:
        self.stage.later(hours * 60 * MINUTE)
        self._minute()

    def _minute(self) -> None:
        stage, cloud = self.stage, self.cloud
        stage.later(MINUTE)
        stage.agents_report()
        self._repair_for()
        for sweep in (sweeps.queue, sweeps.idle, sweeps.lease, sweeps.disks):
            self._safely(sweep, cloud, stage.now)
        self._safely(sweeps.meter, stage.now)

    def _repair_for(self, _who: int = 0) -> None:
        beats = SweepBeat.objects.filter(name="repair").values_list("finished_at", flat=True)
        before = beats.first()
        self._safely(self.stage.repair)
        if beats.first() == before:
            return
        self.last_look = self.stage.now
        for slug, at in self.ended:
            self._nobody_knows(slug, self.stage.now - at)
        self.ended.clear()

    def _nobody_knows(self, slug: str, time: timedelta) -> None:
        self.unexact[slug] = self.unexact.get(slug, 0) + time.total_seconds()

    # ------------------------------------------------------------------ who and what
    def _person(self, who: int) -> object:
        return (self.stage.cast.student, self.stage.cast.other_student)[who]

    def _row(self, who: int, state: State | None = None) -> Instance | None:
        rows = Instance.objects.filter(owner=self._person(who)).exclude(state__in=ENDED)
        row = (rows.filter(state=state) if state else rows).order_by("-pk").first()
        return row and fresh(row)

    def _safely(self, act: Callable[..., object], *args: object, **more: object) -> None:
        """In a process of its own: it may fail or die without ours. What it had committed by then stays."""
        try:
            act(*args, **more)
        except (Died, Transient):
            self.seen["failed"] += 1

    # ------------------------------------------------------------------ what must be so
    @invariant()
    def the_law_holds_at_every_level(self) -> None:
        check_books(metered=False)

    @invariant()
    def nobody_has_two_machines_of_one_launch(self) -> None:
        alive = Counter(machine.spec.name for machine in self.stage.alive())
        assert not alive or max(alive.values()) == 1, alive

    def teardown(self) -> None:
        try:
            self._end_well()
        finally:
            transaction.set_rollback(True)
            self._undo.__exit__(None, None, None)

    def _end_well(self) -> None:
        self.cloud.heal()
        self.plenty()
        for _minute in range(14):
            self._minute()
        for _minute in range(5):  # one of these minutes may have been the last of somebody's quiet time
            if Instance.objects.filter(state=State.STOPPING).exists():
                self._minute()
        rows = list(Instance.objects.all())
        for row in rows:
            self._judge(row)
        running = {row.slug for row in rows if row.state == State.RUNNING}
        assert {machine.spec.name for machine in self.stage.alive()} == running
        check_books()
        self.seen.update(row.state for row in rows)

    def _judge(self, row: Instance) -> None:
        assert row.state in (State.RUNNING, State.STOPPED, State.TERMINATED, State.FAILED), (row.state, row.reason)
        mine = [m for m in self.cloud.machines.values() if m.spec.name == row.slug and m.stretches]
        told = steps(row, list(row.events.order_by("at", "pk")))
        assert settled(told), told
        if row.state == State.RUNNING:
            [run] = Run.objects.filter(instance=row, ended_at=None)
            [machine] = [m for m in mine if m.state is CloudState.RUNNING]
            assert run.started_at == machine.launched_at
            assert (machine.stops_at, ready_after(told) is not None) == (row.guard_until, True)
        else:
            runs = Hold.objects.filter(key__startswith=f"machine/{row.slug}/run/", closed_at=None)
            assert not runs.exists(), (row.slug, row.state, row.reason)
            ran = sum(max(stretch.seconds(self.stage.now), MINUTE) for m in mine for stretch in m.stretches)
            # AWS tells when it was asked, not when the machine was there: boots are counted, in AWS's favour, and who
            # ends a machine while it boots pays its minute.
            boots = max(self.cloud.boot_seconds, MINUTE) * row.runs.count() if self.cloud.boot_seconds else 0
            less = self.unexact.get(row.slug, 0)
            # A deletion may overtake a stop: then AWS tells only of the deletion, and a look decides. One that AWS has
            # forgotten ends where it was last seen, however long it ran unseen.
            forgotten = row.events.filter(facts__has_key="counted_until").exists()
            least, late = 0 if forgotten else ran - less, MINUTE if row.state == State.TERMINATED else 0
            assert least <= compute_seconds(row) <= ran + less + boots + late, (row.slug, row.state, row.reason)


def tell_histories(stage: Stage, cast: Cast) -> None:
    Histories.make = staticmethod(lambda: Stage(cast, stage.preset))  # type: ignore[method-assign]
    run_state_machine_as_test(
        seed(SEED)(Histories),
        settings=settings(
            max_examples=HISTORIES,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),  # shrinking a history of database work takes minutes
            database=None,
        ),
    )


def test_any_history_ends_well(stage: Stage, cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    done: Counter[Do] = Counter()

    def counted(row: Row, view: MachineView | None, now: datetime) -> list[Intent]:
        intents = decide_repair(row, view, now)
        done.update(intent.do for intent in intents)
        return intents

    monkeypatch.setattr(repairing, "decide_repair", counted)
    tell_histories(stage, cast)
    assert {State.STOPPED, State.TERMINATED, "failed"} <= set(Histories.seen)
    if HISTORIES > 50:
        assert set(done) >= REACHED, REACHED - set(done)


def test_control_where_a_lost_stop_is_not_said_again_it_does_not(
    stage: Stage, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(row: Row, view: MachineView | None, now: datetime) -> list[Intent]:
        return [intent for intent in decide_repair(row, view, now) if intent.do is not Do.STOP]

    monkeypatch.setattr(repairing, "decide_repair", forgetful)
    with pytest.raises(AssertionError, match="stopping"):
        tell_histories(stage, cast)
