"""Changing a course's policy: checked, in one transaction with the row that says who, when, what and why."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db import transaction

from courses.models import Course, User
from instances.models import Instance, Policy, PolicyEdit
from instances.policy_rules import Rules, faults, to_json
from instances.states import LIVE


class PolicyRefused(Exception):
    """These rules cannot hold: `policy_rules.faults` says why. Nothing was changed."""


class PolicyChanged(Exception):
    """Somebody else changed the policy meanwhile: look at it again. Nothing was changed."""


def change_policy(
    course: Course, rules: Rules, *, seen: dict[str, Any], to_running: bool, why: str, who: User | None, now: datetime
) -> PolicyEdit:
    """From now on these rules hold in the course; `seen` are those that the editor looked at, as JSON.

    Machines that are on take part only with `to_running`; else they keep what held for them until they stop.
    Raises PolicyRefused, PolicyChanged.
    """
    if faults(rules):
        raise PolicyRefused
    Policy.objects.get_or_create(course=course)
    with transaction.atomic():
        policy = Policy.objects.select_for_update().get(course=course)
        before = to_json(policy.rules)
        if before != seen:
            raise PolicyChanged
        on = _on(course, only_followers=not to_running)
        Instance.objects.filter(pk__in=on).update(own_rules=None if to_running else before)
        Policy.objects.filter(pk=policy.pk).update(**_columns(rules))
        return PolicyEdit.objects.create(
            course=course,
            who=who,
            at=now,
            why=why,
            before=before,
            after=to_json(rules),
            to_running=to_running,
            kept_by=0 if to_running else len(on),
        )


def _on(course: Course, *, only_followers: bool) -> list[int]:
    """Machines that are on, or coming up. Locked in the order of their keys, as by all who lock several. Who keeps
    the limits of an earlier edit keeps those."""
    on = Instance.objects.filter(course=course, state__in=LIVE)
    if only_followers:
        on = on.filter(own_rules__isnull=True)
    return list(on.select_for_update(no_key=True).order_by("pk").values_list("pk", flat=True))


def _columns(rules: Rules) -> dict[str, Any]:
    told = to_json(rules)
    limits = {f"{name}_seconds": getattr(rules.limits, name) for name in ("quiet", "warn", "blind", "hung", "boot")}
    return {
        **limits,
        "keep_hours_max": rules.keep_hours,
        "windows": told["windows"],
        "night": asdict(rules.night) if rules.night else None,
        "save_script": rules.save_script,
        "save_seconds": rules.save_seconds,
    }
