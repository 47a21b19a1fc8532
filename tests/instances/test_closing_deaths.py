"""The closing round is broken at each outside call, dies before each row that it writes, and runs twice at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from functools import partial
from itertools import count, cycle
from time import sleep
from typing import Any

import pytest
from django.db import connection, transaction

from credits.models import Letter
from instances import closing, closing_steps, sweeps
from instances.closing_records import Closing
from instances.closing_rules import Step
from instances.disk_rules import Standing
from instances.models import DiskSnapshot, Instance
from instances.states import State
from tests.instances.closing_stage import LOST, at_the_end, short_notice  # noqa: F401 - the fixture
from tests.instances.conftest import Stage, check_books, fresh
from tests.race import race

# ------------------------------------------------------------------ dying anywhere
PAUSE = 200  # seconds between rounds: what waits for its next try need not wait for many


class Dies(BaseException):
    """A process that is gone at once: nothing of ours catches it."""


def to_the_archive(stage: Stage) -> None:
    """Rounds until the machine is gone; whoever dies comes again in the next."""
    for _round in range(9):
        stage.later(PAUSE)
        if Instance.objects.filter(state=State.TERMINATING).exists():
            survive(stage.repair)
        survive(partial(sweeps.disks, stage.cloud, stage.now))
        survive(partial(sweeps.closings, stage.cloud, stage.now))
        if Instance.objects.get().state == State.TERMINATED:
            return


def to_the_end(stage: Stage) -> None:
    stage.later(24 * 3600)
    for _round in range(9):
        stage.later(PAUSE)
        survive(partial(sweeps.disks, stage.cloud, stage.now))
        survive(partial(sweeps.closings, stage.cloud, stage.now))
        sweeps.meter(stage.now)
        if Closing.objects.get().finished_at:
            return


def survive(act: Callable[[], object]) -> None:
    with suppress(Dies):
        act()


@contextmanager
def undone(stage: Stage) -> Iterator[None]:
    """Each case begins where the last one did."""
    now, cloud = stage.now, stage.cloud
    with transaction.atomic():
        stage.cloud = deepcopy(cloud, {id(cloud._lock): cloud._lock})
        yield
        transaction.set_rollback(True)
    stage.now, stage.cloud = now, cloud


def assert_archived(stage: Stage, case: object) -> None:
    assert Instance.objects.get().state == State.TERMINATED, case
    assert stage.kept() == [], case
    archive = DiskSnapshot.objects.get(standing=Standing.KEPT)
    assert [*stage.cloud.disks.kept] == [archive.cloud_id], case
    assert Letter.objects.filter(key__contains="/archived/").count() == 1, case


def assert_finished(stage: Stage, case: object) -> None:
    assert stage.cloud.disks.kept == {}, case
    assert not DiskSnapshot.objects.exclude(standing__in=(Standing.DELETED, Standing.FAILED)).exists(), case
    assert Closing.objects.get().finished_at, case
    check_books()


def each_call_breaks(
    stage: Stage, act: Callable[[Stage], None], check: Callable[[Stage, object], None], *ops: str
) -> None:
    """Every call of these that a clean run of `act` makes, found by making one: each dies and is lost, before and after
    its effect. Reading changes nothing: in one more run every other look fails."""
    with undone(stage):
        before = len(stage.cloud.faults.calls)
        act(stage)
        check(stage, "clean")
        made = [op for op, args in stage.cloud.faults.calls[before:] if op in ops and args[0]]
    assert {*made} == {*ops}
    calls = [(op, made[:n].count(op)) for n, op in enumerate(made)]
    cases = [(op, n, error, after) for op, n in calls for error in (LOST, Dies()) for after in (False, True)]
    for op, n, error, after in cases:
        with undone(stage):
            nth = count()
            breaks = stage.cloud.break_after if after else stage.cloud.break_before
            breaks(op, error, when=lambda first, nth=nth, n=n: bool(first) and next(nth) == n)
            act(stage)
            check(stage, (op, n, error, after))
    with undone(stage):
        looks = cycle((True, False))
        stage.cloud.break_before("snapshots", LOST, times=None, when=lambda: next(looks))
        act(stage)
        check(stage, "looks")


def test_each_outside_call_may_fail_or_be_the_last_of_its_process(stage: Stage) -> None:
    at_the_end(stage, keep_days=1)
    each_call_breaks(stage, to_the_archive, assert_archived, "snapshot", "terminate")
    to_the_archive(stage)
    each_call_breaks(stage, to_the_end, assert_finished, "delete_snapshots")


def what_is_so(row: Instance) -> list[object]:
    copies = DiskSnapshot.objects.values_list("standing", "verified_at", "keep_until", "asked_at")
    closed = Closing.objects.values_list("finished_at", "last_call_at")
    return [fresh(row).state, fresh(row).stop_asked_at, list(copies), list(closed), Letter.objects.count()]


def test_the_round_may_die_before_each_row_that_it_writes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies before its first write, then before its second, and so on, until nothing is left of it to die; and
    whenever that changed anything, from the first on again."""
    row, real, deaths = at_the_end(stage, keep_days=1), sweeps.closings, [0]

    def closings(*args: Any) -> None:
        number = 0
        while True:
            before, left = what_is_so(row), count(-number)

            def writes(execute: Any, sql: str, *more: Any, left: Any = left) -> Any:
                if sql.startswith(("INSERT", "UPDATE", "DELETE")) and next(left) == 0:
                    raise Dies
                return execute(sql, *more)

            try:
                with connection.execute_wrapper(writes):
                    real(*args)
                return
            except Dies:
                deaths[0] += 1
            number = 0 if what_is_so(row) != before else number + 1

    monkeypatch.setattr(sweeps, "closings", closings)
    to_the_archive(stage)
    assert_archived(stage, "in the middle")
    to_the_end(stage)
    assert_finished(stage, "in the end")
    assert deaths[0] > 30


