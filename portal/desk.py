"""All that one person sees of one course: money, codes, machines, presets, put together. Changes nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Q

from courses.models import Enrollment
from credits import queries as codes
from credits.holder_page import Beside, beside
from credits.models import CreditCode
from credits.queries import Offer
from credits.redemption import Step, steps, warnings
from instances.cards import Card, cards
from instances.models import Instance
from instances.presets import offered_to
from instances.queries import accrued_of
from instances.quotes import Quote, quotes_for
from instances.states import ENDED
from spend.reports import OwnMoney, own_money

EARLIER = 10  # ended machines shown; older ones are in the staff's report


@dataclass(frozen=True, slots=True)
class HeldCode:
    code: CreditCode
    steps: Sequence[Step]
    warnings: Sequence[str]
    beside: Beside  # who looked, what was reported, what it is for


@dataclass(frozen=True, slots=True)
class Shelf:
    """A preset with what the person's money buys of it."""

    quote: Quote
    hours: int
    can_pay: bool


@dataclass(frozen=True, slots=True)
class Desk:
    """The part that changes while one looks at it: money and machines."""

    money: OwnMoney | None
    machines: Sequence[Card]
    earlier: Sequence[Instance]
    now: datetime

    @property
    def running(self) -> Sequence[Card]:
        return [card for card in self.machines if card.is_live]

    @property
    def usd_hour(self) -> Decimal:
        return sum((card.usd_hour for card in self.machines), Decimal(0))

    @property
    def is_moving(self) -> bool:
        return any(card.is_moving for card in self.machines)


def desk(enrollment: Enrollment, now: datetime) -> Desk:
    """Six queries at most, whatever the person ever had."""
    mine = Instance.objects.filter(owner=enrollment)
    earlier = mine.filter(state__in=ENDED).select_related("preset")[:EARLIER]
    return Desk(
        money=own_money(enrollment, now=now, accrued_usd=accrued_of(enrollment, now)),
        machines=cards(mine.filter(~Q(state__in=ENDED)), now),
        earlier=list(earlier),
        now=now,
    )


def shelves(enrollment: Enrollment, money: OwnMoney | None, now: datetime) -> list[Shelf]:
    left = money.tightest.left_usd if money else Decimal(0)
    presets = offered_to(enrollment)
    return [Shelf(quote, quote.hours(left), quote.total_usd <= left) for quote in quotes_for(enrollment, presets, now)]


def offers(enrollment: Enrollment, now: datetime) -> list[Offer]:
    return codes.claimable(enrollment, now)


def held_codes(enrollment: Enrollment) -> list[HeldCode]:
    """Newest first. Four queries at most, however many codes."""
    held = list(codes.codes_of(enrollment))
    more = beside(held, enrollment)
    return [HeldCode(code, steps(code.batch), warnings(code.batch), more[code.pk]) for code in held]
