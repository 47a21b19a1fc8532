"""How to redeem a code at AWS, step by step, in our own words. Knows AWS's pages, not its API."""

from dataclasses import dataclass

from django.utils.formats import date_format
from django.utils.translation import gettext as _

from credits.models import CodeBatch

CREDITS_PAGE = "https://console.aws.amazon.com/billing/home#/credits"


@dataclass(frozen=True, slots=True)
class Step:
    text: str
    link: str = ""


def steps(batch: CodeBatch) -> list[Step]:
    """From the copied code to credit on the account, in order."""
    return [
        Step(_("Copy the code with the button, so that no letter is misread.")),
        Step(
            _("Sign in to your own AWS account as its owner (the root user) and open Billing, then Credits."),
            CREDITS_PAGE,
        ),
        Step(_("Press “Redeem credit”, paste the code and confirm.")),
        Step(_done_when(batch)),
        Step(_("Redeem before you launch anything there: use from before counts in full.")),
    ]


def _done_when(batch: CodeBatch) -> str:
    return _("The Credits page lists $%(value)s within a few hours. Come back and tell us that it worked.") % {
        "value": f"{batch.value_usd:,.2f}"
    }


def warnings(batch: CodeBatch) -> list[str]:
    """What surprises people: dates, and that credit is no ceiling."""
    found = [_("Credit is not a spending limit: what goes beyond it is charged to the card on your account.")]
    if batch.redeem_by:
        found.insert(0, _("Redeem it by %(day)s.") % {"day": date_format(batch.redeem_by, "DATE_FORMAT")})
    if batch.expires_on:
        found.append(_("What is left of it is lost after %(day)s.") % {"day": date_format(batch.expires_on)})
    return found
