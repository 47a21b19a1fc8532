"""Is there enough for the term? What a course's presets need of AWS's quotas when many launch at once. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

WARN_DAYS = (28, 14, 7, 0)  # before the first day; AWS takes days, and may give a part only
USUAL_SHARE = 60  # per cent of the students at once, in the hours before a deadline


@dataclass(frozen=True, slots=True)
class Wanted:
    """One preset: the type that is tried first of those that can be had, and what AWS allows of its quota."""

    preset: str
    instance_type: str
    vcpus: int
    zones: int
    quota_code: str
    quota_name: str
    vcpus_allowed: int | None


@dataclass(frozen=True, slots=True)
class Line:
    wanted: Wanted
    machines: int
    vcpus_needed: int

    @property
    def missing(self) -> int | None:
        """vCPUs. None: AWS did not say what is allowed."""
        allowed = self.wanted.vcpus_allowed
        return None if allowed is None else max(0, self.vcpus_needed - allowed)

    @property
    def fits(self) -> int | None:
        """How many machines fit into the quota as it is."""
        allowed = self.wanted.vcpus_allowed
        return None if allowed is None or not self.wanted.vcpus else allowed // self.wanted.vcpus


def lines(wanted: Sequence[Wanted], students: int, share: int) -> list[Line]:
    """`share`: per cent of the students who run a machine at once."""
    machines = math.ceil(students * share / 100)
    return [Line(one, machines, machines * one.vcpus) for one in wanted]


def shortages(found: Sequence[Line]) -> list[Line]:
    """Of each quota that is too small, the line that needs most of it."""
    worst: dict[str, Line] = {}
    for line in found:
        known = worst.get(line.wanted.quota_code)
        if line.missing and (known is None or line.vcpus_needed > known.vcpus_needed):
            worst[line.wanted.quota_code] = line
    return list(worst.values())


def warning_due(starts_on: date, today: date) -> int | None:
    """Which warning is due now: so many days before the first day. None: the term is far away."""
    left = (starts_on - today).days
    return min((days for days in WARN_DAYS if left <= days), default=None)
