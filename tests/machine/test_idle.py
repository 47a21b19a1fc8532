"""When a machine is warned and stopped: every known wrong answer, and what must never happen whatever the facts."""

import ast
from dataclasses import dataclass, fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instances import idle
from instances.idle import Cause, Decision, Facts, Limits, Verdict, Work, decide, patience, warned_after, worked

MIN = 60.0
LIMITS = Limits()  # 30 min quiet, warned 10 min before, blind after 15, hung counts 60, boots in 15
DEMO = Limits(quiet=90, warn=30, blind=45, hung=120, boot=60)
NOTHING = Work()
STARTED = Facts(running_since=0.0)


# ------------------------------------------------------------------ one machine, minute by minute
@dataclass
class Machine:
    """A machine and its portal in fast motion: reports each minute, warnings are noted as the sweep notes them."""

    limits: Limits = LIMITS
    now: float = 0.0
    facts: Facts = STARTED
    stopped: Decision | None = None

    def minute(self, work: Work = NOTHING, *, human: bool = False, busy: bool = False, reports: bool = True) -> None:
        self.now += MIN
        if reports:
            active = worked(work, MIN) or human
            hung = None if active or not busy else self.facts.hung_since or self.now
            last = self.now if active else self.facts.last_active_at
            self.facts = replace(self.facts, last_active_at=last, hung_since=hung, last_report_at=self.now)
        self.sweep()

    def sweep(self) -> Decision:
        decision = decide(self.facts, self.limits, self.now)
        self.facts = warned_after(self.facts, decision, self.now)
        if decision.verdict is Verdict.STOP:
            self.stopped = decision
        return decision

    def minutes(self, count: int, work: Work = NOTHING, **how: bool) -> "Machine":
        for _n in range(count):
            if self.stopped is None:
                self.minute(work, **how)
        return self


# The eleven rows of known wrong answers: what happens on the machine each minute, for how long, and what must follow.
STILL_ON = None
SCENES = [
    ("training in a cell, no output, tab closed", Work(gpu_busy_s=40, cpu_s=30), {"busy": True}, 600, STILL_ON),
    ("training at a duty cycle that a poll each minute misses", Work(gpu_busy_s=1), {"busy": True}, 600, STILL_ON),
    ("training in tmux, no kernel at all", Work(gpu_busy_s=55, cpu_s=60), {}, 600, STILL_ON),
    ("GPU at rest, loading and augmenting on the CPU", Work(cpu_s=50), {"busy": True}, 300, STILL_ON),
    ("GPU and CPU at rest, loading a model from disk", Work(io_bytes=4e9), {"busy": True}, 300, STILL_ON),
    ("dataset download", Work(cpu_s=1, net_rx_bytes=90e6), {}, 300, STILL_ON),
    ("deadlock or input(): busy, nothing used", NOTHING, {"busy": True}, 300, (Cause.HUNG, 60 + 30)),
    ("finished, GPU memory still held", Work(cpu_s=0.4), {}, 300, (Cause.QUIET, 30)),
    ("open tab, ssh left open", Work(cpu_s=0.9, net_rx_bytes=20e3), {}, 300, (Cause.QUIET, 30)),
    ("watch nvidia-smi, a tiny daemon", Work(cpu_s=2.5, io_bytes=1e6), {}, 300, (Cause.QUIET, 30)),
    ("while True: pass runs until its lease is refused", Work(cpu_s=60), {"busy": True}, 600, STILL_ON),
    ("somebody types now and then", Work(cpu_s=0.5), {"human": True}, 300, STILL_ON),
]


@pytest.mark.parametrize(("work", "how", "minutes", "expected"), [s[1:] for s in SCENES], ids=[s[0] for s in SCENES])
def test_known_wrong_answers(work: Work, how: dict, minutes: int, expected: tuple[Cause, int] | None) -> None:
    machine = Machine()
    machine.minute(human=True)
    machine.minutes(minutes, work, **how)
    if expected is STILL_ON:
        assert machine.stopped is None
        assert machine.facts.warned_at is None
    else:
        cause, after = expected
        assert machine.stopped is not None
        assert machine.stopped.cause is cause
        assert after <= machine.now / MIN - 1 <= after + 1.5
        assert machine.now - machine.facts.warned_at >= LIMITS.warn


