"""A machine that reports on time is never taken for silent, whatever its course allows and whenever the rounds come."""

from dataclasses import replace
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instances.idle import Cause, Facts, Limits, Verdict, decide, patience, warned_after
from instances.policy_rules import BOUNDS

ROUND, LATEST_REPORT = 60.0, 65.0


def within(name: str, low: int = 0) -> st.SearchStrategy[float]:
    bounds = BOUNDS[name]
    return st.integers(low or bounds[0], bounds[1]).map(float)


@st.composite
def allowed(draw: st.DrawFn, blind_from: int = 0) -> Limits:
    quiet, blind = draw(within("quiet")), draw(within("blind", blind_from))
    warn = draw(st.floats(BOUNDS["warn"][0], min(BOUNDS["warn"][1], quiet / 2)))
    return Limits(quiet, warn, blind, draw(within("hung")), draw(within("boot")))


# Rows of before the bound was raised go on as they are: from 90 s.
limits_in_use = st.one_of(allowed(), allowed(blind_from=90))
gaps = st.lists(st.floats(60.0, LATEST_REPORT), min_size=1, max_size=30)


@settings(max_examples=300, deadline=None)
@given(limits_in_use, gaps, st.floats(0.0, ROUND))
def test_an_unused_machine_that_reports_on_time_is_warned_once_and_stopped_within_the_bound(
    limits: Limits, between: list[float], phase: float
) -> None:
    facts = Facts(running_since=-900.0, last_active_at=0.0, last_report_at=0.0)
    waits, now, warnings = cycle(between), phase, []
    next_report = next(waits)
    while True:
        while next_report <= now:
            facts, next_report = replace(facts, last_report_at=next_report), next_report + next(waits)
        decision = decide(facts, limits, now)
        assert decision.cause is not Cause.BLIND
        if decision.verdict is Verdict.STOP:
            break
        assert now <= limits.quiet + 2 * ROUND + LATEST_REPORT
        if decision.verdict is Verdict.WARN and not decision.warned:
            warnings.append(now)
        after = warned_after(facts, decision, now)
        assert facts.warned_at is None or after.warned_at is not None  # none is forgotten
        facts, now = after, now + ROUND
    assert len(warnings) == 1
    assert now - warnings[0] >= limits.warn


@pytest.mark.parametrize("blind", BOUNDS["blind"])
def test_two_reports_are_missed_before_a_machine_counts_as_silent_and_more_before_it_is_warned(blind: int) -> None:
    assert 2 * LATEST_REPORT <= patience(Limits(blind=blind)) <= blind - LATEST_REPORT
