"""Twin of `AwsLoads` in memory: what a test says was measured. Breaks on command."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cloud.base import CloudError
from cloud.loads import Load


@dataclass
class FakeLoads:
    measured: dict[str, Load] = field(default_factory=dict)  # by cloud id
    error: CloudError | None = None
    calls: int = 0

    def loads(self, cloud_ids: Sequence[str], since: datetime, until: datetime) -> Mapping[str, Load]:
        self.calls += 1
        if self.error:
            raise self.error
        return {one: self.measured.get(one, Load()) for one in cloud_ids}
