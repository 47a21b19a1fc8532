"""What the product may rely on, of any cloud: the same cases over the twin in memory and over the wire."""

from datetime import timedelta

import pytest

from cloud.base import (
    CloudState,
    MachineView,
    NoCapacity,
    NotFound,
    NotOffered,
    Outcome,
    QuotaReached,
    Refused,
    TokenMismatch,
    Transient,
    WrongState,
)
from tests.cloud.conftest import SCARCE, Stage, spec

pytestmark = pytest.mark.alone

SECOND = timedelta(seconds=1)  # AWS tells whole seconds
NOBODY = "i-0123456789abcdef0"


def launch(stage: Stage, **changes: object) -> MachineView:
    view = stage.cloud.run(spec(stage, **changes))
    return stage.become(view.cloud_id, CloudState.RUNNING)


def listed(stage: Stage) -> list[str]:
    return [view.cloud_id for view in stage.cloud.describe_all()]


def one(stage: Stage, cloud_id: str) -> MachineView:
    return next(view for view in stage.cloud.describe_all() if view.cloud_id == cloud_id)


def errors(outcomes: list[Outcome]) -> dict[str, type | None]:
    return {outcome.cloud_id: type(outcome.error) if outcome.error else None for outcome in outcomes}


# ------------------------------------------------------------------ launching


def test_a_launch_answers_a_machine_that_is_on_its_way_and_carries_what_was_asked(stage: Stage) -> None:
    stage.slow_boots(10)
    before = stage.now()
    asked = spec(stage)
    view = stage.cloud.run(asked)
    assert view.state is CloudState.PENDING
    assert (view.name, view.token, view.zone) == ("mcontract", asked.token, "us-east-1a")
    assert (view.instance_type, view.image_id) == ("g4dn.xlarge", stage.image_id)
    assert view.tags["owner"] == "e-17"
    assert view.private_ip
    assert before - SECOND <= view.launched_at <= stage.now()
    assert view.ended_at is None


def test_a_launched_machine_comes_up_and_is_listed(stage: Stage) -> None:
    view = launch(stage)
    assert listed(stage) == [view.cloud_id]


def test_the_same_token_gives_the_same_machine_however_often_and_in_any_state(stage: Stage) -> None:
    asked = spec(stage)
    first = stage.cloud.run(asked)
    again = stage.cloud.run(asked)
    stage.become(first.cloud_id, CloudState.RUNNING)
    later = stage.cloud.run(asked)
    assert {first.cloud_id, again.cloud_id, later.cloud_id} == {first.cloud_id}
    assert later.state is CloudState.RUNNING
    assert listed(stage) == [first.cloud_id]


def test_the_same_token_in_another_zone_is_another_machine(stage: Stage) -> None:
    first = stage.cloud.run(spec(stage, token="walk"))
    second = stage.cloud.run(spec(stage, token="walk", zone="us-east-1b"))
    assert second.zone == "us-east-1b"
    assert sorted(listed(stage)) == sorted([first.cloud_id, second.cloud_id])


@pytest.mark.parametrize("change", [{"disk_gb": 65}, {"user_data": "other"}, {"tags": {"owner": "e-18"}}])
def test_the_same_token_with_other_words_is_refused(stage: Stage, change: dict[str, object]) -> None:
    asked = spec(stage)
    stage.cloud.run(asked)
    with pytest.raises(TokenMismatch):
        stage.cloud.run(spec(stage, token=asked.token, **change))
    assert len(listed(stage)) == 1


def test_the_token_of_a_terminated_machine_launches_nothing(stage: Stage) -> None:
    asked = spec(stage)
    view = stage.cloud.run(asked)
    stage.cloud.terminate([view.cloud_id])
    stage.become(view.cloud_id, CloudState.TERMINATED)
    with pytest.raises(Refused) as refused:
        stage.cloud.run(asked)
    assert refused.value.code == "IdempotentInstanceTerminated"


def test_a_full_zone_refuses_and_the_next_one_serves(stage: Stage) -> None:
    stage.no_capacity("us-east-1a")
    with pytest.raises(NoCapacity) as refused:
        stage.cloud.run(spec(stage))
    assert refused.value.code == "InsufficientInstanceCapacity"
    assert listed(stage) == []
    assert stage.cloud.run(spec(stage, zone="us-east-1b")).zone == "us-east-1b"


