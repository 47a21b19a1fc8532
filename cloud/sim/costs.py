"""The simulated Cost Explorer: the one call that the product makes (JSON 1.1), as strict about it as AWS is.

What the account cost is told through `/sim/costs`.
"""

import json
import re
import threading
from collections import defaultdict
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from cloud.sim.store import Store

TARGET = "AWSInsightsIndexService."
_GROUPS_A_PAGE = 50
_METRICS = {"UnblendedCost", "UsageQuantity", "AmortizedCost", "BlendedCost", "NetUnblendedCost", "NetAmortizedCost"}
_ASKED = {"TimePeriod", "Granularity", "Metrics", "GroupBy", "Filter", "NextPageToken"}
_DIMENSIONS = {"RECORD_TYPE", "USAGE_TYPE", "SERVICE"}
_FIELD = {"RECORD_TYPE": "record_type", "USAGE_TYPE": "usage_type", "SERVICE": "service"}
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
Answer = tuple[int, dict[str, Any]]
Asked = dict[str, Any]


class CostsError(Exception):
    """Answered with HTTP 400. `code` is AWS's name of the error."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.told = {"__type": code, "message": message}


class Costs:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()

    def answer(self, op: str, body: bytes, _account: str) -> Answer:
        try:
            if op != "GetCostAndUsage":
                raise CostsError("UnknownOperationException", f"Not simulated: {op}")
            asked = json.loads(body or b"{}")
            _check(asked)
            with self._lock:
                return 200, self._cost_and_usage(asked)
        except CostsError as error:
            return 400, error.told

    # -------------------------------------------------------------- control
    def know(self, records: list[Asked]) -> int:
        """`[{"day", "usd", "usage_type", "machine"?, "quantity"?, "record_type"?, "service"?}]`: more of them.

        Returns how many are known. Raises KeyError, ValueError.
        """
        kept = self._store.all("costs").get("records", [])
        for one in records:
            date.fromisoformat(one["day"])
            kept.append(
                {
                    "day": one["day"],
                    "usd": str(Decimal(str(one["usd"]))),
                    "quantity": str(Decimal(str(one.get("quantity", 0)))),
                    "usage_type": str(one["usage_type"]),
                    "machine": str(one.get("machine", "")),
                    "record_type": str(one.get("record_type", "Usage")),
                    "service": str(one.get("service", "Amazon Elastic Compute Cloud - Compute")),
                }
            )
        self._store.put("costs", "records", kept)
        return len(kept)

    def forget(self) -> None:
        self._store.put("costs", "records", [])

    # -------------------------------------------------------------- the service
    def _cost_and_usage(self, asked: Asked) -> dict[str, Any]:
        first, end = (date.fromisoformat(asked["TimePeriod"][name]) for name in ("Start", "End"))
        wanted = asked.get("Filter", {}).get("Dimensions", {}).get("Values")
        records = [
            one
            for one in self._store.all("costs").get("records", [])
            if first.isoformat() <= one["day"] < end.isoformat() and (not wanted or one["record_type"] in wanted)
        ]
        # A part is (day, group): AWS cuts its pages anywhere, also within a day.
        parts = _parts(records, asked, [first + timedelta(days=n) for n in range((end - first).days)])
        begin = int(asked.get("NextPageToken", "page-0").removeprefix("page-"))
        answer: dict[str, Any] = {
            "GroupDefinitions": asked.get("GroupBy", []),
            "ResultsByTime": _by_day(parts[begin : begin + _GROUPS_A_PAGE]),
            "DimensionValueAttributes": [],
        }
        if begin + _GROUPS_A_PAGE < len(parts):
            answer["NextPageToken"] = f"page-{begin + _GROUPS_A_PAGE}"
        return answer


def _parts(records: list[Asked], asked: Asked, days: list[date]) -> list[tuple[date, Asked | None]]:
    groups = asked["GroupBy"]
    sums: dict[tuple[str, ...], dict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for one in records:
        found = sums[(one["day"], *(_key_of(one, group) for group in groups))]
        for metric in asked["Metrics"]:
            found[metric] += Decimal(one["quantity" if metric == "UsageQuantity" else "usd"])
    parts: list[tuple[date, Asked | None]] = []
    for day in days:
        here = [(key, told) for key, told in sorted(sums.items()) if key[0] == day.isoformat()]
        parts += [(day, {"Keys": list(key[1:]), "Metrics": _metrics(told)}) for key, told in here] or [(day, None)]
    return parts


def _by_day(parts: list[tuple[date, Asked | None]]) -> list[Asked]:
    days: dict[date, Asked] = {}
    for day, group in parts:
        period = {"Start": day.isoformat(), "End": (day + timedelta(days=1)).isoformat()}
        told = days.setdefault(day, {"TimePeriod": period, "Total": {}, "Groups": [], "Estimated": False})
        if group is not None:
            told["Groups"].append(group)
    return list(days.values())


def _key_of(record: Asked, group: Asked) -> str:
    if group["Type"] == "TAG":
        return f"{group['Key']}${record['machine'] if group['Key'] == 'Name' else ''}"
    return str(record[_FIELD[group["Key"]]])


def _metrics(sums: dict[str, Decimal]) -> Asked:
    unit = {"UsageQuantity": "N/A"}
    return {name: {"Amount": str(amount), "Unit": unit.get(name, "USD")} for name, amount in sums.items()}


# ------------------------------------------------------------------ what AWS refuses
def _check(asked: Asked) -> None:
    for refuse, words in _RULES:
        if refuse(asked):
            raise CostsError("ValidationException", words)
    _check_groups(asked["GroupBy"])
    _check_filter(asked.get("Filter"))


def _bad_period(asked: Asked) -> bool:
    period = asked.get("TimePeriod")
    if not isinstance(period, dict) or set(period) != {"Start", "End"}:
        return True
    return not all(_DAY.fullmatch(str(day)) for day in period.values()) or period["Start"] >= period["End"]


_RULES: list[tuple[Callable[[Asked], bool], str]] = [
    (lambda asked: not set(asked) <= _ASKED, "Unknown parameter, or one that is not simulated"),
    (_bad_period, "Start date (and hour) should be before end date (and hour)"),
    (lambda asked: asked.get("Granularity") != "DAILY", "Granularity must be DAILY here"),
    (
        lambda asked: not asked.get("Metrics") or not set(asked["Metrics"]) <= _METRICS,
        "Metrics must have at least one known name",
    ),
    (lambda asked: not asked.get("GroupBy"), "Not simulated: no GroupBy"),
]


def _check_groups(groups: list[Asked]) -> None:
    if len(groups) > 2:
        raise CostsError("ValidationException", "A maximum of 2 GroupBy values are allowed")
    for group in groups:
        known = group.get("Type") == "TAG" or (group.get("Type") == "DIMENSION" and group.get("Key") in _DIMENSIONS)
        if set(group) != {"Type", "Key"} or not known:
            raise CostsError("ValidationException", f"Not a group: {group}")


def _check_filter(wanted: Asked | None) -> None:
    if wanted is None:
        return
    dimensions = wanted.get("Dimensions", {})
    if set(wanted) != {"Dimensions"} or dimensions.get("Key") != "RECORD_TYPE" or not dimensions.get("Values"):
        raise CostsError("ValidationException", "Not simulated: this filter")
