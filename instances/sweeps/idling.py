"""The idle round: warns, forgets a warning when the machine is used again, stops. The rule itself is `idle.py`."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from django.db import transaction
from django.db.models import OuterRef, QuerySet, Subquery
from django.utils.translation import gettext as _

from cloud.base import Cloud
from instances import hearing
from instances.clock import clock
from instances.drill_rules import SILENT_FOR_SWEEPS
from instances.facts import DECIDING, facts_of, in_force_for, limits_for, moment_of, seconds_of
from instances.guard_names import Guard
from instances.idle import Cause, Decision, Facts, Verdict, decide, warned_after
from instances.models import Instance, InstanceEvent, Run
from instances.moves import tell
from instances.states import State
from instances.stopping import request_stop, stop
from instances.sweeps.rounds import beat, for_each, for_each_together
from instances.words import sentence

Kind = InstanceEvent.Kind
# Long, and needed to launch only.
UNJUDGED = ("candidates", "birth_limits", "last_report", "trace", "notebook_token", "agent_secret", "agent_digest")

USED = ("last_active_at", "kept_until", "done_at")


def idle(cloud: Cloud, now: datetime) -> int:
    began = time.monotonic()
    changes: list[tuple[Instance, Decision]] = []
    stopped: list[int] = []
    glanced: list[tuple[Instance, Decision]] = []
    unheard = seconds_of(hearing.listen(now))
    running = Instance.objects.filter(state=State.RUNNING).exclude(proving__in=SILENT_FOR_SWEEPS)
    looked_at = for_each("idle", _glanced(running), lambda machine: glanced.extend(_changes(machine, now, unheard)))
    news = [machine.pk for machine, _decision in glanced]
    whole = judged(running.filter(pk__in=news)) if news else ()  # decided about once more, from the whole row
    for_each("idle", whole, lambda machine: changes.extend(_changes(machine, now, unheard)))
    for_each_together("idle", changes, lambda change: _carry_out(*change, stopped, now))
    beat("idle", looked_at, seconds=time.monotonic() - began, now=now)
    if stopped:
        stop(stopped, cloud=cloud, now=now)
    return looked_at


def judged(machines: QuerySet[Instance]) -> QuerySet[Instance]:
    """With everything that `decision_for` needs, whatever their number; in the order of their keys."""
    return _dated(machines.select_related("owner").defer(*UNJUDGED))


def _glanced(machines: QuerySet[Instance]) -> QuerySet[Instance]:
    """Only what `decision_for` needs: of most machines there is nothing to write, and a row has some eighty fields."""
    return _dated(machines.only(*DECIDING))


def _dated(machines: QuerySet[Instance]) -> QuerySet[Instance]:
    open_run = Run.objects.filter(instance=OuterRef("pk"), ended_at=None)
    since = Subquery(open_run.values("started_at")[:1])
    return machines.prefetch_related("course__machine_policy").annotate(running_since=since).order_by("pk")


def decision_for(machine: Instance, now: datetime) -> Decision:
    """`machine` comes from `judged`. Whether the portal can hear anybody is not asked: a lease is not
    renewed for a machine only because nobody can be heard."""
    return decide(_facts(machine), limits_for(machine, now), now.timestamp())


def _facts(machine: Instance) -> Facts:
    since: datetime | None = machine.running_since  # type: ignore[attr-defined]
    return facts_of(machine, since)


def words_for(machine: Instance, decision: Decision, now: datetime) -> str:
    """For row, mail, notebook and log. At night the warning is a question."""
    said = sentence(decision, lambda at: clock(machine.course, datetime.fromtimestamp(at, now.tzinfo), now))
    return _("Still training? %(why)s") % {"why": said} if _asks(machine, decision, now) else said


def _asks(machine: Instance, decision: Decision, now: datetime) -> bool:
    if decision.verdict is not Verdict.WARN or decision.cause is Cause.RECLAIM:
        return False
    return in_force_for(machine, now).asks


def _changes(machine: Instance, now: datetime, unheard: float | None) -> Iterator[tuple[Instance, Decision]]:
    """The decision, where it says anything new: nothing is written about a machine that goes on as it was."""
    facts = replace(_facts(machine), unheard_until=unheard)
    decision = decide(facts, limits_for(machine, now), now.timestamp())
    if decision.verdict is Verdict.STOP or warned_after(facts, decision, now.timestamp()) != facts:
        yield machine, decision


def _carry_out(machine: Instance, decision: Decision, stopped: list[int], now: datetime) -> None:
    if decision.verdict is Verdict.STOP:
        reason = _stop_words(machine, decision, now)
        # Whoever came back, or kept it on, since this round read the row keeps it: the next round decides anew.
        if request_stop(machine, reason=reason, who=None, now=now, mail=True, guard=Guard.SWEEPS, same=USED):
            stopped.append(machine.pk)
    elif decision.verdict is Verdict.WARN:
        _warn(machine, decision, now)
    else:
        _forget_warning(machine, decision, now)


def _stop_words(machine: Instance, decision: Decision, now: datetime) -> str:
    if decision.cause is not Cause.DONE or decision.since is None or not machine.awaited:
        return words_for(machine, decision, now)
    at = clock(machine.course, datetime.fromtimestamp(decision.since, now.tzinfo), now)
    values = {"name": machine.awaited.get("name", ""), "time": at}
    return _("Stopped, as asked: %(name)s ended at %(time)s.") % values


def _warn(machine: Instance, decision: Decision, now: datetime) -> None:
    reason = words_for(machine, decision, now)
    facts = {
        "cause": decision.cause.value,
        "since": decision.since,
        "stops_at": decision.stops_at,
        "asks": _asks(machine, decision, now),
    }
    with transaction.atomic():
        if _change_warning(machine, decision, now):
            tell(
                machine,
                Kind.WARNED,
                reason=reason,
                now=now,
                facts=facts,
                mail_to="" if machine.proving else machine.owner.email,
            )
            if decision.cause is Cause.BLIND and not machine.eye_saw:
                tell(machine, Kind.TROUBLE, reason=_blind_words(machine), now=now)


def _blind_words(machine: Instance) -> str:
    """For staff: neither the agent nor the second eye."""
    words = _("%(machine)s cannot be seen: its agent is silent, and neither its notebook nor the cloud tells anything.")
    return words % {"machine": machine.slug}


def _forget_warning(machine: Instance, decision: Decision, now: datetime) -> None:
    with transaction.atomic():
        if _change_warning(machine, decision, now):
            tell(machine, Kind.WARNING_OVER, reason=words_for(machine, decision, now), now=now)


def _change_warning(machine: Instance, decision: Decision, now: datetime) -> bool:
    """False when another sweep was faster: its event is the one."""
    after = warned_after(_facts(machine), decision, now.timestamp())
    same = Instance.objects.filter(pk=machine.pk, state=State.RUNNING, warned_at=machine.warned_at)
    return bool(same.update(warned_at=moment_of(after.warned_at), warned_until=moment_of(after.warned_until)))
