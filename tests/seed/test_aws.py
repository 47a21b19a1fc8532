"""The demo's codes can be redeemed at the simulated AWS, and only there."""

from typing import Any

from cloud.aws_billing import AwsBilling
from credits.course_account import ask, perform
from demo.seed.aws import make_codes_known
from tests.conftest import Cast
from tests.credits.conftest import NOW, make_batch
from tests.simulated_aws import SimulatedAws, aws_credentials, sim, simulated_aws

__all__ = ["aws_credentials", "sim", "simulated_aws"]


def test_a_code_of_the_demos_stock_becomes_credit_of_its_value(cast: Cast, sim: SimulatedAws, settings: Any) -> None:
    batch = make_batch(cast.course, 1, value_usd=300, promotion="DEMO")
    settings.AWS_ENDPOINT_URL = sim.url
    assert make_codes_known() == 1
    (asked,) = ask(list(batch.codes.all()), why="x", who=cast.instructor.user, now=NOW)
    account = AwsBilling(region="us-east-1", endpoint_url=sim.url)
    assert perform(asked, account=account, now=NOW) == "confirmed"
    assert asked.amount_usd == 300


def test_without_a_simulated_aws_nobody_is_told(cast: Cast, settings: Any) -> None:
    make_batch(cast.course, 1)
    settings.AWS_ENDPOINT_URL = ""
    assert make_codes_known() == 0