def test_a_type_that_the_zone_does_not_have_is_not_offered(stage: Stage) -> None:
    offered = stage.cloud.zones_offering(SCARCE)
    assert len(offered) == 1
    elsewhere = next(zone for zone in stage.cloud.zones_offering("g4dn.xlarge") if zone not in offered)
    with pytest.raises(NotOffered):
        stage.cloud.run(spec(stage, instance_type=SCARCE, zone=elsewhere))


@pytest.mark.parametrize("change", [{"instance_type": "g9z.huge"}, {"image_id": "ami-00000000000000000"}])
def test_an_unknown_type_or_image_is_refused_for_good(stage: Stage, change: dict[str, object]) -> None:
    with pytest.raises(Refused):
        stage.cloud.run(spec(stage, **change))
    assert listed(stage) == []


def test_the_vcpu_quota_refuses_one_machine_more_and_room_is_made_by_stopping(stage: Stage) -> None:
    stage.set_quota(8)
    first = launch(stage)
    launch(stage)
    with pytest.raises(QuotaReached):
        stage.cloud.run(spec(stage))
    stage.cloud.stop([first.cloud_id])
    stage.become(first.cloud_id, CloudState.STOPPED)
    stage.cloud.run(spec(stage))
    assert len(listed(stage)) == 3


def test_a_throttled_launch_is_transient_and_nothing_has_happened(stage: Stage) -> None:
    stage.throttle("run")
    with pytest.raises(Transient):
        stage.cloud.run(spec(stage))
    stage.heal()
    assert listed(stage) == []


def test_a_lost_answer_is_transient_and_asking_again_finds_the_one_machine(stage: Stage) -> None:
    asked = spec(stage)
    stage.lose_answer("run")
    with pytest.raises(Transient):
        stage.cloud.run(asked)
    found = stage.cloud.find_by_token(asked.token)
    again = stage.cloud.run(asked)
    assert found is not None
    assert found.cloud_id == again.cloud_id
    assert listed(stage) == [again.cloud_id]


# ------------------------------------------------------------------ looking


def test_an_unknown_token_finds_nothing(stage: Stage) -> None:
    assert stage.cloud.find_by_token("never-used") is None


def test_a_foreign_machine_is_neither_listed_nor_found(stage: Stage) -> None:
    foreign = stage.other_installation()
    view = foreign.run(spec(stage, token="foreign"))
    assert listed(stage) == []
    assert stage.cloud.find_by_token("foreign") is None
    assert [other.cloud_id for other in foreign.describe_all()] == [view.cloud_id]
    foreign.terminate([view.cloud_id])


def test_every_machine_is_listed_though_they_fill_several_pages(stage: Stage) -> None:
    launched = {stage.cloud.run(spec(stage)).cloud_id for _number in range(12)}
    assert set(listed(stage)) == launched


def test_a_throttled_describe_is_transient_and_never_an_empty_list(stage: Stage) -> None:
    launch(stage)
    stage.throttle("describe_all")
    with pytest.raises(Transient):
        stage.cloud.describe_all()


def test_a_new_machine_may_be_found_late_but_its_token_still_holds(stage: Stage) -> None:
    stage.hide_new_machines(60)
    asked = spec(stage)
    view = stage.cloud.run(asked)
    assert listed(stage) == []
    assert stage.cloud.find_by_token(asked.token) is None
    assert errors(stage.cloud.stop([view.cloud_id])) == {view.cloud_id: NotFound}
    assert stage.cloud.run(asked).cloud_id == view.cloud_id
    stage.hide_new_machines(0)
    assert listed(stage) == [view.cloud_id]


# ------------------------------------------------------------------ stopping, starting, terminating


def test_a_stop_takes_time_and_tells_when_billing_ended(stage: Stage) -> None:
    view = launch(stage)
    asked_at = stage.now()
    assert errors(stage.cloud.stop([view.cloud_id])) == {view.cloud_id: None}
    assert one(stage, view.cloud_id).state is CloudState.STOPPING
    stopped = stage.become(view.cloud_id, CloudState.STOPPED)
    assert stopped.ended_at is not None
    assert abs(stopped.ended_at - asked_at) <= SECOND
    seconds = stage.running_seconds(view.cloud_id)
    stage.wait(0.5)
    assert stage.running_seconds(view.cloud_id) == seconds
    assert seconds <= (stopped.ended_at - stopped.launched_at + SECOND).total_seconds()


