"""Looks while somebody waits: one chain for all, AWS asked seldom, notebooks often, and a dead chain is taken over."""

from datetime import timedelta

from instances import following
from tests.instances.conftest import Stage, fresh


def look(stage: Stage) -> bool:
    return following.follow(stage.cloud, stage.now, probe=lambda places: [stage.notebook_answers] * len(places))


def test_nobody_waits_and_nobody_is_asked(stage: Stage) -> None:
    assert not look(stage)
    assert stage.cloud.count() == 0


def test_a_notebook_is_ready_within_a_second_of_its_answer_though_aws_is_asked_every_five(stage: Stage) -> None:
    stage.notebook_answers = False
    row = stage.launch()
    looks = 0
    for second in range(30):
        stage.later(1)
        stage.notebook_answers = second >= 17
        looks += look(stage)
    assert fresh(row).notebook_ready_at == stage.now - timedelta(seconds=12)
    assert looks == 18  # and then nobody waits
    assert 3 <= stage.cloud.count("describe_all") <= 4


def test_of_many_chains_one_goes_on(stage: Stage) -> None:
    assert [following.take_step(stage.now) for _chain in range(5)] == [True, False, False, False, False]
    following.end_step(stage.now)
    assert not following.take_step(stage.now)
    assert following.take_step(stage.now + timedelta(seconds=1))


def test_a_chain_that_died_in_its_step_is_taken_over(stage: Stage) -> None:
    assert following.take_step(stage.now)
    assert not following.take_step(stage.now + timedelta(seconds=30))
    assert following.take_step(stage.now + timedelta(seconds=61))


def test_a_machine_that_does_not_come_up_is_left_to_the_beat_after_four_minutes(stage: Stage) -> None:
    stage.notebook_answers = False
    stage.launch()
    stage.later(1)
    assert look(stage)
    stage.later(5 * 60)
    assert not look(stage)
