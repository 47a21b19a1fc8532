"""When an unused machine is warned and stopped. Pure: facts and limits in, one decision out; changes nothing.

The very same file runs on the machines beside the agent, on whatever Python 3.8 or newer their image has. Times
are float seconds of any one clock; a later fact can only make a machine live longer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum


class Verdict(str, Enum):  # noqa: UP042 - StrEnum needs Python 3.11, images have older ones
    KEEP = "keep"
    WARN = "warn"
    STOP = "stop"


class Cause(str, Enum):  # noqa: UP042
    BUSY = "busy"  # working right now
    RECENT = "recent"  # worked a little while ago
    HUNG = "hung"  # a cell runs but uses nothing
    KEPT = "kept"  # somebody asked to keep it
    QUIET = "quiet"  # neither work nor people
    BLIND = "blind"  # its reports stopped, or never came: we do not know
    BOOTING = "booting"  # the first report is not due yet
    UNATTENDED = "unattended"  # works, but nobody was here for so long that the course wants it confirmed
    DONE = "done"  # what its student waited for has ended
    RECLAIM = "reclaim"  # AWS takes the machine back and told so


@dataclass(frozen=True)
class Facts:
    """What was seen of this run of the machine; None where nothing was. Facts of earlier runs do no harm."""

    running_since: float | None
    last_active_at: float | None = None  # last work or human input
    hung_since: float | None = None  # busy without any resource use, without a break since
    last_report_at: float | None = None
    warned_at: float | None = None
    kept_until: float | None = None
    last_human_at: float | None = None  # last input of a person, or their "yes, still training"
    done_at: float | None = None  # what its student asked to wait for was over
    reclaim_at: float | None = None  # AWS takes a Spot machine back then
    unheard_until: float | None = None  # nobody's reports came until then: the portal's own fault
    warned_until: float | None = None  # the stop that it told; shorter limits do not bring it forward


@dataclass(frozen=True)
class Limits:
    """Seconds."""

    quiet: float = 1800  # unused for so long: stopped
    warn: float = 600  # a warning comes so long before
    blind: float = 900  # silent for so long: warned, then stopped
    hung: float = 3600  # "busy" without resource use counts as work for so long
    boot: float = 900  # the first report must come within
    unattended: float | None = None  # work counts so long after the last person, then somebody is asked; None: for ever


@dataclass(frozen=True)
class Decision:
    verdict: Verdict
    cause: Cause
    since: float | None  # last use, last report, start of the hang, or end of the keeping: by cause
    stops_at: float | None  # when it stops if nothing else happens
    warned: bool = False  # a warning for this stands already: do not send another


@dataclass(frozen=True)
class Work:
    """What the user's processes used over some time."""

    gpu_busy_s: float = 0.0  # seconds in which any GPU did anything
    cpu_s: float = 0.0
    io_bytes: float = 0.0
    net_rx_bytes: float = 0.0


MINUTE_FLOOR = Work(gpu_busy_s=1.0, cpu_s=6.0, io_bytes=20e6, net_rx_bytes=20e6)
# Below this a few clock ticks of an idle kernel would pass for work: gather longer before judging.
SHORTEST_WINDOW = 4.0
# Reports come each minute and take up to five seconds; a round may fall between two of them, or one be lost.
TWO_REPORTS = 130.0
RECLAIM_NOTICE = 300.0  # seconds; AWS tells two minutes before


def worked(done: Work, seconds: float) -> bool:
    """Whether so much in so many seconds is work. Floors are per minute, and never higher for a longer time,
    so that a lost report can only make a quiet machine look used."""
    share = min(max(seconds, SHORTEST_WINDOW), 60.0) / 60.0
    return (
        done.gpu_busy_s >= MINUTE_FLOOR.gpu_busy_s * share
        or done.cpu_s >= MINUTE_FLOOR.cpu_s * share
        or done.io_bytes >= MINUTE_FLOOR.io_bytes * share
        or done.net_rx_bytes >= MINUTE_FLOOR.net_rx_bytes * share
    )


