"""One simulated machine: what is stored of it, and how its state moves. Knows no server, no clock, no other machine.

Times are seconds since 1970.
"""

import base64
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from cloud.user_data import unpacked

STATE_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
UP = frozenset({"pending", "running"})  # what the vCPU quota counts
ENDING = frozenset({"shutting-down", "terminated"})


class Reason(NamedTuple):
    """Why a machine was ended, in AWS's words; `transition` may name the moment."""

    code: str
    text: str
    transition: str


BY_API = Reason("Client.UserInitiatedShutdown", "User initiated shutdown", "User initiated ({moment} GMT)")
# AWS names no moment when a machine shut itself down.
FROM_INSIDE = Reason("Client.InstanceInitiatedShutdown", "Instance initiated shutdown", "User initiated")
RECLAIMED = Reason(
    "Server.SpotInstanceShutdown", "Instance shutdown by Spot", "Server.SpotInstanceShutdown ({moment} GMT)"
)
HOST_FAILED = Reason("Server.ScheduledStop", "Its host went down", "Server.ScheduledStop ({moment} GMT)")


@dataclass(slots=True)
class Machine:
    cloud_id: str
    token: str
    fingerprint: str  # of the launch request: what the token is compared with
    zone: str
    instance_type: str
    private_ip: str
    shutdown_behavior: str
    launch: dict[str, Any]  # what the base server was asked, to ask it again after a restart
    created_at: float
    launch_time: float
    state: str = "pending"
    changes_at: float | None = None  # when the state under way is reached, at the earliest
    reason: tuple[str, str] = ("", "")  # code and sentence
    transition: str = ""
    terminated_at: float | None = None
    spot_request: str = ""  # lasting: until it is cancelled, a terminated machine is replaced
    reclaim_at: float | None = None  # AWS takes it back then, and told so
    reclaimed: bool = False
    disk_from: str = ""  # the snapshot that its disk began with
    stretches: list[list[float | None]] = field(default_factory=list)  # [running since, stop accepted]: what is billed

    @property
    def disk_gb(self) -> int:
        return disk_gb_of(self.launch["block_device_mappings"] or [])

    @property
    def suffix(self) -> str:
        """All ids made for this machine (i-, r-, eni-, vol-) end alike, so that they come back after a restart."""
        return self.cloud_id.removeprefix("i-")

    @property
    def user_data(self) -> str:
        """As cloud-init reads it: unpacked, if it is packed."""
        return unpacked(base64.b64decode(self.launch["user_data"] or ""))

    def begin(self, now: float, boot_seconds: float) -> None:
        self.state = "pending"
        self.launch_time = float(int(now))  # AWS tells whole seconds
        self.changes_at = now + boot_seconds
        self.reason = ("", "")
        self.transition = ""

    def end(self, now: float, stop_seconds: float, *, state: str, reason: Reason) -> None:
        """Billing ends here, when the stop is accepted, not when the state is reached."""
        if self.stretches and self.stretches[-1][1] is None:
            self.stretches[-1][1] = now
        self.state = state
        self.changes_at = now + stop_seconds
        self.reason = (reason.code, reason.text)
        self.transition = reason.transition.format(moment=f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M:%S}")

    def arrive(self, now: float) -> None:
        """The state under way is reached."""
        at = self.changes_at or now
        self.changes_at = None
        if self.state == "pending":
            self.state = "running"
            self.stretches.append([at, None])
        elif self.state == "stopping":
            self.state = "stopped"
        else:
            self.state = "terminated"
            self.terminated_at = at
            self.launch["user_data"] = ""

    def ran_seconds(self, now: float) -> float:
        return sum((end or now) - (start or now) for start, end in self.stretches)

    def stored(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def restored(cls, stored: dict[str, Any]) -> "Machine":
        return cls(**{**stored, "reason": tuple(stored["reason"])})


def disk_gb_of(block_device_mappings: list[dict[str, Any]]) -> int:
    sizes = [one["Ebs"].get("VolumeSize") for one in block_device_mappings if "Ebs" in one]
    return int(next((size for size in sizes if size), 8))
