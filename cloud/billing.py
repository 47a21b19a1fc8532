"""The course's own AWS account as far as credit goes, in our own words. Knows no boto3, no Django, nothing of ours.

Twins: `AwsBilling` (AWS, or anything that speaks its wire protocol) and `FakeBilling` (in memory). One contract test
runs over both: tests/cloud/test_billing.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from cloud.base import CloudError


@dataclass(frozen=True, slots=True)
class Credit:
    """One credit on the account. Amounts in the currency named, as positive numbers."""

    credit_id: str
    amount: Decimal  # as it was given
    remaining: Decimal  # AWS counts what a month has used only when the month is over
    estimated: Decimal  # `remaining` less what the open month has used so far
    currency: str
    starts: datetime
    ends: datetime | None
    status: str  # AWS's word: ENABLED, DISABLED; empty when it says none
    products: Sequence[str]  # what it pays for
    description: str


class NotOfferedHere(CloudError):
    """This installation cannot ask AWS about credit: boto3 is too old for it."""


class Verdict(StrEnum):
    """What AWS's words say about a code that it refused."""

    USED = "used"
    UNKNOWN = "unknown"
    LIMIT = "limit"  # this account takes no more of the promotion; the code itself is good
    EXPIRED = "expired"
    OTHER = "other"


class CodeRefused(CloudError):
    """A definite refusal of this code: repeating it is useless. The message never holds the code."""

    def __init__(self, message: str, verdict: Verdict, *, code: str = "") -> None:
        super().__init__(message, code=code)
        self.verdict = verdict


class CourseAccount(Protocol):
    def offered(self) -> bool:
        """Whether this installation can ask at all. Asks nobody."""
        ...

    def redeem(self, code: str) -> None:
        """Ask once. Returns when AWS accepted.

        Raises CodeRefused; Transient when the answer was lost: AWS may have taken the code, and saying it again
        would be answered with "already redeemed", so look at `credits` instead; AccountBlocked and Refused (no
        permission) when the account may not; NotOfferedHere.
        """
        ...

    def credits(self) -> list[Credit]:
        """All credits of the account that began in the last year. Raises like `redeem`, but for CodeRefused."""
        ...


# AWS has no error code for these: its sentence is all there is. Lower case; the first that occurs decides.
_WORDS = (
    ("maximum number of codes", Verdict.LIMIT),
    ("exceeds the limit", Verdict.LIMIT),
    ("already been redeemed", Verdict.USED),
    ("already redeemed", Verdict.USED),
    ("expired", Verdict.EXPIRED),
    ("unable to redeem", Verdict.UNKNOWN),
    ("invalid", Verdict.UNKNOWN),
    ("not valid", Verdict.UNKNOWN),
    ("does not exist", Verdict.UNKNOWN),
)


def verdict_of(message: str) -> Verdict:
    said = message.lower()
    return next((verdict for words, verdict in _WORDS if words in said), Verdict.OTHER)
