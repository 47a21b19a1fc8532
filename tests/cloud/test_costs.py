"""What the account cost: one contract over both twins; over the wire: pages, refusals, exports in S3."""

from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import boto3
import pytest

from cloud.aws_costs import AwsCosts
from cloud.base import AccountBlocked, CloudError, Transient
from cloud.costs import Costs, kind_of, place_of
from cloud.fake_costs import FakeCosts, Record
from tests.simulated_aws import SimulatedAws

MONDAY = date(2026, 10, 5)


class Stage(Protocol):
    costs: Costs

    def bill(self, records: list[Record]) -> None: ...
    def throttle(self) -> None: ...


class FakeStage:
    def __init__(self) -> None:
        self.costs = self.fake = FakeCosts()

    def bill(self, records: list[Record]) -> None:
        self.fake.records += records

    def throttle(self) -> None:
        self.fake.faults.break_before("usage", Transient("throttled"))


class SimStage:
    def __init__(self, sim: SimulatedAws) -> None:
        self.sim = sim
        sim.ask("DELETE", "costs")
        self.costs = AwsCosts(region="us-east-1", endpoint_url=sim.url)

    def bill(self, records: list[Record]) -> None:
        told = [
            {
                "day": one.day.isoformat(),
                "machine": one.machine,
                "usage_type": one.usage_type,
                "usd": str(one.usd),
                "quantity": str(one.quantity),
                "record_type": one.record_type,
            }
            for one in records
        ]
        self.sim.ask("POST", "costs", told)

    def throttle(self) -> None:
        for _n in range(3):
            self.sim.fault("GetCostAndUsage", "ThrottlingException")


@pytest.fixture(params=["fake", "aws"])
def stage(request: pytest.FixtureRequest) -> Stage:
    return FakeStage() if request.param == "fake" else SimStage(request.getfixturevalue("sim"))


def line(day: date, machine: str, usage_type: str, usd: str, quantity: str = "1", record: str = "Usage") -> Record:
    return Record(day, machine, usage_type, Decimal(usd), Decimal(quantity), record)


def test_usage_comes_by_day_machine_and_kind_before_credits(stage: Stage) -> None:
    stage.bill(
        [
            line(MONDAY, "mone", "BoxUsage:g4dn.xlarge", "0.526"),
            line(MONDAY, "mone", "BoxUsage:g4dn.xlarge", "0.263", "0.5"),
            line(MONDAY, "mone", "EBS:VolumeUsage.gp3", "0.168"),
            line(MONDAY, "", "NatGateway-Hours", "0.045"),
            line(MONDAY, "", "BoxUsage:g4dn.xlarge", "-0.9", record="Credit"),
            line(MONDAY + timedelta(days=9), "mone", "BoxUsage:g4dn.xlarge", "7"),
        ]
    )
    found = stage.costs.usage(MONDAY, MONDAY + timedelta(days=1))
    assert [(one.day, one.machine, one.kind, one.usd, one.quantity) for one in found] == [
        (MONDAY, "", "other", Decimal("0.045"), 1),
        (MONDAY, "mone", "compute", Decimal("0.789"), Decimal("1.5")),
        (MONDAY, "mone", "disk", Decimal("0.168"), 1),
    ]


def test_totals_tell_use_credits_refunds_and_the_rest_apart(stage: Stage) -> None:
    stage.bill(
        [
            line(MONDAY, "mone", "BoxUsage:g4dn.xlarge", "10"),
            line(MONDAY, "", "BoxUsage:g4dn.xlarge", "-9", record="Credit"),
            line(MONDAY, "", "BoxUsage:g4dn.xlarge", "-0.5", record="Refund"),
            line(MONDAY, "", "", "0.7", record="Tax"),
        ]
    )
    [total] = [one for one in stage.costs.totals(MONDAY, MONDAY) if one.day == MONDAY]
    assert (total.usage_usd, total.credit_usd, total.refund_usd, total.other_usd) == (
        10,
        -9,
        Decimal("-0.5"),
        Decimal("0.7"),
    )


def test_many_groups_come_complete_whatever_the_pages(stage: Stage) -> None:
    stage.bill([line(MONDAY, f"m{n:03}", "BoxUsage:g5.xlarge", "0.01") for n in range(130)])
    found = stage.costs.usage(MONDAY - timedelta(days=1), MONDAY)
    assert len({one.machine for one in found}) == 130
    assert sum(one.usd for one in found) == Decimal("1.30")


