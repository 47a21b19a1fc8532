"""Two at once on one linked account: a launch and its removal, and two who give it up. Each with its control."""

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.db.models import QuerySet

from courses.audit import AuditNote
from credits.models import Letter
from instances import account_edits, accounts, losing, requesting, services, sweeps
from instances.account_edits import AccountRefused
from instances.account_records import CloudAccount
from instances.models import Instance, InstanceEvent
from instances.refusals import LaunchRefused
from instances.states import State
from tests.instances.conftest import Stage
from tests.instances.linked_stage import Linked, linked, read, tunnel
from tests.race import PAUSE, SOON, Outcome, after, race

__all__ = ["linked", "tunnel"]
pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


def slowly(monkeypatch: pytest.MonkeyPatch, where: Any, verb: str) -> None:
    """A pause before this verb: whoever comes meanwhile comes exactly between two lines."""
    plain = getattr(where, verb)

    def slow(*args: Any, **more: Any) -> Any:
        time.sleep(PAUSE)
        return plain(*args, **more)

    monkeypatch.setattr(where, verb, slow)


def without_locks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of linked accounts only: all other locks stand."""
    plain = QuerySet.select_for_update

    def unlocked(rows: Any, *args: Any, **more: Any) -> Any:
        return rows.all() if rows.model is CloudAccount else plain(rows, *args, **more)

    monkeypatch.setattr(QuerySet, "select_for_update", unlocked)


# ------------------------------------------------------------------ a launch into it, and its removal
def launch(stage: Stage) -> int:
    owner = stage.cast.student
    return services.request_launch(owner, stage.preset, who=owner.user, now=stage.now).pk


def remove(linked: Linked) -> None:
    who = linked.stage.cast.instructor.user
    assert who
    account_edits.remove(linked.account, who=who, now=linked.stage.now)


def is_in_a_removed_account() -> bool:
    return Instance.objects.filter(account__removed_at__isnull=False).exclude(state=State.TERMINATED).exists()


def launch_then_remove(linked: Linked, monkeypatch: pytest.MonkeyPatch) -> list[Outcome]:
    """The launch has seen that the account is there, and has not written its row yet."""
    slowly(monkeypatch, requesting, "_new_row")
    return race([partial(launch, linked.stage), partial(after, SOON, partial(remove, linked))])


def remove_then_launch(linked: Linked, monkeypatch: pytest.MonkeyPatch) -> list[Outcome]:
    """The removal has seen that nothing is there, and has not written itself down yet."""
    plain = account_edits._in_use

    def seen(account: CloudAccount) -> bool:
        found = plain(account)
        time.sleep(PAUSE)
        return found

    monkeypatch.setattr(account_edits, "_in_use", seen)
    return race([partial(after, SOON, partial(launch, linked.stage)), partial(remove, linked)])


def test_an_account_into_which_somebody_is_launching_is_not_removed(
    linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched, removed = launch_then_remove(linked, monkeypatch)
    assert launched.ok
    assert isinstance(removed.error, AccountRefused)
    assert read(linked.account).removed_at is None


def test_into_an_account_that_is_being_removed_nothing_is_launched(
    linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    launched, removed = remove_then_launch(linked, monkeypatch)
    assert removed.ok
    assert isinstance(launched.error, LaunchRefused)
    assert not Instance.objects.exists()


@pytest.mark.parametrize("order", [launch_then_remove, remove_then_launch])
def test_control_without_the_lock_a_machine_is_launched_into_an_account_that_is_removed(
    linked: Linked, monkeypatch: pytest.MonkeyPatch, order: Callable[..., list[Outcome]]
) -> None:
    without_locks(monkeypatch)
    assert all(one.ok for one in order(linked, monkeypatch))
    assert is_in_a_removed_account()


def test_the_lock_is_the_launchs_own_and_not_only_a_reference_to_the_account(
    linked: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row that refers to it locks its key too late: the account was looked at before."""
    plain = accounts.CloudAccount.objects.select_for_update

    def only_of_the_removal(*args: Any, **more: Any) -> Any:
        return CloudAccount.objects.all() if more.get("no_key") else plain(*args, **more)

    monkeypatch.setattr(CloudAccount.objects, "select_for_update", only_of_the_removal)
    assert all(one.ok for one in launch_then_remove(linked, monkeypatch))
    assert is_in_a_removed_account()


# ------------------------------------------------------------------ two who give it up
@pytest.fixture
def shut(linked: Linked) -> Linked:
    """A machine in it, and its week is over."""
    linked.running()
    linked.shut()
    linked.look()
    linked.stage.later(timedelta(days=7).total_seconds())
    linked.stage.repair()
    linked.look()
    return linked


def give_up(linked: Linked) -> bool:
    who = linked.stage.cast.instructor.user
    assert who
    return losing.give_up(linked.account, who=who, now=linked.stage.now)


def give_up_twice(linked: Linked, monkeypatch: pytest.MonkeyPatch) -> list[Outcome]:
    slowly(monkeypatch, losing, "refuse_not_lost")
    return race([partial(give_up, linked)] * 2)


def test_of_two_who_give_it_up_at_once_one_did_it(shut: Linked, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sorted(one.value for one in give_up_twice(shut, monkeypatch)) == [False, True]
    assert AuditNote.objects.filter(what="account_lost").count() == 1
    assert Letter.objects.filter(key__startswith="account-lost/").count() == 1


def test_control_without_the_lock_both_did_it(shut: Linked, monkeypatch: pytest.MonkeyPatch) -> None:
    without_locks(monkeypatch)
    assert [one.value for one in give_up_twice(shut, monkeypatch)] == [True, True]
    assert AuditNote.objects.filter(what="account_lost").count() == 2


def write_off_twice(linked: Linked, monkeypatch: pytest.MonkeyPatch) -> int:
    """How often the machine's end was written down."""
    assert give_up(linked)
    account = read(linked.account)
    slowly(monkeypatch, losing, "disk_until")
    outcomes = race([partial(sweeps.write_off, account, linked.stage.now)] * 2)
    assert all(one.ok for one in outcomes)
    return InstanceEvent.objects.filter(kind="moved", facts__lost=account.pk).count()


def test_two_rounds_at_once_close_a_machine_once(shut: Linked, monkeypatch: pytest.MonkeyPatch) -> None:
    assert write_off_twice(shut, monkeypatch) == 1


def test_control_with_a_move_that_asks_nothing_it_is_closed_twice(
    shut: Linked, monkeypatch: pytest.MonkeyPatch
) -> None:
    def move(machine: Instance, state: State, *, reason: str, who: Any, now: Any, facts: Any, **fields: Any) -> bool:
        Instance.objects.filter(pk=machine.pk).update(state=state, **fields)
        told = {"kind": "moved", "reason": reason, "facts": facts, "at": now}
        InstanceEvent.objects.create(instance=machine, **told)
        return True

    plain = QuerySet.select_for_update

    def unlocked(rows: Any, *args: Any, **more: Any) -> Any:
        return rows.all() if rows.model is Instance else plain(rows, *args, **more)

    monkeypatch.setattr(QuerySet, "select_for_update", unlocked)
    monkeypatch.setattr(losing, "move", move)
    assert write_off_twice(shut, monkeypatch) == 2
