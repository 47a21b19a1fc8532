"""Faults on demand: which call fails how, how often, before or after its effect; and the count of all calls."""

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

DROPPED = "ConnectionDropped"  # no answer at all: the caller runs into a closed connection


class Place(NamedTuple):
    """Where a call is aimed: what a fault can be limited to."""

    zone: str
    instance_type: str


@dataclass(slots=True)
class Fault:
    op: str  # "RunInstances", "CreateSchedule", … or "*"
    code: str
    message: str = "Asked for by the fault settings."
    times: int | None = 1  # None: until cleared
    zone: str = ""
    instance_type: str = ""
    after: bool = False  # the effect happens, the answer is lost

    def __post_init__(self) -> None:
        if not self.op or not self.code:
            raise ValueError("A fault needs an op and a code")

    def fits(self, op: str, places: Iterable[Place]) -> bool:
        if self.op not in (op, "*") or self.times == 0:
            return False
        if not self.zone and not self.instance_type:
            return True
        return any(self.zone in ("", p.zone) and self.instance_type in ("", p.instance_type) for p in places)


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._planned: list[Fault] = []
        self._calls: Counter[str] = Counter()

    def plan(self, values: dict[str, Any]) -> None:
        """Raises TypeError or ValueError for what is no fault."""
        fault = Fault(**values)
        with self._lock:
            self._planned.append(fault)

    def clear(self) -> None:
        with self._lock:
            self._planned.clear()

    def told(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(one) for one in self._planned if one.times != 0]

    def strike(self, op: str, places: Iterable[Place], *, after: bool) -> Fault | None:
        """The fault that hits this call now, used up by one."""
        with self._lock:
            for fault in self._planned:
                if fault.after == after and fault.fits(op, places):
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None

    # -------------------------------------------------------------- calls
    def count(self, op: str) -> None:
        with self._lock:
            self._calls[op] += 1

    def counts(self) -> dict[str, int]:
        with self._lock:
            return dict(self._calls)

    def reset_counts(self) -> None:
        with self._lock:
            self._calls.clear()