def test_silence_is_neither_work_nor_idleness_but_blind_with_its_own_timer() -> None:
    machine = Machine().minutes(10, Work(gpu_busy_s=30))
    machine.minutes(5, reports=False)
    assert machine.sweep().verdict is Verdict.KEEP
    machine.minutes(60, reports=False)
    assert machine.stopped is not None
    assert machine.stopped.cause is Cause.BLIND
    assert 10 + 15 + 10 <= machine.now / MIN <= 10 + 15 + 10 + 2


def test_silence_in_the_middle_of_quietness_is_not_counted_as_quiet() -> None:
    machine = Machine()
    machine.minute(human=True)
    machine.minutes(21)  # warned at 20 quiet minutes
    assert machine.facts.warned_at is not None
    machine.minutes(12, reports=False)  # past the announced stop, but nobody knows what happens there
    assert machine.stopped is None
    machine.minutes(30, reports=False)
    assert machine.stopped.cause is Cause.BLIND


def test_a_stop_waits_for_the_report_that_covers_the_quiet_time() -> None:
    due = 30 * MIN
    warned = Facts(running_since=0, last_active_at=0, last_report_at=due - 1, warned_at=20 * MIN)
    assert decide(warned, LIMITS, due + 90).verdict is Verdict.WARN  # whatever began since, nobody has heard of it
    assert decide(replace(warned, last_report_at=due + 91), LIMITS, due + 91).verdict is Verdict.STOP
    used = replace(warned, last_report_at=due + 91, last_active_at=due + 91)
    assert decide(used, LIMITS, due + 91).verdict is Verdict.KEEP


def test_blindness_needs_its_own_warning() -> None:
    facts = Facts(running_since=0, last_active_at=0, last_report_at=1300, warned_at=1310)
    decision = decide(facts, LIMITS, 1300 + 901)
    assert (decision.verdict, decision.cause, decision.warned) == (Verdict.WARN, Cause.BLIND, False)


def test_a_machine_that_never_reports_is_warned_and_stopped() -> None:
    machine = Machine().minutes(40, reports=False)
    assert machine.stopped is not None
    assert 25 <= machine.now / MIN <= 27


@pytest.mark.parametrize("limits", [LIMITS, DEMO])
def test_a_machine_that_was_never_used_is_stopped_too(limits: Limits) -> None:
    facts = Facts(running_since=0, last_report_at=limits.quiet, warned_at=limits.quiet - limits.warn)
    assert decide(facts, limits, limits.quiet).verdict is Verdict.STOP


def test_a_warning_from_the_future_is_given_again() -> None:
    facts = Facts(running_since=0, last_active_at=0, last_report_at=2000, warned_at=9000)
    decision = decide(facts, LIMITS, 2000)
    assert (decision.verdict, decision.warned, decision.stops_at) == (Verdict.WARN, False, 2000 + LIMITS.warn)


def test_a_grace_longer_than_the_limit_does_not_warn_people_at_work() -> None:
    limits = replace(LIMITS, quiet=60, warn=120)
    facts = Facts(running_since=0, last_active_at=1000, last_report_at=1010)
    assert decide(facts, limits, 1010).verdict is Verdict.KEEP
    assert decide(facts, limits, 1031).stops_at == 1031 + 120


def test_a_late_warning_moves_the_stop_and_keeps_the_grace() -> None:
    late = 10_000.0
    facts = Facts(running_since=0, last_active_at=0, last_report_at=late)
    first = decide(facts, LIMITS, late)
    assert (first.verdict, first.stops_at) == (Verdict.WARN, late + LIMITS.warn)
    warned = replace(facts, warned_at=late, last_report_at=late + 599)
    assert decide(warned, LIMITS, late + 599).verdict is Verdict.WARN
    assert decide(replace(warned, last_report_at=late + 600), LIMITS, late + 600).verdict is Verdict.STOP


