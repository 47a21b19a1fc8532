"""The one way a machine changes state, and the one way anything about it is told. Calls no cloud, moves no money."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from courses.models import User
from instances.models import Instance, InstanceEvent
from instances.states import State, may_move

_LONGEST = 300
Kind = InstanceEvent.Kind


class NoSuchMove(Exception):
    """The table of moves has no such move: our bug, not a lost race."""


def move(
    instance: Instance,
    new_state: State,
    *,
    reason: str,
    who: User | None,
    now: datetime,
    facts: dict[str, Any] | None = None,
    mail: bool = False,
    same: Sequence[str] = (),
    **fields: Any,
) -> bool:
    """Change the state if it is still the one that `instance` was read with; `fields` change in the same UPDATE.

    False when somebody else was faster: normal, and nothing was written. Raises NoSuchMove. `state_since` is part
    of the condition, so that a machine that went round and came back to the same state counts as changed; so are the
    fields named in `same`, on which the decision stands. `given_up` is about one state: the next one begins without it.
    """
    old = State(instance.state)
    if not may_move(old, new_state):
        raise NoSuchMove(f"{instance.slug}: {old} to {new_state}")
    changes = {"given_up": False, **fields, "state": new_state, "state_since": now, "reason": reason[:_LONGEST]}
    with transaction.atomic(savepoint=False):  # all or nothing, for the caller too: none goes on after a failure
        unchanged = Instance.objects.filter(pk=instance.pk, state=old, state_since=instance.state_since)
        if not unchanged.filter(**{name: getattr(instance, name) for name in same}).update(**changes):
            return False
        InstanceEvent.objects.create(
            instance=instance,
            kind=Kind.MOVED,
            old_state=old,
            new_state=new_state,
            reason=reason[:_LONGEST],
            who=who,
            facts=facts or {},
            at=now,
            mail_to=instance.owner.email if mail else "",
        )
    for name, value in changes.items():
        setattr(instance, name, value)
    return True


def tell(
    instance: Instance,
    kind: InstanceEvent.Kind,
    *,
    reason: str,
    now: datetime,
    who: User | None = None,
    facts: dict[str, Any] | None = None,
    mail_to: str = "",
) -> InstanceEvent:
    """An event without a change of state. `mail_to`: the notices sweep sends it there."""
    return InstanceEvent.objects.create(
        instance=instance, kind=kind, reason=reason[:_LONGEST], who=who, facts=facts or {}, at=now, mail_to=mail_to
    )
