"""All that staff see of one batch: numbers, who may claim and when, who waits, codes, history. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from django.core.paginator import Page, Paginator
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from credits import books, entitlement, queries
from credits.books import Place
from credits.coverage import covered, rule_of
from credits.models import BatchEvent, CodeBatch, CodeWait, CreditCode
from credits.words import rule_words

ON_A_PAGE = 50
WAITING_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Opening:
    """Whether claims are taken, as a word and its colour."""

    word: str
    style: str
    is_open: bool


@dataclass(frozen=True, slots=True)
class Number:
    """Codes in one place of the books."""

    word: str
    count: int
    usd: Decimal


@dataclass(frozen=True, slots=True)
class BatchPage:
    batch: CodeBatch
    opening: Opening
    numbers: Sequence[Number]
    bought: int
    bought_usd: Decimal
    free: int
    is_claimable: bool  # by people themselves
    rule: str
    people: int  # whom the rule covers; teams, when it is for teams
    waiting: Sequence[CodeWait]
    waiting_count: int
    codes: Page[CreditCode]
    events: Sequence[BatchEvent]


def opening_of(batch: CodeBatch, now: datetime) -> Opening:
    if batch.purpose not in entitlement.CLAIMABLE:
        return Opening(_("Given by staff"), "", False)
    if entitlement.expired(batch.redeem_by, now):
        return Opening(_("Expired"), "failed", False)
    if batch.closes_at and batch.closes_at <= now:
        return Opening(_("Closed"), "", False)
    if batch.opens_at and batch.opens_at > now:
        return Opening(_("Opens later"), "", False)
    return Opening(_("Open"), "good", True)


def place_words() -> dict[Place, str]:
    return {
        Place.FREE: _("Free"),
        Place.RESERVED: _("Reserved"),
        Place.CLAIMED: _("Claimed"),
        Place.REDEEMED: _("Redeemed"),
        Place.FAILED: _("Failed"),
        Place.QUARANTINED: _("Quarantined"),
        Place.REVOKED: _("Revoked"),
        Place.COURSE: _("Course account"),
        Place.EXPIRED: _("Expired"),
    }


def batch_page(batch: CodeBatch, now: datetime, *, find: str = "", status: str = "", page: str = "") -> BatchPage:
    """The same number of queries for ten codes and for fifty thousand."""
    count = books.counted(batch.codes.all(), now.astimezone(UTC).date()).get(batch.pk, {})
    line = books.BatchLine(batch, count)
    words = place_words()
    rule = rule_of(batch)
    waiting = queries.waiting(batch)
    return BatchPage(
        batch=batch,
        opening=opening_of(batch, now),
        numbers=[Number(words[place], count[place], line.usd(place)) for place in Place if count.get(place)],
        bought=line.bought,
        bought_usd=line.bought_usd,
        free=count.get(Place.FREE, 0) + count.get(Place.RESERVED, 0),
        is_claimable=batch.purpose in entitlement.CLAIMABLE,
        rule=rule_words(batch.purpose, rule),
        people=covered(batch.course, batch.purpose, rule),
        waiting=list(waiting[:WAITING_SHOWN]),
        waiting_count=waiting.count(),
        codes=Paginator(_codes(batch, find.strip(), status), ON_A_PAGE).get_page(page),
        events=list(batch.events.select_related("who").order_by("-at", "-pk")[:30]),
    )


def _codes(batch: CodeBatch, find: str, status: str) -> QuerySet[CreditCode]:
    found = batch.codes.select_related("holder", "team").order_by("pk")
    if status in CreditCode.Status.values:
        found = found.filter(status=status)
    if find:
        who = Q(holder__name__icontains=find) | Q(holder__email__icontains=find) | Q(team__name__icontains=find)
        found = found.filter(who | Q(last4__iexact=find.removeprefix("…")))
    return found
