"""What a machine reports becomes facts: counters since boot in, `last_active_at`, `hung_since`, `last_report_at` out.

Trusts no report: a machine is its student's. Whatever it says, it can at worst stop itself early, or look used within
the lease that is paid for (docs/guards.md). Decides nothing about stopping.
"""

from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction

from instances import ends, leaving
from instances.drill_rules import timer_put_off
from instances.egress import note_sent
from instances.facts import facts_of, limits_for, moment_of, own_watch_limits, rules_of
from instances.home_agent import is_wanted
from instances.homes import TASK as PACKING
from instances.idle import SHORTEST_WINDOW, Facts, Reading, Work, observe, worked
from instances.idle_hours import with_idle_time
from instances.keep_links import keep_url
from instances.models import CourseSsh, Instance, InstanceEvent, Policy
from instances.report_form import InvalidReport, Report, parse
from instances.ssh_access import keys_for
from instances.states import State
from instances.trace import GPU, KEPT, KERNEL, PERSON, PROCESSOR, Span, with_report

__all__ = ["InvalidReport", "Report", "answer", "parse", "take_report"]

BOOTS_REMEMBERED = 3
SAVED_EVERY = 60.0  # seconds
SENT_PER_SECOND = 12.5e9  # bytes: 100 Gbit/s, which no machine of a course sends for long


# ------------------------------------------------------------------ counters to facts
def take_report(instance: Instance, report: Report, *, now: datetime) -> None:
    """One UPDATE, or none for a report that is older than one already taken. Losing a race to another report of the
    same machine, or to the gateway, loses nothing: the next one's counters hold what this one had to tell."""
    base = instance.last_report
    if _is_stale(base, report):
        return
    same_boot = base.get("boot_id") == report.boot_id
    seconds = report.uptime_s - (base["uptime_s"] if same_boot else 0.0)
    judged = seconds >= SHORTEST_WINDOW  # a shorter look is gathered into the next one
    facts = _observed(instance, report, base if same_boot else {}, seconds if judged else None, now)
    same = Instance.objects.filter(pk=instance.pk, last_report_at=instance.last_report_at)
    # The gateway's note of a person must stand, and a "keep".
    same = same.filter(last_active_at=instance.last_active_at, last_human_at=instance.last_human_at)
    # What its student wants to wait for may change meanwhile: the end of something else is then none.
    same = same.filter(awaited=instance.awaited, run_number=instance.run_number)
    new = {
        "last_active_at": moment_of(facts.last_active_at),
        "last_human_at": moment_of(facts.last_human_at),
        "hung_since": moment_of(facts.hung_since),
        "last_report_at": moment_of(facts.last_report_at),
        "last_report": _base_after(base, report, same_boot) if judged else {**base, **_newest(report)},
        **ends.from_report(instance, report, now),
        **leaving.from_report(instance, report, now),
    }
    if judged and _was_unused(instance, facts):
        new["idle_hours"] = with_idle_time(instance.idle_hours, instance.run_number, instance.last_report_at, now)
    if judged and instance.state == State.RUNNING:
        done = _done_since(base if same_boot else {}, report)
        new["trace"] = _traced(instance, facts, done, seconds, report.kernels_busy > 0, now)
    is_end = ends.is_announced(instance) or "reclaim_at" in new
    saved_now = is_end and _is_news(instance, report, ((same_boot and base.get("saved")) or {"n": 0})["n"], now)
    new["last_report"] |= {"saved_told_at": now.timestamp() if saved_now else base.get("saved_told_at")}
    with transaction.atomic():
        if not same.update(**new):
            return
        if report.saved and saved_now:
            ends.tell_saved(instance, report.saved, now)
        if judged:
            note_sent(instance.pk, instance.run_number, _sent_since(base if same_boot else {}, report, seconds))
    for name, value in new.items():
        setattr(instance, name, value)


def _is_news(instance: Instance, report: Report, before: int, now: datetime) -> bool:
    """A saving that its timeline does not have yet: at most one a minute, as root can claim one with each report."""
    if report.saved is None or report.saved.n <= before:
        return False
    told_at = instance.last_report.get("saved_told_at")
    return told_at is None or abs(now.timestamp() - told_at) >= SAVED_EVERY


def _traced(instance: Instance, facts: Facts, done: Work, seconds: float, busy: bool, now: datetime) -> list[Span]:
    """With what this report says of the time since the one before; counted from the moment that it was seen to run."""
    human, kept = facts.last_human_at, instance.kept_until
    used = {
        GPU: worked(Work(gpu_busy_s=done.gpu_busy_s), seconds),
        PROCESSOR: worked(replace(done, gpu_busy_s=0.0), seconds),
        PERSON: human is not None and now.timestamp() - human <= seconds,
        KERNEL: busy,
        KEPT: kept is not None and kept > now,
    }
    until = (now - instance.state_since).total_seconds()
    return with_report(instance.trace, until - seconds, until, [letter for letter, is_so in used.items() if is_so])


def _was_unused(instance: Instance, facts: Facts) -> bool:
    """Since the last report: neither work nor people, nor a cell that may be doing something. Doubt counts as use."""
    since = instance.last_report_at
    used = facts.last_active_at is not None and since is not None and facts.last_active_at > since.timestamp()
    return since is not None and not used and facts.hung_since is None


def _is_stale(base: dict[str, Any], report: Report) -> bool:
    if report.boot_id in base.get("earlier_boots", []):
        return True
    return base.get("boot_id") == report.boot_id and report.uptime_s <= base["uptime_s"]