def test_stopping_a_stopped_machine_again_is_accepted(stage: Stage) -> None:
    view = launch(stage)
    stage.cloud.stop([view.cloud_id])
    stage.become(view.cloud_id, CloudState.STOPPED)
    assert errors(stage.cloud.stop([view.cloud_id])) == {view.cloud_id: None}


def test_a_started_machine_counts_from_its_last_start_and_keeps_its_address(stage: Stage) -> None:
    first = launch(stage)
    stage.cloud.stop([first.cloud_id])
    stage.become(first.cloud_id, CloudState.STOPPED)
    stage.wait(1.1)
    assert errors(stage.cloud.start([first.cloud_id])) == {first.cloud_id: None}
    assert one(stage, first.cloud_id).state is CloudState.PENDING
    second = stage.become(first.cloud_id, CloudState.RUNNING)
    assert second.launched_at > first.launched_at
    assert second.private_ip == first.private_ip
    assert second.ended_at is None


def test_terminating_takes_time_is_final_and_may_be_said_twice(stage: Stage) -> None:
    view = launch(stage)
    assert errors(stage.cloud.terminate([view.cloud_id])) == {view.cloud_id: None}
    assert one(stage, view.cloud_id).state is CloudState.SHUTTING_DOWN
    stage.become(view.cloud_id, CloudState.TERMINATED)
    assert errors(stage.cloud.terminate([view.cloud_id])) == {view.cloud_id: None}
    assert errors(stage.cloud.start([view.cloud_id])) == {view.cloud_id: WrongState}
    assert errors(stage.cloud.stop([view.cloud_id])) == {view.cloud_id: WrongState}


def test_a_terminated_machine_is_forgotten_after_a_while(stage: Stage) -> None:
    view = launch(stage)
    stage.cloud.terminate([view.cloud_id])
    stage.become(view.cloud_id, CloudState.TERMINATED)
    stage.forget_after(0)
    assert listed(stage) == []
    assert errors(stage.cloud.terminate([view.cloud_id])) == {view.cloud_id: NotFound}


def test_a_machine_on_its_way_up_cannot_be_stopped_yet(stage: Stage) -> None:
    view = stage.cloud.run(spec(stage))
    assert errors(stage.cloud.stop([view.cloud_id])) == {view.cloud_id: WrongState}


@pytest.mark.parametrize("bad", [1, 5])
def test_bad_ids_never_keep_the_others_running(stage: Stage, bad: int) -> None:
    views = [launch(stage) for _number in range(2)]
    nobody = [f"i-{number:017x}" for number in range(900, 900 + bad)]
    asked = [views[0].cloud_id, *nobody, views[1].cloud_id]
    outcomes = stage.cloud.stop(asked)
    assert [outcome.cloud_id for outcome in outcomes] == asked
    assert errors(outcomes) == dict.fromkeys(nobody, NotFound) | {view.cloud_id: None for view in views}
    for view in views:
        stage.become(view.cloud_id, CloudState.STOPPED)


def test_a_machine_in_the_wrong_state_never_keeps_the_others_running(stage: Stage) -> None:
    good, gone = launch(stage), launch(stage)
    stage.cloud.terminate([gone.cloud_id])
    outcomes = stage.cloud.stop([gone.cloud_id, good.cloud_id])
    assert errors(outcomes) == {gone.cloud_id: WrongState, good.cloud_id: None}
    stage.become(good.cloud_id, CloudState.STOPPED)


def test_a_start_without_capacity_in_one_zone_starts_the_machine_in_the_other(stage: Stage) -> None:
    full, free = launch(stage), launch(stage, zone="us-east-1b")
    stage.cloud.stop([full.cloud_id, free.cloud_id])
    for view in (full, free):
        stage.become(view.cloud_id, CloudState.STOPPED)
    stage.no_capacity("us-east-1a")
    assert errors(stage.cloud.start([full.cloud_id, free.cloud_id])) == {full.cloud_id: NoCapacity, free.cloud_id: None}