def test_an_account_without_cost_has_none(stage: Stage) -> None:
    assert stage.costs.usage(MONDAY, MONDAY) == []


def test_throttling_is_transient(stage: Stage) -> None:
    stage.throttle()
    with pytest.raises(Transient):
        stage.costs.usage(MONDAY, MONDAY)


def test_no_permission_is_no_transient_error(sim: SimulatedAws) -> None:
    sim.fault("GetCostAndUsage", "AccessDeniedException")
    with pytest.raises(CloudError) as refused:
        AwsCosts(region="us-east-1", endpoint_url=sim.url).usage(MONDAY, MONDAY)
    assert not isinstance(refused.value, Transient | AccountBlocked)


def test_the_simulator_is_as_strict_as_aws(sim: SimulatedAws) -> None:
    explorer = AwsCosts(region="us-east-1", endpoint_url=sim.url)._explorer
    good = {
        "TimePeriod": {"Start": "2026-10-05", "End": "2026-10-06"},
        "Granularity": "DAILY",
        "Metrics": ["UnblendedCost"],
        "GroupBy": [{"Type": "DIMENSION", "Key": "RECORD_TYPE"}],
    }
    explorer.get_cost_and_usage(**good)
    tags = [{"Type": "TAG", "Key": name} for name in "abc"]
    for bad in (
        {"TimePeriod": {"Start": "2026-10-05", "End": "2026-10-05"}},
        {"TimePeriod": {"Start": "5 October", "End": "2026-10-06"}},
        {"Metrics": ["Cost"]},
        {"GroupBy": tags},
        {"GroupBy": [{"Type": "DIMENSION", "Key": "COLOUR"}]},
    ):
        with pytest.raises(explorer.exceptions.ClientError, match="ValidationException"):
            explorer.get_cost_and_usage(**{**good, **bad})


def test_exports_are_found_in_s3_and_fetched(sim: SimulatedAws, tmp_path: Path) -> None:
    s3 = boto3.client("s3", region_name="us-east-1", endpoint_url=sim.url)
    s3.create_bucket(Bucket="course-bills")
    base = "cur/daily"
    s3.put_object(Bucket="course-bills", Key=f"{base}/data/BILLING_PERIOD=2026-10/daily-00001.csv.gz", Body=b"x" * 3000)
    s3.put_object(Bucket="course-bills", Key=f"{base}/data/BILLING_PERIOD=2026-09/daily-00001.csv.gz", Body=b"y")
    s3.put_object(Bucket="course-bills", Key=f"{base}/metadata/BILLING_PERIOD=2026-10/daily-Manifest.json", Body=b"{}")
    costs, place = AwsCosts(region="us-east-1", endpoint_url=sim.url), "s3://course-bills/cur/daily"
    [found] = costs.export_files(place, "2026-10")
    assert (found.bytes, found.key.endswith("2026-10/daily-00001.csv.gz")) == (3000, True)
    costs.fetch(place, found.key, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"x" * 3000
    assert costs.export_files(place, "2026-11") == []
    with pytest.raises(CloudError):
        costs.export_files("s3://no-such-bucket/cur/daily", "2026-10")


@pytest.mark.parametrize(
    ("usage_type", "kind"),
    [
        ("BoxUsage:g4dn.xlarge", "compute"),
        ("USW2-BoxUsage:p3.2xlarge", "compute"),
        ("USE2-SpotUsage:g5.xlarge", "compute"),
        ("EBS:VolumeUsage.gp3", "disk"),
        ("EUC1-EBS:VolumeP-IOPS.gp3", "disk"),
        ("EBS:SnapshotUsage", "snapshot"),
        ("USW2-PublicIPv4:InUseAddress", "address"),
        ("DataTransfer-Out-Bytes", "transfer"),
        ("USE1-USW2-AWS-Out-Bytes", "transfer"),
        ("DataTransfer-Regional-Bytes", "transfer"),
        ("NatGateway-Hours", "other"),
        ("CW:GMD-Metrics", "other"),
        ("", "other"),
    ],
)
def test_usage_types_are_told_apart(usage_type: str, kind: str) -> None:
    assert kind_of(usage_type) == kind


def test_a_place_that_is_none_is_refused() -> None:
    assert place_of("s3://bucket/a/b/") == ("bucket", "a/b")
    for bad in ("bucket/a", "s3://bucket", "https://bucket/a"):
        with pytest.raises(ValueError, match="is not s3"):
            place_of(bad)
