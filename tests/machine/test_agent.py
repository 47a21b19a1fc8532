"""What the agent makes of the portal's answers, and what still holds after it crashed."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
LIMITS = {"quiet": 90, "warn": 30, "blind": 45, "hung": 120, "boot": 60}


@pytest.fixture
def agents(house: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = house("lamplighter_agent")
    for name in ("answer", "deadline"):
        if module.deadman.remembered(name):
            module.deadman.remember(name, "")
    monkeypatch.setattr(module, "say", lambda _text: None)
    return module


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