def test_a_start_above_the_quota_is_refused_and_the_machine_stays_stopped(stage: Stage) -> None:
    view = launch(stage)
    stage.cloud.stop([view.cloud_id])
    stage.become(view.cloud_id, CloudState.STOPPED)
    stage.set_quota(0)
    assert errors(stage.cloud.start([view.cloud_id])) == {view.cloud_id: QuotaReached}
    assert one(stage, view.cloud_id).state is CloudState.STOPPED


def test_a_throttled_batch_tells_so_for_each_and_is_not_asked_again(stage: Stage) -> None:
    views = [launch(stage) for _number in range(2)]
    stage.throttle("stop")
    outcomes = stage.cloud.stop([view.cloud_id for view in views])
    assert errors(outcomes) == {view.cloud_id: Transient for view in views}
    assert stage.calls("stop") == 1


def test_an_empty_batch_asks_nothing(stage: Stage) -> None:
    assert stage.cloud.stop([]) == []
    assert stage.calls("stop") == 0


# ------------------------------------------------------------------ what happens without us


def test_a_machine_that_powers_itself_off_is_stopped_and_says_so_without_a_time(stage: Stage) -> None:
    view = launch(stage)
    stage.power_off(view.cloud_id)
    stopped = stage.become(view.cloud_id, CloudState.STOPPED)
    assert stopped.ended_at is None
    assert stopped.state_reason.startswith("Client.InstanceInitiatedShutdown")
    assert stage.running_seconds(view.cloud_id) < 10


def test_a_scheduled_stop_is_carried_out_by_the_cloud_itself(stage: Stage) -> None:
    view = launch(stage)
    due = stage.now() + timedelta(seconds=1)
    stage.cloud.schedule_stop(view.cloud_id, due)
    assert one(stage, view.cloud_id).state is CloudState.RUNNING
    stage.wait(2.2)
    stopped = stage.become(view.cloud_id, CloudState.STOPPED)
    assert stopped.ended_at is not None
    assert due - SECOND <= stopped.ended_at <= due + 2 * SECOND


def test_a_later_schedule_replaces_the_earlier_one(stage: Stage) -> None:
    view = launch(stage)
    stage.cloud.schedule_stop(view.cloud_id, stage.now() + timedelta(seconds=1))
    stage.cloud.schedule_stop(view.cloud_id, stage.now() + timedelta(hours=1))
    stage.wait(2.2)
    assert one(stage, view.cloud_id).state is CloudState.RUNNING


def test_a_cancelled_schedule_stops_nothing_and_cancelling_twice_is_fine(stage: Stage) -> None:
    view = launch(stage)
    stage.cloud.schedule_stop(view.cloud_id, stage.now() + timedelta(seconds=1))
    stage.cloud.cancel_scheduled_stop(view.cloud_id)
    stage.cloud.cancel_scheduled_stop(view.cloud_id)
    stage.wait(2.2)
    assert one(stage, view.cloud_id).state is CloudState.RUNNING


def test_a_schedule_may_be_set_again_after_it_ran(stage: Stage) -> None:
    view = launch(stage)
    for _time in range(2):
        stage.cloud.schedule_stop(view.cloud_id, stage.now() + SECOND)
        stage.wait(2)
        stage.become(view.cloud_id, CloudState.STOPPED)
        stage.cloud.start([view.cloud_id])
        stage.become(view.cloud_id, CloudState.RUNNING)


def test_a_guard_that_is_set_too_late_is_neither_refused_nor_lost_nor_at_once(stage: Stage) -> None:
    view = launch(stage)
    stage.cloud.schedule_stop(view.cloud_id, stage.now() - timedelta(hours=1))
    stage.wait(1)
    assert one(stage, view.cloud_id).state is CloudState.RUNNING


def test_a_throttled_schedule_is_transient(stage: Stage) -> None:
    view = launch(stage)
    stage.throttle("schedule_stop")
    with pytest.raises(Transient):
        stage.cloud.schedule_stop(view.cloud_id, stage.now() + timedelta(hours=1))


# ------------------------------------------------------------------ offerings


def test_zones_come_in_a_stable_order_and_an_unknown_type_has_none(stage: Stage) -> None:
    zones = stage.cloud.zones_offering("g4dn.xlarge")
    assert zones[:3] == ["us-east-1a", "us-east-1b", "us-east-1c"]
    assert stage.cloud.zones_offering("g4dn.xlarge") == zones
    assert stage.cloud.zones_offering("g9z.huge") == []
