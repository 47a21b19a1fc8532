"""A student takes their files along: packed on the machine, proved by the bucket, kept so many days, then gone."""

from datetime import timedelta

import pytest
from pytest_django.fixtures import Settings

from cloud.base import AccountBlocked
from instances import home_agent, homes, services
from instances.home_records import HomeArchive
from instances.home_rules import (
    LONGEST,
    MOST_A_DAY,
    MOST_LINKS,
    Standing,
    most_bytes,
)
from instances.models import DiskPolicy, Instance
from instances.refusals import LaunchRefused
from instances.reports import answer
from instances.states import State
from spend.services import BudgetRefused, budget_of, set_amount
from tests.instances.conftest import check_books, events, fresh
from tests.instances.home_stage import Died, Homes, again, homes_stage, is_whole

__all__ = ["homes_stage"]


# ------------------------------------------------------------------ as it should go
def test_from_the_click_to_the_last_day(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    assert home.standing(h.stage.now) is Standing.WAITING
    assert home_agent.is_wanted(row)
    h.packed(row)
    assert again(home).standing(h.stage.now) is Standing.CHECKING
    assert not home_agent.is_wanted(row)
    h.rounds()
    home = again(home)
    assert home.standing(h.stage.now) is Standing.READY
    assert is_whole(h, home)
    assert (home.size_bytes, home.files, home.mark) == (len(h.content(home)), 4, None)
    assert home.parts.count() > 2
    told = events(row, "disk")[-1]
    assert told.mail_to == row.owner.email
    assert "fake://" not in told.reason
    assert home.expires_at == h.stage.now + timedelta(days=30)
    h.stage.now = home.expires_at
    h.rounds()
    assert again(home).standing(h.stage.now) is Standing.OVER
    assert (h.bucket.objects, h.bucket.unfinished) == ({}, {})
    assert again(home).cleared_at


def test_the_course_says_for_how_many_days(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    DiskPolicy.objects.create(course=row.course, download_days=7)
    home = h.asked(row)
    h.packed(row)
    h.rounds()
    assert again(home).expires_at == h.stage.now + timedelta(days=7)


def test_a_newer_one_replaces_the_older(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    first = h.asked(row)
    h.packed(row)
    h.rounds()
    second = h.asked(row)
    h.packed(row)
    h.rounds(2)
    assert [again(one).standing(h.stage.now) for one in (first, second)] == [Standing.OVER, Standing.READY]
    assert list(h.bucket.objects) == [second.key]


def test_each_click_is_written_down_and_they_come_to_an_end(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    h.packed(row)
    h.rounds()
    for _click in range(MOST_LINKS):
        homes.note_download(home, who=row.owner.user, address="10.0.0.9", now=h.stage.now)
    with pytest.raises(homes.NoDownload, match="20 times"):
        homes.note_download(home, who=row.owner.user, address="10.0.0.9", now=h.stage.now)
    assert again(home).downloads.count() == MOST_LINKS


def test_nothing_is_fetched_before_it_is_proved_nor_after_its_day(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    h.packed(row)
    with pytest.raises(homes.NoDownload):
        homes.note_download(home, who=row.owner.user, address=None, now=h.stage.now)
    h.rounds()
    with pytest.raises(homes.NoDownload):
        homes.note_download(home, who=row.owner.user, address=None, now=h.stage.now + timedelta(days=31))


def test_while_it_packs_its_machine_is_in_use_and_no_longer(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    h.stage.wait(3)
    h.asked(row)
    h.packed(row)
    assert fresh(row).last_active_at == h.stage.now
    h.rounds()
    assert not h.stage.wait(20, until=lambda: fresh(row).state != State.RUNNING)
    assert h.stage.wait(45, until=lambda: fresh(row).state != State.RUNNING)


def started_to_pack(h: Homes) -> tuple[Instance, HomeArchive]:
    row = h.stage.stop(h.stage.running())
    h.stage.wait(1)
    home = homes.start_and_pack(fresh(row), who=row.owner.user, now=h.stage.now)
    HomeArchive.objects.update(part_bytes=h.part_bytes)
    services.start(row.pk, cloud=h.stage.cloud, now=h.stage.now)
    h.step(home)
    assert h.stage.wait(3, until=lambda: fresh(row).state == State.RUNNING)
    return row, home


def test_a_stopped_machine_is_started_for_it_and_stopped_when_it_is_done(homes_stage: Homes) -> None:
    h = homes_stage
    row, home = started_to_pack(h)
    assert answer(fresh(row), now=h.stage.now)["awaited"] == ""  # the agent has nothing to watch
    h.packed(row)
    h.rounds()
    assert again(home).ready_at
    assert h.stage.wait(2, until=lambda: fresh(row).state != State.RUNNING)
    assert "packing its files" in fresh(row).reason
    check_books()


def test_who_uses_it_meanwhile_keeps_it_and_what_is_given_up_stops_it_too(homes_stage: Homes) -> None:
    h = homes_stage
    row, home = started_to_pack(h)
    homes.call_off(home, who=row.owner.user, now=h.stage.now)
    h.stage.later(10)
    Instance.objects.filter(pk=row.pk).update(last_human_at=h.stage.now)
    assert not h.stage.wait(3, until=lambda: fresh(row).state != State.RUNNING)
    Instance.objects.filter(pk=row.pk).update(last_human_at=None)
    assert h.stage.wait(2, until=lambda: fresh(row).state != State.RUNNING)


def test_who_came_in_while_it_packed_is_not_stopped_when_it_is_packed(homes_stage: Homes) -> None:
    """A training may have been begun, and its student may have gone to bed."""
    h = homes_stage
    row, home = started_to_pack(h)
    Instance.objects.filter(pk=row.pk).update(last_human_at=h.stage.now)
    h.packed(row)
    h.rounds()
    assert again(home).ready_at
    assert not h.stage.wait(20, until=lambda: fresh(row).state != State.RUNNING)
    assert fresh(row).awaited == {}
    assert h.stage.wait(45, until=lambda: fresh(row).state != State.RUNNING)  # by the everyday rule, warned
    assert fresh(row).warned_at


def test_called_off_while_the_bucket_puts_it_together_nothing_of_it_stays(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    h.packed(row)
    homes.call_off(home, who=row.owner.user, now=h.stage.now)
    h.rounds()
    assert again(home).cleared_at is None
    h.bucket.objects[home.key] = (b"late", "")  # S3 was still at it
    h.rounds(2)
    assert h.bucket.objects == {}
    h.rounds(31)
    assert again(home).cleared_at


def test_a_blocked_account_is_no_verdict_on_what_was_sent(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    h.packed(row)
    h.bucket.faults.break_before("complete", AccountBlocked("no credentials for a moment", code="NoCredentials"))
    h.rounds(2)
    assert again(home).ready_at


def test_packing_again_and_again_comes_to_an_end(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    for _time in range(MOST_A_DAY):
        homes.call_off(h.asked(row), who=row.owner.user, now=h.stage.now)
    with pytest.raises(LaunchRefused, match="Try again tomorrow"):
        h.asked(row)


def test_what_cannot_be_started_is_not_asked_for(homes_stage: Homes) -> None:
    h = homes_stage
    row = h.stage.stop(h.stage.running())
    h.stage.wait(1)
    budget = budget_of(row.owner)
    set_amount(budget, budget.spent_usd + budget.held_usd, why="poor", who=None, now=h.stage.now)
    with pytest.raises(BudgetRefused):
        homes.start_and_pack(fresh(row), who=row.owner.user, now=h.stage.now)
    assert not HomeArchive.objects.exists()
    assert (fresh(row).state, fresh(row).awaited) == (State.STOPPED, {})


# ------------------------------------------------------------------ refused
def test_who_may_not_is_told_why(homes_stage: Homes, settings: Settings) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    h.asked(row)
    with pytest.raises(LaunchRefused, match="already"):
        h.asked(row)
    Instance.objects.filter(pk=row.pk).update(last_report={"agent_version": "3"})
    with pytest.raises(LaunchRefused, match="before downloads"):
        h.asked(row)
    h.stage.stop(row)
    with pytest.raises(LaunchRefused, match="Start it"):
        h.asked(row)
    settings.ARCHIVE_BUCKET = ""
    with pytest.raises(LaunchRefused, match="not set up"):
        h.asked(row)
    assert not home_agent.is_wanted(row)


def test_called_off_nothing_stays_and_the_machine_is_told_to_end(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    packer = h.packer(row)
    packer.dies_at = 5
    with pytest.raises(Died):
        packer.run()
    assert homes.call_off(home, who=row.owner.user, now=h.stage.now)
    assert not homes.call_off(home, who=row.owner.user, now=h.stage.now)
    with pytest.raises(home_agent.Over):
        h.packed(row)
    h.rounds()
    assert (h.bucket.objects, h.bucket.unfinished) == ({}, {})


def test_a_machine_that_is_deleted_or_takes_too_long_leaves_nothing(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    late = h.asked(row)
    h.stage.later(LONGEST.total_seconds())
    with pytest.raises(home_agent.Over):
        h.packed(row)
    h.rounds(2)
    assert "six hours" in again(late).reason
    gone = h.asked(row)
    assert services.request_terminate(fresh(row), who=row.owner.user, now=h.stage.now)
    services.terminate([row.pk], cloud=h.stage.cloud, now=h.stage.now)
    h.stage.later(60)
    h.stage.repair()
    h.rounds(2)
    assert "deleted" in again(gone).reason
    assert (h.bucket.objects, h.bucket.unfinished) == ({}, {})


def test_more_than_the_disk_holds_is_refused_and_given_up(homes_stage: Homes) -> None:
    h, row = homes_stage, homes_stage.stage.running()
    home = h.asked(row)
    HomeArchive.objects.filter(pk=home.pk).update(sent_bytes=most_bytes(row.disk_gb))
    with pytest.raises(home_agent.Over):
        h.packed(row)
    assert "more was sent" in again(home).reason
