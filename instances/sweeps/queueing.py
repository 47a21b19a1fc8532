"""The queue's round: who waits longest is asked for at AWS first, until AWS says no; then who waits for other things.

Level-triggered as every sweep: it looks at who waits now. Who left the course, or waited too long, is let go.
"""

import logging
import time
from datetime import datetime

from django.utils.translation import gettext as _

from cloud.base import Cloud
from instances import books
from instances.halts import Halt
from instances.launch_rules import Candidate, who_and_when
from instances.launching import give_up, take_turn
from instances.models import Instance
from instances.queue_rules import LONGEST, Lanes, lanes, open_to
from instances.queueing import in_queue, waiting_of
from instances.refusals import words
from instances.requesting import person_of
from instances.states import State
from instances.sweeps.mending import ASKING_SECONDS
from instances.sweeps.rounds import sweep_over

logger = logging.getLogger(__name__)
AT_ONCE = 40  # who is asked for in one round; AWS takes two launches a second


class _Round:
    """What nobody behind may be asked for grows as the round goes on."""

    def __init__(self, cloud: Cloud, now: datetime) -> None:
        self.cloud, self.now = cloud, now
        self._blocked: dict[int | None, Lanes] = {}  # by account: each has quotas of its own
        self.asked, self.began = 0, time.monotonic()
        self.halted = set(Halt.objects.filter(lifted_at=None).values_list("course", flat=True))

    def serve(self, machine: Instance) -> None:
        """Blocks first: whatever goes wrong with this one, nobody overtakes it."""
        if machine.state == State.REQUESTED and {None, machine.course_id} & self.halted:
            self._let_go(machine)  # else it keeps its place, and those behind need not wait for the halt's end
            return
        before, mine = self._blocked.get(machine.account_id, frozenset()), machine.account_id
        self._blocked[mine] = before | lanes(waiting_of(machine))
        if machine.state == State.LAUNCHING or self._let_go(machine):
            if machine.state == State.FAILED:
                self._blocked[mine] = before
            return
        wanted = [Candidate.from_json(one) for one in machine.wanted]
        if not self._is_due(machine) or not open_to(wanted, before, spot=machine.spot):
            return
        self.asked += 1
        take_turn(machine.pk, blocked=before, cloud=self.cloud, now=self.now)
        machine.refresh_from_db(fields=("cloud_id", "state", "queued_for"))
        if machine.cloud_id or machine.state == State.FAILED:
            self._blocked[mine] = before
        else:
            self._blocked[mine] = before | lanes(waiting_of(machine))

    def _is_due(self, machine: Instance) -> bool:
        late = self.asked and time.monotonic() - self.began >= ASKING_SECONDS
        return not late and self.asked < AT_ONCE and (machine.next_try_at or self.now) <= self.now

    def _let_go(self, machine: Instance) -> bool:
        why = who_and_when(
            person_of(machine.owner, machine.preset, self.now), books.dates_for(machine.owner, machine.course), self.now
        )
        if why:
            reason = words(why, machine.preset)
        elif machine.queued_at and self.now - machine.queued_at >= LONGEST:
            hours = int(LONGEST.total_seconds() // 3600)
            reason = _("No machine came free in %(n)s hours: your place has ended. Nothing was charged.") % {"n": hours}
        else:
            return False
        return give_up(machine, reason, now=self.now, mail=True)


def queue(cloud: Cloud, now: datetime) -> int:
    work = _Round(cloud, now)
    waiting = list(in_queue().select_related("owner__team", "owner__limits", "course", "preset"))
    return sweep_over("queue", waiting, work.serve, now=now)
