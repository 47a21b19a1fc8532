"""One door for every change of state: table, lost races, and the event in the same transaction."""

import pytest
from django.db import transaction

from instances import services
from instances.models import Instance, InstanceEvent
from instances.moves import NoSuchMove, move
from instances.states import ENDED, MOVES, State
from tests.instances.conftest import Stage, fresh, path


def test_every_state_is_in_the_table_and_ended_ones_stay_ended() -> None:
    assert set(MOVES) == set(State)
    assert all(not MOVES[state] for state in ENDED)


def test_a_move_that_the_table_does_not_have_is_our_bug(stage: Stage) -> None:
    row = stage.click_launch()
    with pytest.raises(NoSuchMove):
        move(row, State.RUNNING, reason="no", who=None, now=stage.now)


def test_the_slower_of_two_is_told_so_and_writes_nothing(stage: Stage) -> None:
    row = stage.running()
    mine, other = fresh(row), fresh(row)
    stage.later(1)
    assert move(other, State.STOPPING, reason="first", who=None, now=stage.now)
    assert not move(mine, State.STOPPING, reason="second", who=None, now=stage.now, private_ip=None)
    assert (fresh(row).reason, fresh(row).private_ip) == ("first", row.private_ip)
    assert path(row).count("stopping") == 1


def test_a_machine_that_went_round_meanwhile_counts_as_changed(stage: Stage) -> None:
    """It is running again, but not in the run that was judged."""
    row = stage.running()
    judged = fresh(row)
    stage.wait(1)
    stage.stop(row)
    stage.wait(1)
    services.request_start(fresh(row), who=None, now=stage.now)
    services.start(row.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(1)
    assert fresh(row).state == judged.state == "running"
    assert not services.request_stop(judged, reason="idle an hour ago", who=None, now=stage.now)
    assert fresh(row).state == "running"


def test_state_fields_and_event_are_one(stage: Stage) -> None:
    row = stage.running()
    before = InstanceEvent.objects.count()

    @transaction.atomic
    def move_and_die() -> None:
        assert move(fresh(row), State.STOPPING, reason="then it died", who=None, now=stage.now)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        move_and_die()
    assert Instance.objects.get(pk=row.pk).state == "running"
    assert InstanceEvent.objects.count() == before


def test_a_reason_that_is_too_long_is_cut_not_lost(stage: Stage) -> None:
    row = stage.running()
    assert services.request_stop(fresh(row), reason="why " * 200, who=None, now=stage.now)
    assert len(fresh(row).reason) == 300
