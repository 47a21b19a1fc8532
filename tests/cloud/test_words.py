"""Prices, EC2's dictionaries, and the one cloud of a process."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from pytest_django.fixtures import Settings

from cloud import backends
from cloud.ec2 import Ec2Cloud, Ec2Config
from cloud.ec2_words import moment_in
from cloud.fake import FakeCloud
from cloud.prices import facts_of, known_types, price_of


@pytest.mark.parametrize(
    ("reason", "moment"),
    [
        ("User initiated (2026-02-03 12:00:07 GMT)", datetime(2026, 2, 3, 12, 0, 7, tzinfo=UTC)),
        ("Server.ScheduledStop (2026-02-03 12:00:07 UTC)", datetime(2026, 2, 3, 12, 0, 7, tzinfo=UTC)),
        ("User initiated", None),
        ("", None),
        ("User initiated (2026-02-03 12:00:07 PST)", None),
    ],
)
def test_the_end_of_billing_is_read_from_the_reason_or_unknown(reason: str, moment: datetime | None) -> None:
    assert moment_in(reason) == moment


def test_prices_are_exact_and_dated() -> None:
    assert price_of("g4dn.xlarge") == Decimal("0.526")
    facts = facts_of("g4dn.xlarge")
    assert facts is not None
    assert (facts.gpu, facts.vcpu, facts.gpu_memory_gib) == ("T4", 4, 16)
    assert facts.as_of.year == 2026


@pytest.mark.parametrize("name", ["g9z.huge", "p5e.48xlarge"])
def test_a_type_without_a_price_is_not_free_but_unknown(name: str) -> None:
    assert price_of(name) is None


def test_every_known_price_is_above_zero() -> None:
    prices = [price_of(name) for name in known_types()]
    assert len(prices) > 60
    assert all(price is None or price > 0 for price in prices)


@pytest.mark.parametrize("name", ["", "two words", "x" * 39])
def test_an_installation_that_cannot_name_its_schedules_is_refused_at_the_start(name: str) -> None:
    with pytest.raises(ValueError, match="installation"):
        Ec2Config("us-east-1", {}, "sg-1", "arn", name)


@pytest.fixture
def fresh_backend() -> Iterator[None]:
    backends.cloud.cache_clear()
    yield
    backends.cloud.cache_clear()


def test_a_process_has_one_cloud_of_the_configured_kind(settings: Settings, fresh_backend: None) -> None:
    settings.CLOUD_BACKEND = "cloud.fake.FakeCloud"
    assert isinstance(backends.cloud(), FakeCloud)
    assert backends.cloud() is backends.cloud()


def test_the_cloud_of_production_is_built_from_the_aws_settings(
    settings: Settings, fresh_backend: None, aws_credentials: None
) -> None:
    settings.CLOUD_BACKEND = "cloud.ec2.Ec2Cloud"
    settings.AWS_SUBNETS = {"us-east-1a": "subnet-1"}
    built = backends.cloud()
    assert isinstance(built, Ec2Cloud)
    assert built.config.subnets == {"us-east-1a": "subnet-1"}
    assert built.config.endpoint_url is None or built.config.endpoint_url.startswith("http")


def test_a_forked_worker_builds_its_own_cloud(settings: Settings, fresh_backend: None) -> None:
    settings.CLOUD_BACKEND = "cloud.fake.FakeCloud"
    backends.cloud()
    child = os.fork()
    if child == 0:
        os._exit(backends.cloud.cache_info().currsize)
    assert os.waitpid(child, 0)[1] == 0
    assert backends.cloud.cache_info().currsize == 1