@dataclass(frozen=True)
class Reading:
    """What one look at the machine showed, of the time since the look before it."""

    done: Work
    seconds: float
    human_at: float | None  # last input of a person, ever
    busy: bool  # some kernel is executing
    complete: bool = True  # False: a GPU that was readable no longer is


def observe(facts: Facts, reading: Reading, limits: Limits, now: float) -> Facts:
    """The facts after this look. A look that cannot see the GPU proves work, but never quietness."""
    active = worked(reading.done, reading.seconds)
    person = reading.human_at if reading.human_at is not None and reading.human_at <= now else None
    seen = [facts.last_active_at, person, now if active else None]
    hung = facts.hung_since
    if reading.busy and not active:
        hung = now if hung is None else hung
    elif hung is not None:  # what it hung counts as work, up to the cap
        seen.append(min(hung + limits.hung, now))
        hung = None
    before = facts.last_report_at
    present = person is not None and (before is None or person > before)
    return replace(
        facts,
        last_active_at=latest(*seen),
        last_human_at=latest(facts.last_human_at, person),
        hung_since=hung,
        last_report_at=now if reading.complete or active or present else before,
    )


def latest(*moments: float | None) -> float | None:
    """The latest of those that are known."""
    return max((t for t in moments if t is not None), default=None)


def last_used(facts: Facts) -> float | None:
    """When it last worked or was touched by a person, whoever noted it."""
    return latest(facts.last_active_at, facts.last_human_at)


def patience(limits: Limits) -> float:
    """Seconds of silence after which the readings no longer count as readings. Never less than two reports take:
    else each round that falls between two would find a machine silent that reports on time."""
    return max(min(300.0, limits.blind / 3), TWO_REPORTS)


def decide(facts: Facts, limits: Limits, now: float) -> Decision:
    """Never STOP without a standing warning that is at least `limits.warn` old, never before the moment that it told,
    never while kept, never when used since the warning, and never as quiet while blind. Two stops are wanted: what its
    student waited for has ended, and the course has work confirmed that nobody attends (`limits.unattended`): that one
    is warned like any other."""
    start = facts.running_since
    if start is None:
        return Decision(Verdict.KEEP, Cause.BOOTING, None, None)
    return _announced(facts, start, now) or _judged(facts, limits, now, start)


def _announced(facts: Facts, start: float, now: float) -> Decision | None:
    """Ends that were told beforehand: by its student, who may think better of it by doing anything, and by AWS."""
    done = facts.done_at
    if done is not None and start <= done <= now and (facts.last_human_at is None or facts.last_human_at <= done):
        return Decision(Verdict.STOP, Cause.DONE, done, done)
    taken = facts.reclaim_at
    if taken is None or taken < start or not taken - RECLAIM_NOTICE <= now <= taken + RECLAIM_NOTICE:
        return None
    warned = facts.warned_at is not None and taken - RECLAIM_NOTICE <= facts.warned_at <= now
    return Decision(Verdict.WARN, Cause.RECLAIM, taken, taken, warned=warned)  # AWS does it, not we


def _judged(facts: Facts, limits: Limits, now: float, start: float) -> Decision:
    if facts.kept_until is not None and facts.kept_until > now:
        return Decision(Verdict.KEEP, Cause.KEPT, facts.kept_until, facts.kept_until + limits.quiet)
    seen = facts.last_report_at
    if seen is None or seen < start:
        return _in_the_dark(facts, limits, now, Cause.BOOTING, start, limits.boot)
    if now - seen > patience(limits):
        return _in_the_dark(facts, limits, now, Cause.BLIND, seen, limits.blind)
    decision = _in_the_light(facts, limits, now, start)
    if decision.verdict is Verdict.STOP and decision.stops_at is not None and seen < decision.stops_at:
        # What nobody has reported yet is not quiet: the stop waits for the report that covers all of that time.
        return replace(decision, verdict=Verdict.WARN)
    if decision.verdict is Verdict.KEEP:
        return _unattended(facts, limits, now, start) or decision
    return decision


