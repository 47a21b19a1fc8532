""" "Stop when this ends": for a run overnight. The agent watches, the idle sweep stops. Writes rows only."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from courses.models import User
from instances.models import Instance, InstanceEvent
from instances.moves import tell
from instances.states import State

GPU = "gpu"


class AwaitRefused(Exception):
    """`str()` is a sentence for the person."""


@dataclass(frozen=True, slots=True)
class Awaitable:
    """Something whose end a machine can wait for."""

    task: str
    name: str


def awaitables(instance: Instance) -> list[Awaitable]:
    """What its agent saw last, the busiest first, and the GPU's rest. Idle kernels have nothing to end."""
    seen = [one for one in instance.last_report.get("doings", []) if one["busy"] or not one["id"].startswith("k:")]
    return [
        *(Awaitable(one["id"], _task_words(one)) for one in seen),
        Awaitable(GPU, _("all work on the GPU, for 5 min")),
    ]


def _task_words(one: dict[str, Any]) -> str:
    return _("the cell of %(kernel)s") % {"kernel": one["name"]} if one["id"].startswith("k:") else str(one["name"])


def await_end(instance: Instance, task: str, *, who: User | None, now: datetime) -> None:
    """Stop the machine when that has ended; an empty task: wait for nothing any more. Raises AwaitRefused."""
    offered = {one.task: one.name for one in awaitables(instance)}
    if task and task not in offered:
        raise AwaitRefused(_("That has ended already, or never ran here. Choose what runs now."))
    awaited = {"task": task, "name": offered[task], "since": now.isoformat()} if task else {}
    with transaction.atomic():
        same = Instance.objects.filter(pk=instance.pk, state=State.RUNNING, run_number=instance.run_number)
        if not same.update(awaited=awaited, done_at=None):
            raise AwaitRefused(_("This machine is not running."))
        reason = (
            _("Stops when this ends: %(name)s") % {"name": awaited["name"]} if task else _("Waits for nothing any more")
        )
        tell(instance, InstanceEvent.Kind.AWAITED, reason=reason, who=who, now=now, facts=awaited)
    instance.awaited, instance.done_at = awaited, None
