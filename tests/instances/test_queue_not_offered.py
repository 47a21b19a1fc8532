"""The only type that nobody ahead waits for may not be offered here: then it is waited for the others, not given up."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from cloud.base import AccountBlocked, NotOffered, Transient
from courses.models import Enrollment
from instances import services
from instances.models import Instance, Preset
from instances.standing import standing_of
from instances.sweeps.queueing import _Round
from tests.instances.conftest import Stage, check_books, events, fresh, held
from tests.instances.test_queue import minutes, other_preset, queue, waiting

BUSY = Transient("busy", code="RequestLimitExceeded")


@pytest.fixture
def ahead(stage: Stage) -> Instance:
    """Somebody waits for a g5, which is offered here, and full. `stage.preset` has a g6 as well, which is not."""
    stage.cloud.offerings["g6.xlarge"] = ()
    stage.cloud.fill(instance_type="g5.xlarge")
    stage.preset = other_preset(stage, "only", "g5.xlarge")
    row = waiting(stage)
    stage.later(60)  # a place is counted from AWS's answer, which takes a moment
    stage.preset = other_preset(stage, "either", "g6.xlarge", "g5.xlarge")
    return row


def lookups(stage: Stage) -> int:
    return stage.cloud.count("zones_offering")


def test_who_comes_joins_behind_and_nobody_hears_of_trouble(stage: Stage, ahead: Instance) -> None:
    asked = stage.cloud.count("run")
    row = waiting(stage, stage.cast.other_student)
    assert (row.queued_for, standing_of(row, stage.now).place) == ("capacity", 2)
    assert held(row) > 0
    assert events(row, "trouble") == []
    assert stage.cloud.count("run") == asked


def test_who_waits_already_keeps_the_place_round_after_round(stage: Stage, ahead: Instance) -> None:
    rows = [waiting(stage, who) for who in (stage.cast.other_student, stage.cast.ta)]
    minutes(stage, 20)
    for place, row in enumerate(rows, 2):
        assert (fresh(row).state, fresh(row).queued_at) == ("requested", row.queued_at)
        assert standing_of(fresh(row), stage.now).place == place
        assert events(row, "trouble") == []
    check_books()


def test_all_go_on_in_order_when_there_are_machines_again(stage: Stage, ahead: Instance) -> None:
    rows = [ahead, *(waiting(stage, who) for who in (stage.cast.other_student, stage.cast.ta))]
    minutes(stage, 20)
    stage.cloud.empty()
    minutes(stage, 7)
    assert [fresh(row).state for row in rows] == ["running"] * 3
    launched = [args[0].name for op, args in stage.cloud.faults.calls if op == "run"][-3:]
    assert launched == [row.slug for row in rows]


def leaves(stage: Stage, row: Instance) -> None:
    services.request_stop(fresh(row), reason="Left the queue.", who=row.owner.user, now=stage.now)


def is_dropped(stage: Stage, row: Instance) -> None:
    Enrollment.objects.filter(pk=row.owner_id).update(status="dropped")


@pytest.mark.parametrize("goes", [leaves, is_dropped])
def test_whose_lane_ends_lets_the_next_one_be_asked_for(
    stage: Stage, ahead: Instance, goes: Callable[[Stage, Instance], None]
) -> None:
    row = waiting(stage, stage.cast.other_student)
    minutes(stage, 5)
    stage.cloud.empty()
    goes(stage, ahead)
    minutes(stage, 2)
    assert fresh(row).instance_type == "g5.xlarge"
    assert fresh(row).cloud_id


def test_aws_is_asked_about_it_once_a_minute_however_often_rounds_come_and_for_the_first_of_them_only(
    stage: Stage, ahead: Instance
) -> None:
    first = waiting(stage, stage.cast.other_student)
    waiting(stage, stage.cast.ta)
    Instance.objects.filter(pk=ahead.pk).update(next_try_at=stage.now + timedelta(hours=1))
    before = lookups(stage)
    for _nth in range(5):
        queue(stage)
    assert lookups(stage) - before == 3  # the type that is open, then both, until one is offered
    assert fresh(first).next_try_at == stage.now + timedelta(minutes=1)
    stage.later(60)
    queue(stage)
    assert lookups(stage) - before == 6


def test_a_crowd_of_them_takes_one_turn(stage: Stage, ahead: Instance) -> None:
    rows = [ahead, *(waiting(stage, who) for who in (stage.cast.other_student, stage.cast.ta, stage.cast.instructor))]
    stage.later(300)
    work = _Round(stage.cloud, stage.now)
    for row in rows:
        work.serve(fresh(row))
    assert work.asked == 2


def test_they_keep_nobody_from_what_they_do_not_want(stage: Stage, ahead: Instance) -> None:
    waiting(stage, stage.cast.other_student)
    stage.preset = other_preset(stage, "large", "p4d.24xlarge")
    assert stage.launch(stage.cast.ta).cloud_id


def test_one_who_waited_for_a_blocked_account_blocks_nobody_once_it_waits_for_others(
    stage: Stage, ahead: Instance
) -> None:
    """Its turn does not come while the other one waits: so long it would hold up everything."""
    stage.cloud.break_before("zones_offering", AccountBlocked("not verified", code="PendingVerification"))
    row = waiting(stage, stage.cast.other_student)
    assert row.queued_for == "account"
    minutes(stage, 6)
    assert (fresh(row).queued_for, fresh(row).queued_at) == ("capacity", row.queued_at)
    assert "Others came before you" in fresh(row).reason
    stage.preset = other_preset(stage, "large", "p4d.24xlarge")
    assert stage.launch(stage.cast.ta).cloud_id


def test_a_type_that_turns_out_not_to_be_offered_costs_nobody_the_place(stage: Stage, ahead: Instance) -> None:
    """AWS's list says that it is offered, and AWS refuses it: it is not asked there again today."""
    stage.cloud.offerings["g6.xlarge"] = ("us-east-1a",)
    stage.cloud.break_before("run", NotOffered("not supported there", code="Unsupported"))
    row = waiting(stage, stage.cast.other_student)
    stage.cloud.offerings["g6.xlarge"] = ()
    minutes(stage, 20)
    assert (fresh(row).state, fresh(row).queued_at) == ("requested", row.queued_at)
    stage.cloud.empty()
    minutes(stage, 10)
    assert fresh(row).instance_type == "g5.xlarge"
    assert fresh(row).state == "running"


