"""What the agent makes of the portal's answers, and what still holds after it crashed."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
LIMITS = {"quiet": 90, "warn": 30, "blind": 45, "hung": 120, "boot": 60}


def told(agents: ModuleType, answer: Any, agent: Any = None) -> Any:
    """An agent that reported and got this answer."""
    agent = agent or agents.Agent()
    agent._post = lambda _reading: answer
    agent.report()
    return agent


def deadline_in(agents: ModuleType) -> float | None:
    armed = agents.deadman.remembered("deadline")
    return float(armed) - agents.uptime() if armed else None


def test_an_answer_arms_the_timer_with_the_margin(agents: ModuleType) -> None:
    told(agents, {"lease_seconds_left": 500})
    assert deadline_in(agents) == pytest.approx(500 + 120, abs=2)
    told(agents, {"lease_seconds_left": -300})
    assert deadline_in(agents) == pytest.approx(-180, abs=2)


def test_a_machine_without_a_lease_keeps_the_timer_of_its_boot(agents: ModuleType) -> None:
    told(agents, {"lease_seconds_left": None})
    assert deadline_in(agents) is None


def test_no_answer_arms_it_further_than_two_days(agents: ModuleType) -> None:
    told(agents, {"lease_seconds_left": 1e12})
    assert deadline_in(agents) == pytest.approx(48 * 3600, abs=2)


def test_a_slow_answer_buys_no_lease_time(agents: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    agent, began = agents.Agent(), agents.uptime()
    clock = [began]
    monkeypatch.setattr(agents, "uptime", lambda: clock[0])

    def slow(_reading: dict) -> dict:
        clock[0] += 9
        return {"lease_seconds_left": 100}

    agent._post = slow
    agent.report()
    assert float(agents.deadman.remembered("deadline")) == pytest.approx(began + 100 + 120, abs=1)


def test_limits_and_keeping_survive_a_crash_of_the_agent(agents: ModuleType) -> None:
    told(agents, {"limits": LIMITS, "report_seconds": 7, "kept_seconds_left": 3600})
    again = agents.Agent()
    assert (again.limits.quiet, again.report_seconds) == (90, 7)
    assert again.facts.kept_until == pytest.approx(agents.uptime() + 3600, abs=2)


def test_after_a_crash_what_was_before_counts_as_use(agents: ModuleType) -> None:
    agent = agents.Agent()
    assert agents.uptime() - agent.facts.last_active_at < 1


def test_a_keeping_that_ends_counts_as_use_until_then_and_one_taken_back_ends_now(agents: ModuleType) -> None:
    agent = told(agents, {"kept_seconds_left": 3600})
    told(agents, {"kept_seconds_left": 0}, agent)
    taken_back = agent.facts.kept_until
    assert taken_back == pytest.approx(agents.uptime(), abs=1)
    time.sleep(0.05)
    told(agents, {"kept_seconds_left": 0}, agent)
    assert agent.facts.kept_until == taken_back  # else each report would count as use


def test_the_machines_turn_comes_after_the_portals(agents: ModuleType) -> None:
    limits = agents.idle.Limits
    assert agents.later(limits()).quiet == 1800 + 300
    assert agents.later(limits(quiet=90)).quiet == 105
    assert agents.later(limits(unattended=1800)).unattended is None


@pytest.mark.parametrize(
    "absurd", [[], "no", 7, {"limits": {"odd": 1}}, {"limits": 3}, {"limits": {"quiet": "x"}}, {"report_seconds": "x"}]
)
def test_what_makes_no_sense_changes_nothing(agents: ModuleType, absurd: object) -> None:
    agent = told(agents, {"limits": LIMITS, "report_seconds": 7})
    told(agents, absurd, agent)
    assert (agent.limits.quiet, agent.report_seconds) == (90, 7)


def test_nobody_makes_the_agent_race_or_fall_asleep(agents: ModuleType) -> None:
    assert told(agents, {"report_seconds": 0}).report_seconds == 1
    assert told(agents, {"report_seconds": 1e9}).report_seconds == 600


def test_a_network_that_fails_in_any_way_is_survived(agents: ModuleType) -> None:
    agent = agents.Agent()
    for url in ("http://127.0.0.1:9/x", "http://no-such-host.invalid/x", "nonsense", "http://127.0.0.1:99999/x"):
        agent.about = {**agent.about, "report_url": url}
        agent.report()


def test_the_portals_ssh_keys_are_written_and_a_home_that_takes_none_stops_nothing(
    agents: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    listed = tmp_path / ".ssh/authorized_keys2"
    agent = told(agents, {"ssh_keys": ["ssh-ed25519 A", "ssh-ed25519 B"]})
    assert listed.read_text() == "ssh-ed25519 A\nssh-ed25519 B\n"
    told(agents, {}, agent)  # a course without SSH, or an older portal
    assert listed.exists()
    told(agents, {"ssh_keys": []}, agent)
    assert listed.read_text() == ""
    monkeypatch.setenv("HOME", "/proc/nowhere")
    told(agents, {"ssh_keys": ["ssh-ed25519 A"], "notice": "still heard"}, agent)
    assert agent.notice == "still heard"


# ------------------------------------------------------------------ "stop when this ends"
@dataclass
class FastMotion:
    """An agent whose uptime is ours; nothing runs beside it but what a test says. `off`: why it powered off."""

    agent: Any
    clock: list[float]
    off: list[str]
    said: list[str]

    def pass_seconds(
        self, seconds: float, answer: dict | None = None, *, typing: bool = False, work: float = 0
    ) -> None:
        """Step by step as in `run`; it reports each minute, and None is no answer."""
        agent, end = self.agent, self.clock[0] + seconds
        while self.clock[0] < end and not self.off:
            self.clock[0] += 5
            if typing:
                agent.senses.people.at = self.clock[0]
            agent.senses.work = replace(agent.senses.work, cpu_s=agent.senses.work.cpu_s + work * 5)
            agent.judge()
            agent.watch()
            if agent.await_end() or self.clock[0] % 60 < 5:
                agent._post = lambda reading: self._answered(reading, answer)
                agent.report()

    def _answered(self, reading: dict, answer: dict | None) -> dict:
        self.reading = reading
        if answer is None:
            raise OSError
        return answer


@pytest.fixture
def motion(agents: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[[], FastMotion]:
    """Each call is the agent begun anew, as after a crash."""
    clock, off, said = [60.0 * (agents.uptime() // 60 + 1)], list[str](), list[str]()
    monkeypatch.setattr(agents, "uptime", lambda: clock[0])
    monkeypatch.setattr(agents, "reclaim_seconds", lambda: None)
    monkeypatch.setattr(agents, "say", said.append)
    monkeypatch.setattr(agents.deadman, "power_off", off.append)
    monkeypatch.setattr(agents.time, "sleep", lambda _seconds: None)

    def begin() -> FastMotion:
        agent = agents.Agent()
        agent.saver.finish = agent.saver.begin = lambda *_a: None
        agent.doings.over = lambda *_a: True
        return FastMotion(agent, clock, off, said)

    return begin


WAITS = {"awaited": "p:4711:99", "awaited_since": "19:00"}


def test_when_nobody_came_back_and_the_portal_does_not_stop_it_the_machine_does_five_minutes_after_the_end(
    motion: Callable[[], FastMotion],
) -> None:
    machine = motion()
    machine.pass_seconds(60, WAITS)
    machine.pass_seconds(290, work=1)
    assert machine.off == []
    machine.pass_seconds(70, work=1)
    assert machine.off == ["unused (done)"]


@pytest.mark.parametrize("after", [20, 290], ids=["at once", "as its turn comes"])
def test_who_came_back_after_the_end_is_not_cut_off_by_the_machine_itself(
    motion: Callable[[], FastMotion], after: float
) -> None:
    machine = motion()
    machine.pass_seconds(60, WAITS)
    machine.pass_seconds(after, WAITS)
    machine.pass_seconds(5, WAITS, typing=True)
    machine.pass_seconds(3000, WAITS, work=1)  # their next training
    assert machine.off == []


def test_who_came_back_by_the_gateway_only_is_not_cut_off_either(motion: Callable[[], FastMotion]) -> None:
    """Typing in JupyterLab runs nothing: the portal's answer alone tells of it."""
    machine = motion()
    machine.pass_seconds(60, WAITS)
    machine.pass_seconds(60, WAITS)
    machine.pass_seconds(60, {**WAITS, "human_seconds_ago": 10})
    machine.pass_seconds(600, WAITS, work=1)
    assert machine.off == []


