"""Cost Explorer, and data exports in S3. Another service than machines, in another place: Cost Explorer answers in
us-east-1 only, and each of its questions costs $0.01. Every error leaves as a `CloudError`.
"""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from cloud.base import Refused
from cloud.costs import MACHINE_TAG, DayTotal, ExportFile, UsageCost, kind_of, place_of
from cloud.ec2_errors import our_words

_METRIC, _QUANTITY = "UnblendedCost", "UsageQuantity"
# Usage before credits: with credits in it the net is zero and tells nothing.
_USAGE = {"Dimensions": {"Key": "RECORD_TYPE", "Values": ["Usage"]}}
_COLUMN = {"Usage": "usage_usd", "Credit": "credit_usd", "Refund": "refund_usd"}
_DATA = (".csv", ".csv.gz", ".parquet")


class AwsCosts:
    def __init__(self, *, region: str, endpoint_url: str | None = None, timeout_seconds: float = 30) -> None:
        self._session = boto3.session.Session(region_name=region)
        self._endpoint_url = endpoint_url
        self._timeout_seconds = timeout_seconds

    def usage(self, first: date, last: date) -> list[UsageCost]:
        groups = [{"Type": "TAG", "Key": MACHINE_TAG}, {"Type": "DIMENSION", "Key": "USAGE_TYPE"}]
        sums: dict[tuple[date, str, str], list[Decimal]] = defaultdict(lambda: [Decimal(0), Decimal(0)])
        for told in self._days(first, last, GroupBy=groups, Filter=_USAGE, Metrics=[_METRIC, _QUANTITY]):
            for group in told["Groups"]:
                tag, usage_type = group["Keys"]
                found = sums[_day(told), tag.removeprefix(f"{MACHINE_TAG}$"), kind_of(usage_type)]
                found[0] += _usd(group["Metrics"][_METRIC])
                found[1] += Decimal(group["Metrics"][_QUANTITY]["Amount"])
        return [UsageCost(*key, usd, quantity) for key, (usd, quantity) in sorted(sums.items())]

    def totals(self, first: date, last: date) -> list[DayTotal]:
        by_record = [{"Type": "DIMENSION", "Key": "RECORD_TYPE"}]
        sums: dict[date, dict[str, Decimal]] = {}
        estimated: dict[date, bool] = {}
        for told in self._days(first, last, GroupBy=by_record, Metrics=[_METRIC]):
            day = _day(told)
            estimated[day] = estimated.get(day, False) or bool(told.get("Estimated"))
            row = sums.setdefault(day, dict.fromkeys((*_COLUMN.values(), "other_usd"), Decimal(0)))
            for group in told["Groups"]:
                row[_COLUMN.get(group["Keys"][0], "other_usd")] += _usd(group["Metrics"][_METRIC])
        return [DayTotal(day=day, is_estimated=estimated[day], **row) for day, row in sorted(sums.items())]

    def export_files(self, place: str, period: str) -> list[ExportFile]:
        bucket, prefix = place_of(place)
        found: list[ExportFile] = []
        with our_words():
            pages = self._s3.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=bucket, Prefix=f"{prefix}/data/BILLING_PERIOD={period}/"):
                found += [ExportFile(one["Key"], one["Size"], one["LastModified"]) for one in page.get("Contents", [])]
        return sorted((one for one in found if one.key.endswith(_DATA)), key=lambda one: one.key)

    def fetch(self, place: str, key: str, path: Path) -> None:
        bucket, _prefix = place_of(place)
        with our_words():
            body = self._s3.get_object(Bucket=bucket, Key=key)["Body"]
            with path.open("wb") as file:
                for piece in body.iter_chunks(1024 * 1024):
                    file.write(piece)

    def _days(self, first: date, last: date, **asked: Any) -> Iterator[dict[str, Any]]:
        """Each day that AWS tells of; a day with many groups comes in several parts."""
        period = {"Start": first.isoformat(), "End": (last + timedelta(days=1)).isoformat()}  # its end is not in it
        token: dict[str, str] = {}
        while True:
            with our_words():
                answer = self._explorer.get_cost_and_usage(TimePeriod=period, Granularity="DAILY", **asked, **token)
            yield from answer["ResultsByTime"]
            if not answer.get("NextPageToken"):
                return
            token = {"NextPageToken": answer["NextPageToken"]}

    @cached_property
    def _explorer(self) -> Any:
        return self._session.client(
            "ce", region_name="us-east-1", endpoint_url=self._endpoint_url, config=self._config()
        )

    @cached_property
    def _s3(self) -> Any:
        return self._session.client("s3", endpoint_url=self._endpoint_url, config=self._config())

    def _config(self) -> Config:
        return Config(
            connect_timeout=5,
            read_timeout=self._timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": 3},
            user_agent_extra="lamplighter",
        )


def _day(told: dict[str, Any]) -> date:
    return date.fromisoformat(told["TimePeriod"]["Start"])


def _usd(told: dict[str, str]) -> Decimal:
    if told["Unit"] != "USD":
        raise Refused(f"The account is billed in {told['Unit']}, not in USD.", code="NotInUsd")
    return Decimal(told["Amount"])