def test_use_after_the_warning_starts_all_over() -> None:
    machine = Machine().minutes(22)
    assert machine.facts.warned_at is not None
    machine.minute(human=True)
    assert machine.sweep().verdict is Verdict.KEEP
    machine.minutes(19)
    assert machine.sweep().verdict is Verdict.KEEP
    machine.minutes(2)
    assert machine.sweep().stops_at == pytest.approx((23 + 30) * MIN, abs=2 * MIN)


def test_kept_is_kept_and_then_a_full_window_follows() -> None:
    machine = Machine().minutes(25)
    machine.facts = replace(machine.facts, kept_until=machine.now + 120 * MIN)
    kept = machine.sweep()
    assert (kept.verdict, kept.cause) == (Verdict.KEEP, Cause.KEPT)
    machine.minutes(120 + 15)
    assert machine.stopped is None
    machine.minutes(60)
    assert machine.now / MIN == pytest.approx(25 + 120 + 30, abs=1.5)


def test_facts_of_an_earlier_run_do_not_count() -> None:
    facts = Facts(running_since=5000, last_active_at=100, hung_since=50, last_report_at=200, warned_at=150)
    assert decide(facts, LIMITS, 5060).cause is Cause.BOOTING
    assert decide(facts, LIMITS, 5000 + 901).verdict is Verdict.WARN
    reporting = replace(facts, hung_since=4990, last_report_at=5100)
    assert decide(reporting, LIMITS, 5100).cause is Cause.BUSY


def test_a_hung_cell_that_ends_counts_up_to_its_cap() -> None:
    machine = Machine()
    machine.minute(human=True)
    machine.minutes(40, busy=True)
    assert machine.sweep().cause is Cause.HUNG
    machine.minute(Work(cpu_s=30), busy=True)  # it was only waiting
    machine.minutes(59, busy=True)
    assert machine.sweep().cause is Cause.HUNG
    assert machine.stopped is None


def test_work_floors_shrink_with_the_window_but_not_into_the_noise() -> None:
    assert worked(Work(cpu_s=0.5), 5)
    assert not worked(Work(cpu_s=0.5), 60)
    assert not worked(Work(cpu_s=0.3), 0.1)  # a few clock ticks of an idle kernel
    assert not worked(NOTHING, 0)
    assert worked(Work(cpu_s=6), 3600)  # a long gap: errs on the side of the student
    assert worked(Work(gpu_busy_s=1), 5)


# ------------------------------------------------------------------ never, whatever the facts
NOW = 1_000_000.0
moments = st.none() | st.integers(-20_000, 20_000).map(lambda s: NOW + s)
# All but `done_at`: that stop is asked for, by the one whose machine it is.
UNASKED = [f.name for f in fields(Facts) if f.name != "done_at"]
any_facts = st.builds(Facts, **dict.fromkeys(UNASKED, moments))
seconds = st.integers(1, 9_000).map(float)
any_limits = st.builds(Limits, seconds, seconds, seconds, seconds, seconds)
# Facts that end in a stop would be rare among any facts: mostly long ago, warned, and lately heard or not at all.
long_ago, lately = st.none() | st.integers(-20_000, -5_000).map(NOW.__add__), st.integers(-120, 0).map(NOW.__add__)
ended_facts = any_facts | st.builds(
    Facts,
    running_since=st.just(NOW - 30_000),
    last_active_at=long_ago,
    last_human_at=long_ago,
    hung_since=long_ago,
    kept_until=long_ago,
    warned_until=long_ago,
    unheard_until=long_ago,
    last_report_at=long_ago | lately,
    warned_at=st.integers(-4_900, -1).map(NOW.__add__),
)


@settings(max_examples=600, deadline=None)
@given(any_facts, any_limits)
def test_never_stopped_unwarned_kept_or_used_since_the_warning(facts: Facts, limits: Limits) -> None:
    decision = decide(facts, limits, NOW)
    if decision.verdict is not Verdict.STOP:
        return
    assert facts.running_since is not None
    assert facts.warned_at is not None
    assert NOW - facts.warned_at >= limits.warn
    for used in (facts.last_active_at, facts.running_since, facts.kept_until):
        assert used is None or used < facts.warned_at
    assert facts.kept_until is None or facts.kept_until <= NOW
    if decision.cause is not Cause.BLIND:
        assert NOW - facts.last_report_at <= patience(limits)
        assert facts.last_report_at - facts.warned_at >= limits.warn
        assert NOW - max(t for t in (facts.last_active_at, facts.running_since) if t is not None) >= limits.quiet


