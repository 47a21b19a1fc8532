"""The simulated account's quotas, public parameters and price list: three small services of AWS (JSON 1.1).

What is not asked for by the product is refused. `/sim/quotas`, `/sim/prices` and `/sim/parameters` change them.
"""

import json
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from cloud.prices import facts_of
from cloud.quotas import NAMES
from cloud.sim.base_server import ACCOUNT
from cloud.sim.rules import Rules
from cloud.sim.store import Store

TARGETS = {"ServiceQuotasV20190624.": "servicequotas", "AmazonSSM.": "ssm", "AWSPriceListService.": "pricing"}
IMAGE_PARAMETERS = (
    "/aws/service/deeplearning/ami/x86_64/oss-nvidia-driver-gpu-pytorch-2.12-ubuntu-24.04/latest/ami-id",
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-ubuntu-22.04/latest/ami-id",
)
_OPEN = ("PENDING", "CASE_OPENED")
_ANSWERS = ("PENDING", "CASE_OPENED", "APPROVED", "DENIED", "CASE_CLOSED", "NOT_APPROVED", "INVALID_REQUEST")
_ACCOUNT = "x-account"  # whose key signed the question
Answer = tuple[int, dict[str, Any]]
Asked = dict[str, Any]


class OfferError(Exception):
    """Answered with HTTP 400. `code` is AWS's name of the error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.told = {"__type": code, "message": message, "Message": message}


class Offers:
    def __init__(self, store: Store, rules: Rules, region: str, image_id: str) -> None:
        self._store, self._rules, self._region = store, rules, region
        self._lock = threading.Lock()
        self._prices: dict[str, Decimal] = {}
        self._parameters = dict.fromkeys(IMAGE_PARAMETERS, image_id)
        self._calls: dict[str, Callable[[Asked], dict[str, Any]]] = {
            "GetServiceQuota": self._quota,
            "GetAWSDefaultServiceQuota": self._quota,
            "RequestServiceQuotaIncrease": self._ask_quota,
            "ListRequestedServiceQuotaChangeHistoryByQuota": self._asked_quotas,
            "GetParameter": self._parameter,
            "GetProducts": self._products,
        }

    def answer(self, op: str, body: bytes, account: str) -> Answer:
        call = self._calls.get(op)
        try:
            if call is None:
                raise OfferError("UnknownOperationException", f"Not simulated: {op}")
            with self._lock:
                return 200, call({**json.loads(body or b"{}"), _ACCOUNT: account})
        except OfferError as error:
            return 400, error.told

    # -------------------------------------------------------------- control
    def vcpus(self, code: str, account: str = ACCOUNT) -> int:
        """What the account may run at once of that quota."""
        known: int = self._store.all("quota").get(_key(code, account), self._rules.vcpu_quota)
        return known

    def decide(self, values: dict[str, Any]) -> dict[str, Any]:
        """`{"code", "status"}` answers what is asked, `{"code", "vcpus"}` sets it (of another account with
        `"account_id"`). Raises KeyError, ValueError."""
        code = values["code"]
        if code not in NAMES:
            raise ValueError(f"No such quota: {code}")
        if "vcpus" in values:
            key = _key(code, str(values.get("account_id", ACCOUNT)))
            self._store.put("quota", key, int(values["vcpus"]))
        if "status" in values:
            self._answer_request(code, str(values["status"]))
        return self.told()

    def _answer_request(self, code: str, status: str) -> None:
        if status not in _ANSWERS:
            raise ValueError(f"AWS answers one of {', '.join(_ANSWERS)}")
        for key, one in self._store.all("quota-request").items():
            if one["QuotaCode"] == code and one["Status"] in _OPEN:
                self._store.put("quota-request", key, one | {"Status": status})
                if status == "APPROVED":
                    self._store.put("quota", code, int(one["DesiredValue"]))

    def told(self) -> dict[str, Any]:
        return {"vcpus": {code: self.vcpus(code) for code in NAMES}, "asked": self._requests()}

    def reprice(self, values: dict[str, str]) -> dict[str, str]:
        self._prices |= {name: Decimal(usd) for name, usd in values.items()}
        return {name: str(usd) for name, usd in self._prices.items()}

    def know_parameters(self, values: dict[str, str]) -> dict[str, str]:
        self._parameters |= values
        return dict(self._parameters)

    # -------------------------------------------------------------- Service Quotas
    def _quota(self, asked: Asked) -> dict[str, Any]:
        return {"Quota": self._told_quota(_quota_code(asked), asked[_ACCOUNT])}

    def _told_quota(self, code: str, account: str) -> dict[str, Any]:
        return {
            "ServiceCode": "ec2",
            "ServiceName": "Amazon Elastic Compute Cloud (Amazon EC2)",
            "QuotaArn": f"arn:aws:servicequotas:{self._region}:{account}:ec2/{code}",
            "QuotaCode": code,
            "QuotaName": NAMES[code].name,
            "Value": float(self.vcpus(code, account)),
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }

    def _ask_quota(self, asked: Asked) -> dict[str, Any]:
        code, wanted = _quota_code(asked), asked.get("DesiredValue")
        if not isinstance(wanted, int | float) or wanted <= self.vcpus(code):
            raise OfferError("IllegalArgumentException", "You must provide a quota value greater than the current one.")
        if any(one["QuotaCode"] == code and one["Status"] in _OPEN for one in self._requests()):
            text = "Only one open service quota increase request is allowed per quota."
            raise OfferError("ResourceAlreadyExistsException", text)
        number = len(self._store.all("quota-request")) + 1
        request_id = f"{number:032x}"
        request = {
            "Id": request_id,
            "ServiceCode": "ec2",
            "QuotaCode": code,
            "QuotaName": NAMES[code].name,
            "DesiredValue": float(wanted),
            "Status": "PENDING",
            "Created": time.time(),
            "LastUpdated": time.time(),
        }
        self._store.put("quota-request", request_id, request)
        return {"RequestedQuota": request}

    def _asked_quotas(self, asked: Asked) -> dict[str, Any]:
        code = _quota_code(asked)
        return {"RequestedQuotas": [one for one in self._requests() if one["QuotaCode"] == code]}

    def _requests(self) -> list[dict[str, Any]]:
        return sorted(self._store.all("quota-request").values(), key=lambda one: str(one["Id"]))

    # -------------------------------------------------------------- Systems Manager
    def _parameter(self, asked: Asked) -> dict[str, Any]:
        name = asked.get("Name", "")
        if name not in self._parameters:
            raise OfferError("ParameterNotFound", "")
        value = self._parameters[name]
        return {"Parameter": {"Name": name, "Type": "String", "Value": value, "Version": 1, "DataType": "text"}}

    # -------------------------------------------------------------- Price List
    def _products(self, asked: Asked) -> dict[str, Any]:
        if asked.get("ServiceCode") != "AmazonEC2":
            raise OfferError("NotFoundException", "Not simulated: other services than AmazonEC2")
        wanted = {one["Field"]: one["Value"] for one in asked.get("Filters", []) if one.get("Type") == "TERM_MATCH"}
        if not wanted.get("instanceType"):
            raise OfferError("InvalidParameterException", "Not simulated: a list of all types")
        usd = self._price_of(wanted["instanceType"])
        if usd is None or wanted.get("regionCode", self._region) != self._region:
            return {"FormatVersion": "aws_v1", "PriceList": []}
        return {"FormatVersion": "aws_v1", "PriceList": [json.dumps(_product(wanted["instanceType"], usd))]}

    def _price_of(self, instance_type: str) -> Decimal | None:
        facts = facts_of(instance_type)
        return self._prices.get(instance_type, facts.usd_hour if facts else None)


def _key(code: str, account: str) -> str:
    return code if account == ACCOUNT else f"{account}/{code}"


def _quota_code(asked: Asked) -> str:
    code: str = asked.get("QuotaCode", "")
    if asked.get("ServiceCode") != "ec2" or code not in NAMES:
        raise OfferError("NoSuchResourceException", "The request failed because the specified service does not exist.")
    return code


def _product(instance_type: str, usd: Decimal) -> dict[str, Any]:
    sku = "SIMULATED0000001"
    dimension = {
        "unit": "Hrs",
        "beginRange": "0",
        "endRange": "Inf",
        "description": f"${usd} per On Demand Linux {instance_type} Instance Hour",
        "pricePerUnit": {"USD": f"{usd:.10f}"},
    }
    return {
        "product": {"productFamily": "Compute Instance", "sku": sku, "attributes": {"instanceType": instance_type}},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {f"{sku}.JRTCKXETXF": {"priceDimensions": {f"{sku}.JRTCKXETXF.6YS6EN2CT7": dimension}}}},
    }
