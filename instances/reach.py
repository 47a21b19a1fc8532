"""How long the money reaches for a machine that goes on running, at each level of its budget. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from instances import books
from instances.launch_rules import course_end
from instances.models import Instance
from spend.budget import BudgetLine, tightest
from spend.models import Level

FURTHEST = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Reach:
    """The last whole minute that this budget pays for, if nothing else is spent from it."""

    level: str
    name: str
    until: datetime

    @property
    def is_own(self) -> bool:
        return self.level == Level.PERSON


def reaches(machine: Instance, path: Sequence[BudgetLine]) -> list[Reach]:
    """Each level, the nearest first; who pays at the top is told only where the money ends there. None lies beyond the
    course's end. What the present lease and its disk need is held already, so all that is left counts."""
    if machine.lease_until is None or not machine.usd_hour or not path:
        return []
    told = [line for line in path if line.level != Level.SPONSOR or line is tightest(path)]
    return [Reach(line.level, line.name, _until(machine, machine.lease_until, line.left_usd)) for line in told]


def _until(machine: Instance, lease_until: datetime, left_usd: Decimal) -> datetime:
    seconds = float(left_usd * 3600 / machine.usd_hour)
    reach = lease_until + min(timedelta(seconds=seconds), FURTHEST)
    return min(reach, course_end(books.dates_for(machine.owner, machine.course))).replace(second=0, microsecond=0)