def test_the_end_is_told_as_it_was_and_an_agent_begun_anew_neither_tells_another_nor_cuts_anybody_off(
    motion: Callable[[], FastMotion],
) -> None:
    machine = motion()
    machine.pass_seconds(65, WAITS)
    ended = machine.clock[0] - machine.reading["done"]["age_s"]
    machine.pass_seconds(60, WAITS, typing=True)
    machine.pass_seconds(240, WAITS)
    again = motion()
    again.pass_seconds(120, WAITS, work=1)
    assert again.clock[0] - again.reading["done"]["age_s"] == pytest.approx(ended, abs=6)
    again.pass_seconds(900, WAITS, work=1)
    assert again.off == []


def test_the_same_task_chosen_again_is_a_new_wait(motion: Callable[[], FastMotion]) -> None:
    machine = motion()
    machine.pass_seconds(65, WAITS)
    assert machine.reading["done"]["task"] == WAITS["awaited"]
    machine.agent.doings.over = lambda *_a: False
    machine.pass_seconds(120, WAITS, typing=True)
    machine.pass_seconds(120, {**WAITS, "awaited_since": "20:00"})
    assert machine.reading["done"] is None
    machine.agent.doings.over = lambda *_a: True
    machine.pass_seconds(60, {**WAITS, "awaited_since": "20:00"})
    assert machine.reading["done"]["age_s"] < 60


