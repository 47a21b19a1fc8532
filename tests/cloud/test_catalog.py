"""What the product may rely on when it asks what AWS offers and allows: the same cases in memory and over the wire."""

import json
from decimal import Decimal

import pytest

from cloud.base import NotFound, QuotaReached, Refused
from cloud.ec2_catalog import price_in
from cloud.prices import known_types
from cloud.quotas import quota_of
from tests.cloud.conftest import Stage, spec

G, P, SPOT_P, SPOT_P5 = "L-DB2E81BA", "L-417A185B", "L-7212CCBC", "L-C4BD4855"


def test_a_quota_is_told_with_its_name_and_its_vcpus(stage: Stage) -> None:
    stage.set_quota_of(P, 96)
    found = stage.cloud.catalog.quota(P)
    assert (found.code, found.name, found.vcpus) == (P, "Running On-Demand P instances", 96)


def test_a_quota_that_there_is_not_is_not_found(stage: Stage) -> None:
    with pytest.raises(NotFound):
        stage.cloud.catalog.quota("L-00000000")


def test_each_family_has_a_quota_of_its_own(stage: Stage) -> None:
    stage.set_quota_of(SPOT_P5, 0)
    stage.set_quota_of(P, 0)
    with pytest.raises(QuotaReached):
        stage.cloud.run(spec(stage, instance_type="p4d.24xlarge"))
    assert stage.cloud.run(spec(stage)).cloud_id


def test_spot_and_on_demand_have_quotas_of_their_own(stage: Stage) -> None:
    on_demand, spot = {"instance_type": "p4d.24xlarge"}, {"instance_type": "p4d.24xlarge", "spot_usd_hour": "50.000000"}
    stage.set_quota_of(P, 96)
    stage.set_quota_of(SPOT_P, 0)
    with pytest.raises(QuotaReached) as refused:
        stage.cloud.run(spec(stage, **spot))
    assert refused.value.code == "MaxSpotInstanceCountExceeded"
    assert stage.cloud.run(spec(stage, **on_demand)).cloud_id
    stage.set_quota_of(SPOT_P, 96)
    request = stage.cloud.run(spec(stage, **spot)).spot_request
    with pytest.raises(QuotaReached) as refused:
        stage.cloud.run(spec(stage, **on_demand))
    assert refused.value.code == "VcpuLimitExceeded"
    stage.cloud.cancel_spot([request])  # or another machine comes when this one is terminated


def test_a_larger_quota_is_asked_for_once_and_given_when_aws_says_so(stage: Stage) -> None:
    stage.set_quota_of(SPOT_P5, 8)
    asked = stage.cloud.catalog.ask_quota(SPOT_P5, 400)
    assert (asked.code, asked.vcpus, asked.status) == (SPOT_P5, 400, "PENDING")
    with pytest.raises(Refused):  # one that is open
        stage.cloud.catalog.ask_quota(SPOT_P5, 500)
    assert stage.cloud.catalog.quota(SPOT_P5).vcpus == 8
    stage.decide_quota(SPOT_P5, "APPROVED")
    assert stage.cloud.catalog.quota(SPOT_P5).vcpus == 400
    newest = stage.cloud.catalog.quota_requests(SPOT_P5)[0]
    assert (newest.request_id, newest.status) == (asked.request_id, "APPROVED")


def test_asking_for_what_there_is_already_is_refused(stage: Stage) -> None:
    stage.set_quota_of(P, 96)
    with pytest.raises(Refused):
        stage.cloud.catalog.ask_quota(P, 96)


def test_a_parameter_names_an_image_and_an_unknown_one_names_none(stage: Stage) -> None:
    stage.know_parameter("/course/ami-id", stage.image_id)
    assert stage.cloud.catalog.image_named("/course/ami-id") == stage.image_id
    assert stage.cloud.catalog.image_named("/nobody/ami-id") is None


def test_whether_an_image_exists(stage: Stage) -> None:
    assert stage.cloud.catalog.image_exists(stage.image_id)
    assert not stage.cloud.catalog.image_exists("ami-0123456789abcdef0")


def test_a_price_is_of_the_list_and_a_type_without_one_has_none(stage: Stage) -> None:
    assert stage.cloud.catalog.price("g4dn.xlarge") == Decimal("0.526")
    stage.reprice("g5.xlarge", "1.234567")
    assert stage.cloud.catalog.price("g5.xlarge") == Decimal("1.234567")
    assert stage.cloud.catalog.price("x9.nonesuch") is None


def test_gpu_machines_of_others_are_told_and_ours_are_not(stage: Stage) -> None:
    ours = stage.cloud.run(spec(stage)).cloud_id
    other = stage.other_installation()
    theirs = other.run(spec(stage)).cloud_id
    small = other.run(spec(stage, instance_type="t3.micro")).cloud_id if _offers_small(stage) else ""
    found = {view.cloud_id for view in stage.cloud.catalog.gpu_machines()}
    assert theirs in found
    assert not found & {ours, small}
    other.terminate([theirs, small] if small else [theirs])
    stage.wait(0.5)
    assert theirs not in {view.cloud_id for view in stage.cloud.catalog.gpu_machines()}


def _offers_small(stage: Stage) -> bool:
    return bool(stage.cloud.zones_offering("t3.micro"))


# ------------------------------------------------------------------ pure
@pytest.mark.parametrize(
    ("instance_type", "spot", "code"),
    [
        ("g4dn.xlarge", False, "L-DB2E81BA"),
        ("gr6.4xlarge", False, "L-DB2E81BA"),
        ("g6e.xlarge", True, "L-3819A6DF"),
        ("p3.2xlarge", False, "L-417A185B"),  # a map that is passed around says G: wrong
        ("p4d.24xlarge", True, "L-7212CCBC"),
        ("p5.4xlarge", True, "L-C4BD4855"),
        ("p5.4xlarge", False, "L-417A185B"),
        ("t3.micro", False, "L-1216C47A"),
        ("inf2.xlarge", False, None),
        ("trn1.2xlarge", False, None),
    ],
)
def test_the_quota_of_a_type(instance_type: str, spot: bool, code: str | None) -> None:
    found = quota_of(instance_type, spot=spot)
    assert (found.code if found else None) == code


def test_every_type_of_the_price_list_counts_in_a_known_quota() -> None:
    assert [name for name in known_types() if quota_of(name) is None] == []


def _product(usd: str, unit: str = "Hrs") -> dict[str, object]:
    return {"terms": {"OnDemand": {"a": {"priceDimensions": {"b": {"unit": unit, "pricePerUnit": {"USD": usd}}}}}}}


@pytest.mark.parametrize(
    ("products", "price"),
    [
        ([_product("0.5260000000")], "0.526"),
        ([_product("0.526"), _product("0.5260000000")], "0.526"),
        ([_product("0.526"), _product("0.6")], None),  # two that differ: nothing is sure
        ([_product("0.0000000000")], None),  # a free GPU is a list that was misread
        ([_product("0.526", unit="Quantity")], None),
        ([_product("cheap")], None),
        ([{"terms": {}}], None),
        ([], None),
    ],
)
def test_a_price_list_is_read_or_gives_none(products: list[dict[str, object]], price: str | None) -> None:
    assert price_in(json.loads(json.dumps(products))) == (Decimal(price) if price else None)
