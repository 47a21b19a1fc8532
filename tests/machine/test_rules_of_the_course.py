"""What a course may ask for on top of the everyday rule: crunch weeks, the night, ends that were announced. Pure."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from instances.idle import Cause, Facts, Limits, Verdict, decide
from instances.policy_rules import Night, Rules, Window, faults, from_json, in_force, in_turn, to_json

HOUR, MIN = 3600.0, 60.0
ZONE = "America/Los_Angeles"
NIGHT = Night(begins=23 * 60, ends=7 * 60, quiet=1200, answer=1200, unattended=7200)
LIMITS = Limits()
ASKS = replace(LIMITS, unattended=2 * HOUR, warn=30 * MIN)
AT_WORK = Facts(running_since=0.0, last_human_at=HOUR, last_active_at=9 * HOUR, last_report_at=9 * HOUR)


def there(text: str) -> datetime:
    """A moment of the course's own clock, in winter."""
    return datetime.fromisoformat(f"2019-02-{text}-08:00").astimezone(UTC)


CRUNCH = Window("Crunch week", there("10T00:00"), there("17T00:00"), quiet=7200)
RULES = Rules(windows=(CRUNCH,), night=NIGHT)


# ------------------------------------------------------------------ which limits hold
@pytest.mark.parametrize(
    ("at", "name", "quiet", "asks"),
    [
        ("05T12:00", "", 1800, False),
        ("05T22:59", "", 1800, False),
        ("05T23:00", "", 1200, True),
        ("06T03:00", "", 1200, True),
        ("06T06:59", "", 1200, True),
        ("06T07:00", "", 1800, False),
        ("09T23:59", "", 1200, True),
        ("10T00:00", "Crunch week", 7200, False),  # in crunch week the night is for work
        ("12T03:00", "Crunch week", 7200, False),
        ("17T00:00", "", 1200, True),
    ],
)
def test_which_limits_hold(at: str, name: str, quiet: int, asks: bool) -> None:
    found = in_force(RULES, there(at), ZONE)
    assert (found.name, found.limits.quiet, found.asks) == (name, quiet, asks)


def test_what_a_window_does_not_say_is_as_every_day() -> None:
    found = in_force(RULES, there("12T12:00"), ZONE).limits
    assert found == replace(LIMITS, quiet=7200)


PLAIN_DAY, *CHANGES = (datetime(2019, *day, tzinfo=UTC) for day in ((2, 5), (3, 9), (11, 2)))  # of the clocks


@given(
    day=st.sampled_from([PLAIN_DAY, *CHANGES]),
    since=st.integers(0, 36 * 60),
    minutes=st.integers(-60, 36 * 60),
    begins=st.integers(0, 1439),
    long=st.integers(1, 1439),
    window=st.tuples(st.integers(-200, 2000), st.integers(1, 900)) | st.none(),
)
@example(day=CHANGES[0], since=33 * 60, minutes=75, begins=150, long=200, window=None)  # in an hour that never comes
@example(day=CHANGES[1], since=33 * 60 + 45, minutes=20, begins=110, long=200, window=None)  # the second 01:50
@settings(deadline=None)
def test_all_limits_that_come_into_force_in_some_time_are_found_with_when_they_first_do(
    day: datetime, since: int, minutes: int, begins: int, long: int, window: tuple[int, int] | None
) -> None:
    """Held against a look at each minute, also on the nights on which the clocks change."""
    at = [day + timedelta(minutes=since + n) for n in range(max(1, minutes))]
    night = replace(NIGHT, begins=begins, ends=(begins + long) % 1440)
    spans = [(at[0] + timedelta(minutes=window[0]), window[1])] if window else []
    windows = tuple(Window("Crunch", start, start + timedelta(minutes=n), quiet=7200) for start, n in spans)
    rules = Rules(windows=windows, night=night)
    seen: dict[Limits, datetime] = {}
    for moment in at:
        seen.setdefault(in_force(rules, moment, ZONE).limits, moment)
    found = in_turn(rules, at[0], at[0] + timedelta(minutes=minutes), ZONE)
    if day == PLAIN_DAY:
        assert found == seen
    else:  # maybe more, maybe too early
        assert all(found[limits] <= moment for limits, moment in seen.items())


