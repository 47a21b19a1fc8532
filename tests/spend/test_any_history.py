"""Any history of money moves on four levels: after every single one the caps hold and the books add up."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from spend.checks import check_books
from spend.metering import ChargeLine
from spend.models import Budget, Hold
from spend.refusals import BudgetRefused
from spend.services import hold, post, release, set_amount
from tests.spend.conftest import NOON, Tree, dollars

keys = st.sampled_from(["a/run/1", "a/disk", "b/run/1", "b/run/2"])
amounts = st.one_of(
    st.sampled_from([Decimal("0.1"), Decimal("0.2"), Decimal("0.3"), Decimal(1), Decimal(5)]),
    st.decimals("0.000001", "8", places=6),
)
hours = st.integers(0, 40)


class Histories(RuleBasedStateMachine):
    """Charges never exceed their hold, as when every machine is held for in full: then nothing is ever overrun."""

    tree: Tree
    beyond_holds = False

    def __init__(self) -> None:
        super().__init__()
        self._undo = transaction.atomic()
        self._undo.__enter__()

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self._undo.__exit__(None, None, None)

    def budget(self, key: str) -> Budget:
        return self.tree.ada if key.startswith("a") else self.tree.ben

    @rule(key=keys, amount=amounts)
    def hold(self, key: str, amount: Decimal) -> None:
        left = min(b.left_usd for b in self.path(key))
        before = self.held(key)
        try:
            hold(self.budget(key), key=key, amount_usd=amount, why="", who=None, now=NOON)
        except BudgetRefused:
            assert amount - before > left
            assert self.held(key) == before
        else:
            assert amount - before <= left
            assert self.held(key) == max(before, amount)

    @rule(key=keys, amount=amounts, hour=hours, kind=st.sampled_from(["compute", "address"]), times=st.integers(1, 3))
    def charge(self, key: str, amount: Decimal, hour: int, kind: str, times: int) -> None:
        held = self.held(key)
        lines = [dollars(amount, hour=hour + n, kind=kind) for n in range(times)]
        if not self.beyond_holds:
            lines = lines_within(lines, held)
        posted = post(self.budget(key), key, lines, NOON)
        assert self.held(key) == max(0, held - posted)
        assert post(self.budget(key), key, lines, NOON) == 0

    @rule(key=keys)
    def release(self, key: str) -> None:
        held = self.held(key)
        assert release(key, why="", who=None, now=NOON) == held
        assert release(key, why="", who=None, now=NOON) == 0

    @rule(name=st.sampled_from(["sponsor", "course", "team", "ada", "ben"]), amount=st.decimals("0", "30", places=6))
    def grant(self, name: str, amount: Decimal) -> None:
        before = self.tree.fresh(name)
        try:
            set_amount(before, amount, why="", who=None, now=NOON)
        except BudgetRefused:
            assert amount < before.spent_usd + before.held_usd
        else:
            assert self.tree.fresh(name).amount_usd == amount >= before.spent_usd + before.held_usd

    @invariant()
    def no_cap_is_broken(self) -> None:
        for b in Budget.objects.all():
            assert b.spent_usd + b.held_usd <= b.amount_usd + b.overrun_usd
            assert self.beyond_holds or b.overrun_usd == 0

    @invariant()
    def the_books_add_up(self) -> None:
        assert check_books() == []

    def held(self, key: str) -> Decimal:
        return sum((h.amount_usd for h in Hold.objects.filter(key=key)), Decimal(0))

    def path(self, key: str) -> Iterator[Budget]:
        here: Budget | None = Budget.objects.get(pk=self.budget(key).pk)
        while here is not None:
            yield here
            here = here.parent


def lines_within(lines: list[ChargeLine], held_usd: Decimal) -> list[ChargeLine]:
    """As many of the lines as the hold pays for."""
    count = 0
    while count < len(lines) and sum(line.amount_usd for line in lines[: count + 1]) <= held_usd:
        count += 1
    return lines[:count]


@pytest.mark.parametrize("beyond", [False, True], ids=["charges within their holds", "charges beyond their holds"])
def test_any_history_keeps_the_caps_and_the_books(tree: Tree, beyond: bool) -> None:
    class Here(Histories):
        beyond_holds = beyond

    Here.tree = tree
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=8,
            stateful_step_count=20,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.generate,),  # shrinking a history of database work takes minutes
            database=None,
        ),
    )
