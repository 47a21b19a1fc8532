"""The twin in memory breaks on command, and knows what really ran."""

from datetime import UTC, datetime, timedelta

import pytest

from cloud.base import CloudState, LaunchSpec, Transient, WrongState
from cloud.fake import FakeCloud

NOON = datetime(2026, 2, 3, 12, 0, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_seconds(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class ProcessKilled(BaseException):
    """Not a CloudError: nobody may catch it."""


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cloud(clock: Clock) -> FakeCloud:
    return FakeCloud(clock, boot_seconds=30, stop_seconds=20)


def spec(token: str = "t-1", zone: str = "us-east-1a") -> LaunchSpec:
    return LaunchSpec(token, "mfake", "g4dn.xlarge", zone, "ami-1", 64, "#cloud-config")


def test_a_fault_before_the_call_leaves_nothing_behind(cloud: FakeCloud) -> None:
    cloud.break_before("run", ProcessKilled())
    with pytest.raises(ProcessKilled):
        cloud.run(spec())
    assert not cloud.machines
    cloud.run(spec())
    assert len(cloud.machines) == 1


def test_a_fault_after_the_call_leaves_the_effect(cloud: FakeCloud) -> None:
    cloud.break_after("run", ProcessKilled())
    with pytest.raises(ProcessKilled):
        cloud.run(spec())
    assert len(cloud.machines) == 1


def test_a_fault_can_be_limited_to_some_calls_and_some_times(cloud: FakeCloud) -> None:
    cloud.break_before("run", Transient("no"), times=2, when=lambda asked: asked.zone == "us-east-1a")
    cloud.run(spec("t-0", zone="us-east-1b"))
    for _number in range(2):
        with pytest.raises(Transient):
            cloud.run(spec())
    cloud.run(spec())
    assert cloud.count("run") == 4


def test_a_batch_that_fails_whole_says_so_for_each(cloud: FakeCloud) -> None:
    view = cloud.run(spec())
    error = Transient("no")
    cloud.break_before("stop", error)
    assert [outcome.error for outcome in cloud.stop([view.cloud_id, "i-2"])] == [error, error]


def test_one_machine_of_a_batch_can_be_refused(cloud: FakeCloud, clock: Clock) -> None:
    first, second = cloud.run(spec()), cloud.run(spec("t-2"))
    clock.pass_seconds(60)
    error = WrongState("stuck")
    cloud.refuse("stop", first.cloud_id, error)
    assert [outcome.error for outcome in cloud.stop([first.cloud_id, second.cloud_id])] == [error, None]
    cloud.refuse("stop", first.cloud_id, None)
    assert [outcome.error for outcome in cloud.stop([first.cloud_id])] == [None]


def test_a_test_can_act_between_two_calls(cloud: FakeCloud) -> None:
    seen: list[tuple[str, int]] = []
    cloud.on_call("run", lambda asked: seen.append((asked.token, len(cloud.machines))))
    cloud.on_call("run", lambda asked: seen.append((asked.token, len(cloud.machines))), after=True)
    cloud.run(spec())
    assert seen == [("t-1", 0), ("t-1", 1)]


def test_a_blind_cloud_tells_nothing_but_obeys(cloud: FakeCloud, clock: Clock) -> None:
    view = cloud.run(spec())
    clock.pass_seconds(60)
    cloud.blind()
    for look in (cloud.describe_all, lambda: cloud.find_by_token("t-1")):
        with pytest.raises(Transient):
            look()
    cloud.stop([view.cloud_id])
    cloud.see()
    assert [found.state for found in cloud.describe_all()] == [CloudState.STOPPING]


def test_running_seconds_are_counted_from_up_to_the_accepted_stop_over_all_starts(
    cloud: FakeCloud, clock: Clock
) -> None:
    view = cloud.run(spec())
    clock.pass_seconds(30 + 100)
    cloud.stop([view.cloud_id])
    clock.pass_seconds(1000)
    cloud.start([view.cloud_id])
    clock.pass_seconds(30 + 7)
    assert cloud.ran_seconds(view.cloud_id) == 107
    cloud.terminate([view.cloud_id])
    clock.pass_seconds(1000)
    assert cloud.ran_seconds(view.cloud_id) == 107
    assert [stretch.seconds(clock.now) for stretch in cloud.runs(view.cloud_id)] == [100, 7]


def test_a_scheduled_stop_happens_at_its_own_second_though_nobody_looked(cloud: FakeCloud, clock: Clock) -> None:
    view = cloud.run(spec())
    cloud.schedule_stop(view.cloud_id, NOON + timedelta(seconds=90))
    clock.pass_seconds(5000)
    (stopped,) = cloud.describe_all()
    assert stopped.ended_at == NOON + timedelta(seconds=90)
    assert cloud.ran_seconds(view.cloud_id) == 60


def test_a_stop_scheduled_into_the_past_happens_a_minute_from_now(cloud: FakeCloud, clock: Clock) -> None:
    view = cloud.run(spec())
    clock.pass_seconds(100)
    cloud.schedule_stop(view.cloud_id, NOON)
    clock.pass_seconds(500)
    assert cloud.describe_all()[0].ended_at == NOON + timedelta(seconds=160)


def test_a_stop_scheduled_into_the_boot_happens_when_the_machine_is_up(cloud: FakeCloud, clock: Clock) -> None:
    view = cloud.run(spec())
    cloud.schedule_stop(view.cloud_id, NOON + timedelta(seconds=10))
    clock.pass_seconds(5000)
    assert cloud.describe_all()[0].state is CloudState.STOPPED
    assert cloud.ran_seconds(view.cloud_id) == 0


def test_a_machine_may_be_ended_by_the_cloud_itself(cloud: FakeCloud, clock: Clock) -> None:
    view = cloud.run(spec())
    clock.pass_seconds(60)
    cloud.kill(view.cloud_id)
    clock.pass_seconds(60)
    assert cloud.describe_all()[0].state is CloudState.TERMINATED