def test_without_a_night_or_a_window_the_everyday_limits_are_all() -> None:
    since = there("05T22:00")
    assert in_turn(Rules(), since, since + timedelta(days=30), ZONE) == {LIMITS: since}
    assert in_turn(RULES, there("05T12:00"), there("05T23:00"), ZONE) == {LIMITS: there("05T12:00")}


def test_a_night_within_one_day_and_the_hour_that_the_clocks_skip() -> None:
    early = Rules(night=replace(NIGHT, begins=60, ends=5 * 60))
    assert not in_force(early, there("05T00:59"), ZONE).asks
    assert in_force(early, there("05T01:00"), ZONE).asks
    spring = datetime(2019, 3, 10, 10, 0, tzinfo=UTC)  # 03:00 in summer time; an hour before it was 01:00
    assert in_force(early, spring, ZONE).asks
    assert in_force(early, spring - timedelta(hours=1), ZONE).asks


def test_rules_survive_being_stored() -> None:
    rules = replace(RULES, save_script="rsync -a out/ ~/keep/", save_seconds=30, keep_hours=8)
    assert from_json(to_json(rules)) == rules
    assert from_json({}) == Rules()


@pytest.mark.parametrize(
    ("rules", "where"),
    [
        (Rules(), []),
        (RULES, []),
        (Rules(limits=replace(LIMITS, quiet=10 * HOUR)), ["quiet"]),  # a guard that never acts is none
        (Rules(limits=replace(LIMITS, blind=0)), ["blind"]),
        (Rules(limits=replace(LIMITS, blind=239)), ["blind"]),  # less than it takes to be sure that reports are missing
        (Rules(limits=replace(LIMITS, warn=0)), ["warn"]),
        (Rules(limits=replace(LIMITS, warn=1000)), ["warn"]),
        (Rules(keep_hours=100), ["keep_hours"]),
        (Rules(save_seconds=0), ["save"]),
        (Rules(windows=(replace(CRUNCH, quiet=24 * 3600),)), ["windows.0.quiet"]),
        (Rules(windows=(replace(CRUNCH, quiet=600),)), ["windows.0.quiet"]),  # shorter than the everyday warning
        (Rules(windows=(CRUNCH, CRUNCH)), ["windows.1.starts_at"]),
        (Rules(windows=(replace(CRUNCH, ends_at=CRUNCH.starts_at),)), ["windows.0.ends_at"]),
        (Rules(windows=(replace(CRUNCH, quiet=None),)), ["windows.0.quiet"]),
        (Rules(windows=(replace(CRUNCH, name=" "),)), ["windows.0.name"]),
        (Rules(night=replace(NIGHT, ends=NIGHT.begins)), ["night.ends"]),
        (Rules(night=replace(NIGHT, unattended=60)), ["night.unattended"]),
        (Rules(night=replace(NIGHT, answer=3000)), ["night.answer"]),
    ],
)
def test_what_is_no_sane_rule_is_told_with_its_place(rules: Rules, where: list[str]) -> None:
    assert [fault.where for fault in faults(rules)] == where


# ------------------------------------------------------------------ the night asks
def test_work_that_nobody_attends_is_asked_about_only_where_the_course_wants_it() -> None:
    now = 9 * HOUR
    assert decide(AT_WORK, LIMITS, now).cause is Cause.BUSY
    asked = decide(AT_WORK, ASKS, now)
    assert (asked.verdict, asked.cause, asked.since, asked.warned) == (Verdict.WARN, Cause.UNATTENDED, HOUR, False)
    assert asked.stops_at == now + 30 * MIN  # the whole time to answer, however long it was alone before