def _in_the_dark(facts: Facts, limits: Limits, now: float, cause: Cause, since: float, most: float) -> Decision:
    """Nothing was read lately, and after `most` seconds in which others could be heard it is warned for that. An
    earlier warning was about quietness, and what happened since then nobody saw: so only one given because of the
    silence counts, and none from before a keeping or a use that we do know of."""
    warn_from = max(since, facts.unheard_until or since) + most
    # A use that others saw (the second eye looks once a minute) counts until they can have looked again.
    used = last_used(facts)
    seen_until = None if used is None else used + patience(limits)
    warn_from = max(latest(warn_from, seen_until, facts.kept_until) or warn_from, warn_from)
    if now <= warn_from:
        return Decision(Verdict.KEEP, cause, since, warn_from + limits.warn)
    return _warn_or_stop(facts, limits, now, Cause.BLIND, since, newer_than=warn_from, stop_from=warn_from)


def _in_the_light(facts: Facts, limits: Limits, now: float, start: float) -> Decision:
    used = max(latest(last_used(facts), facts.kept_until) or start, start)
    hung = facts.hung_since
    hung_until = hung + limits.hung if hung is not None and hung >= start else None
    if hung_until is not None and now < hung_until:
        return Decision(Verdict.KEEP, Cause.HUNG, hung, hung_until + limits.quiet)
    idle_since = used if hung_until is None else max(used, hung_until)
    cause, since = (Cause.QUIET, used) if idle_since == used else (Cause.HUNG, hung)
    stop_from = idle_since + limits.quiet
    # A grace as long as the whole limit would warn people at work: never before half of it.
    if now < idle_since + max(limits.quiet - limits.warn, limits.quiet / 2):
        fresh = now - idle_since < min(120.0, limits.quiet / 4)
        kept_cause = cause if cause is Cause.HUNG else Cause.BUSY if fresh else Cause.RECENT
        return Decision(Verdict.KEEP, kept_cause, since, stop_from)
    return _warn_or_stop(facts, limits, now, cause, since, newer_than=idle_since, stop_from=stop_from)


def _unattended(facts: Facts, limits: Limits, now: float, start: float) -> Decision | None:
    """It works. Whether for anybody, only a person can say: one who touched it or kept it on lately has said so."""
    if limits.unattended is None:
        return None
    alone_since = max(latest(facts.last_human_at, facts.kept_until) or start, start)
    ask_from = alone_since + limits.unattended
    if now <= ask_from:
        return None
    stop_from = ask_from + limits.warn
    return _warn_or_stop(facts, limits, now, Cause.UNATTENDED, alone_since, newer_than=alone_since, stop_from=stop_from)


def _warn_or_stop(
    facts: Facts, limits: Limits, now: float, cause: Cause, since: float | None, *, newer_than: float, stop_from: float
) -> Decision:
    warned_at = facts.warned_at
    if facts.warned_until is not None:  # a night that ends meanwhile, or an edit, has other limits than were told
        stop_from = max(stop_from, facts.warned_until)
    if warned_at is None or not newer_than < warned_at <= now:
        return Decision(Verdict.WARN, cause, since, max(stop_from, now + limits.warn))
    stops_at = max(stop_from, warned_at + limits.warn)  # a late warning moves the stop, never shortens the grace
    verdict = Verdict.STOP if now >= stops_at else Verdict.WARN
    return Decision(verdict, cause, since, stops_at, warned=True)


def warned_after(facts: Facts, decision: Decision, now: float) -> Facts:
    """The facts with the warning that stands after this decision: given, left as it is, or over. Silence ends none:
    only what was seen does, else what was told for later would be stopped by a shorter warning about the silence."""
    if decision.verdict is Verdict.WARN and not decision.warned:
        return replace(facts, warned_at=now, warned_until=latest(decision.stops_at, facts.warned_until))
    if decision.verdict is not Verdict.KEEP or facts.warned_at is None:
        return facts
    used = latest(last_used(facts), facts.kept_until)
    if decision.cause is Cause.BLIND and (used is None or used <= facts.warned_at):
        return facts
    return replace(facts, warned_at=None, warned_until=None)