def _observed(instance: Instance, report: Report, base: dict[str, Any], seconds: float | None, now: datetime) -> Facts:
    at = now.timestamp()
    booted_at = at - report.uptime_s
    human_at = None if report.human_age_s is None else max(at - report.human_age_s, booted_at)
    facts = facts_of(instance, None)
    reading = Reading(
        done=_done_since(base, report) if seconds is not None else Work(),
        seconds=seconds or 0.0,
        human_at=human_at,
        busy=report.kernels_busy > 0 if seconds is not None else facts.hung_since is not None,
        complete=report.gpu_busy_s is not None,
    )
    return observe(_not_ahead(facts, at), reading, limits_for(instance, now), at)


def _not_ahead(facts: Facts, at: float) -> Facts:
    """A clock that was set back must not leave a machine used for ever."""
    last, hung, human = facts.last_active_at, facts.hung_since, facts.last_human_at
    return Facts(
        running_since=None,
        last_active_at=last and min(last, at),
        last_human_at=human and min(human, at),
        hung_since=hung and min(hung, at),
        last_report_at=facts.last_report_at and min(facts.last_report_at, at),
    )


def _done_since(base: dict[str, Any], report: Report) -> Work:
    """A counter that fell was begun anew by a restarted agent: what it shows is what was done since."""
    done = {}
    for name in Work.__dataclass_fields__:
        now, before = getattr(report, name), base.get(name) or 0.0
        done[name] = 0.0 if now is None else now - before if now >= before else now
    return Work(**done)


def _sent_since(base: dict[str, Any], report: Report, seconds: float) -> int:
    """Bytes; an agent that does not count them tells nothing, and none tells more than a machine can send."""
    if report.net_tx_bytes is None:
        return 0
    before = base.get("net_tx_bytes") or 0.0
    sent = report.net_tx_bytes - before if report.net_tx_bytes >= before else report.net_tx_bytes
    return round(min(sent, max(seconds, 0.0) * SENT_PER_SECOND))


def _newest(report: Report) -> dict[str, Any]:
    """What is no counter: of the newest report, also when its counters are gathered into the next one."""
    told = asdict(report)
    return {name: told[name] for name in ("doings", "gpu_percent", "saved")}


def _base_after(base: dict[str, Any], report: Report, same_boot: bool) -> dict[str, Any]:
    earlier = list(base.get("earlier_boots", []))
    if not same_boot and "boot_id" in base:
        earlier = [base["boot_id"], *earlier][:BOOTS_REMEMBERED]
    kept = asdict(report)
    if report.gpu_busy_s is None:  # unknown: the next readable one tells what happened meanwhile
        kept["gpu_busy_s"] = base.get("gpu_busy_s", 0.0) if same_boot else 0.0
    return {**kept, "earlier_boots": earlier}


# ------------------------------------------------------------------ the answer
def answer(instance: Instance, *, now: datetime) -> dict[str, Any]:
    """What the machine must know to act alone. Seconds left, not moments: its clock may be wrong."""
    policy, stops_at = Policy.of(instance.course), ends.stops_at(instance, now)
    put_off = timedelta(seconds=timer_put_off(instance.proving, settings.STOP_MARGIN_SECONDS))
    human = _left(instance.last_human_at, now)
    return {
        # Below zero when it is over.
        "lease_seconds_left": _left(instance.lease_until and instance.lease_until + put_off, now),
        "human_seconds_ago": None if human is None else max(0, -human),  # what only the gateway sees: typing
        "kept_seconds_left": max(0, _left(instance.kept_until, now) or 0),
        "limits": asdict(own_watch_limits(instance, now)),
        "report_seconds": policy.report_seconds,
        "notice": _notice(instance),
        "notice_url": keep_url(instance) if instance.warned_at or instance.unfunded_at else "",
        **_awaited(instance),
        "stop_seconds_left": _left(stops_at, now),
        "warned_seconds_left": _left(instance.warned_until, now),  # its own watch keeps the portal's word, too
        **({"save": _save(instance)} if stops_at or instance.awaited or instance.spot else {}),
        **({"home": True} if is_wanted(instance) else {}),
        **({"ssh_keys": keys_for(instance)} if _has_ssh(instance) else {}),
    }


def _awaited(instance: Instance) -> dict[str, str]:
    """What the machine is to watch, and since when: the same chosen again is another wait, whose end is another.
    The end of packing is the portal's to know, when the bucket has all of it."""
    wait = ends.waits_for(instance)
    wait = {} if wait.get("task") == PACKING else wait
    return {"awaited": wait.get("task", ""), "awaited_since": wait.get("since", "")}


def _has_ssh(instance: Instance) -> bool:
    switch: CourseSsh | None = getattr(instance.course, "ssh", None)
    return bool(settings.SSH_ADDRESS) and switch is not None and switch.on


def _save(instance: Instance) -> dict[str, Any]:
    """Told only when it may be needed, which is any time where AWS may take the machine back: a script is longer than
    all the rest."""
    rules = rules_of(instance)
    return {"script": rules.save_script, "seconds": rules.save_seconds, "now": instance.leaving_at is not None}


def _left(until: datetime | None, now: datetime) -> int | None:
    return None if until is None else int((until - now).total_seconds())


def _notice(instance: Instance) -> str:
    """The words of the standing warning, or of the money's end: the same as on the page and in the mail."""
    if instance.warned_at is None and instance.unfunded_at is None:
        return ""
    kind = InstanceEvent.Kind.WARNED if instance.warned_at else InstanceEvent.Kind.MONEY
    warned = InstanceEvent.objects.filter(instance=instance, kind=kind).exclude(facts__has_key="silent")
    return warned.order_by("-at", "-pk").values_list("reason", flat=True).first() or ""