NEVER: set[Cause] = set()
# A time in the future is a use, a promise, or a clock that was set back. What it says nothing of may still stop it:
# nobody sees a hang in the dark, and that reports could not be heard is no use.
STILL_STOPPED_AS = {
    "running_since": NEVER,
    "last_active_at": NEVER,
    "last_human_at": NEVER,
    "kept_until": NEVER,
    "warned_at": NEVER,
    "warned_until": NEVER,
    "hung_since": {Cause.BLIND},
    "unheard_until": {Cause.QUIET, Cause.HUNG},
}
USES_AND_PROMISES = ["last_active_at", "last_human_at", "kept_until", "warned_until"]


@settings(max_examples=600, deadline=None)
@given(ended_facts, any_limits, st.sampled_from(sorted(STILL_STOPPED_AS)), st.integers(1, 100_000))
def test_a_time_in_the_future_never_stops_anything(facts: Facts, limits: Limits, name: str, ahead: int) -> None:
    decision = decide(replace(facts, **{name: NOW + ahead}), limits, NOW)
    assert decision.verdict is not Verdict.STOP or decision.cause in STILL_STOPPED_AS[name]


@settings(max_examples=600, deadline=None)
@given(ended_facts, any_limits, st.sampled_from(USES_AND_PROMISES), st.integers(1, 100_000))
def test_a_later_use_or_promise_never_ends_what_goes_on(facts: Facts, limits: Limits, name: str, more: int) -> None:
    before = getattr(facts, name)
    if before is None or decide(facts, limits, NOW).verdict is Verdict.STOP:
        return
    assert decide(replace(facts, **{name: before + more}), limits, NOW).verdict is not Verdict.STOP


@settings(max_examples=300, deadline=None)
@given(any_facts, any_limits, st.integers(0, 100_000))
def test_a_report_from_the_future_is_not_blindness(facts: Facts, limits: Limits, ahead: int) -> None:
    decision = decide(replace(facts, last_report_at=NOW + ahead), limits, NOW)
    assert decision.cause is not Cause.BLIND or facts.running_since > NOW + ahead


@settings(max_examples=300, deadline=None)
@given(any_facts, any_limits, st.integers(-500_000, 500_000))
def test_only_differences_of_times_matter(facts: Facts, limits: Limits, shift: int) -> None:
    values = {f.name: getattr(facts, f.name) for f in fields(Facts)}
    moved = Facts(**{name: None if t is None else t + shift for name, t in values.items()})
    one, other = decide(facts, limits, NOW), decide(moved, limits, NOW + shift)
    assert (one.verdict, one.cause, one.warned) == (other.verdict, other.cause, other.warned)


@settings(max_examples=200, deadline=None)
@given(any_limits, st.booleans())
def test_an_unused_machine_does_stop_and_no_later_than_promised(limits: Limits, reports: bool) -> None:
    machine = Machine(limits=limits)
    ends = limits.boot + limits.quiet + 2 * limits.warn + limits.blind
    while machine.stopped is None and machine.now <= ends + 10:
        machine.now += max(1.0, ends / 500)
        if reports:
            machine.facts = replace(machine.facts, last_report_at=machine.now)
        promised = machine.sweep().stops_at
        assert promised is not None
    assert machine.stopped is not None or machine.now - machine.facts.warned_at < limits.warn + ends / 250


def test_the_file_runs_on_the_python_of_old_images() -> None:
    source = Path(idle.__file__).read_text()
    ast.parse(source, feature_version=(3, 8))
    imported = {n.module for n in ast.walk(ast.parse(source)) if isinstance(n, ast.ImportFrom)}
    assert imported == {"__future__", "dataclasses", "enum"}
