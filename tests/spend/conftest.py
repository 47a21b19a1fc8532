"""A small tree with round figures: sponsor $100, course $50, team $20, Ada and Ben $10 each."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import ClassVar

import pytest

from spend.metering import ChargeLine
from spend.models import Budget, Level
from spend.opening import create_budget, open_budgets
from spend.services import budget_of
from tests.conftest import Cast
from tests.spend.rooms import room  # noqa: F401 - the fixture

NOON = datetime(2019, 3, 5, 12, tzinfo=UTC)


@dataclass(frozen=True)
class Tree:
    now: ClassVar[datetime] = NOON
    sponsor: Budget
    course: Budget
    team: Budget
    ada: Budget
    ben: Budget

    def fresh(self, name: str) -> Budget:
        return Budget.objects.get(pk=getattr(self, name).pk)


def dollars(amount: str | int | Decimal, hour: int = 0, kind: str = "compute", seconds: int = 3600) -> ChargeLine:
    """A charge of so much in the given hour after noon."""
    return ChargeLine(kind, NOON + timedelta(hours=hour), seconds, Decimal(amount))


@pytest.fixture
def tree(cast: Cast) -> Tree:
    sponsor = create_budget(
        Level.SPONSOR, name="AWS", amount_usd=Decimal(100), parent=None, why="gift", who=None, now=NOON
    )
    course = open_budgets(
        cast.course,
        course_usd=Decimal(50),
        team_usd=Decimal(20),
        person_usd=Decimal(10),
        sponsor=sponsor,
        why="start of term",
        who=cast.instructor.user,
        now=NOON,
    )
    ada = budget_of(cast.student)
    assert ada.parent is not None
    return Tree(sponsor, course, ada.parent, ada, budget_of(cast.other_student))
