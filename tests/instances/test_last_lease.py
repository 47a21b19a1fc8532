"""When the money does not reach for another whole lease, the work gets what it does reach for, and hears until when."""

from datetime import timedelta
from decimal import Decimal

from instances.models import Instance
from spend.services import budget_of, set_amount
from tests.instances.conftest import NOON, Stage, check_books, events, fresh


def leave(stage: Stage, row: Instance, usd: Decimal) -> None:
    budget = budget_of(row.owner)
    set_amount(budget, budget.spent_usd + budget.held_usd + usd, why="test", who=None, now=stage.now)


def test_the_last_lease_is_as_long_as_the_money_and_told_once(stage: Stage) -> None:
    row = stage.running()
    stage.active.add(row.slug)
    leave(stage, row, Decimal("1.00"))
    stage.wait(3 * 60, step=5)
    first_lease_ended = NOON + timedelta(hours=4)
    last = fresh(row).lease_until
    assert first_lease_ended + timedelta(minutes=90) < last < first_lease_ended + timedelta(hours=2)
    [told] = events(row, "money")
    assert f"stops at {last:%H:%M}" in told.reason
    assert fresh(row).guard_until > last  # AWS's own timer went along
    assert stage.wait(4 * 60, until=lambda: fresh(row).state == "stopped")
    assert stage.now - last < timedelta(minutes=5)
    assert fresh(row).reason == "Stopped: the budget cannot pay for this machine any longer."
    stage.wait(2)
    check_books()