@pytest.mark.parametrize("when", ["at once", "in the queue"])
def test_what_is_offered_nowhere_is_given_up_and_staff_hear_of_it(stage: Stage, ahead: Instance, when: str) -> None:
    row = waiting(stage, stage.cast.other_student) if when == "in the queue" else None
    stage.cloud.offerings["g5.xlarge"] = ()
    if row is None:
        row = stage.launch(stage.cast.other_student)
    minutes(stage, 1)
    row = fresh(row)
    assert (row.state, row.reason) == ("failed", "AWS offers this kind of machine in none of our zones.")
    assert [e.mail_to for e in events(row, "trouble")] == [stage.cast.instructor.email]
    assert held(row) == 0


def test_who_leaves_meanwhile_stays_away(stage: Stage, ahead: Instance) -> None:
    row = waiting(stage, stage.cast.other_student)
    stage.cloud.on_call("zones_offering", lambda name: name == "g6.xlarge" and leaves(stage, row))
    minutes(stage, 3)
    assert (fresh(row).state, fresh(row).reason) == ("terminated", "Left the queue.")
    check_books()


def test_while_aws_does_not_say_what_it_offers_nothing_is_given_up(stage: Stage, ahead: Instance) -> None:
    stage.cloud.break_before("zones_offering", BUSY, when=lambda name: name == "g5.xlarge")
    row = stage.launch(stage.cast.other_student)
    assert (row.state, row.queued_at) == ("requested", None)
    minutes(stage, 1)
    assert fresh(row).queued_at


def test_what_is_open_is_asked_for_though_aws_does_not_say_where_the_rest_is_offered(
    stage: Stage, ahead: Instance
) -> None:
    stage.cloud.offerings.clear()
    stage.cloud.break_before("zones_offering", BUSY, times=None, when=lambda name: name == "g5.xlarge")
    assert stage.launch(stage.cast.other_student).instance_type == "g6.xlarge"


def test_without_somebody_ahead_the_type_that_is_offered_is_launched(stage: Stage, ahead: Instance) -> None:
    leaves(stage, ahead)
    stage.cloud.empty()
    assert Preset.objects.get(pk=stage.preset.pk).instance_types == ["g6.xlarge", "g5.xlarge"]
    assert stage.launch(stage.cast.other_student).instance_type == "g5.xlarge"
