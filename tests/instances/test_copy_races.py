"""A copy is deleted at the moment at which something comes to rest on it: a new machine, or its disk's deletion."""

import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import OperationalError
from django.db.models import QuerySet

from instances import moving_on, snapshots, sweeps
from instances.disk_rules import Standing
from instances.models import DiskSnapshot, Instance, Preset
from instances.refusals import LaunchRefused
from instances.restoring import request_restore
from instances.states import State
from instances.sweeps.disks import _end_machine, _there
from tests.instances.conftest import Stage, check_books, fresh
from tests.race import PAUSE, SOON, Outcome, after, race, slow_to_commit

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of copies only: all other locks stand."""
    plain = QuerySet.select_for_update

    def unlocked(rows: Any, *args: Any, **more: Any) -> Any:
        return rows.all() if rows.model is DiskSnapshot else plain(rows, *args, **more)

    monkeypatch.setattr(QuerySet, "select_for_update", unlocked)


def stopped(stage: Stage) -> Instance:
    row = stage.stop(stage.running())
    assert stage.wait(10, until=lambda: fresh(row).state == State.STOPPED)
    return fresh(row)


def archived(stage: Stage) -> DiskSnapshot:
    """All that is left of a student's disk."""
    row = stopped(stage)
    one = snapshots.request_archive(row, why=DiskSnapshot.Why.ASKED, who=row.owner.user, now=stage.now)
    assert stage.wait(10, until=lambda: fresh(row).state == State.TERMINATED)
    return DiskSnapshot.objects.get(pk=one.pk)


def restore(stage: Stage, one: DiskSnapshot) -> int:
    return request_restore(one, stage.preset, who=one.owner.user, now=stage.now).pk


def delete(stage: Stage, one: DiskSnapshot) -> bool:
    return snapshots.request_delete(one, who=one.owner.user, now=stage.now)


# ------------------------------------------------------------------ a new machine of it
def restored_then_deleted(stage: Stage, one: DiskSnapshot) -> list[Outcome]:
    first = partial(slow_to_commit, partial(restore, stage, one))
    return race([first, partial(after, SOON, partial(delete, stage, one))])


def gone_on_with_then_deleted(stage: Stage, one: DiskSnapshot) -> list[Outcome]:
    DiskSnapshot.objects.filter(pk=one.pk).update(go_on_as=stage.preset, asked_by=one.owner.user)
    waiting = moving_on.due().get()
    first = partial(slow_to_commit, lambda: bool(moving_on.go_on(waiting, now=stage.now)))
    return race([first, partial(after, SOON, partial(delete, stage, one))])


def deleted_then_restored(stage: Stage, one: DiskSnapshot) -> list[Outcome]:
    second = partial(slow_to_commit, partial(delete, stage, one))
    return race([partial(after, SOON, partial(restore, stage, one)), second])


@pytest.mark.parametrize("order", [restored_then_deleted, gone_on_with_then_deleted])
def test_a_copy_that_a_machine_is_to_begin_with_is_not_deleted(
    stage: Stage, order: Callable[[Stage, DiskSnapshot], list[Outcome]]
) -> None:
    one = archived(stage)
    made, gone = order(stage, one)
    assert made.ok
    assert gone == Outcome(value=False)
    stage.wait(5)
    sweeps.disks(stage.cloud, stage.now)
    new = Instance.objects.get(restored_from=one)
    assert new.state == State.RUNNING, new.reason
    one.refresh_from_db()
    assert one.standing == Standing.KEPT
    check_books()


def test_of_a_copy_that_is_being_deleted_no_machine_is_made(stage: Stage) -> None:
    made, gone = deleted_then_restored(stage, archived(stage))
    assert gone == Outcome(value=True)
    assert isinstance(made.error, LaunchRefused)
    assert not Instance.objects.filter(restored_from__isnull=False).exists()


@pytest.mark.parametrize("order", [restored_then_deleted, deleted_then_restored])
def test_control_without_the_lock_a_machine_is_to_begin_with_what_is_deleted(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, order: Callable[[Stage, DiskSnapshot], list[Outcome]]
) -> None:
    one = archived(stage)
    without_locks(monkeypatch)
    made, gone = order(stage, one)
    assert made.ok
    assert gone == Outcome(value=True)
    assert Instance.objects.get(restored_from=one).state == State.REQUESTED


# ------------------------------------------------------------------ the disk that it is a copy of
def deleted_before_the_disk(stage: Stage) -> tuple[str, str]:
    """The round is about to delete the disk, because its copy is complete; its owner deletes just that copy."""
    row = stopped(stage)
    one = snapshots.request_archive(row, why=DiskSnapshot.Why.ASKED, who=row.owner.user, now=stage.now)
    snapshots.take(one.pk, cloud=stage.cloud, now=stage.now)
    DiskSnapshot.objects.filter(pk=one.pk).update(standing=Standing.KEPT)
    complete = _there(stage.now).get()
    round_ = partial(after, SOON, partial(_end_machine, complete, stage.now))
    outcomes = race([partial(slow_to_commit, partial(delete, stage, one)), round_])
    assert all(outcome.ok for outcome in outcomes)
    one.refresh_from_db()
    return str(one.standing), str(fresh(row).state)


def test_whose_copy_is_being_deleted_keeps_the_disk(stage: Stage) -> None:
    assert deleted_before_the_disk(stage) == (Standing.DELETING, State.STOPPED)


def test_control_without_the_lock_both_are_gone(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    without_locks(monkeypatch)
    assert deleted_before_the_disk(stage) == (Standing.DELETING, State.TERMINATING)


# ------------------------------------------------------------------ nobody waits for ever
def restored_while_it_goes_on(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[Outcome]:
    """The round has taken the copy, and has not asked for its machine yet."""
    one = archived(stage)
    Preset.objects.filter(pk=stage.preset.pk).update(per_person=2)
    DiskSnapshot.objects.filter(pk=one.pk).update(go_on_as=stage.preset, asked_by=one.owner.user)
    waiting = moving_on.due().get()
    plain = moving_on.request_restore

    def slow(*args: Any, **more: Any) -> Instance:
        time.sleep(PAUSE)
        return plain(*args, **more)

    monkeypatch.setattr(moving_on, "request_restore", slow)
    going = partial(moving_on.go_on, waiting, now=stage.now)
    return race([lambda: bool(going()), partial(after, SOON, partial(restore, stage, one))])


def test_who_restores_and_the_round_that_goes_on_lock_in_one_order(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcomes = restored_while_it_goes_on(stage, monkeypatch)
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert Instance.objects.filter(restored_from__isnull=False).count() == 2


def test_control_in_two_orders_they_wait_for_each_other(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving_on, "locked", lambda owner: owner)
    errors = [outcome.error for outcome in restored_while_it_goes_on(stage, monkeypatch)]
    assert [isinstance(error, OperationalError) for error in errors].count(True) == 1