def test_whoever_answers_by_working_or_keeping_is_left_alone() -> None:
    now = 9 * HOUR
    asked = replace(AT_WORK, warned_at=now - 10 * MIN)
    assert decide(asked, ASKS, now).warned
    assert decide(replace(asked, last_human_at=now), ASKS, now).verdict is Verdict.KEEP
    assert decide(replace(asked, kept_until=now + 8 * HOUR), ASKS, now).cause is Cause.KEPT
    kept_till_six = replace(asked, kept_until=now - HOUR)
    assert decide(kept_till_six, ASKS, now).verdict is Verdict.KEEP  # the answer holds as long as any


def test_unanswered_it_stops_and_says_so_and_in_the_morning_it_would_not() -> None:
    now = 9 * HOUR
    unanswered = replace(AT_WORK, warned_at=now - 30 * MIN)
    decision = decide(unanswered, ASKS, now)
    assert (decision.verdict, decision.cause) == (Verdict.STOP, Cause.UNATTENDED)
    assert decide(unanswered, LIMITS, now).verdict is Verdict.KEEP


# ------------------------------------------------------------------ ends that were announced
def test_what_was_waited_for_has_ended_so_it_stops_though_it_was_kept() -> None:
    now = 9 * HOUR
    done = replace(AT_WORK, done_at=now - 60, kept_until=now + HOUR)
    decision = decide(done, LIMITS, now)
    assert (decision.verdict, decision.cause, decision.since) == (Verdict.STOP, Cause.DONE, now - 60)


def test_a_person_who_came_back_after_it_ended_is_not_cut_off() -> None:
    now = 9 * HOUR
    done = replace(AT_WORK, done_at=now - 60, last_human_at=now - 20)
    assert decide(done, LIMITS, now).verdict is Verdict.KEEP


def test_an_end_of_another_run_or_of_the_future_does_not_count() -> None:
    now = 9 * HOUR
    for at in (-5.0, now + 5):
        assert decide(replace(AT_WORK, done_at=at), LIMITS, now).verdict is Verdict.KEEP


def test_a_spot_notice_is_passed_on_at_once_and_is_never_our_stop() -> None:
    now = 9 * HOUR
    noticed = replace(AT_WORK, reclaim_at=now + 118, warned_at=HOUR)  # that warning was about something else
    decision = decide(noticed, LIMITS, now)
    assert (decision.verdict, decision.cause, decision.stops_at, decision.warned) == (
        Verdict.WARN,
        Cause.RECLAIM,
        now + 118,
        False,
    )
    assert decide(replace(noticed, warned_at=now), LIMITS, now + 60).warned
    for later in (118, 200, 299):
        assert decide(replace(noticed, warned_at=now), LIMITS, now + later).verdict is Verdict.WARN
    quiet = replace(noticed, last_active_at=0.0, last_human_at=0.0, kept_until=now + HOUR)
    assert decide(quiet, LIMITS, now).cause is Cause.RECLAIM


# ------------------------------------------------------------------ never, whatever the facts
NOW = 1_000_000.0
moments = st.none() | st.integers(-20_000, 20_000).map(lambda s: NOW + s)
seconds = st.integers(1, 9_000).map(float)


@settings(max_examples=300, deadline=None)
@given(st.builds(Facts, *[moments] * 9), st.builds(Limits, *[seconds] * 6))
def test_nobody_is_stopped_unwarned_or_kept_but_by_their_own_wish(facts: Facts, limits: Limits) -> None:
    decision = decide(facts, limits, NOW)
    if decision.verdict is not Verdict.STOP:
        return
    if decision.cause is Cause.DONE:
        assert facts.done_at is not None
        assert facts.running_since <= facts.done_at <= NOW
        assert facts.last_human_at is None or facts.last_human_at <= facts.done_at
        return
    assert facts.warned_at is not None
    assert NOW - facts.warned_at >= limits.warn
    assert facts.kept_until is None or facts.kept_until <= facts.warned_at
    if decision.cause is Cause.UNATTENDED:
        assert facts.last_human_at is None or facts.last_human_at < facts.warned_at
