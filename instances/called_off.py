"""A launch that was called off while AWS was being asked: AWS may have made a machine of it, or there never was one.

Until that is known it counts as a machine, for limits and money, but nobody is told that one runs.
"""

from collections.abc import Callable
from datetime import datetime

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from cloud.base import MachineView
from instances import books
from instances.models import Instance
from instances.moves import move
from instances.repair import known_by
from instances.states import State
from instances.stopping import request_terminate

_CALLED_OFF = (State.STOPPING, State.TERMINATING)
UNANSWERED = Q(state__in=_CALLED_OFF, cloud_id="")


def unanswered(machine: Instance) -> bool:
    return machine.state in _CALLED_OFF and not machine.cloud_id


def unanswered_words(machine: Instance, clock: Callable[[datetime], str]) -> str:
    """For its student. `clock` says a moment in the reader's time zone."""
    known = known_by(machine.asked_at or machine.state_since, machine.state_since)
    said = _(
        "Called off before AWS had answered, so there may be a machine or none. By about %(time)s that is known: if "
        "there is one, it is stopped at once; if there is none, nothing is charged. Until then it counts as one of "
        "yours."
    )
    return said % {"time": clock(known)}


def close_if_unborn(machine: Instance, *, now: datetime) -> bool:
    """AWS has just said no to what was asked. If it was called off meanwhile, nobody waits for anything any more."""
    row = Instance.objects.select_related("owner").get(pk=machine.pk)
    return unanswered(row) and row.asked_at is None and close_unborn(row, now=now)


def close_unborn(machine: Instance, *, now: datetime) -> bool:
    """There never was a machine: nothing is charged, and what was held is free. False when somebody was faster."""
    end = State.TERMINATED if _by_a_person(machine) else State.FAILED
    reason = machine.reason
    if machine.given_up:
        reason = _("AWS gave no clear answer, and made no machine. Nothing was charged.")
    with transaction.atomic():
        same = ("asked_at", "cloud_id")
        if not move(machine, end, reason=reason, who=None, now=now, same=same, calling_until=None):
            return False
        books.drop_holds(machine, now=now)
    return True


def _by_a_person(machine: Instance) -> bool:
    """Who took a launch back reads that it was not started; else it is one that failed."""
    if machine.state == State.TERMINATING:
        return True
    stops = machine.events.filter(new_state=State.STOPPING).order_by("-at", "-pk")
    return stops.values_list("who", flat=True).first() is not None


# ------------------------------------------------------------------ given up by the portal, after a quarter of an hour
def given_up_words(machine: Instance) -> str:
    """Said while it is not known what became of the question."""
    if not machine.cloud_id:
        return _(
            "AWS gave no clear answer, so this launch was given up. Should AWS have made a machine all the same, it is "
            "deleted, and the minutes that it ran are charged."
        )
    return _(
        "AWS gave no clear answer, so this start was given up. Should the machine come up all the same, it is stopped, "
        "and the minutes that it ran are charged."
    )


def delete_unwanted(machine: Instance, *, now: datetime) -> None:
    """Of a launch that was given up AWS has a machine. Its student has launched another one since: on this one's disk
    there is nothing, and until the end of the course it would take that one's money."""
    reason = _(
        "AWS had made this machine without an answer. Nobody could use it: it is deleted, and its minutes count."
    )
    request_terminate(machine, who=None, now=now, reason=reason, mail=True)


def stopped_words(machine: Instance, view: MachineView | None) -> str:
    """Why it is stopped, as it is known now."""
    if not machine.given_up:
        return machine.reason
    run = books.last_run(machine)
    if run and (run.number == machine.run_number or (view and view.launched_at > run.started_at)):
        return _("AWS had started it without an answer. It is stopped again; the minutes that it ran are charged.")
    return _("AWS gave no clear answer, and did not start it. Nothing was charged for that.")
