"""One day of a machine, replayed with reports lost, doubled, late, with a reboot, and with clocks that jump.

Whatever gets lost, the verdict differs only by "unknown": a machine is never judged sooner than with every report, and
later by no more than the silence there was. The row is kept in memory: what the database does has tests of its own.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import pytest
from django.db.models import QuerySet

from instances import reports
from instances.facts import facts_of, limits_for
from instances.idle import Cause, Decision, Verdict, decide
from instances.models import Instance
from instances.reports import Report, take_report
from tests.machine.conftest import at

# Minutes, and what goes on in each of them.
DAY = (
    (40, {"gpu_busy_s": 20.0, "cpu_s": 30.0}),
    (25, {}),  # a pause: warned, and back
    (15, {"cpu_s": 9.0, "human": True}),
    (45, {"busy": True}),  # hangs for less than its hour
    (12, {"net_rx_bytes": 3e7}),
    (55, {}),  # forgotten
)
QUIET, WARN, BLIND = 30, 10, 15  # minutes: the default policy
SECONDS = 60
AN_HOUR = 3600.0
UNKNOWN = (Cause.BLIND, Cause.BOOTING)


@dataclass
class Told:
    """The minutes of the day: what was decided, and how long before it the last report came."""

    decisions: list[Decision] = field(default_factory=list)
    silence: list[int] = field(default_factory=list)


def said_of_the_day() -> Iterator[Report]:
    said = Report("boot-1", 0, 0, 0, 0, 0, None, 0, "1")
    for minutes, goes_on in DAY:
        for _n in range(minutes):
            grown = {k: getattr(said, k) + v for k, v in goes_on.items() if k not in ("human", "busy")}
            person = 5.0 if "human" in goes_on else None if said.human_age_s is None else said.human_age_s + SECONDS
            busy = int("busy" in goes_on)
            said = replace(said, uptime_s=said.uptime_s + SECONDS, human_age_s=person, kernels_busy=busy, **grown)
            yield said


Post = Callable[[int, Report], Sequence[Report]]  # what arrives in a minute in which the agent says this


@pytest.fixture
def live(machine: Instance, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Told]:
    monkeypatch.setattr(QuerySet, "update", lambda _rows, **_new: 1)
    machine.state_since = at(0)
    assert reports  # what is replayed is the portal's own

    def day(post: Post, jumps: Callable[[int], float] = lambda _minute: 0.0) -> Told:
        row, told, last = Instance.objects.select_related("course__machine_policy").get(pk=machine.pk), Told(), 0
        row.state_since = at(0)
        for number, said in enumerate(said_of_the_day(), start=1):
            now = at(number * SECONDS + jumps(number))
            for report in post(number, said):
                before = row.last_report
                take_report(row, report, now=now)
                last = number if row.last_report != before else last
            decision = decide(facts_of(row, at(0)), limits_for(row, now), now.timestamp())
            if decision.verdict is Verdict.WARN and not decision.warned:
                row.warned_at = now  # as the sweep does
            told.decisions.append(decision)
            told.silence.append(number - last)
        return told

    return day


def every(_minute: int, said: Report) -> Sequence[Report]:
    return [said]


def lossy(share: float, seed: int) -> Post:
    chance = random.Random(seed)
    return lambda _minute, said: [] if chance.random() < share else [said]


def differs_only_by_unknown(found: Told, full: Told) -> None:
    """Each verdict is one that the full story had a little before: at most the longest silence until then."""
    longest, verdicts = 0, [one.verdict for one in full.decisions]
    for minute, decision in enumerate(found.decisions):
        longest = max(longest, found.silence[minute])
        if decision.cause in UNKNOWN:
            assert decision.cause is Cause.BOOTING or found.silence[minute] >= 5, minute
            assert decision.verdict is not Verdict.STOP or found.silence[minute] >= BLIND + WARN
        else:
            assert decision.verdict in verdicts[max(0, minute - longest) : minute + 1], (minute, decision)


def verdicts(told: Told) -> list[Verdict]:
    return [one.verdict for one in told.decisions]


def test_the_day_itself_has_every_verdict_and_stops_when_it_should(live: Callable[..., Told]) -> None:
    full = live(every)
    stops = [minute for minute, verdict in enumerate(verdicts(full), start=1) if verdict is Verdict.STOP]
    assert stops[0] == sum(minutes for minutes, _what in DAY[:-1]) + QUIET
    assert {Verdict.KEEP, Verdict.WARN} <= set(verdicts(full)[: stops[0] - 1])
    assert not [one for one in full.decisions if one.cause is Cause.BLIND]


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_reports_lost_at_random_change_the_verdict_only_to_unknown(live: Callable[..., Told], share: float) -> None:
    full = live(every)
    for seed in range(3):
        differs_only_by_unknown(live(lossy(share, seed)), full)


def test_all_reports_lost_is_unknown_with_its_own_timer_and_never_idle(live: Callable[..., Told]) -> None:
    heard = 20
    found = live(lambda minute, said: [said] if minute <= heard else [])
    after = found.decisions[heard + 5 :]
    assert {one.cause for one in after} == {Cause.BLIND}
    assert verdicts(found).index(Verdict.WARN) + 1 == heard + BLIND + 1
    assert verdicts(found).index(Verdict.STOP) + 1 == heard + BLIND + 1 + WARN


def test_reports_that_never_come_are_unknown_from_the_boot_on(live: Callable[..., Told]) -> None:
    assert {one.cause for one in live(lossy(1.0, 0)).decisions} <= set(UNKNOWN)


def test_doubled_reports_change_nothing(live: Callable[..., Told]) -> None:
    assert live(lambda _minute, said: [said, said]).decisions == live(every).decisions


def test_reordered_reports_change_the_verdict_only_to_unknown(live: Callable[..., Told]) -> None:
    chance, held = random.Random(4), []

    def late(_minute: int, said: Report) -> Sequence[Report]:
        held.append(said)
        chance.shuffle(held)
        return [held.pop() for _n in range(chance.randrange(len(held) + 1))]

    differs_only_by_unknown(live(late), live(every))


def test_a_reboot_in_the_middle_changes_nothing(live: Callable[..., Told]) -> None:
    """Counters and uptime begin anew, in the middle of the work, and a late report of the boot before is no news."""
    before: list[Report] = []

    def rebooted(minute: int, said: Report) -> Sequence[Report]:
        if minute <= 20:
            before.append(said)
            return [said]
        last = before[-1]
        counters = {name: getattr(said, name) - getattr(last, name) for name in ("gpu_busy_s", "cpu_s", "net_rx_bytes")}
        return [replace(said, boot_id="boot-2", uptime_s=said.uptime_s - last.uptime_s, **counters), last]

    assert live(rebooted).decisions == live(every).decisions


@pytest.mark.parametrize("jump", [AN_HOUR, -AN_HOUR], ids=["an hour on", "an hour back"])
def test_a_clock_that_jumps_at_work_stops_nothing_and_costs_one_quiet_time_at_most(
    live: Callable[..., Told], jump: float
) -> None:
    """The portal's; the machine's own is in no report."""
    found = verdicts(live(every, lambda minute: jump if minute > 20 else 0.0))
    full = verdicts(live(every))
    first = full.index(Verdict.STOP)
    assert Verdict.STOP not in found[:first]
    assert found[first:] == full[first:]