# ------------------------------------------------------------------ two at once
def step(stage: Stage, pk: int) -> str:
    row = Instance.objects.get()
    return str(closing_steps.take_step(pk, row.pk, stage.now))


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_said_twice_at_once_there_is_one_archive_and_one_end(stage: Stage) -> None:
    at_the_end(stage)
    now = stage.now
    pk = Closing.objects.get().pk
    said = [one.value for one in race([partial(step, stage, pk)] * 3)]
    assert sorted(said) == [Step.ARCHIVE, Step.WAIT, Step.WAIT]
    assert DiskSnapshot.objects.count() == 1
    DiskSnapshot.objects.update(standing=Standing.KEPT, verified_at=now, cloud_id="snap-1", since=now)
    said = [one.value for one in race([partial(step, stage, pk)] * 3)]
    assert sorted(said) == [Step.DELETE, Step.WAIT, Step.WAIT]
    assert Letter.objects.filter(key__contains="/archived/").count() == 1


def delete_slowly(stage: Stage, pk: int) -> str:
    real = closing_steps.request_terminate

    def slow(*args: Any, **kwargs: Any) -> bool:
        sleep(1)
        return real(*args, **kwargs)

    closing_steps.request_terminate = slow  # in this process alone
    return step(stage, pk)


def call_off_meanwhile(stage: Stage) -> str:
    """What its caller sees once it has come back."""
    sleep(0.3)
    who = stage.cast.instructor.user
    assert who
    closing.call_off(Closing.objects.get(), who=who, now=stage.now)
    return str(Instance.objects.get().state)


def seen_and_in_the_end(stage: Stage) -> tuple[str, str]:
    at_the_end(stage)
    sweeps.closings(stage.cloud, stage.now)
    now = stage.now
    DiskSnapshot.objects.update(standing=Standing.KEPT, verified_at=now)
    pk = Closing.objects.get().pk
    outcomes = race([partial(delete_slowly, stage, pk), partial(call_off_meanwhile, stage)])
    assert all(one.ok for one in outcomes)
    return outcomes[1].value, str(Instance.objects.get().state)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_once_it_is_called_off_no_step_follows(stage: Stage) -> None:
    seen, end = seen_and_in_the_end(stage)
    assert seen == end


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_a_step_follows(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(closing_steps, "locked", lambda pk: Closing.objects.select_related("course").get(pk=pk))
    assert seen_and_in_the_end(stage) == (State.STOPPED, State.TERMINATING)
