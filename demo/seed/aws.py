"""What the simulated AWS knows of money: which codes there are (invented, worth nothing), and the account's credit."""

import json
import urllib.request
from datetime import datetime
from typing import Any

from django.conf import settings

from cloud.backends import course_account
from cloud.billing import CodeRefused
from credits import vault
from credits.models import CreditCode
from spend.trueing import note_credits

_DAYS = 365
_CREDIT = (
    ("DEMOACCOUNTGRANT", "AWS education grant", "24000", 310),
    ("DEMOACCOUNTPILOT", "Pilot credit", "640", 18),
)


def make_codes_known() -> int:
    """Said at every start: a code that is known already stays as it is. Returns how many. 0 without a simulated AWS."""
    if not settings.AWS_ENDPOINT_URL:
        return 0
    free = CreditCode.objects.filter(status=CreditCode.Status.AVAILABLE).select_related("batch")
    promotions = [
        {
            "code": vault.unseal(code.ciphertext),
            "amount": str(code.batch.value_usd),
            "name": code.batch.promotion or code.batch.name,
            "days": _DAYS,
        }
        for code in free
    ]
    _tell(promotions)
    return len(promotions)


def give_credit(now: datetime) -> int:
    """The account's own credit, of which one ends soon. Given once; returns how many were new."""
    if not settings.AWS_ENDPOINT_URL:
        return 0
    _tell([{"code": code, "amount": usd, "name": name, "days": days} for code, name, usd, days in _CREDIT])
    new = sum(_redeemed(code) for code, *_facts in _CREDIT)
    note_credits(course_account(), now)
    return new


def _redeemed(code: str) -> bool:
    try:
        course_account().redeem(code)
    except CodeRefused:  # at an earlier start
        return False
    return True


def _tell(promotions: list[dict[str, Any]]) -> None:
    request = urllib.request.Request(  # noqa: S310 - the demo's own process on this computer
        f"{settings.AWS_ENDPOINT_URL}/sim/credits", data=json.dumps(promotions).encode(), method="POST"
    )
    with urllib.request.urlopen(request, timeout=20):  # noqa: S310 - as above
        pass
