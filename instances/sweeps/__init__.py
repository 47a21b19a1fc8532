"""The rounds that make everything true in the end: each looks at what is so now, isolates each row, and may run twice.

Work grows with machines that have not ended, never with history.
"""

from instances.sweeps.alerting import alerts
from instances.sweeps.closing import closings
from instances.sweeps.counting import counting
from instances.sweeps.disks import disks
from instances.sweeps.drilling import drills
from instances.sweeps.halting import halts
from instances.sweeps.homes import homes
from instances.sweeps.idling import idle
from instances.sweeps.leasing import lease
from instances.sweeps.linked import accounts
from instances.sweeps.looking import look
from instances.sweeps.lost import write_off
from instances.sweeps.mailing import notices
from instances.sweeps.metering import meter
from instances.sweeps.offering import offers
from instances.sweeps.queueing import queue
from instances.sweeps.repairing import repair
from instances.sweeps.spot import spot

__all__ = [
    "accounts",
    "alerts",
    "closings",
    "counting",
    "disks",
    "drills",
    "halts",
    "homes",
    "idle",
    "lease",
    "look",
    "meter",
    "notices",
    "offers",
    "queue",
    "repair",
    "spot",
    "write_off",
]
