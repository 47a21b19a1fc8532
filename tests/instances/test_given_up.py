"""A question that AWS answered a quarter of an hour long not clearly is given up: what is said, mailed and booked then
is so, whatever AWS has made of it."""

from datetime import timedelta

from django.core import mail
from django.utils import translation

from cloud.base import Transient
from instances import services, sweeps
from instances.models import Instance
from tests.instances.conftest import NOON, Stage, check_books, compute_seconds, events, fresh, held, path

LOST = Transient("the answer is lost")
THROTTLED = Transient("Request limit exceeded.", code="RequestLimitExceeded")


def letters(stage: Stage) -> list[str]:
    sweeps.notices(stage.now)
    return [f"{letter.subject}\n{letter.body}" for letter in mail.outbox]


def made_at_the_last_moment(stage: Stage) -> Instance:
    """Throttled for 14 minutes, then taken, with its answer lost; listed a minute and a half later."""
    stage.cloud.hidden_seconds = 90
    end = NOON + timedelta(seconds=860)
    stage.cloud.break_before("run", THROTTLED, times=None, when=lambda _spec: stage.now < end)
    stage.cloud.break_after("run", LOST, times=None)
    row = stage.launch()
    stage.later(30)
    assert stage.wait(20, until=lambda: fresh(row).state == "stopping")
    return fresh(row)


def test_a_launch_without_an_answer_is_not_told_to_cost_nothing(stage: Stage) -> None:
    row = made_at_the_last_moment(stage)
    assert "Nothing was charged" not in row.reason
    [letter] = letters(stage)
    assert letter.startswith("Your machine was not launched")
    assert "the minutes that it ran are charged" in letter
    assert "Start it again" not in letter


def test_when_there_is_a_machine_it_is_deleted_with_its_disk_and_its_minutes_are_charged(stage: Stage) -> None:
    row = made_at_the_last_moment(stage)
    assert stage.wait(10, until=lambda: fresh(row).state == "terminated")
    assert path(row)[-3:] == ["stopping", "terminating", "terminated"]
    stage.wait(2)
    [machine] = stage.cloud.machines.values()
    assert stage.kept() == []
    assert compute_seconds(row) >= max(60, machine.ran_seconds(stage.now)) > 0
    assert held(row) == 0
    assert "had made this machine without an answer" in fresh(row).reason
    assert "its minutes count" in letters(stage)[-1]
    check_books()


def test_it_is_deleted_too_by_a_portal_that_speaks_another_language_since(stage: Stage) -> None:
    row = made_at_the_last_moment(stage)
    with translation.override("zh-hans"):
        assert stage.wait(10, until=lambda: fresh(row).state == "terminated")
    assert stage.kept() == []


def test_when_there_is_none_nothing_was_charged(stage: Stage) -> None:
    stage.cloud.break_before("run", THROTTLED, times=None)
    row = stage.launch()
    assert stage.wait(30, until=lambda: fresh(row).state == "failed")
    assert fresh(row).reason == "AWS gave no clear answer, and made no machine. Nothing was charged."
    assert (compute_seconds(row), held(row)) == (0, 0)


def test_what_its_owner_called_off_is_stopped_as_they_were_told(stage: Stage) -> None:
    stage.cloud.hidden_seconds = 90
    stage.cloud.break_after("run", LOST, times=None)
    row = stage.launch()
    assert services.request_stop(row, reason="enough", who=row.owner.user, now=stage.now)
    assert stage.wait(10, until=lambda: fresh(row).state == "stopped")
    assert len(stage.kept()) == 1


# ------------------------------------------------------------------ a start
def start_without_answer(stage: Stage, *, accepted_after: int | None) -> Instance:
    row = stage.stop(stage.running())
    assert stage.wait(10, until=lambda: fresh(row).state == "stopped")
    stage.wait(2)
    stage.cloud.boot_seconds = 90
    services.request_start(fresh(row), who=row.owner.user, now=stage.now)
    began = stage.now

    def too_early(_ids: object) -> bool:
        return accepted_after is None or stage.now < began + timedelta(seconds=accepted_after)

    stage.cloud.break_before("start", THROTTLED, times=None, when=too_early)
    stage.cloud.break_after("start", LOST, times=None)
    services.start(row.pk, cloud=stage.cloud, now=stage.now)
    return row


def test_a_start_that_was_given_up_and_never_came_cost_nothing(stage: Stage) -> None:
    row = start_without_answer(stage, accepted_after=None)
    before = compute_seconds(row)
    assert stage.wait(20, until=lambda: fresh(row).state == "stopping")
    assert "Should the machine come up all the same" in fresh(row).reason
    assert stage.wait(10, until=lambda: fresh(row).state == "stopped")
    stage.wait(2)
    assert fresh(row).reason == "AWS gave no clear answer, and did not start it. Nothing was charged for that."
    assert compute_seconds(row) == before


def test_a_start_that_was_given_up_and_came_all_the_same_says_so(stage: Stage) -> None:
    row = start_without_answer(stage, accepted_after=None)
    before = compute_seconds(row)
    assert stage.wait(20, until=lambda: fresh(row).state == "stopping")
    stage.cloud.heal()
    stage.cloud.start([fresh(row).cloud_id])
    assert stage.wait(10, until=lambda: fresh(row).state == "stopped")
    stage.wait(2)
    assert compute_seconds(row) > before
    assert "the minutes that it ran are charged" in fresh(row).reason
    assert [event.reason for event in events(row, "moved")][-1].startswith("AWS had started it")
