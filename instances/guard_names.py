"""The guards by name, and how it is known which of them ended a run. Pure."""

from enum import StrEnum


class Guard(StrEnum):
    SWEEPS = "sweeps"  # the portal's rounds
    WATCH = "watch"  # the machine's own: unused
    TIMER = "timer"  # the machine's own: the lease is over
    SCHEDULE = "schedule"  # AWS's


_TICK = 2.0  # seconds that clocks may differ by


def from_inside(*, lease_left: float | None, unused: float, quiet: float) -> Guard | None:
    """Who powered a machine off from inside, by what was due then. None: a person, as far as one can know.

    `lease_left`: seconds to the moment at which its own timer acts; `unused`: seconds since it was last used; `quiet`:
    after so many the course stops it. Root may do the same by hand at that moment: no proof against a cheat.
    """
    if lease_left is not None and lease_left <= _TICK:
        return Guard.TIMER
    return Guard.WATCH if unused >= quiet - _TICK else None
