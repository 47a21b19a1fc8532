"""What a look past a silent agent proves: the notebook's own word, and the cloud's. Pure.

Such a look can only make a machine live longer. That nothing was seen is no proof of quiet: it stays UNKNOWN, whose
own timer goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from instances.idle import MINUTE_FLOOR, Facts, Limits, latest

CORE_PERCENT = 100 * MINUTE_FLOOR.cpu_s / 60  # of one core: the agent's own floor
PERIOD_MINUTES = 5


@dataclass(frozen=True)
class Kernel:
    busy: bool
    last_activity: float | None  # seconds of the same clock


@dataclass(frozen=True)
class Measured:
    """Of the last minutes; None where nothing was measured."""

    cpu_percent: float | None = None  # of the whole machine
    vcpus: int = 1
    net_rx_bytes: float | None = None  # in five minutes
    gpu_percent: float | None = None


@dataclass(frozen=True)
class Look:
    """`kernels` is None when the notebook did not answer, `measured` when the cloud told nothing."""

    kernels: Sequence[Kernel] | None = None
    measured: Measured | None = None

    @property
    def saw(self) -> str:
        """What answered at all, for the machine's row: "notebook", "cloud", "notebook+cloud" or nothing."""
        told = self.measured is not None and any(
            value is not None for value in (self.measured.cpu_percent, self.measured.gpu_percent)
        )
        return "+".join(name for name, seen in (("notebook", self.kernels is not None), ("cloud", told)) if seen)


def looked(facts: Facts, look: Look, limits: Limits, now: float) -> Facts:
    """The facts after this look. A kernel that is busy counts as work up to the limit of a hanging one: whether it uses
    anything, the notebook does not know."""
    kernels = look.kernels or ()
    idle_since = latest(*(k.last_activity for k in kernels if not k.busy and (k.last_activity or now + 1) <= now))
    busy = any(kernel.busy for kernel in kernels)
    hung = facts.hung_since
    if look.kernels is not None:
        hung = (now if hung is None else hung) if busy else None
    works = _works(look.measured)
    counts = works or (busy and hung is not None and now < hung + limits.hung)
    seen = latest(facts.last_active_at, idle_since, now if counts else None)
    return replace(facts, last_active_at=seen, hung_since=hung)


def _works(measured: Measured | None) -> bool:
    if measured is None:
        return False
    return (
        (measured.gpu_percent or 0) > 0
        or (measured.cpu_percent or 0) * measured.vcpus >= CORE_PERCENT
        or (measured.net_rx_bytes or 0) >= MINUTE_FLOOR.net_rx_bytes * PERIOD_MINUTES
    )
