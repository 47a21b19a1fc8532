"""One sentence for every decision, with the times that its reader needs."""

import pytest

from instances.idle import Cause, Decision, Facts, Limits, Verdict, decide
from instances.words import sentence

LIMITS = Limits()


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60:02d}:{int(seconds) % 60:02d}"


def test_a_warning_says_since_when_and_until_when() -> None:
    decision = decide(Facts(running_since=0, last_active_at=60, last_report_at=1300), LIMITS, 1300)
    assert sentence(decision, clock) == "Nothing has used this machine since 01:00. It stops at 31:40."


def test_a_stop_says_why() -> None:
    facts = Facts(running_since=0, last_active_at=60, last_report_at=1900, warned_at=1270)
    assert sentence(decide(facts, LIMITS, 1900), clock) == "Stopped: Nothing has used this machine since 01:00."


def test_silence_is_called_silence() -> None:
    decision = decide(Facts(running_since=0, last_active_at=60, last_report_at=120), LIMITS, 1200)
    assert sentence(decision, clock).startswith("We have heard nothing from this machine since 02:00.")


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("cause", Cause)
def test_no_decision_is_without_words(verdict: Verdict, cause: Cause) -> None:
    for since in (None, 60.0):
        said = sentence(Decision(verdict, cause, since, 120.0), clock)
        assert said.endswith(".")
        assert "%" not in said
