"""The three guards as lights: how each stands now, why, what to do, and when it was last proved. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from django.conf import settings
from django.db.models import Q
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from courses.models import Course
from instances import hearing
from instances.drill_records import DrillRound, GuardProof
from instances.facts import limits_of
from instances.guard_names import Guard
from instances.models import Instance, Policy
from instances.repair import GUARD_SECONDS
from instances.states import State
from portal.guards import Guard as Sweep

STALE = timedelta(days=30)  # images, presets and rights change meanwhile
AWS_LATE = timedelta(seconds=120)
NAMED = 5  # machines by name


class Shine(StrEnum):
    HEALTHY = "healthy"
    UNPROVED = "unproved"
    FAILING = "failing"


@dataclass(frozen=True, slots=True)
class Light:
    """`guards` of the drill are parts of it. `why` and `do` are sentences; `machines` those that are meant."""

    key: str
    name: str
    job: str
    bound: str
    guards: Sequence[Guard]
    shine: Shine
    why: str
    do: str
    proof: GuardProof | None
    machines: Sequence[Instance] = ()

    @property
    def badge(self) -> str:
        return {Shine.HEALTHY: "good", Shine.UNPROVED: "", Shine.FAILING: "failed"}[self.shine]

    @property
    def word(self) -> str:
        if self.shine is Shine.UNPROVED and self.proof:
            return _("Not proved lately")
        return {Shine.HEALTHY: _("Healthy"), Shine.UNPROVED: _("Not proved yet"), Shine.FAILING: _("Failing")}[
            self.shine
        ]


@dataclass(frozen=True, slots=True)
class _Fault:
    why: str
    do: str
    machines: Sequence[Instance] = ()


def lights(course: Course, now: datetime, sweeps: Sequence[Sweep]) -> list[Light]:
    """Five queries, however many machines. `sweeps`: `portal.guards.guards`."""
    proofs = {proof.guard: proof for proof in GuardProof.objects.filter(course=course).select_related("instance")}
    missed = _missed(course)
    policy = Policy.of(course)
    troubled, unheard = _troubled(course, policy, now), _unheard_fault(now)
    silent = None if unheard else _silent_fault(troubled.silent)  # nothing is known of the machines
    return [
        _light("sweeps", (Guard.SWEEPS,), proofs, missed, _sweeps_fault(sweeps, now) or unheard, policy, now),
        _light("machine", (Guard.WATCH, Guard.TIMER), proofs, missed, silent, policy, now),
        _light("aws", (Guard.SCHEDULE,), proofs, missed, _schedule_fault(troubled), policy, now),
    ]


def _light(
    key: str,
    guards: Sequence[Guard],
    proofs: dict[str, GuardProof],
    missed: dict[str, DrillRound],
    fault: _Fault | None,
    policy: Policy,
    now: datetime,
) -> Light:
    mine = [proofs[guard] for guard in guards if guard in proofs]
    # Of two parts the one that was proved longer ago counts, and both must have been.
    proof = min(mine, key=lambda one: one.at, default=None)
    fault = fault or next(
        (_missed_fault(missed[guard]) for guard in guards if _is_open(missed.get(guard), proofs.get(guard))), None
    )
    name, job, bound = _words(key, policy)
    if fault:
        shine, why, do = Shine.FAILING, fault.why, fault.do
    elif proof is None or len(mine) < len(guards) or now - proof.at > STALE:
        shine, why, do = (
            Shine.UNPROVED,
            _unproved_words(proof, mine, guards),
            _("Run a fire drill: about half an hour."),
        )
    else:
        shine, why, do = Shine.HEALTHY, "", ""
    return Light(key, name, job, bound, guards, shine, why, do, proof, fault.machines if fault else ())


def _words(key: str, policy: Policy) -> tuple[str, str, str]:
    minutes = {"n": policy.quiet_seconds // 60}
    margin = settings.STOP_MARGIN_SECONDS
    if key == "sweeps":
        return (
            _("The portal’s rounds"),
            _("Stop what nobody uses and what is not paid for, warned before. Need the portal, its worker and AWS."),
            _("%(n)s min after the last use, and two rounds") % minutes,
        )
    if key == "machine":
        return (
            _("The machine itself"),
            _("Its own watch and its own timer switch it off. Need nothing but power."),
            _("%(n)s min after the last use; %(m)s s after the end of what is paid for")
            % {"n": _own_minutes(policy.quiet_seconds), "m": margin * 2 // 5},
        )
    return (
        _("AWS’s schedule"),
        _("One stop per machine at the end of what is paid for. Needs AWS only: portal and machine may be dead."),
        _("%(a)s to %(b)s s after the end of what is paid for") % {"a": margin // 2, "b": margin // 2 + 60},
    )


def _own_minutes(quiet: int) -> int:
    """A little after the portal's turn (`lamplighter_agent.later`); it looks once a minute, and takes two to end."""
    return -(-int(quiet + min(300, quiet / 6) + 180) // 60)


def _unproved_words(proof: GuardProof | None, mine: Sequence[GuardProof], guards: Sequence[Guard]) -> str:
    if proof is None:
        return _("It has stopped no machine of this course yet.")
    if len(mine) < len(guards):
        lacks = next(guard for guard in guards if guard not in {one.guard for one in mine})
        part = _("watch for unused machines") if lacks is Guard.WATCH else _("timer for the end of what is paid for")
        return _("Its %(part)s has stopped no machine of this course yet.") % {"part": part}
    return _("It has stopped no machine of this course for %(n)s days.") % {"n": STALE.days}


# ------------------------------------------------------------------ what is wrong now
def _sweeps_fault(sweeps: Sequence[Sweep], now: datetime) -> _Fault | None:
    late = [sweep for sweep in sweeps if sweep.late]
    if not late:
        return None
    ages = [sweep.age_seconds for sweep in late if sweep.age_seconds is not None]
    names = ", ".join(sweep.name for sweep in late)
    why = (
        _("Late: %(names)s. Last ended %(n)s min ago.") % {"names": names, "n": round(max(ages) / 60)}
        if ages
        else _("Never ended: %(names)s.") % {"names": names}
    )
    return _Fault(why, _("Whoever runs the portal restarts its worker and beat. Until then the two other guards act."))


@dataclass(frozen=True, slots=True)
class _Troubled:
    """Machines that run although something of theirs does not work; one query."""

    silent: Sequence[Instance]  # for longer than a boot or a lost report explains: its timer may be gone as well
    unscheduled: Sequence[Instance]
    overdue: Sequence[Instance]  # AWS should have stopped it


def _troubled(course: Course, policy: Policy, now: datetime) -> _Troubled:
    limits = limits_of(policy)
    heard, long_up = now - timedelta(seconds=limits.blind), now - timedelta(seconds=max(limits.boot, limits.blind))
    silent = Q(last_report_at=None) | Q(last_report_at__lt=heard)
    without = Q(guard_until=None, state_since__lte=now - timedelta(seconds=GUARD_SECONDS))
    running = Instance.objects.filter(course=course, state=State.RUNNING).select_related("owner")
    found = running.filter(silent & Q(state_since__lte=long_up) | without | Q(guard_until__lt=now - AWS_LATE))
    silent_ones, unscheduled, overdue = [], [], []
    for machine in found:
        if machine.state_since <= long_up and (machine.last_report_at is None or machine.last_report_at < heard):
            silent_ones.append(machine)
        if machine.guard_until is None:
            unscheduled.append(machine)
        elif machine.guard_until < now - AWS_LATE:
            overdue.append(machine)
    return _Troubled(silent_ones, unscheduled, overdue)


def _unheard_fault(now: datetime) -> _Fault | None:
    found = hearing.hearing()
    return _Fault(hearing.words(found, now), hearing.advice()) if found.is_trouble(now) else None


def _silent_fault(silent: Sequence[Instance]) -> _Fault | None:
    if not silent:
        return None
    why = ngettext("%(n)s machine does not report.", "%(n)s machines do not report.", len(silent))
    do = _("The portal warns and stops it soon; AWS’s schedule stands. If it is many, look at the image’s agent.")
    return _Fault(why % {"n": len(silent)}, do, silent[:NAMED])


def _schedule_fault(troubled: _Troubled) -> _Fault | None:
    do = _("Look at the scheduler’s role and its rights (docs/operations.md). The portal stops these machines.")
    if troubled.overdue:
        why = _("AWS did not stop a machine at the time that was set, and it runs on.")
        return _Fault(why, do, troubled.overdue[:NAMED])
    if troubled.unscheduled:
        return _Fault(_("A machine runs without a schedule."), do, troubled.unscheduled[:NAMED])
    return None


def _missed(course: Course) -> dict[str, DrillRound]:
    """The newest round of each guard in which it did not act in time."""
    failed = (DrillRound.Outcome.MISSED, DrillRound.Outcome.LATE)
    rows = DrillRound.objects.filter(drill__course=course, outcome__in=failed).order_by("guard", "-ended_at")
    return {row.guard: row for row in reversed(list(rows[:40]))}


def _is_open(missed: DrillRound | None, proof: GuardProof | None) -> bool:
    """No proof since. A stop that was late is written down as both."""
    if missed is None or missed.ended_at is None:
        return False
    return proof is None or proof.at <= missed.ended_at


def _missed_fault(missed: DrillRound) -> _Fault:
    if missed.outcome == DrillRound.Outcome.LATE:
        values = {"took": missed.took_seconds, "bound": missed.bound_seconds}
        why = _("In the last fire drill it acted after %(took)s s, and %(bound)s s are its bound.") % values
    else:
        why = _("In the last fire drill it did not act. %(words)s") % {"words": missed.words}
    return _Fault(why, _("See the drill below, mend what it shows (docs/guards.md), and drill again."))
