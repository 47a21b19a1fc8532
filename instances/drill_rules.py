"""The fire drill's rules: which guard acts in which round, how soon, and what is next. Pure; seconds.

One round per guard, in the order in which they act. Those that come before it are silenced for the canary only: put
off, never taken away. AWS's schedule stands within what is held in every round, so that a canary ends whatever dies.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from instances.guard_names import Guard
from instances.idle import Limits

ORDER: Sequence[Guard] = (Guard.SWEEPS, Guard.WATCH, Guard.TIMER, Guard.SCHEDULE)
SILENT_FOR_SWEEPS = (Guard.WATCH, Guard.TIMER, Guard.SCHEDULE)  # the portal's idle and lease rounds pass by
ALL = "all"  # a canary for which no guard is silenced any more
QUIET, WARN = 120, 60  # the shortest that a course may set
PUT_OFF = 4 * 3600  # for a watch that is silenced: longer than any round
LEASES = {Guard.SWEEPS: 600, Guard.WATCH: 600, Guard.TIMER: 240, Guard.SCHEDULE: 240}
AWS_LATE, POWER_OFF, STOP_CALL = 60, 30, 30
BOOT_PATIENCE = 20 * 60  # AWS has no machine for so long: the drill is given up


def sweep_limits(everyday: Limits) -> Limits:
    """When the portal's rounds take a canary for unused."""
    return Limits(quiet=QUIET, warn=WARN, blind=everyday.blind, hung=everyday.hung, boot=everyday.boot)


def watch_limits(proving: str, limits: Limits) -> Limits:
    """What a canary is told for its own watch."""
    if proving in (Guard.WATCH, ALL):
        return limits
    return Limits(quiet=PUT_OFF, warn=WARN, blind=PUT_OFF, hung=PUT_OFF, boot=PUT_OFF)


def timer_put_off(proving: str, margin: int) -> int:
    """So much later than usual, which is 2/5 of the margin after the lease, the machine's own timer acts."""
    return margin * 3 // 5 if proving == Guard.SCHEDULE else 0


def schedule_after(proving: str, margin: int) -> float:
    """So long after the lease AWS stops it: always within the margin that is held."""
    usual = margin / 2
    return usual if proving in ("", Guard.SCHEDULE, ALL) else max(usual, margin - AWS_LATE)


def bound_of(guard: Guard, *, report: int, sweep: int, margin: int) -> int:
    """By then it is off: seconds since its last use (sweeps and watch) or since it runs (timer and schedule).

    A power-off from inside is known when the next sweep looks: AWS tells no time for it.
    """
    if guard is Guard.SWEEPS:
        return QUIET + report + sweep + STOP_CALL
    if guard is Guard.WATCH:
        return QUIET + QUIET // 6 + 60 + POWER_OFF + sweep
    if guard is Guard.TIMER:
        return LEASES[guard] + margin * 2 // 5 + POWER_OFF + sweep
    return LEASES[guard] + margin // 2 + AWS_LATE


# ------------------------------------------------------------------ what is next
class Next(StrEnum):
    WAIT = "wait"
    NOTE = "note"  # the round's run has ended: write down who ended it
    BEGIN = "begin"  # the next guard's round
    OVERDUE = "overdue"  # its guard did not act: all guards again, and stop it
    DELETE = "delete"
    CLOSE = "close"  # there is no canary any more


@dataclass(frozen=True, slots=True)
class Standing:
    """`state` of the canary's row. `round_open`: its guard is not proved or missed yet; `run_ended`: that round's run
    is in the books as ended. `running`, `waiting`: seconds since that run began to count, or since it was asked for."""

    state: str
    round_open: bool
    run_ended: bool
    rounds_left: int
    given_up: bool
    freed: bool  # no guard is silenced any more
    running: float | None = None
    waiting: float = 0.0
    bound: int = 0
    sweep: int = 60


def decide(at: Standing) -> Next:
    """Level-triggered: it looks only at what is so, so that whoever dies in the middle costs one round of the beat."""
    if at.state in ("terminated", "failed"):
        return Next.CLOSE
    if at.round_open and at.run_ended:
        return Next.NOTE
    if at.given_up or (not at.round_open and not at.rounds_left):
        return Next.WAIT if at.state == "terminating" else Next.DELETE
    if at.state == "terminating":  # a person deleted it
        return Next.WAIT
    if not at.round_open:
        return Next.BEGIN if at.state == "stopped" else Next.WAIT
    return _in_a_round(at)


def _in_a_round(at: Standing) -> Next:
    if at.state == "running" and not at.freed and at.running is not None and at.running > at.bound + grace(at.sweep):
        return Next.OVERDUE
    if at.state in ("requested", "launching", "stopped") and at.waiting > BOOT_PATIENCE:
        return Next.DELETE
    return Next.WAIT


def grace(sweep: int) -> int:
    """A guard that is late by less is still seen to act."""
    return 60 + 2 * sweep
