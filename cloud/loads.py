"""What the cloud itself measured of machines: the second eye where no agent reports. Knows no AWS."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Load:
    """The highest of some minutes; None where nothing was measured, which is not idleness."""

    cpu_percent: float | None = None  # of the whole machine
    net_rx_bytes: float | None = None  # in one period of five minutes
    gpu_percent: float | None = None  # only of machines with the CloudWatch agent


class Loads(Protocol):
    def loads(self, cloud_ids: Sequence[str], since: datetime, until: datetime) -> Mapping[str, Load]:
        """Of all of them, in as few calls as the cloud takes. One it knows nothing of has an empty Load.

        Raises CloudError. The provider's figures are some minutes old.
        """
        ...


class NoLoads:
    """Where the cloud is not asked: nothing was measured."""

    def loads(self, cloud_ids: Sequence[str], since: datetime, until: datetime) -> Mapping[str, Load]:
        return {}
