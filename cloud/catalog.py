"""The door to what AWS offers and allows us: quotas, images, prices, the account's GPU machines. In our own words.

Twins: `Ec2Catalog` and `FakeCatalog`. Every error leaves as a `CloudError`.
"""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from cloud.base import MachineView


@dataclass(frozen=True, slots=True)
class Quota:
    code: str
    name: str
    vcpus: int  # how many may run at once, of all types that count in it


@dataclass(frozen=True, slots=True)
class QuotaRequest:
    request_id: str
    code: str
    status: str  # AWS's word: PENDING, CASE_OPENED, APPROVED, DENIED, CASE_CLOSED, NOT_APPROVED, INVALID_REQUEST
    vcpus: int


class Catalog(Protocol):
    @property
    def region(self) -> str: ...

    def quota(self, code: str) -> Quota:
        """As it is applied to this account now. Raises NotFound for a code that there is not."""
        ...

    def ask_quota(self, code: str, vcpus: int) -> QuotaRequest:
        """Asks AWS for so many in all. Refused when the quota is that large already, or such a request is open."""
        ...

    def quota_requests(self, code: str) -> list[QuotaRequest]:
        """What was asked for this quota, by whomever, the newest first."""
        ...

    def image_named(self, parameter: str) -> str | None:
        """The image id that a public SSM parameter names now; None when this region has no such parameter."""
        ...

    def image_exists(self, image_id: str) -> bool: ...

    def price(self, instance_type: str) -> Decimal | None:
        """USD per hour on demand, Linux, shared hardware, in our region; None when AWS's price list has none."""
        ...

    def spot_prices(self, instance_type: str, zone: str, since: datetime) -> list[tuple[datetime, Decimal]]:
        """(from when, USD an hour) of Spot there, oldest first; the first one was in force at `since` (UTC)."""
        ...

    def gpu_machines(self) -> list[MachineView]:
        """Every GPU machine of the account in this region that is not ours, ended ones apart; all pages."""
        ...
