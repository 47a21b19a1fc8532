"""What one session cost: what was booked for it, and what an open one has used since. Reads only."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from django.db.models import Sum
from django.utils.translation import gettext as _

from courses.models import Enrollment
from instances.books import run_segments, unposted_usd
from instances.egress import Estimate
from instances.models import Instance, InstanceEvent, Run
from instances.states import State
from portal.figures import span, usd
from spend.breakdown import Cost
from spend.metering import rounded
from spend.models import Charge

_ENDS = (State.STOPPING, State.STOPPED, State.TERMINATING, State.FAILED)


@dataclass(frozen=True, slots=True)
class Receipt:
    """One run of a machine. `open_usd`: used and not booked yet; how much of it was idle is known when it is booked."""

    run: Run
    cost: Cost = field(default_factory=Cost)
    idle_seconds: int = 0
    open_usd: Decimal = Decimal(0)
    until: datetime | None = None

    @property
    def usd(self) -> Decimal:
        return self.cost.usd + self.open_usd

    @property
    def seconds(self) -> int:
        end = self.run.ended_at or self.until or self.run.started_at
        return max(0, int((end - self.run.started_at).total_seconds()))

    @property
    def data_out(self) -> Estimate:
        return Estimate(self.run.sent_bytes)

    @property
    def is_open(self) -> bool:
        return self.run.ended_at is None

    @property
    def words(self) -> str:
        """`2 h 10 min, $1.14, of which idle $0.20`."""
        said = {"span": span(self.seconds), "usd": usd(self.usd), "idle": usd(self.cost.idle_usd)}
        if not self.cost.idle_usd:
            return _("%(span)s, %(usd)s, none of it idle") % said
        return _("%(span)s, %(usd)s, of which idle %(idle)s") % said


def receipts_of(enrollment: Enrollment, now: datetime, *, limit: int) -> list[Receipt]:
    """The newest sessions. Two queries, however many there were."""
    runs = Run.objects.filter(instance__owner=enrollment).select_related("instance__preset")
    return _receipts(list(runs.order_by("-started_at", "-pk")[:limit]), now)


def receipt_of(run: Run, now: datetime) -> Receipt:
    """One query."""
    return _receipts([run], now)[0]


def why_ended(run: Run) -> InstanceEvent | None:
    """What was written when it stopped: the reason, and who. One query."""
    if run.ended_at is None:
        return None
    told = InstanceEvent.objects.filter(instance=run.instance_id, new_state__in=_ENDS, at__gte=run.started_at)
    return told.filter(at__lte=run.ended_at + timedelta(minutes=10)).select_related("who").order_by("at", "pk").first()


def find_run(machine: Instance, number: int) -> Run | None:
    return machine.runs.select_related("instance__preset").filter(number=number).first()


def _receipts(runs: Sequence[Run], now: datetime) -> list[Receipt]:
    costs: dict[str, Cost] = defaultdict(Cost)
    idle: dict[str, int] = defaultdict(int)
    booked = Charge.objects.filter(key__in=[run.hold_key for run in runs]).values_list("key", "kind").order_by()
    sums = booked.annotate(Sum("amount_usd"), Sum("idle_usd"), Sum("seconds"), Sum("idle_seconds"))
    for key, kind, amount, idle_usd, seconds, idle_seconds in sums:
        costs[key].take(kind, rounded(amount), rounded(idle_usd), seconds)
        idle[key] += idle_seconds
    return [_receipt(run, costs[run.hold_key], idle[run.hold_key], now) for run in runs]


def _receipt(run: Run, cost: Cost, idle_seconds: int, now: datetime) -> Receipt:
    unbooked = Decimal(0) if run.settled_at else rounded(unposted_usd(run_segments(run), run.metered_until, now))
    return Receipt(run, cost, idle_seconds, unbooked, now)
