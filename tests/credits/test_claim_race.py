"""Many claimants at the same moment in real processes: no code twice, nobody twice, nobody wrongly refused.

Each race also runs with its guard removed: there it must go wrong, or the race proves nothing.
"""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from functools import partial
from multiprocessing.synchronize import Event
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from courses.models import Enrollment
from credits import holding, quick
from credits.models import CodeBatch, CodeEvent, CreditCode
from credits.services import ClaimRefused, claim
from tests.conftest import Cast
from tests.credits.conftest import NOW, enroll_students, make_batch
from tests.race import race

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
Outcome = tuple[int, int | None]  # (claimant, code or None when refused)


def _claim_all(lines: list[int], batch_id: int) -> list[Outcome]:
    """One process: claims for each of its claimants in turn, as fast as it can."""
    batch = CodeBatch.objects.select_related("course").get(pk=batch_id)
    outcomes: list[Outcome] = []
    for line in Enrollment.objects.select_related("user").filter(pk__in=lines):
        try:
            outcomes.append((line.pk, claim(line, batch, who=line.user, address=None, now=NOW).pk))
        except ClaimRefused:
            outcomes.append((line.pk, None))
    return outcomes


def _race(groups: list[list[int]], batch: CodeBatch) -> list[Outcome]:
    done = race([partial(_claim_all, group, batch.pk) for group in groups])
    assert all(one.ok for one in done), [one.error for one in done]
    return [outcome for one in done for outcome in one.value]


def _check_thirty_for_twenty(outcomes: list[Outcome], batch: CodeBatch) -> None:
    got = [code for _line, code in outcomes if code]
    assert len(outcomes) == 30
    assert len(got) == len(set(got)) == 20
    rows = CreditCode.objects.filter(batch=batch, status="claimed")
    assert set(rows.values_list("holder", "pk")) == {(line, code) for line, code in outcomes if code}
    claims = Counter(CodeEvent.objects.filter(verb="claimed").values_list("code", flat=True))
    assert set(claims.values()) == {1}
    assert len(claims) == 20


def _thirty_for_twenty(cast: Cast) -> tuple[list[list[int]], CodeBatch]:
    lines = enroll_students(cast.course, 30)
    return [lines[n::8] for n in range(8)], make_batch(cast.course, codes=20)


def test_thirty_claimants_for_twenty_codes(cast: Cast) -> None:
    groups, batch = _thirty_for_twenty(cast)
    _check_thirty_for_twenty(_race(groups, batch), batch)


def _take_without_lock(batch: CodeBatch, holder: Enrollment, _key: str, now: datetime) -> CreditCode | None:
    code = CreditCode.objects.filter(batch=batch, status="available").order_by("pk").first()
    time.sleep(0.1)
    if code:
        code.status, code.holder, code.claimed_at = "claimed", holder, now
        code.save(update_fields=("status", "holder", "claimed_at"))
    return code


def test_control_without_the_lock_codes_go_out_twice(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "claim_at_once", _not_at_once)
    monkeypatch.setattr(holding, "take_passing_by", _take_without_lock)
    groups, batch = _thirty_for_twenty(cast)
    outcomes = _race(groups, batch)
    with pytest.raises(AssertionError):
        _check_thirty_for_twenty(outcomes, batch)


def _not_at_once(*_args: object, **_more: object) -> None:
    """Everybody goes the way of teams and of other databases: step by step."""


def test_step_by_step_the_same_claimants_in_eight_tabs_get_one_code_each(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quick, "claim_at_once", _not_at_once)
    lines = enroll_students(cast.course, 10)
    batch = make_batch(cast.course, codes=10)
    _check_one_each(_race([lines] * 8, batch), batch, 10)


def test_control_at_once_without_the_claimants_lock_eight_tabs_go_wrong(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly = quick.SQL.replace("FOR NO KEY UPDATE", "").replace(
        "SELECT * FROM taken", "SELECT *, pg_sleep(0.2) FROM taken"
    )
    monkeypatch.setattr(quick, "SQL", slowly)
    lines = enroll_students(cast.course, 10)
    batch = make_batch(cast.course, codes=10)
    done = race([partial(_claim_all, lines, batch.pk)] * 8)
    assert any(isinstance(one.error, IntegrityError) for one in done)


def _check_one_each(outcomes: list[Outcome], batch: CodeBatch, claimants: int) -> None:
    by_claimant: dict[int, set[int | None]] = {}
    for line, code in outcomes:
        by_claimant.setdefault(line, set()).add(code)
    assert len(by_claimant) == claimants
    assert all(len(codes) == 1 and None not in codes for codes in by_claimant.values())
    assert CreditCode.objects.filter(batch=batch, status="claimed").count() == claimants


def test_the_same_claimants_in_eight_tabs_each_get_one_code_and_none_is_refused(cast: Cast) -> None:
    lines = enroll_students(cast.course, 10)
    batch = make_batch(cast.course, codes=10)
    _check_one_each(_race([lines] * 8, batch), batch, 10)


def test_control_without_the_claimants_lock_eight_tabs_go_wrong(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quick, "claim_at_once", _not_at_once)
    monkeypatch.setattr(QuerySet, "select_for_update", _without_the_claimants_lock(QuerySet.select_for_update))
    monkeypatch.setattr(holding, "take_passing_by", _slowly(holding.take_passing_by))
    lines = enroll_students(cast.course, 10)
    batch = make_batch(cast.course, codes=10)
    with pytest.raises(AssertionError):
        _check_one_each(_race([lines] * 8, batch), batch, 10)


def _slowly(take: Callable[..., CreditCode | None]) -> Callable[..., CreditCode | None]:
    """That this claimant has none yet was seen, and the others look meanwhile."""

    def slow(*args: Any) -> CreditCode | None:
        time.sleep(0.1)
        return take(*args)

    return slow


def _without_the_claimants_lock(real: Callable[..., QuerySet]) -> Callable[..., QuerySet]:
    def select_for_update(self: QuerySet, *args: object, **options: object) -> QuerySet:
        return self.all() if self.model is Enrollment else real(self, *args, **options)

    return select_for_update


def _hold_the_code_then_roll_back(code_id: int, locked: Event, seconds: float) -> None:
    with transaction.atomic():
        CreditCode.objects.select_for_update().get(pk=code_id)
        locked.set()
        time.sleep(seconds)
        transaction.set_rollback(True)


def test_the_last_code_is_not_called_gone_while_a_claim_that_fails_still_holds_it(cast: Cast) -> None:
    batch = make_batch(cast.course, codes=1)
    locked = multiprocessing.get_context("fork").Event()

    def wait_then_claim() -> int:
        locked.wait(10)
        return claim(cast.student, batch, who=cast.student.user, address=None, now=NOW).pk

    code = batch.codes.get()
    _other, ours = race([partial(_hold_the_code_then_roll_back, code.pk, locked, 0.5), wait_then_claim])
    assert ours.value == code.pk
