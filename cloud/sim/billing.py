"""The simulated account's credit: the two calls of AWS's `billing` service that the product makes (JSON 1.0).

Which codes exist is told through `/sim/credits`. Only their hashes are kept, so that no file here holds a code.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from typing import Any

from cloud.sim.base_server import ACCOUNT
from cloud.sim.store import Store

TARGET = "AWSBilling."
_LISTED_SECONDS = 366 * 24 * 3600
_LATEST = 4102444800.0  # the year 2100
Answer = tuple[int, dict[str, Any]]


class BillingError(Exception):
    """Answered with HTTP 400. `code` is AWS's name of the error."""

    def __init__(self, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.told = {"__type": f"com.amazonaws.billing#{code}", "message": message, **more}


class Billing:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._calls: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "RedeemCredits": self._redeem,
            "GetCredits": self._credits,
        }

    def answer(self, op: str, body: bytes, _account: str) -> Answer:
        call = self._calls.get(op)
        try:
            if call is None:
                raise BillingError("UnknownOperationException", f"Not simulated: {op}")
            with self._lock:
                return 200, call(json.loads(body or b"{}"))
        except BillingError as error:
            return 400, error.told

    # -------------------------------------------------------------- control
    def know(self, promotions: list[dict[str, Any]]) -> None:
        """`[{"code", "amount", "days"?, "name"?, "limit"?, "expired"?}]`. Raises KeyError, ValueError."""
        for one in promotions:
            fact = {
                "amount": f"{float(one['amount']):.2f}",
                "days": float(one.get("days", 365)),
                "name": str(one.get("name", "AWS Promotional Credit")),
                "limit": int(one["limit"]) if one.get("limit") else None,
                "expired": bool(one.get("expired", False)),
            }
            self._store.put("promotion", _hash(str(one["code"])), fact)

    def told(self) -> list[dict[str, Any]]:
        """Every credit on the account."""
        return list(self._store.all("credit").values())

    # -------------------------------------------------------------- the service
    def _redeem(self, asked: dict[str, Any]) -> dict[str, Any]:
        code = asked.get("promoCode")
        if not isinstance(code, str) or not 1 <= len(code) <= 256:
            raise _invalid("1 validation error detected: promoCode must have length between 1 and 256")
        name, promotions = _hash(code), self._store.all("promotion")
        promotion = promotions.get(name)
        if promotion is None:
            raise _invalid("We were unable to redeem the credit you entered. Please check the code and try again.")
        taken = self._store.all("credit")
        if name in taken:
            raise _invalid(f"Attempting to redeem a promotion code that has already been redeemed : {code}")
        if promotion["expired"]:
            raise _invalid(f"The promotion code {code} has expired.")
        same = [one for one in taken.values() if one["description"] == promotion["name"]]
        if promotion["limit"] is not None and len(same) >= promotion["limit"]:
            raise _invalid(
                f"The account {ACCOUNT} exceeds the limit of {promotion['limit']} for {promotion['name']}, "
                "maximum number of codes currently redeemed per account."
            )
        self._store.put("credit", name, self._new_credit(promotion, len(taken)))
        return {}

    def _new_credit(self, promotion: dict[str, Any], number: int) -> dict[str, Any]:
        amount = {"currencyCode": "USD", "currencyAmount": promotion["amount"]}
        now = time.time()
        return {
            "creditId": str(7_000_000_001 + number),
            "accountId": ACCOUNT,
            "creditType": "Promotion",
            "initialAmount": amount,
            "remainingAmount": amount,
            "estimatedAmount": amount,
            "applicableProductNames": ["Amazon Elastic Compute Cloud", "Amazon Elastic Block Store"],
            "description": promotion["name"],
            "startDate": now,
            "endDate": now + promotion["days"] * 24 * 3600,
            "creditStatus": "ENABLED",
            "creditSharingType": "DEFAULT",
        }

    def _credits(self, asked: dict[str, Any]) -> dict[str, Any]:
        if "accountId" not in asked or "startDate" not in asked:
            raise _invalid("accountId and startDate are required")
        if asked["accountId"] != ACCOUNT:
            raise BillingError("AccessDeniedException", "Not an account of yours.")
        first = float(asked["startDate"])
        if first < time.time() - _LISTED_SECONDS:
            raise _invalid("startDate must be within the last year")
        last = float(asked.get("endDate", _LATEST))
        return {"credits": [one for one in self.told() if first <= one["startDate"] <= last]}


def _invalid(message: str) -> BillingError:
    return BillingError("ValidationException", message, reason="other")


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
