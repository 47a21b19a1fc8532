"""A machine's last hours as a strip: what used it when, from its trace. Reads one row, asks nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from instances.models import Instance
from instances.states import State
from instances.trace import GPU, KERNEL, PERSON, PROCESSOR, Trace, uses

HOURS = 8
WIDTH, LANE = 1000, 14  # of the drawing


@dataclass(frozen=True, slots=True)
class Bar:
    x: int
    width: int


@dataclass(frozen=True, slots=True)
class Lane:
    letter: str
    name: str
    y: int
    bars: Sequence[Bar]
    minutes: int  # in use, in the time that is shown
    last_at: datetime | None


@dataclass(frozen=True, slots=True)
class Strip:
    since: datetime
    until: datetime
    lanes: Sequence[Lane]

    @property
    def height(self) -> int:
        return LANE * len(self.lanes)


def strip_of(machine: Instance, now: datetime) -> Strip | None:
    """Of the run that is on, or of the last one after its stop; None when nothing was ever reported."""
    began = _began(machine)
    if not machine.trace or began is None:
        return None
    until = now if machine.state == State.RUNNING else began + timedelta(seconds=float(machine.trace[-1][1]))
    since = max(began, until - timedelta(hours=HOURS))
    return Strip(since, until, [_lane(machine.trace, began, since, until, *one) for one in enumerate(_lanes())])


def _began(machine: Instance) -> datetime | None:
    """Traces count from the moment at which the machine was seen to run: its newest move to RUNNING."""
    if machine.state == State.RUNNING:
        return machine.state_since
    moves = machine.events.filter(new_state=State.RUNNING).order_by("-at", "-pk")
    return moves.values_list("at", flat=True).first()


def _lanes() -> list[tuple[str, str]]:
    return [
        (GPU, _("GPU")),
        (PROCESSOR, _("CPU, disk, network")),
        (KERNEL, _("A cell runs")),
        (PERSON, _("Somebody types")),
    ]


def _lane(trace: Trace, began: datetime, since: datetime, until: datetime, number: int, lane: tuple[str, str]) -> Lane:
    whole = max(1.0, (until - since).total_seconds())
    skipped = (since - began).total_seconds()
    shown = [(max(a - skipped, 0.0), min(b - skipped, whole)) for a, b in uses(trace, lane[0]) if b > skipped]
    bars = [Bar(round(WIDTH * a / whole), max(2, round(WIDTH * (b - a) / whole))) for a, b in shown]
    last = since + timedelta(seconds=shown[-1][1]) if shown else None
    return Lane(lane[0], lane[1], number * LANE, bars, round(sum(b - a for a, b in shown) / 60), last)
