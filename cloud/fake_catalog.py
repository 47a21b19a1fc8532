"""What AWS offers and allows us, in memory: the working twin of `Ec2Catalog`, that breaks on command with its cloud."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal

from cloud.base import MachineView, NotFound, Refused
from cloud.catalog import Quota, QuotaRequest
from cloud.fake_faults import Faults
from cloud.prices import price_of
from cloud.quotas import NAMES

_OPEN = ("PENDING", "CASE_OPENED")


@dataclass
class FakeCatalog:
    """`vcpus` by quota code; `images` by SSM parameter; `prices` by type, above the snapshot's; `foreign` machines."""

    faults: Faults
    default_vcpus: Callable[[], int | None]
    knows_image: Callable[[str], bool]
    others: Callable[[], list[MachineView]]  # GPU machines of other installations
    region: str = "us-east-1"
    vcpus: dict[str, int] = field(default_factory=dict)
    images: dict[str, str] = field(default_factory=dict)
    prices: dict[str, Decimal | None] = field(default_factory=dict)
    spot: dict[tuple[str, str], list[tuple[datetime, Decimal]]] = field(default_factory=dict)  # by type and zone
    foreign: list[MachineView] = field(default_factory=list)  # that no portal started
    asked: list[QuotaRequest] = field(default_factory=list)

    def quota(self, code: str) -> Quota:
        return self.faults.around("quota", (code,), lambda: self._quota(code))

    def ask_quota(self, code: str, vcpus: int) -> QuotaRequest:
        def ask() -> QuotaRequest:
            if self._quota(code).vcpus >= vcpus:
                raise Refused("The quota is that large already.", code="IllegalArgumentException")
            if any(one.code == code and one.status in _OPEN for one in self.asked):
                raise Refused("A request for this quota is open.", code="ResourceAlreadyExistsException")
            request = QuotaRequest(f"request-{len(self.asked) + 1}", code, "PENDING", vcpus)
            self.asked.append(request)
            return request

        return self.faults.around("ask_quota", (code, vcpus), ask)

    def quota_requests(self, code: str) -> list[QuotaRequest]:
        return self.faults.around("quota_requests", (code,), lambda: [o for o in self.asked if o.code == code][::-1])

    def image_named(self, parameter: str) -> str | None:
        return self.faults.around("image_named", (parameter,), lambda: self.images.get(parameter))

    def image_exists(self, image_id: str) -> bool:
        return self.faults.around("image_exists", (image_id,), lambda: self.knows_image(image_id))

    def price(self, instance_type: str) -> Decimal | None:
        prices: Mapping[str, Decimal | None] = {instance_type: price_of(instance_type)} | self.prices
        return self.faults.around("price", (instance_type,), lambda: prices[instance_type])

    def spot_prices(self, instance_type: str, zone: str, since: datetime) -> list[tuple[datetime, Decimal]]:
        def told() -> list[tuple[datetime, Decimal]]:
            known = sorted(self.spot.get((instance_type, zone), ()))
            before = [one for one in known if one[0] <= since][-1:]
            return [*before, *(one for one in known if one[0] > since)]

        return self.faults.around("spot_prices", (instance_type, zone, since), told)

    def gpu_machines(self) -> list[MachineView]:
        return self.faults.around("gpu_machines", (), lambda: [*self.others(), *self.foreign])

    def decide(self, code: str, status: str) -> None:
        """What AWS says to the open request: "APPROVED" makes the quota so large."""
        for number, one in enumerate(self.asked):
            if one.code == code and one.status in _OPEN:
                self.asked[number] = QuotaRequest(one.request_id, code, status, one.vcpus)
                if status == "APPROVED":
                    self.vcpus[code] = one.vcpus

    def _quota(self, code: str) -> Quota:
        if code not in NAMES:
            raise NotFound("No such quota.", code="NoSuchResourceException")
        default = self.default_vcpus()
        return Quota(code, NAMES[code].name, self.vcpus.get(code, 1024 if default is None else default))
