"""The `billing` API of AWS: redeeming a promotional code into the account, and the account's credits.

Beside `ec2.py` the only boto3 of the product: another service, with its own rules (nothing is ever repeated, and no
error may carry the code along). Every error leaves as a `CloudError`.
"""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any

import boto3
from botocore.config import Config

from cloud.base import CloudError, Refused
from cloud.billing import CodeRefused, Credit, NotOfferedHere, verdict_of
from cloud.ec2_errors import our_words

_A_YEAR = timedelta(days=364)  # AWS looks back one year and refuses more
# Only these speak of the code. Whatever else AWS refuses (rights, the account, the call) condemns no code.
_ABOUT_THE_CODE = ("ValidationException", "ParamValidationError")


class AwsBilling:
    def __init__(self, *, region: str, endpoint_url: str | None = None, timeout_seconds: float = 20) -> None:
        self._session = boto3.session.Session(region_name=region)
        self._endpoint_url = endpoint_url
        self._timeout_seconds = timeout_seconds

    def offered(self) -> bool:
        return "billing" in self._session.get_available_services() and hasattr(self._billing, "redeem_credits")

    def redeem(self, code: str) -> None:
        self._must_be_offered()
        error = self._refusal(code)
        if error:
            raise error  # outside of any `except`, so that nothing that holds the code hangs on it

    def _refusal(self, code: str) -> CloudError | None:
        try:
            with our_words():
                self._billing.redeem_credits(promoCode=code)
        except CloudError as error:
            return _without(error, code)
        return None

    def credits(self) -> list[Credit]:
        self._must_be_offered()
        with our_words():
            answer = self._billing.get_credits(accountId=self._account, startDate=datetime.now(UTC) - _A_YEAR)
        return [_credit(told) for told in answer.get("credits", [])]

    def _must_be_offered(self) -> None:
        if not self.offered():
            raise NotOfferedHere("The installed boto3 cannot redeem credits.", code="NotOffered")

    @cached_property
    def _billing(self) -> Any:
        # One attempt: a repeated redemption whose first answer was lost would be answered with "already redeemed".
        return self._client("billing", attempts=1)

    @cached_property
    def _account(self) -> str:
        return str(self._client("sts", attempts=3).get_caller_identity()["Account"])

    def _client(self, service: str, attempts: int) -> Any:
        config = Config(
            connect_timeout=5,
            read_timeout=self._timeout_seconds,
            retries={"mode": "standard", "total_max_attempts": attempts},
            user_agent_extra="lamplighter",
        )
        return self._session.client(service, endpoint_url=self._endpoint_url, config=config)


def _without(error: CloudError, code: str) -> CloudError:
    """AWS puts the code into its refusals: the same error without it, and without boto3's own behind it."""
    text = str(error).replace(code, "…")
    if type(error) is Refused and error.code in _ABOUT_THE_CODE:
        return CodeRefused(text, verdict_of(text), code=error.code)
    return type(error)(text, code=error.code)


def _credit(told: dict[str, Any]) -> Credit:
    remaining = _amount(told["remainingAmount"])
    return Credit(
        credit_id=told["creditId"],
        amount=_amount(told["initialAmount"]),
        remaining=remaining,
        estimated=_amount(told["estimatedAmount"]) if "estimatedAmount" in told else remaining,
        currency=told["initialAmount"]["currencyCode"],
        starts=told["startDate"],
        ends=told.get("endDate"),
        status=told.get("creditStatus", ""),
        products=tuple(told.get("applicableProductNames", ())),
        description=told.get("description", ""),
    )


def _amount(told: dict[str, str]) -> Decimal:
    """Without its sign: on bills AWS counts credit as negative cost."""
    return abs(Decimal(told["currencyAmount"]))
