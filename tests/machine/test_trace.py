"""What a run was used for: bounded spans from reports, and another quiet time replayed over them."""

import random
from decimal import Decimal

import pytest

from instances.idle import Facts, Limits, Reading, Verdict, Work, decide, observe
from instances.trace import GPU, KERNEL, MOST_SPANS, PERSON, PROCESSOR, Trace, uses, with_report
from instances.whatif import SWEEP_SECONDS, Past, compare, replay

MINUTE, HOUR = 60.0, 3600.0


def told(*minutes: str) -> list:
    trace: list = []
    for number, used in enumerate(minutes):
        trace = with_report(trace, number * MINUTE, (number + 1) * MINUTE, used)
    return trace


def test_reports_that_say_the_same_are_one_span() -> None:
    assert told("gp", "pg", "", "", "c") == [[0, 120, "gp"], [120, 240, ""], [240, 300, "c"]]


def test_a_long_silence_is_not_told_as_what_came_after_it() -> None:
    assert with_report([], 0, HOUR, GPU) == [[HOUR - 300, HOUR, GPU]]


def test_a_trace_is_bounded_and_keeps_every_use_in_it() -> None:
    rng, trace = random.Random(1), []
    worked = []
    for number in range(3000):
        used = rng.choice(("", GPU, PERSON, PROCESSOR + PERSON))
        worked += [number] if used else []
        trace = with_report(trace, number * MINUTE, (number + 1) * MINUTE, used)
        assert len(trace) <= MOST_SPANS
    spans = uses(trace)
    assert all(any(start <= n * MINUTE and (n + 1) * MINUTE <= end for start, end in spans) for n in worked)


def run_of(trace: Trace, minutes: float, by_rule: bool = True, usd_hour: int = 1) -> Past:
    return Past(minutes * MINUTE, Decimal(usd_hour), trace, by_rule)


def test_a_shorter_quiet_time_saves_the_tail_and_interrupts_whoever_paused_longer() -> None:
    lunch = [[0, 60 * MINUTE, GPU], [60 * MINUTE, 85 * MINUTE, ""], [85 * MINUTE, 120 * MINUTE, PERSON]]
    past = [run_of(lunch, 151)]
    [(shorter, saved, more), (same, nothing, none)] = compare(past, 30 * MINUTE, [20 * MINUTE, 30 * MINUTE])
    assert (more, none, nothing) == (1, 0, 0)
    # 4 minutes of the pause less a boot of 3, and 10 minutes at the end.
    assert saved == pytest.approx(Decimal((4 - 3 + 10) / 60), abs=Decimal("0.001"))
    assert (shorter.stops, same.stops) == (2, 1)


def test_a_run_that_its_student_stopped_stays_as_long_as_it_was() -> None:
    past = [run_of([[0, 60 * MINUTE, GPU]], 65, by_rule=False)]
    [(_replay, saved, more)] = compare(past, 30 * MINUTE, [60 * MINUTE])
    assert (saved, more) == (0, 0)


def test_a_longer_quiet_time_costs_more_and_interrupts_fewer() -> None:
    paused = [[0, HOUR, GPU], [HOUR, 1.75 * HOUR, ""], [1.75 * HOUR, 3 * HOUR, GPU]]
    [(_replay, saved, more)] = compare([run_of(paused, 3 * 60 + 31)], 30 * MINUTE, [60 * MINUTE])
    assert more == -1
    assert saved < 0


def by_rule_itself(trace: Trace, quiet: float, until: float) -> int:
    """How often the shipped rule, minute by minute, stops a machine of this trace before it is used again."""
    limits = Limits(quiet=quiet)
    spans, stops = uses(trace, "gcpkh"), 0
    facts, now = Facts(running_since=0.0, last_report_at=0.0), 0.0
    while now < until:
        now += MINUTE
        used = any(start < now and now - MINUTE < end for start, end in spans)
        facts = observe(facts, Reading(Work(gpu_busy_s=60.0 * used), MINUTE, None, False), limits, now)
        decision = decide(facts, limits, now)
        if decision.verdict is Verdict.WARN and not decision.warned:
            facts = Facts(0.0, facts.last_active_at, None, facts.last_report_at, now)
        if decision.verdict is Verdict.STOP:
            stops += 1
            now = next((start for start, _end in spans if start >= now), until)
            facts = Facts(running_since=now, last_active_at=now, last_report_at=now)
    return stops


@pytest.mark.parametrize("quiet", [20 * MINUTE, 30 * MINUTE, 60 * MINUTE])
def test_the_replay_stops_where_the_shipped_rule_does(quiet: float) -> None:
    rng = random.Random(7)
    for _n in range(30):
        trace, here = [], 0.0
        for _span in range(8):
            # Pauses that are not within a minute or two of the quiet time: there the minutes' phase decides.
            pause = rng.choice((0.2, 0.7, 1.3, 3.0)) * quiet
            work = rng.randrange(2, 90) * MINUTE
            trace.append([here, here + work, GPU])
            here += work + round(pause / MINUTE) * MINUTE
        end = float(trace[-1][1]) + quiet + SWEEP_SECONDS
        found = replay([Past(end, Decimal(1), trace, True)], quiet)
        assert found.stops == by_rule_itself(trace, quiet, end + MINUTE)


def test_a_kernel_that_only_waits_counts_as_use_here_because_doubt_does() -> None:
    assert replay([run_of([[0, 40 * MINUTE, KERNEL]], 40, by_rule=False)], 30 * MINUTE).stops == 0
