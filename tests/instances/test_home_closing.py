"""Files on their way when a course closes: an hour more at most, held and paid; the closing waits for what it told."""

from datetime import timedelta
from decimal import Decimal

import pytest
from pytest_django.fixtures import Settings

from credits.models import Letter
from instances import guard, sweeps
from instances.closing_records import Closing
from instances.home_records import HomeArchive
from instances.models import Instance
from instances.states import State
from portal.closing_plan import plan
from spend.services import budget_of, set_amount
from tests.instances.closing_stage import END, announce, rounds, short_notice
from tests.instances.conftest import check_books, fresh, held
from tests.instances.home_stage import Died, Homes, again, homes_stage

__all__ = ["homes_stage", "short_notice"]
MINUTE = timedelta(minutes=1)


def minutes(h: Homes, n: int) -> None:
    """As the beat does it, with an agent that reports."""
    for _minute in range(n):
        h.stage.later(60)
        h.stage.sweep()
        sweeps.homes(h.bucket, h.stage.now)
        sweeps.closings(h.stage.cloud, h.stage.now)


def packing_at_the_end(h: Homes) -> tuple[Instance, HomeArchive]:
    h.stage.now = END - timedelta(hours=30)
    announce(h.stage)
    h.stage.now = END - timedelta(hours=2)
    row = h.stage.running()
    h.stage.active.add(row.slug)
    minutes(h, 2)
    h.stage.now = END - 12 * MINUTE
    minutes(h, 1)
    home = h.asked(row)
    packer = h.packer(row)
    packer.dies_at = 5
    with pytest.raises(Died):
        packer.run()
    return row, home


def test_who_packs_when_the_last_day_ends_gets_an_hour_that_is_held_for(homes_stage: Homes) -> None:
    h = homes_stage
    row, home = packing_at_the_end(h)
    before = held(row)
    minutes(h, 15)
    row = fresh(row)
    assert h.stage.now > END
    assert (row.state, row.lease_until) == (State.RUNNING, END + timedelta(hours=1))
    assert row.guard_until == guard.wanted(row)
    assert held(row) > before - Decimal("0.5")
    check_books()
    h.packed(row)
    minutes(h, 2)
    assert again(home).ready_at
    assert fresh(row).state in (State.STOPPING, State.STOPPED)  # at once, not at the end of the hour
    check_books()


def test_after_the_hour_it_is_stopped_and_half_of_a_file_is_kept_for_nobody(homes_stage: Homes) -> None:
    h = homes_stage
    row, home = packing_at_the_end(h)
    minutes(h, 13)
    h.stage.now = END + 57 * MINUTE
    minutes(h, 2)
    assert fresh(row).state == State.RUNNING
    minutes(h, 3)
    assert h.stage.now == END + timedelta(hours=1, minutes=2)
    assert fresh(row).state != State.RUNNING
    assert max(run.ended_at for run in row.runs.all()) <= END + timedelta(hours=1, minutes=1)
    h.stage.later(6 * 3600)
    h.rounds(2)
    assert again(home).failed_at
    assert h.bucket.unfinished == {}
    check_books()


def test_who_does_not_pack_or_cannot_pay_gets_no_hour(homes_stage: Homes) -> None:
    h = homes_stage
    row, _home = packing_at_the_end(h)
    budget = budget_of(row.owner)
    budget.refresh_from_db()
    set_amount(budget, budget.spent_usd + budget.held_usd, why="poor", who=None, now=h.stage.now)
    minutes(h, 15)
    assert fresh(row).state in (State.STOPPING, State.STOPPED)
    check_books()


def test_without_a_closing_a_course_simply_ends(homes_stage: Homes) -> None:
    h = homes_stage
    row, _home = packing_at_the_end(h)
    Closing.objects.update(called_off_at=h.stage.now)
    minutes(h, 15)
    assert fresh(row).state in (State.STOPPING, State.STOPPED)


def test_the_letters_say_how_and_until_when(homes_stage: Homes, settings: Settings) -> None:
    h = homes_stage
    h.stage.now = END - timedelta(hours=30)
    announce(h.stage)
    for letter in Letter.objects.filter(key__startswith="closing/"):
        assert "press “Pack my files” on your machine’s page, on 17 May 2019 at the latest" in letter.body
        assert "for 30 days" in letter.body
    Closing.objects.update(called_off_at=h.stage.now)
    settings.ARCHIVE_BUCKET = ""
    row = announce(h.stage)
    told = Letter.objects.filter(key__startswith=f"closing/{row.pk}/")
    assert told.exists()
    assert not told.filter(body__contains="Pack my files").exists()


def test_the_dry_run_counts_them_and_the_closing_is_not_over_before_the_last_of_them_is_gone(
    homes_stage: Homes,
) -> None:
    h = homes_stage
    row, _home = packing_at_the_end(h)
    closing = Closing.objects.get()
    shown = plan(closing, h.stage.now).downloads
    assert shown
    assert (shown.ready, shown.packing) == (0, 1)
    assert plan(closing, h.stage.now).running == 1
    h.packed(row)
    h.rounds()
    shown = plan(closing, h.stage.now).downloads
    assert shown
    assert (shown.ready, shown.packing, shown.size_bytes) == (1, 0, len(next(iter(h.bucket.objects.values()))[0]))
    h.stage.now = END
    rounds(h.stage, 8)
    assert fresh(row).state == State.TERMINATED
    h.stage.now = END + timedelta(days=6)  # the archive's time is over, the download's is not
    rounds(h.stage, 4)
    closing.refresh_from_db()
    assert closing.finished_at is None
    h.stage.now = END + timedelta(days=31)
    h.rounds()
    rounds(h.stage, 3)
    closing.refresh_from_db()
    assert closing.finished_at
    assert h.bucket.objects == {}
