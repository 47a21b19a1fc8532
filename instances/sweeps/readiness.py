"""The last step of a launch: the notebook answers. Asked from here, not by the student's browser."""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from django.db import transaction
from django.utils.translation import gettext as _

from instances.models import Instance, InstanceEvent
from instances.moves import tell
from instances.reaching import notebook_at
from instances.states import State
from instances.sweeps.asking import Question, ask_all
from instances.sweeps.rounds import if_any

Probe = Callable[[Sequence[str]], Sequence[bool]]  # of each `host:port`, whether a notebook answers there

_SECONDS = 2.0  # a machine that boots does not even refuse: who waits beside it waits so long
_REPORTS_SINCE = timedelta(minutes=3)  # where notebooks cannot be reached from here, its agent's word is enough


def answers(addresses: Sequence[str]) -> list[bool]:
    """Where a Jupyter server answers, all asked at once. Its /api needs no token and counts as no activity."""
    said = ask_all([Question(address, "/api") for address in addresses], _SECONDS)
    return [answer is not None for answer in said]


def mark_ready(probe: Probe, now: datetime) -> int:
    """Machines that run, are under AWS's own timer, and whose notebook answers: their students may go in."""
    waiting = Instance.objects.filter(state=State.RUNNING, notebook_ready_at=None, guard_until__isnull=False)
    rows = if_any(waiting.filter(private_ip__isnull=False).select_related("owner", "tunnel"))
    found = [(machine, notebook_at(machine, now)) for machine in rows]
    # One that should dial out and does not cannot be gone into, whatever its agent says.
    machines, places = [m for m, place in found if place], [place for _machine, place in found if place]
    if not machines:
        return 0
    return sum(_mark(m, now) for m, up in zip(machines, probe(places), strict=True) if up or _reports(m, now))


def _reports(machine: Instance, now: datetime) -> bool:
    reported = machine.last_report_at
    return reported is not None and reported >= machine.state_since and now - machine.state_since >= _REPORTS_SINCE


def _mark(machine: Instance, now: datetime) -> bool:
    with transaction.atomic():
        same = Instance.objects.filter(pk=machine.pk, state=State.RUNNING, notebook_ready_at=None)
        if not same.filter(run_number=machine.run_number).update(notebook_ready_at=now):
            return False
        tell(machine, InstanceEvent.Kind.READY, reason=_("The notebook answers"), now=now)
    return True