def test_a_rest_of_the_gpu_counts_from_the_choice(house: Callable[[str], ModuleType]) -> None:
    """Chosen a second time after an hour at rest, it was over at once."""
    doings, clock = house("doings"), [1000.0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doings, "uptime", lambda: clock[0])
        watch = doings.Doings(SimpleNamespace(gpu=SimpleNamespace(seconds=lambda: 7)))
        watch.over("gpu", "19:00")
        clock[0] += 3600
        assert watch.over("gpu", "19:00")
        assert not watch.over("gpu", "20:00")
        clock[0] += doings.GPU_REST
        assert watch.over("gpu", "20:00")


# ------------------------------------------------------------------ what was told stands
def test_its_own_watch_keeps_the_portals_word_when_the_limits_get_shorter(
    agents: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, off, clock = agents.Agent(), [], [agents.uptime()]
    monkeypatch.setattr(agents, "uptime", lambda: clock[0])
    monkeypatch.setattr(agents.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(agents.deadman, "power_off", lambda why: off.append((clock[0], why)))
    agent.saver.finish = lambda *_how: None
    long, short = ({**LIMITS, "quiet": quiet, "warn": quiet / 3, "blind": 3600} for quiet in (3600, 90))

    def minutes(count: int, limits: dict, told: float | None = None) -> None:
        for _n in range(count):
            clock[0] += 60
            agent.facts = agents.replace(agent.facts, last_report_at=clock[0])
            left = {} if told is None else {"warned_seconds_left": told - clock[0]}
            agent._post = lambda _reading, left=left: {"limits": limits, **left}
            agent.report()
            agent.watch()

    minutes(50, long)
    told = clock[0] + 1800
    minutes(28, long, told)
    minutes(2, short, told)
    assert not off
    minutes(2, short, told)
    assert off
    assert told <= off[0][0] <= told + 120


def test_a_warning_of_its_own_stands_although_the_limits_get_shorter(
    agents: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, clock, said = agents.Agent(), [agents.uptime()], []
    monkeypatch.setattr(agents, "uptime", lambda: clock[0])
    monkeypatch.setattr(agents, "say", said.append)
    monkeypatch.setattr(agents.time, "sleep", lambda _seconds: None)
    monkeypatch.setattr(agents.deadman, "power_off", lambda why: pytest.fail(why))
    off = agent.facts.last_active_at + 4200  # its turn: an hour, and a sixth of it, five minutes at most
    for minute in range(1, 64):
        clock[0] += 60
        agent.facts = agents.replace(agent.facts, last_report_at=clock[0])
        agent.limits = agents.idle.Limits(quiet=3600, warn=1800) if minute < 50 else agents.idle.Limits(600, 60)
        agent.watch()
    assert len(said) == 1
    assert off - 301 <= agent.facts.warned_until <= off - 240  # looked at each minute


# ------------------------------------------------------------------ the night, and what an old warning is worth
NIGHT = {"quiet": 1200, "warn": 1200, "blind": 900, "hung": 3600, "boot": 900, "unattended": 3600}
DAY = {**NIGHT, "quiet": 1800, "warn": 600, "unattended": None}


@pytest.mark.parametrize("portal_up", [True, False])
def test_whether_anybody_still_trains_is_asked_by_the_portal_alone(
    motion: Callable[[], FastMotion], portal_up: bool
) -> None:
    """The machine's clock starts before the portal's: it was off before the minute in the mail; and a portal that is
    down mails nobody, so that nobody can answer."""
    machine = motion()
    machine.pass_seconds(60, {"limits": NIGHT})
    machine.pass_seconds(4 * 3600, {"limits": NIGHT} if portal_up else None, work=1)
    assert (machine.off, machine.said) == ([], [])


def test_who_comes_back_makes_an_old_warning_void(motion: Callable[[], FastMotion]) -> None:
    machine = motion()
    machine.pass_seconds(1600, {"limits": DAY})
    assert machine.agent.facts.warned_at is not None
    machine.pass_seconds(70, {"limits": DAY}, work=1)
    assert machine.agent.facts.warned_at is None


def test_a_warning_by_limits_that_no_longer_hold_is_given_again(motion: Callable[[], FastMotion]) -> None:
    """Crunch week begins while a machine is warned: an hour later the old warning was the only one."""
    crunch = {**DAY, "quiet": 7200}
    machine = motion()
    machine.pass_seconds(1600, {"limits": DAY})
    machine.pass_seconds(5000, {"limits": crunch})
    assert machine.off == []
    machine.pass_seconds(1000, {"limits": crunch})
    assert (machine.off, len(machine.said)) == (["unused (quiet)"], 2)


@pytest.mark.parametrize("blind", [90, 900])
def test_an_unused_machine_alone_is_off_within_its_bound_though_its_readings_age_between_two_looks(
    motion: Callable[[], FastMotion], blind: int
) -> None:
    machine = motion()
    began = machine.clock[0]
    machine.pass_seconds(60, {"limits": {**DAY, "blind": blind}})
    machine.pass_seconds(3600)
    assert machine.off == ["unused (quiet)"]
    assert 30 * 60 <= machine.clock[0] - began <= 38 * 60


@pytest.mark.parametrize("limits", [DAY, NIGHT], ids=["day", "night"])
def test_the_machine_is_never_off_before_the_minute_that_the_portal_mailed(agents: ModuleType, limits: dict) -> None:
    """Limits that change put both to warning at once, and the machine may hear of them a round before the portal."""
    idle, plain = agents.idle, agents.idle.Limits(**limits)
    for quiet_for in range(0, 2 * 3600, 60):
        now = 50_000.0
        facts = idle.Facts(0.0, now - quiet_for, last_report_at=now, last_human_at=now)
        ours = idle.decide(replace(facts, warned_at=now), agents.later(plain), now)
        mailed = idle.decide(replace(facts, warned_at=now + 59, last_report_at=now + 59), plain, now + 59)
        if ours.warned and mailed.warned:
            assert ours.stops_at >= mailed.stops_at, quiet_for
