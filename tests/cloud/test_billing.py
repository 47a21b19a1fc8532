"""The course account: one contract over both twins; over the wire: lost answers, AWS's words, no code in errors."""

import logging
import secrets
import traceback
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Protocol

import pytest

from cloud.aws_billing import AwsBilling
from cloud.base import AccountBlocked, CloudError, Refused, Transient
from cloud.billing import CodeRefused, CourseAccount, NotOfferedHere, Verdict, verdict_of
from cloud.fake_billing import FakeBilling, Promotion
from tests.simulated_aws import SimulatedAws


class Stage(Protocol):
    account: CourseAccount

    def know(self, code: str, amount: int, **more: object) -> None: ...
    def lose_answer(self) -> None: ...
    def fail_before(self) -> None: ...


class FakeStage:
    def __init__(self) -> None:
        self.account = self.fake = FakeBilling()

    def know(self, code: str, amount: int, **more: object) -> None:
        self.fake.known[code] = Promotion(Decimal(amount), **more)  # type: ignore[arg-type]

    def lose_answer(self) -> None:
        self.fake.faults.break_after("redeem", Transient("connection closed"))

    def fail_before(self) -> None:
        self.fake.faults.break_before("redeem", Transient("throttled"))


class SimStage:
    def __init__(self, sim: SimulatedAws) -> None:
        self.sim = sim
        self.account = AwsBilling(region="us-east-1", endpoint_url=sim.url)

    def know(self, code: str, amount: int, **more: object) -> None:
        self.sim.ask("POST", "credits", [{"code": code, "amount": amount, **more}])

    def lose_answer(self) -> None:
        self.sim.fault("RedeemCredits", "ConnectionDropped", after=True)

    def fail_before(self) -> None:
        self.sim.fault("RedeemCredits", "ThrottlingException")


@pytest.fixture(params=["fake", "aws"])
def stage(request: pytest.FixtureRequest) -> Stage:
    return FakeStage() if request.param == "fake" else SimStage(request.getfixturevalue("sim"))


def new_code() -> str:
    return f"PC{secrets.token_hex(7).upper()}"


def ids(account: CourseAccount) -> set[str]:
    return {credit.credit_id for credit in account.credits()}


def test_a_code_becomes_credit_with_its_end(stage: Stage) -> None:
    code, before = new_code(), ids(stage.account)
    stage.know(code, 250)
    assert stage.account.offered()
    stage.account.redeem(code)
    (credit,) = [credit for credit in stage.account.credits() if credit.credit_id not in before]
    assert (credit.amount, credit.remaining, credit.estimated, credit.currency) == (250, 250, 250, "USD")
    assert credit.ends is not None
    assert timedelta(days=364) < credit.ends - datetime.now(UTC) <= timedelta(days=366)
    assert (credit.status, "Amazon Elastic Compute Cloud" in credit.products) == ("ENABLED", True)


def test_the_second_time_it_is_used_and_nothing_is_added(stage: Stage) -> None:
    code = new_code()
    stage.know(code, 100)
    stage.account.redeem(code)
    before = ids(stage.account)
    assert refusal(stage, code).verdict is Verdict.USED
    assert ids(stage.account) == before


def test_what_is_unknown_expired_or_one_too_many_is_told_apart(stage: Stage) -> None:
    first, second, late = new_code(), new_code(), new_code()
    name = f"promo-{first}"
    stage.know(first, 100, name=name, limit=1)
    stage.know(second, 100, name=name, limit=1)
    stage.know(late, 100, expired=True)
    stage.account.redeem(first)
    verdicts = [refusal(stage, code).verdict for code in (new_code(), second, late)]
    assert verdicts == [Verdict.UNKNOWN, Verdict.LIMIT, Verdict.EXPIRED]


def test_a_lost_answer_is_not_repeated_and_the_account_tells(stage: Stage) -> None:
    code, before = new_code(), ids(stage.account)
    stage.know(code, 100)
    stage.lose_answer()
    with pytest.raises(Transient):
        stage.account.redeem(code)
    assert len(ids(stage.account) - before) == 1


def test_a_throttled_call_has_done_nothing(stage: Stage) -> None:
    code, before = new_code(), ids(stage.account)
    stage.know(code, 100)
    stage.fail_before()
    with pytest.raises(Transient):
        stage.account.redeem(code)
    assert ids(stage.account) == before


def refusal(stage: Stage, code: str) -> CodeRefused:
    with pytest.raises(CodeRefused) as refused:
        stage.account.redeem(code)
    assert code not in str(refused.value)
    return refused.value


# ------------------------------------------------------------------ the wire


def test_one_call_is_one_request(sim: SimulatedAws) -> None:
    stage, code = SimStage(sim), new_code()
    stage.know(code, 100)
    sim.fault("RedeemCredits", "InternalServerException", times=None)
    with pytest.raises(Transient):
        stage.account.redeem(code)
    assert sim.calls()["RedeemCredits"] == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("AccessDeniedException", Refused),
        ("SubscriptionRequiredException", Refused),
        ("UnrecognizedClientException", AccountBlocked),
    ],
)
def test_what_is_not_about_the_code_says_nothing_about_it(sim: SimulatedAws, code: str, kind: type[CloudError]) -> None:
    sim.fault("RedeemCredits", code)
    with pytest.raises(kind) as refused:
        SimStage(sim).account.redeem(new_code())
    assert not isinstance(refused.value, CodeRefused)


def test_no_error_and_no_log_line_carries_the_code(sim: SimulatedAws, caplog: pytest.LogCaptureFixture) -> None:
    stage, code = SimStage(sim), new_code()
    stage.know(code, 100)
    with caplog.at_level(logging.DEBUG):
        stage.account.redeem(code)
        try:
            stage.account.redeem(code)
        except CodeRefused:
            told = traceback.format_exc()
    assert code not in told
    assert not [record for record in caplog.records if code in record.getMessage()]


def test_without_the_calls_in_boto3_it_says_so_and_asks_nobody(sim: SimulatedAws) -> None:
    account = AwsBilling(region="us-east-1", endpoint_url=sim.url)
    account.__dict__["_billing"] = object()  # as an older boto3 makes it: without these methods
    assert not account.offered()
    for call in (account.credits, lambda: account.redeem(new_code())):
        with pytest.raises(NotOfferedHere):
            call()


def test_credit_survives_the_simulators_restart_and_no_file_of_it_holds_the_code(sim: SimulatedAws) -> None:
    stage, code = SimStage(sim), new_code()
    stage.know(code, 100)
    stage.account.redeem(code)
    for path in sim.folder.rglob("*"):
        assert not path.is_file() or code.encode() not in path.read_bytes()


def test_sentences_that_nobody_foresaw_are_other() -> None:
    assert verdict_of("Mercury is in retrograde.") is Verdict.OTHER
