"""Ends of a run that are known beforehand: when it stops if nothing else happens, what it waits for, AWS's notice.

Reads rows and reports; stopping is the sweeps' business.
"""

from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext as _

from instances.facts import facts_of, limits_for, moment_of
from instances.idle import Verdict, decide
from instances.models import Instance, InstanceEvent, Run
from instances.moves import tell
from instances.report_form import Report, Saved


def stops_at(instance: Instance, now: datetime) -> datetime | None:
    """When it is stopped if nothing else happens; None as long as nothing is announced. At most one query."""
    if instance.leaving_at is not None:
        return instance.leaving_at
    if instance.warned_at is None and instance.unfunded_at is None:
        return None
    run = Run.objects.filter(instance=instance, ended_at=None).values_list("started_at", flat=True).first()
    decision = decide(facts_of(instance, run), limits_for(instance, now), now.timestamp())
    announced = moment_of(decision.stops_at) if decision.verdict is not Verdict.KEEP else None
    paid = instance.lease_until if instance.unfunded_at or announced else None
    return min((at for at in (announced, paid) if at), default=None)


def from_report(instance: Instance, report: Report, now: datetime) -> dict[str, Any]:
    """What this report changes of the machine's ends. The first word on each counts, no later one takes it back."""
    found: dict[str, Any] = {}
    ended = _end_of_wait(instance, report, now)
    if ended and instance.done_at is None:
        found["done_at"] = ended
    if report.reclaim_s is not None and (instance.reclaim_at is None or instance.reclaim_at < now):
        found["reclaim_at"] = now + timedelta(seconds=min(report.reclaim_s, 600.0))
    return found


def waits_for(instance: Instance) -> dict[str, Any]:
    """Its row's `awaited`; nothing once somebody came back after that had ended: it goes on as every day, and the same
    may be chosen anew."""
    ended, human_at = instance.done_at, instance.last_human_at
    came_back = ended is not None and human_at is not None and human_at > ended
    return {} if came_back else instance.awaited


def _end_of_wait(instance: Instance, report: Report, now: datetime) -> datetime | None:
    """When what its student waits for has ended. An end from before the choice is that of an earlier wait for the
    same: its agent has not heard of the new one, and would have it stopped at once."""
    done, wait = report.done, instance.awaited
    if not done or done.task != wait.get("task"):
        return None
    ended = now - timedelta(seconds=min(done.age_s, report.uptime_s))
    return ended if not wait.get("since") or ended >= datetime.fromisoformat(wait["since"]) else None


def is_announced(instance: Instance) -> bool:
    """Something is told to end, so that a saving before it is worth a line."""
    ends = (instance.leaving_at, instance.warned_at, instance.unfunded_at, instance.reclaim_at)
    return bool(instance.awaited) or any(ends)


def tell_saved(instance: Instance, saved: Saved, now: datetime) -> None:
    at = now - timedelta(seconds=min(saved.age_s, 3600.0))
    facts = {"exit": saved.exit, "seconds": saved.seconds, "at": at.isoformat()}
    tell(instance, InstanceEvent.Kind.SAVED, reason=_saved_words(saved), now=now, facts=facts)


def _saved_words(saved: Saved) -> str:
    tabs = _("Before the stop: open notebooks were told to save.")
    if saved.exit is None:
        return tabs
    values = {"n": round(saved.seconds), "code": saved.exit}
    script = {
        0: _("The course’s script ended well within %(n)s s."),
        -1: _("The course’s script was cut off after %(n)s s."),
    }.get(saved.exit, _("The course’s script ended with error %(code)s."))
    return f"{tabs} {script % values}"
