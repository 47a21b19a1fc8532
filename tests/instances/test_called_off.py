"""A launch that is called off while AWS is being asked: never two machines where one is allowed, and no tale of one
that never was. Over AWS's own wire protocol."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from cloud.base import NoCapacity, Transient
from cloud.ec2 import Ec2Cloud
from instances import bounds, services, sweeps
from instances.called_off import unanswered
from instances.models import Instance
from instances.moves import move
from instances.quotes import quotes_for
from instances.refusals import LaunchRefused
from instances.repair import CALL_SECONDS, VISIBLE_SECONDS
from instances.states import State
from tests.instances.conftest import Stage, check_books, fresh, held, path
from tests.instances.test_linked_over_the_wire import home
from tests.pages.conftest import _plain_static_files, signed_in
from tests.pages.test_course_home import text_of
from tests.simulated_aws import SimulatedAws, aws_credentials, sim, simulated_aws, until

__all__ = ["_plain_static_files", "aws_credentials", "home", "sim", "simulated_aws"]
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def healed(sim: SimulatedAws) -> Iterator[None]:
    yield
    sim.heal()


def click(stage: Stage, now: datetime | None = None) -> Instance:
    owner = stage.cast.student
    return services.request_launch(owner, stage.preset, who=owner.user, now=now or timezone.now())


def call_off(row: Instance, now: datetime | None = None) -> Instance:
    owner = row.owner.user
    assert services.request_stop(fresh(row), reason="Stopped by its owner", who=owner, now=now or timezone.now())
    return fresh(row)


def without_answer(stage: Stage, sim: SimulatedAws, home: Ec2Cloud, *, made: bool) -> Instance:
    """AWS was asked and its answer got lost, with a machine or without; then the launch is called off."""
    sim.fault("RunInstances", "ConnectionDropped", after=made)
    row = click(stage)
    services.launch(row.pk, cloud=home, now=timezone.now())
    assert (fresh(row).state, fresh(row).cloud_id) == ("launching", "")
    row = call_off(row)
    assert unanswered(row)
    return row


def page_of(row: Instance) -> str:
    return text_of(signed_in(row.owner.user).get(f"/machines/{row.slug}/").content.decode())


def repair(home: Ec2Cloud, now: datetime) -> None:
    sweeps.repair(home, now, probe=lambda places: [True] * len(places))


def alive(home: Ec2Cloud) -> list[str]:
    return [view.cloud_id for view in home.describe_all() if view.state in ("pending", "running")]


def test_while_nobody_knows_it_counts_and_the_student_reads_why(
    stage: Stage, sim: SimulatedAws, home: Ec2Cloud
) -> None:
    row = without_answer(stage, sim, home, made=False)
    with pytest.raises(LaunchRefused, match="called off before AWS had answered, so there may still be one"):
        click(stage)
    [quote] = quotes_for(row.owner, [stage.preset], timezone.now())
    assert "there may still be one" in quote.refusal
    page = page_of(row)
    assert "Called off…" in page
    assert "so there may be a machine or none" in page
    assert re.search(r"Now, an hour \$0(\.0+)? ", page)
    home_page = text_of(signed_in(row.owner.user).get(f"/c/{row.course.slug}/").content.decode())
    assert "Nothing is running" in home_page
    assert held(row) > 0  # should there be one, it is paid for


def test_when_there_never_was_one_it_was_not_started_and_another_may_be(
    stage: Stage, sim: SimulatedAws, home: Ec2Cloud
) -> None:
    row = without_answer(stage, sim, home, made=False)
    repair(home, row.state_since + timedelta(seconds=VISIBLE_SECONDS - 1))
    assert unanswered(fresh(row))
    repair(home, row.state_since + timedelta(seconds=VISIBLE_SECONDS))
    assert path(row)[-2:] == ["stopping", "terminated"]
    page = page_of(row)
    assert "Not started · Stopped by its owner" in page
    assert "did not come up" not in page
    assert held(row) == 0
    assert click(stage)
    check_books()


def test_when_aws_did_make_one_it_is_stopped_and_counted_all_the_time(
    stage: Stage, sim: SimulatedAws, home: Ec2Cloud
) -> None:
    row = without_answer(stage, sim, home, made=True)
    assert len(alive(home)) == 1

    def off() -> bool:
        with pytest.raises(LaunchRefused):
            click(stage)
        repair(home, timezone.now())
        return fresh(row).state == "stopped"

    until(off, seconds=30)
    assert alive(home) == []
    assert click(stage)  # the one that is stopped is not at once with it


def test_control_who_did_not_count_it_would_have_two(
    stage: Stage, sim: SimulatedAws, home: Ec2Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_answer(stage, sim, home, made=True)
    monkeypatch.setattr("instances.launch_rules._is_full", lambda *_about: None)
    services.launch(click(stage).pk, cloud=home, now=timezone.now())
    assert len(alive(home)) == 2


def test_what_aws_was_not_asked_for_is_over_with_the_click(stage: Stage, home: Ec2Cloud) -> None:
    """It died between writing the question down and asking it; or AWS has said no to the question before it."""
    row = click(stage)
    Instance.objects.filter(pk=row.pk).update(state="launching", attempt=1, instance_type="g4dn.xlarge")
    answer = signed_in(row.owner.user).post(f"/machines/{row.slug}/stop", follow=True)
    assert "is not launched. What was set aside is free again." in answer.content.decode()
    assert fresh(row).state == "terminated"
    assert held(row) == 0
    assert click(stage)
    check_books()


def test_whoever_asks_first_and_whoever_stops_first_exclude_each_other(stage: Stage, home: Ec2Cloud) -> None:
    """The page was read before AWS was asked: then the stop waits for the answer like any other."""
    row = stopped_by_who_read_before(click(stage), home)
    assert unanswered(row)
    assert held(row) > 0


def test_control_a_stop_that_does_not_look_whether_aws_is_being_asked_frees_what_may_run(
    stage: Stage, home: Ec2Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(machine: Instance, state: State, *, same: object = (), **more: Any) -> bool:
        return move(machine, state, **more)

    monkeypatch.setattr("instances.stopping.move", careless)
    row = stopped_by_who_read_before(click(stage), home)
    assert (row.state, held(row)) == ("terminated", 0)
    assert len(alive(home)) == 1


def stopped_by_who_read_before(row: Instance, home: Ec2Cloud) -> Instance:
    """AWS is asked between the reading of the row and the stop, and has not answered yet."""
    services.launch(row.pk, cloud=home, now=timezone.now())
    Instance.objects.filter(pk=row.pk).update(cloud_id="")
    read_before = fresh(row)
    read_before.asked_at = None
    assert services.request_stop(read_before, reason="enough", who=row.owner.user, now=timezone.now())
    return fresh(row)


def test_a_no_that_comes_after_the_click_ends_it_at_once(stage: Stage) -> None:
    row = stage.click_launch()
    stage.cloud.fill()
    stage.cloud.on_call("run", lambda _spec: call_off(row, stage.now))
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    assert (fresh(row).state, held(row)) == ("terminated", 0)
    assert stage.click_launch()


@pytest.mark.parametrize("error", [NoCapacity("none"), Transient("no answer")])
def test_only_a_definite_no_ends_it_at_once(stage: Stage, error: Exception) -> None:
    row = stage.click_launch()
    stage.cloud.on_call("run", lambda _spec: call_off(row, stage.now))
    stage.cloud.break_before("run", error)
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    assert (fresh(row).state == "terminated") is isinstance(error, NoCapacity)


def test_a_yes_that_comes_after_the_click_is_stopped_without_a_round(stage: Stage) -> None:
    row = stage.click_launch()
    stage.cloud.on_call("run", lambda _spec: call_off(row, stage.now))
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    assert fresh(row).cloud_id
    assert fresh(row).stop_asked_at == stage.now
    stage.wait(2)
    assert fresh(row).state == "stopped"
    check_books()


def test_the_bound_holds_when_the_portal_dies_before_it_knows(stage: Stage) -> None:
    """AWS made it, nobody heard: only its own timer ends it."""
    row = stage.click_launch()
    stage.cloud.break_after("run", Transient("no answer"))
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    row = call_off(row, stage.now)
    assert len(stage.alive()) == 1
    published = bounds.bound(stage.cast.course, stage.now)
    assert published.at
    longest = timedelta(seconds=row.lease_seconds)
    assert published.at >= stage.now + longest
    assert published.at <= stage.now + timedelta(seconds=CALL_SECONDS) + longest + MINUTE * 30
    assert published.usd >= row.usd_hour * row.lease_seconds / 3600


def test_once_it_is_known_that_there_is_none_the_bound_is_nothing(stage: Stage) -> None:
    row = stage.click_launch()
    stage.cloud.break_before("run", Transient("no answer"))
    services.launch(row.pk, cloud=stage.cloud, now=stage.now)
    row = call_off(row, stage.now)
    stage.later(VISIBLE_SECONDS)
    stage.repair()
    published = bounds.bound(stage.cast.course, stage.now)
    assert (published.at, published.usd) == (None, 0)
