"""CloudWatch's word on machines, over the wire: batched, silent where nothing was measured, its refusals ours."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from cloud.aws_loads import QUERIES, AwsLoads
from cloud.base import CloudError, Transient
from cloud.fake_loads import FakeLoads
from cloud.loads import Load, Loads
from tests.cloud.conftest import SimulatedAws

Know = Callable[[str, Load], None]
NOW = datetime.now(UTC)


@pytest.fixture(params=["memory", "wire"])
def twin(request: pytest.FixtureRequest) -> tuple[Loads, Know]:
    if request.param == "memory":
        fake = FakeLoads()
        return fake, lambda one, load: fake.measured.__setitem__(one, load)
    sim: SimulatedAws = request.getfixturevalue("sim")

    def know(one: str, load: Load) -> None:
        values = {name: getattr(load, name) for name in Load.__dataclass_fields__ if getattr(load, name) is not None}
        sim.ask("POST", "loads", {"cloud_id": one, **values})

    return AwsLoads(region="us-east-1", endpoint_url=sim.url), know


def ask(loads: Loads, ids: list[str]) -> dict[str, Load]:
    now = datetime.now(UTC)
    return dict(loads.loads(ids, now - timedelta(minutes=15), now + timedelta(minutes=1)))


def test_what_was_measured_is_told_of_each(twin: tuple[Loads, Know]) -> None:
    loads, know = twin
    know("i-0a", Load(cpu_percent=55.0, net_rx_bytes=1000.0))
    know("i-0b", Load(gpu_percent=64.0))
    assert ask(loads, ["i-0a", "i-0b", "i-0c"]) == {
        "i-0a": Load(cpu_percent=55.0, net_rx_bytes=1000.0),
        "i-0b": Load(gpu_percent=64.0),
        "i-0c": Load(),
    }


def test_nobody_is_asked_about_nobody(twin: tuple[Loads, Know]) -> None:
    assert ask(twin[0], []) == {}


def test_many_are_asked_in_as_few_questions_as_aws_takes(sim: SimulatedAws) -> None:
    loads = AwsLoads(region="us-east-1", endpoint_url=sim.url)
    ids = [f"i-{n:017x}" for n in range(QUERIES // 3 + 1)]  # one more than fits
    assert set(ask(loads, ids)) == set(ids)


def test_a_cloud_that_does_not_answer_is_transient() -> None:
    with pytest.raises(Transient):
        ask(AwsLoads(region="us-east-1", endpoint_url="http://127.0.0.1:9"), ["i-0a"])


def test_the_twin_breaks_on_command() -> None:
    with pytest.raises(CloudError):
        ask(FakeLoads(error=Transient("Rate exceeded")), ["i-0a"])
