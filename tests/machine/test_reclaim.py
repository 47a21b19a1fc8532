"""AWS takes a Spot machine back: of its two minutes nothing is lost by not listening."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest


class Taken(BaseException):
    """The machine is off."""


@pytest.fixture
def spot(agents: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, list[Any]]]:
    """The agent's own loop in fast motion: `noticed_after` its first report AWS leaves it two minutes."""

    def run(noticed_after: float, script_seconds: float = 60) -> dict[str, list[Any]]:
        clock = [agents.uptime()]
        at, seen = clock[0] + noticed_after, {"saved": [], "reports": [], "said": []}
        monkeypatch.setattr(agents, "uptime", lambda: clock[0])
        monkeypatch.setattr(agents, "reclaim_seconds", lambda: at + 120 - clock[0] if clock[0] >= at else None)
        monkeypatch.setattr(agents, "say", lambda text: seen["said"].append((clock[0] - at, text)))
        agent = agents.Agent()
        agent.report_seconds = 60.0
        agent.senses.sample = agent.judge = agent.watch = lambda: None
        agent.saver.begin = lambda script, limit: seen["saved"].append((clock[0] - at, script, limit))
        save = {"script": "sync", "seconds": script_seconds}

        def post(reading: dict) -> dict:
            seen["reports"].append((clock[0] - at, reading["reclaim_s"]))
            return {"save": save, "report_seconds": 60}

        def sleep(seconds: float) -> None:
            clock[0] += seconds
            if clock[0] >= at + 120:
                raise Taken

        agent._post = post
        monkeypatch.setattr(agents.time, "sleep", sleep)
        with pytest.raises(Taken):
            agent.run()
        return seen

    return run


@pytest.mark.parametrize("noticed_after", range(3, 63, 7))
def test_awss_notice_is_heard_within_seconds_saved_for_and_reported_at_once(
    spot: Callable[..., dict[str, list[Any]]], noticed_after: float
) -> None:
    seen = spot(noticed_after)
    [(saved_after, script, limit)] = seen["saved"]
    assert saved_after <= 5
    assert (script, limit) == ("sync", 60)
    [first, *_more] = [(after, left) for after, left in seen["reports"] if left is not None]
    assert first[0] <= 5
    [(said_after, text)] = seen["said"]
    assert said_after <= 5
    assert "AWS takes this machine back in 1" in text


def test_a_long_script_is_cut_off_before_aws_takes_the_machine(spot: Callable[..., dict[str, list[Any]]]) -> None:
    [(saved_after, _script, limit)] = spot(33, script_seconds=120)["saved"]
    assert saved_after + 15 + limit <= 120 - 10
