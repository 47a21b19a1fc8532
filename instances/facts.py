"""Rows to the idle rule and back: seconds there, aware UTC datetimes here. Decides nothing, writes nothing."""

from dataclasses import replace
from datetime import UTC, datetime

from instances.drill_rules import sweep_limits, watch_limits
from instances.idle import Facts, Limits
from instances.models import Instance, Policy
from instances.policy_rules import InForce, Rules, from_json, in_force, in_turn

# All of a machine that a decision stands on, besides its course's policy: what `facts_of` and `limits_for` read.
DECIDING = (
    *("last_active_at", "hung_since", "last_report_at", "warned_at", "kept_until", "last_human_at", "done_at"),
    *("reclaim_at", "warned_until", "own_rules", "proving", "course"),
)


def limits_of(policy: Policy) -> Limits:
    """The everyday ones."""
    return policy.rules.limits


def rules_of(instance: Instance) -> Rules:
    """Its course's; or those of before an edit that left running machines alone."""
    return from_json(instance.own_rules) if instance.own_rules else Policy.of(instance.course).rules


def in_force_for(instance: Instance, now: datetime) -> InForce:
    """What holds for this machine now: everyday limits, a dated window, or the night."""
    return in_force(rules_of(instance), now, instance.course.timezone)


def limits_for(instance: Instance, now: datetime) -> Limits:
    limits = in_force_for(instance, now).limits
    return sweep_limits(limits) if instance.proving else limits


def limits_in_turn(instance: Instance, since: datetime, until: datetime) -> dict[Limits, datetime]:
    """All that hold for it at some moment from `since` on and before `until`, each with the first; no canary's."""
    return in_turn(rules_of(instance), since, until, instance.course.timezone)


def own_watch_limits(instance: Instance, now: datetime) -> Limits:
    """Those that the machine's own watch goes by: the same, but where a drill silences it. Whether work that nobody
    attends goes on is asked by the portal alone; agents of machines that were born long ago would ask, too."""
    limits = replace(limits_for(instance, now), unattended=None)
    return watch_limits(instance.proving, limits) if instance.proving else limits


def facts_of(instance: Instance, running_since: datetime | None) -> Facts:
    """`running_since` is the start of the open run; what was seen before it does not count."""
    return Facts(
        running_since=seconds_of(running_since),
        last_active_at=seconds_of(instance.last_active_at),
        hung_since=seconds_of(instance.hung_since),
        last_report_at=seconds_of(instance.last_report_at),
        warned_at=seconds_of(instance.warned_at),
        kept_until=seconds_of(instance.kept_until),
        last_human_at=seconds_of(instance.last_human_at),
        done_at=seconds_of(instance.done_at),
        reclaim_at=seconds_of(instance.reclaim_at),
        warned_until=seconds_of(instance.warned_until),
    )


def seconds_of(at: datetime | None) -> float | None:
    return None if at is None else at.timestamp()


def moment_of(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
