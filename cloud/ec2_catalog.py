"""What AWS offers and allows us, over the wire: Service Quotas, Systems Manager, the Price List and EC2's describes."""

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from cloud.base import MachineView, Refused
from cloud.catalog import Quota, QuotaRequest
from cloud.ec2_errors import our_words
from cloud.ec2_words import INSTALLATION_TAG, machine_views
from cloud.quotas import NAMES, SERVICE

PRICE_LIST_REGION = "us-east-1"  # it is served in few regions, and tells the prices of all
_GPU_TYPES = ["g*", "p*"]
_NOT_ENDED = ["pending", "running", "stopping", "stopped"]


class Ec2Catalog:
    def __init__(self, *, region: str, installation: str, ec2: Any, quotas: Any, ssm: Any, pricing: Any) -> None:
        self.region = region
        self._installation = installation
        self._ec2, self._quotas, self._ssm, self._pricing = ec2, quotas, ssm, pricing

    # -------------------------------------------------------------- quotas
    def quota(self, code: str) -> Quota:
        with our_words():
            try:
                found = self._quotas.get_service_quota(ServiceCode=SERVICE, QuotaCode=code)
            except self._quotas.exceptions.NoSuchResourceException:  # never changed for this account
                found = self._quotas.get_aws_default_service_quota(ServiceCode=SERVICE, QuotaCode=code)
        told = found["Quota"]
        known = NAMES.get(code)
        return Quota(code, told.get("QuotaName") or (known.name if known else code), int(told["Value"]))

    def ask_quota(self, code: str, vcpus: int) -> QuotaRequest:
        with our_words():
            answer = self._quotas.request_service_quota_increase(
                ServiceCode=SERVICE, QuotaCode=code, DesiredValue=float(vcpus)
            )
        return _quota_request(answer["RequestedQuota"])

    def quota_requests(self, code: str) -> list[QuotaRequest]:
        with our_words():
            pages = self._quotas.get_paginator("list_requested_service_quota_change_history_by_quota").paginate(
                ServiceCode=SERVICE, QuotaCode=code
            )
            found = [one for page in pages for one in page["RequestedQuotas"]]
        found.sort(key=lambda one: one["Created"], reverse=True)
        return [_quota_request(one) for one in found]

    # -------------------------------------------------------------- images
    def image_named(self, parameter: str) -> str | None:
        with our_words():
            try:
                found: str = self._ssm.get_parameter(Name=parameter)["Parameter"]["Value"]
            except self._ssm.exceptions.ParameterNotFound:
                return None
        return found

    def image_exists(self, image_id: str) -> bool:
        try:
            with our_words():
                return bool(self._ec2.describe_images(ImageIds=[image_id])["Images"])
        except Refused as error:
            if error.code.startswith("InvalidAMIID"):
                return False
            raise

    # -------------------------------------------------------------- prices
    def price(self, instance_type: str) -> Decimal | None:
        wanted = {
            "instanceType": instance_type,
            "regionCode": self.region,
            "operatingSystem": "Linux",
            "tenancy": "Shared",
            "preInstalledSw": "NA",
            "capacitystatus": "Used",
            "licenseModel": "No License required",
        }
        filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
        with our_words():
            pages = self._pricing.get_paginator("get_products").paginate(ServiceCode="AmazonEC2", Filters=filters)
            products = [json.loads(one) for page in pages for one in page["PriceList"]]
        return price_in(products)

    def spot_prices(self, instance_type: str, zone: str, since: datetime) -> list[tuple[datetime, Decimal]]:
        with our_words():
            pages = self._ec2.get_paginator("describe_spot_price_history").paginate(
                InstanceTypes=[instance_type],
                ProductDescriptions=["Linux/UNIX"],
                AvailabilityZone=zone,
                StartTime=since,
            )
            found = [one for page in pages for one in page["SpotPriceHistory"]]
        return sorted((one["Timestamp"].astimezone(UTC), Decimal(one["SpotPrice"])) for one in found)

    # -------------------------------------------------------------- machines that are not ours
    def gpu_machines(self) -> list[MachineView]:
        filters = [
            {"Name": "instance-type", "Values": _GPU_TYPES},
            {"Name": "instance-state-name", "Values": _NOT_ENDED},
        ]
        with our_words():
            views = machine_views(self._ec2.get_paginator("describe_instances").paginate(Filters=filters))
        return [view for view in views if view.tags.get(INSTALLATION_TAG) != self._installation]


def price_in(products: Iterable[Mapping[str, Any]]) -> Decimal | None:
    """The one on-demand price per hour in USD. None when there is none, or two that differ: then nothing is sure."""
    found = {
        price
        for product in products
        for term in product.get("terms", {}).get("OnDemand", {}).values()
        for dimension in term.get("priceDimensions", {}).values()
        if dimension.get("unit") == "Hrs" and (price := _usd(dimension)) is not None
    }
    return found.pop() if len(found) == 1 else None


def _usd(dimension: Mapping[str, Any]) -> Decimal | None:
    try:
        usd = Decimal(dimension.get("pricePerUnit", {}).get("USD", ""))
    except InvalidOperation:
        return None
    return usd if usd > 0 else None  # a free GPU is a price list that was misread


def _quota_request(told: Mapping[str, Any]) -> QuotaRequest:
    return QuotaRequest(told["Id"], told["QuotaCode"], told["Status"], int(told["DesiredValue"]))
