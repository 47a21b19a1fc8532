"""Can this path of budgets pay? Pure: no database, no clock. Locking and booking are in `services.py`."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class BudgetLine:
    """One budget of a path as it stands. All amounts in USD."""

    level: str
    name: str
    amount_usd: Decimal
    spent_usd: Decimal
    held_usd: Decimal

    @property
    def left_usd(self) -> Decimal:
        """What may still be held here: never below 0, also after an overrun."""
        return max(ZERO, self.amount_usd - self.spent_usd - self.held_usd)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the path can pay. If not, `level` and `name` say which budget cannot; if so, which is the tightest."""

    ok: bool
    level: str
    name: str
    needed_usd: Decimal
    short_usd: Decimal  # 0 when ok
    left_usd: Decimal  # of the budget named


def verdict(path: Sequence[BudgetLine], amount_usd: Decimal) -> Verdict:
    """Judge `amount_usd` more on every budget of `path`, which goes from the person up to the sponsor.

    The first budget that cannot pay decides, because it is the one nearest to the person who asks.
    Raises ValueError on an empty path and on a negative amount: neither may ever mean "go ahead".
    """
    if not path or amount_usd < 0:
        raise ValueError(f"nothing to judge: {len(path)} budgets, {amount_usd} USD")
    short = next((line for line in path if line.left_usd < amount_usd), None)
    line = short or tightest(path)
    missing = amount_usd - line.left_usd if short else ZERO
    return Verdict(short is None, line.level, line.name, amount_usd, missing, line.left_usd)


def tightest(path: Sequence[BudgetLine]) -> BudgetLine:
    """The budget with the least left; of equals, the one nearest to the person."""
    return min(path, key=lambda line: line.left_usd)
