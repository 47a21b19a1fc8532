"""The course account in memory: the working twin of `AwsBilling`, that breaks on command. For tests."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from cloud.billing import CodeRefused, Credit, NotOfferedHere, Verdict
from cloud.fake_faults import Faults


@dataclass(slots=True)
class Promotion:
    """What a code is worth; `limit` codes of one `name` at most go into the account."""

    amount: Decimal
    ends: datetime | None = None
    name: str = ""
    limit: int | None = None
    expired: bool = False


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class FakeBilling:
    """Breaking it: `faults.break_before/break_after("redeem" | "credits", …)`; `hidden` credits are not listed yet."""

    clock: Callable[[], datetime] = _utc_now
    known: dict[str, Promotion] = field(default_factory=dict)  # by code
    faults: Faults = field(default_factory=Faults)
    is_offered: bool = True
    hidden: bool = False
    redeemed: list[str] = field(default_factory=list)
    _credits: list[Credit] = field(default_factory=list)

    def offered(self) -> bool:
        return self.is_offered

    def redeem(self, code: str) -> None:
        self._must_be_offered()
        self.faults.around("redeem", (), lambda: self._take(code))

    def credits(self) -> list[Credit]:
        self._must_be_offered()
        return self.faults.around("credits", (), lambda: [] if self.hidden else list(self._credits))

    def grant(self, amount: Decimal, *, ends: datetime | None = None, name: str = "AWS Credit") -> Credit:
        """Credit that came without a code."""
        now = self.clock()
        credit = Credit(
            credit_id=str(1000 + len(self._credits)),
            amount=amount,
            remaining=amount,
            estimated=amount,
            currency="USD",
            starts=now,
            ends=ends or now + timedelta(days=365),
            status="ENABLED",
            products=("Amazon Elastic Compute Cloud",),
            description=name,
        )
        self._credits.append(credit)
        return credit

    def _take(self, code: str) -> None:
        promotion = self.known.get(code)
        if promotion is None:
            raise _refused("We were unable to redeem the credit you entered.", Verdict.UNKNOWN)
        if code in self.redeemed:
            raise _refused("Attempting to redeem a promotion code that has already been redeemed : …", Verdict.USED)
        if promotion.expired:
            raise _refused("The promotion code has expired.", Verdict.EXPIRED)
        used = Counter(self.known[one].name for one in self.redeemed)
        if promotion.limit is not None and used[promotion.name] >= promotion.limit:
            text = f"The account exceeds the limit of {promotion.limit} for maximum number of codes per account."
            raise _refused(text, Verdict.LIMIT)
        self.redeemed.append(code)
        self.grant(promotion.amount, ends=promotion.ends, name=promotion.name or "AWS Credit")

    def _must_be_offered(self) -> None:
        if not self.is_offered:
            raise NotOfferedHere("The installed boto3 cannot redeem credits.", code="NotOffered")


def _refused(text: str, verdict: Verdict) -> CodeRefused:
    return CodeRefused(f"ValidationException: {text}", verdict, code="ValidationException")
