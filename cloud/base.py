"""The door to a cloud, in our own words. Knows no boto3, no Django, nothing of ours.

Twins: `Ec2Cloud` (AWS, or anything that speaks its wire protocol) and `FakeCloud` (in memory, breaks on
command). One contract test runs over both: tests/cloud/test_contract.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from cloud.accounts import Accounts
    from cloud.catalog import Catalog
    from cloud.disks import Disks


class CloudState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SHUTTING_DOWN = "shutting-down"
    TERMINATED = "terminated"


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """All that a launch depends on: frozen on the row before the call, so that repeating it is safe."""

    token: str  # client token, at most 64 ASCII characters; the same token with other fields is refused
    name: str  # our slug: an opaque id, never a person's name
    instance_type: str
    zone: str
    image_id: str
    disk_gb: int
    user_data: str  # plain text; packed at most 16 KB (`user_data.py`)
    tags: Mapping[str, str] = field(default_factory=dict)
    spot_usd_hour: str = ""  # Spot, at this price an hour at most; empty: on demand


@dataclass(frozen=True, slots=True)
class MachineView:
    """One machine as the cloud tells it now."""

    cloud_id: str
    name: str  # our slug from its tag; empty if it has none
    token: str  # the client token it was launched with
    state: CloudState
    instance_type: str
    zone: str
    image_id: str
    private_ip: str | None
    launched_at: datetime  # UTC; of the last start, which is when billing begins at the earliest
    # UTC; when the last stop was accepted, which is when billing ended. None while it runs, and also when the machine
    # powered itself off: then AWS does not say when. Terminating a stopped machine moves it to a later moment.
    ended_at: datetime | None
    state_reason: str = ""  # the cloud's own words
    tags: Mapping[str, str] = field(default_factory=dict)
    spot_request: str = ""  # of a Spot machine: cancelled before it is terminated, else AWS makes another one


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one machine in a batch. `error` is None when the cloud accepted."""

    cloud_id: str
    error: "CloudError | None" = None


class CloudError(Exception):
    """`code` is the provider's word, the message its sentence; the class says how to react."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Transient(CloudError):
    """Nothing is known to have happened: say the very same thing again later (throttled, time-out, 5xx)."""


class NoCapacity(CloudError):
    """A definite refusal: this type in this zone, now. Try the next zone or type with a new token."""


class NotOffered(NoCapacity):
    """This type does not exist in this zone: do not try it there again today."""


class QuotaReached(CloudError):
    """The account's vCPU limit. Waiting helps, other zones do not; staff must hear the numbers."""


class NotFound(CloudError):
    """No such machine, or not visible yet: never by itself a proof that it is gone."""


class WrongState(CloudError):
    """The machine is in a state that does not allow this now: look again."""


class TokenMismatch(CloudError):
    """The same token was used with other parameters: our bug, staff must hear."""


class AccountBlocked(CloudError):
    """The account cannot launch at all (pending verification, blocked, bad credentials)."""


class Refused(CloudError):
    """Any other definite refusal: repeating it is useless."""


class Cloud(Protocol):
    @property
    def catalog(self) -> "Catalog": ...

    @property
    def disks(self) -> "Disks": ...

    @property
    def accounts(self) -> "Accounts":
        """The ways into accounts that are not the course's own."""
        ...

    def run(self, spec: LaunchSpec) -> MachineView:
        """Launch one machine. Same token and fields: the same machine again, not a second one.

        AWS remembers a token per zone: the same token in another zone launches another machine.
        """
        ...

    def rehearse(self, spec: LaunchSpec) -> None:
        """Nothing is launched. Raises what rights and parameters would be refused for; says nothing of capacity."""
        ...

    def find_by_token(self, token: str) -> MachineView | None:
        """None proves nothing for the first minutes after a launch: AWS lists new machines late."""
        ...

    def describe_all(self) -> list[MachineView]:
        """Every machine with this installation's tag, in any state the cloud still lists; all pages."""
        ...

    # The batches below raise no CloudError: one outcome per id, in the order asked, tells what became of it, also
    # when the whole call failed. So half a batch that was accepted is never forgotten.
    def start(self, cloud_ids: Sequence[str]) -> list[Outcome]: ...

    def stop(self, cloud_ids: Sequence[str], *, force: bool = False) -> list[Outcome]:
        """One bad id never keeps the others running: it is told apart and reported in its outcome."""
        ...

    def terminate(self, cloud_ids: Sequence[str]) -> list[Outcome]:
        """Machine and disk are gone for good."""
        ...

    def restart(self, cloud_ids: Sequence[str]) -> list[Outcome]:
        """Said twice it is restarted twice. Its address, disk and bill go on."""
        ...

    def change_type(self, cloud_id: str, instance_type: str) -> None:
        """Of a stopped machine (else WrongState); it has the new type from its next start on. Safe to say twice."""
        ...

    def cancel_spot(self, request_ids: Sequence[str]) -> list[Outcome]:
        """AWS makes no more machines for these requests; those that there are go on. Safe to say twice."""
        ...

    def schedule_stop(self, cloud_id: str, at: datetime) -> None:
        """The cloud itself stops the machine at `at` (UTC), with us dead. Replaces an earlier one.

        AWS is up to a minute late. A time that has passed counts as a minute from now: AWS refuses past ones, and a
        guard that is late is better than none.
        """
        ...

    def cancel_scheduled_stop(self, cloud_id: str) -> None:
        """No error when there is none."""
        ...

    def zones_offering(self, instance_type: str) -> list[str]:
        """Zones of ours (with a subnet) that offer the type, in a stable order."""
        ...
