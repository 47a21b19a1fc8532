"""An agent that is silent: the notebook and the cloud are asked, which can only make a machine live longer."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from django.core import mail

from cloud.base import Transient
from cloud.fake_loads import FakeLoads
from cloud.loads import Load
from instances.idle import Cause, Facts, Limits, Verdict, decide
from instances.models import Instance
from instances.second_eye import Kernel, Look, Measured, looked
from instances.sweeps import looking
from instances.sweeps.looking import kernels_of, look
from spend.services import budget_of, set_amount
from tests.instances.conftest import Stage, events, fresh

GUARDS = (Path(__file__).resolve().parents[2] / "docs/guards.md").read_text()
MIN = 60.0
LIMITS = Limits()
SEEN = Facts(running_since=0.0, last_active_at=10 * MIN, last_report_at=10 * MIN)
NOW = 30 * MIN


# ------------------------------------------------------------------ what a look proves
@pytest.mark.parametrize(
    ("found", "active"),
    [
        (Look(), 10),  # both blind
        (Look(kernels=()), 10),
        (Look(kernels=[Kernel(False, 25 * MIN)]), 25),  # somebody ran a cell five minutes ago
        (Look(kernels=[Kernel(False, 5 * MIN)]), 10),
        (Look(kernels=[Kernel(False, 99 * MIN)]), 10),  # its clock is wrong: no word on anything
        (Look(kernels=[Kernel(True, 12 * MIN)]), 30),
        (Look(measured=Measured()), 10),
        (Look(measured=Measured(cpu_percent=2.0, vcpus=4)), 10),
        (Look(measured=Measured(cpu_percent=3.0, vcpus=4)), 30),  # a tenth of one core, as the agent's floor
        (Look(measured=Measured(cpu_percent=0.1, vcpus=4, gpu_percent=1)), 30),
        (Look(measured=Measured(cpu_percent=0.1, vcpus=4, net_rx_bytes=120e6)), 30),
    ],
)
def test_only_work_is_proved_by_a_look_never_quiet(found: Look, active: float) -> None:
    facts = looked(SEEN, found, LIMITS, NOW)
    assert facts.last_active_at == active * MIN
    assert facts.last_report_at == SEEN.last_report_at  # still blind: its own timer goes on


def test_a_kernel_that_is_busy_for_ever_counts_as_long_as_a_hanging_one() -> None:
    facts = SEEN
    busy = Look(kernels=[Kernel(True, None)])
    for minute in range(30, 120):
        facts = looked(facts, busy, LIMITS, minute * MIN)
    assert facts.last_active_at == (30 + 59) * MIN


def test_blind_is_never_called_idle_whatever_the_second_eye_sees() -> None:
    for found in (Look(), Look(kernels=[Kernel(False, 5 * MIN)]), Look(measured=Measured(cpu_percent=0.0))):
        facts = looked(SEEN, found, LIMITS, NOW)
        decision = decide(facts, LIMITS, NOW)
        assert (decision.verdict, decision.cause) == (Verdict.WARN, Cause.BLIND)
        warned = replace(facts, warned_at=NOW)
        assert decide(warned, LIMITS, NOW + 601).cause is Cause.BLIND


# ------------------------------------------------------------------ the round
class Notebook:
    def __init__(self, kernels: list[Kernel] | None) -> None:
        self.kernels, self.asked = kernels, 0

    def __call__(self, notebooks: Sequence[tuple[str, str]]) -> list[list[Kernel] | None]:
        self.asked += len(notebooks)
        assert all(len(token) > 20 for _address, token in notebooks)
        return [self.kernels] * len(notebooks)


def silent(stage: Stage, minutes: float = 11) -> Instance:
    """Its agent died; the sweeps went on."""
    row = stage.running()
    stage.reporting.clear()
    stage.wait(minutes)
    return fresh(row)


def test_an_agent_that_speaks_is_not_looked_past(stage: Stage) -> None:
    stage.running()
    notebook, loads = Notebook([]), FakeLoads()
    assert look(loads, stage.now, ask=notebook) == 0
    assert (notebook.asked, loads.calls) == (0, 0)


def test_a_busy_kernel_on_a_silent_machine_keeps_it_and_its_end_does_not(stage: Stage) -> None:
    row = silent(stage)
    busy = Notebook([Kernel(True, None)])
    for _minute in range(30):
        look(FakeLoads(), stage.now, ask=busy)
        stage.wait(1)
    row = fresh(row)
    assert (row.state, row.eye_saw, row.warned_at) == ("running", "notebook", None)
    done = Notebook([Kernel(False, stage.now.timestamp())])
    for _minute in range(18):
        look(FakeLoads(), stage.now, ask=done)
        stage.wait(1)
    row = fresh(row)
    assert row.state == "stopped"
    assert "We have heard nothing from this machine" in row.reason  # and not that nobody used it


def test_a_notebook_that_lies_for_ever_gains_what_its_own_budget_pays_for_as_the_page_says(stage: Stage) -> None:
    """Root serves one idle kernel that was used a second ago, at each look: far beyond what a busy one counts for."""
    row = silent(stage)
    budget = budget_of(row.owner)
    budget.refresh_from_db()
    more = row.usd_hour * 3
    set_amount(budget, budget.spent_usd + budget.held_usd + more, why="three hours", who=None, now=stage.now)
    began = stage.now
    while fresh(row).state == "running" and stage.now - began < timedelta(hours=24):
        look(FakeLoads(), stage.now, ask=Notebook([Kernel(False, stage.now.timestamp() - 1)]))
        stage.wait(1)
    told = LIMITS.hung + LIMITS.blind + LIMITS.warn
    assert timedelta(seconds=2 * told) < stage.now - began < timedelta(hours=5)
    assert fresh(row).state != "running"
    budget.refresh_from_db()
    assert budget.spent_usd + budget.held_usd <= budget.amount_usd
    [page] = [line for line in GUARDS.splitlines() if "a notebook that lies" in line]
    _trick, gain, end = page.strip("| ").split(" | ")
    assert ("same as an agent that lies" in gain, "own budget" in end, "hung" in page) == (True, True, False)


def test_the_cloud_is_asked_once_for_all_and_what_it_measured_counts(stage: Stage) -> None:
    rows = [silent(stage), stage.launch(stage.cast.other_student)]
    stage.wait(8)
    loads = FakeLoads({rows[0].cloud_id: Load(cpu_percent=50.0)})
    assert look(loads, stage.now, ask=Notebook(None)) == 2
    assert loads.calls == 1
    assert fresh(rows[0]).last_active_at == stage.now
    assert fresh(rows[0]).eye_saw == "cloud"
    assert fresh(rows[1]).eye_saw == ""


def test_both_blind_is_an_alarm_for_staff_and_stops_by_the_timer_of_unknown(stage: Stage) -> None:
    row = silent(stage, 5)
    loads = FakeLoads(error=Transient("Rate exceeded", code="Throttling"))
    for _minute in range(24):
        look(loads, stage.now, ask=Notebook(None))
        stage.wait(1)
    row = fresh(row)
    assert row.state == "stopped"
    [alarm] = events(row, "trouble")
    assert "cannot be seen" in alarm.reason
    [warning] = events(row, "warned")
    assert warning.facts["cause"] == "blind"
    assert "Nothing has used" not in row.reason
    assert {m.to[0] for m in mail.outbox} == {row.owner.email}


def test_an_agent_that_is_back_knows_better_than_the_look(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    row = silent(stage)
    monkeypatch.setattr(looking, "_measured", lambda *_: Instance.objects.update(last_report_at=stage.now) and {})
    look(FakeLoads(), stage.now, ask=Notebook([Kernel(True, None)]))
    assert fresh(row).eye_at is None
    assert fresh(row).hung_since is None


def test_a_notebook_that_says_nonsense_says_nothing() -> None:
    assert kernels_of([("127.0.0.1:8888", "t")]) == [None]  # nobody is there


def test_a_look_that_comes_late_never_takes_use_back(stage: Stage) -> None:
    row = silent(stage)
    Instance.objects.filter(pk=row.pk).update(last_active_at=stage.now)
    look(FakeLoads(), stage.now, ask=Notebook([Kernel(False, (stage.now - timedelta(minutes=9)).timestamp())]))
    assert fresh(row).last_active_at == stage.now
