"""An account that is lost: it is given up after a week, its books close at the last second that was seen, a closing can
end, whatever dies; and if it answers again nobody is charged a second time."""

from collections.abc import Callable
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
from django.db import connection, transaction
from pytest_django.fixtures import Settings

from courses.audit import AuditNote
from credits.models import Letter
from instances import account_edits, closing, losing, services, snapshots, sweeps
from instances.account_edits import AccountRefused
from instances.closing_records import Closing
from instances.disk_rules import Standing
from instances.home_records import HomeArchive
from instances.loss_plan import loss
from instances.models import DiskSnapshot, Instance, StrayMachine
from instances.refusals import LaunchRefused
from instances.states import State
from spend.models import Charge, Hold
from tests.instances.conftest import check_books, compute_seconds, events, fresh, held
from tests.instances.linked_stage import NUMBER, Linked, link, linked, read, tunnel

__all__ = ["linked", "tunnel"]
WEEK = timedelta(days=7)


def shut_for(linked: Linked, span: timedelta = WEEK) -> None:
    """Shut now, if it is not yet; and the rounds still go so much later."""
    if linked.is_open:
        linked.shut()
    linked.look()
    linked.stage.later(span.total_seconds())
    linked.stage.repair()
    linked.look()


def give_up(linked: Linked) -> bool:
    who = linked.stage.cast.instructor.user
    assert who
    return losing.give_up(linked.account, who=who, now=linked.stage.now)


def write_off(linked: Linked) -> None:
    sweeps.write_off(read(linked.account), linked.stage.now)
    sweeps.meter(linked.stage.now)


def lose(linked: Linked) -> None:
    shut_for(linked)
    assert give_up(linked)
    write_off(linked)


def copy_of(linked: Linked, row: Instance, *, made: bool = True) -> DiskSnapshot:
    stage = linked.stage
    copy = snapshots.request_snapshot(fresh(row), why="asked", who=row.owner.user, now=stage.now)
    if made:
        snapshots.take(copy.pk, cloud=stage.cloud, now=stage.now)
        linked.minute(3)
        copy.refresh_from_db()
        assert copy.standing == Standing.KEPT
    return copy


def open_holds() -> int:
    return Hold.objects.filter(closed_at=None, amount_usd__gt=0).count()


def charged() -> Decimal:
    return sum((one.amount_usd for one in Charge.objects.all()), Decimal(0))


# ---------------------------------------------------------------- when
def test_before_its_week_is_over_it_is_refused_with_the_moment_from_which_it_may_be(linked: Linked) -> None:
    row = linked.running()
    shut_for(linked, timedelta(days=6, hours=23))
    with pytest.raises(AccountRefused, match=r"less than 7 days.*from 12 March 2019"):
        give_up(linked)
    assert (read(linked.account).lost_at, fresh(row).state) == (None, State.RUNNING)
    linked.stage.later(3600)
    linked.stage.repair()
    linked.look()
    assert give_up(linked)


def test_one_that_answers_is_never_given_up(linked: Linked) -> None:
    linked.running()
    with pytest.raises(AccountRefused, match="It answers"):
        give_up(linked)
    shut_for(linked)
    linked.open()
    linked.look()
    with pytest.raises(AccountRefused, match="It answers"):
        give_up(linked)


def test_a_portal_that_has_not_looked_lately_gives_nothing_up(linked: Linked) -> None:
    linked.running()
    shut_for(linked)
    linked.stage.later(3600)
    with pytest.raises(AccountRefused, match="has not seen AWS lately"):
        give_up(linked)


# ---------------------------------------------------------------- what becomes of it
def test_a_machines_books_close_at_the_last_second_it_was_seen_and_nothing_stays_held(linked: Linked) -> None:
    stage, row = linked.stage, linked.running()
    linked.minute(5)
    run = row.runs.get()
    seen = run.seen_at
    assert seen
    assert held(row) > 0
    shut_for(linked)
    found = loss(read(linked.account), stage.now)
    assert give_up(linked)
    write_off(linked)
    row, run = fresh(row), row.runs.get()
    assert (row.state, run.ended_at, row.disk_until) == (State.TERMINATED, seen, seen)
    assert compute_seconds(row) == (seen - run.started_at).total_seconds()
    assert (held(row), open_holds()) == (0, 0)
    assert found.due_usd == pytest.approx(charged(), abs=Decimal("0.00001"))  # what was shown before
    assert found.held_usd == found.due_usd + found.back_usd
    check_books()
    assert linked.there.machines[row.cloud_id].state == "stopped"  # AWS's own timer did it


def test_what_its_agent_reported_meanwhile_counts_as_far_as_it_was_paid(linked: Linked) -> None:
    stage, row = linked.stage, linked.running()
    linked.shut()
    linked.look()
    heard = stage.now + timedelta(minutes=90)
    Instance.objects.filter(pk=row.pk).update(last_report_at=heard)
    lose(linked)
    assert row.runs.get().ended_at == heard
    check_books()


def test_one_that_was_seen_to_stop_is_counted_no_further(linked: Linked) -> None:
    linked.there.stop_seconds = 170
    row = linked.running()
    linked.there.power_off(row.cloud_id)
    linked.stage.later(30)
    linked.look()
    linked.shut()
    seen = row.runs.get().stopping_at
    assert seen
    Instance.objects.filter(pk=row.pk).update(last_report_at=seen + timedelta(seconds=50))
    lose(linked)
    assert row.runs.get().ended_at == seen
    check_books()


def test_its_row_its_event_its_letter_and_the_audit_say_who_and_why(linked: Linked) -> None:
    stage, row = linked.stage, linked.running()
    lose(linked)
    moved = events(row, "moved")[-1]
    assert moved.who == stage.cast.instructor.user
    assert moved.facts["lost"] == linked.account.pk
    assert "is lost" in moved.reason
    assert fresh(row).reason == moved.reason
    letter = Letter.objects.get(to=row.owner.email)
    assert "Team's own" in letter.body
    assert f"Homework: T4 16 GB ({row.slug})" in letter.body
    assert AuditNote.objects.get(what="account_lost").facts["machines"] == 1


def test_copies_are_closed_as_lost_and_their_holds_are_free(linked: Linked) -> None:
    stage, row = linked.stage, linked.running()
    stage.stop(row)
    linked.minute(2)
    kept = copy_of(linked, row)
    asked = copy_of(linked, row, made=False)
    lose(linked)
    kept.refresh_from_db()
    asked.refresh_from_db()
    assert (kept.standing, kept.until) == (Standing.LOST, kept.seen_at)
    assert (asked.standing, asked.until, asked.since) == (Standing.LOST, None, None)
    assert "is lost" in kept.reason
    assert (open_holds(), fresh(row).state) == (0, State.TERMINATED)
    assert "a copy of the disk of" in Letter.objects.get().body
    assert list(linked.there.disks.kept) == [kept.cloud_id]  # nothing is deleted there
    check_books()


def test_a_copy_whose_machine_is_long_gone_is_its_owners_loss_too(linked: Linked) -> None:
    stage, row = linked.stage, linked.running()
    stage.stop(row)
    linked.minute(2)
    kept = copy_of(linked, row)
    services.request_terminate(fresh(row), who=row.owner.user, now=stage.now)
    linked.minute(3)
    lose(linked)
    kept.refresh_from_db()
    assert (kept.standing, open_holds()) == (Standing.LOST, 0)
    assert Letter.objects.get().to == row.owner.email


def test_a_launch_that_aws_never_answered_is_charged_nothing(linked: Linked) -> None:
    row = linked.stage.click_launch()
    linked.shut()
    services.launch(row.pk, cloud=linked.stage.cloud, now=linked.stage.now)
    lose(linked)
    assert (fresh(row).state, charged(), open_holds()) == (State.TERMINATED, 0, 0)
    check_books()


def test_a_start_that_nobody_saw_come_true_is_charged_nothing_more(linked: Linked) -> None:
    stage, row = linked.stage, linked.running()
    stage.stop(row)
    linked.minute(2)
    before = compute_seconds(row)
    services.request_start(fresh(row), who=row.owner.user, now=stage.now)
    linked.shut()
    services.start(row.pk, cloud=stage.cloud, now=stage.now)
    lose(linked)
    assert (fresh(row).state, compute_seconds(row), open_holds()) == (State.TERMINATED, before, 0)
    check_books()


def test_a_download_that_was_being_packed_is_lost_and_one_that_is_packed_stays(
    linked: Linked, settings: Settings
) -> None:
    settings.ARCHIVE_BUCKET = "files"
    stage, row = linked.stage, linked.running()
    facts = {"instance": row, "owner": row.owner, "course": row.course, "asked_at": stage.now, "part_bytes": 1}
    later = stage.now + timedelta(days=30)
    ready = HomeArchive.objects.create(**facts, packed_at=stage.now, ready_at=stage.now, expires_at=later)
    packing = HomeArchive.objects.create(**facts)
    lose(linked)
    packing.refresh_from_db()
    ready.refresh_from_db()
    assert packing.failed_at
    assert "is lost" in packing.reason
    assert (ready.failed_at, ready.expires_at) == (None, later)


def test_nothing_is_launched_bound_or_restored_there_any_more_and_it_can_be_removed(linked: Linked) -> None:
    stage, cast = linked.stage, linked.stage.cast
    linked.running()
    lose(linked)
    with pytest.raises(LaunchRefused, match="which is lost"):
        stage.click_launch()
    with pytest.raises(AccountRefused, match="is lost"):
        account_edits.bind(linked.account, cast.team, who=cast.instructor.user, now=stage.now)
    account_edits.remove(linked.account, who=cast.instructor.user, now=stage.now)
    assert stage.launch().account_id is None


def test_other_accounts_and_the_courses_own_are_left_alone(linked: Linked) -> None:
    stage = linked.stage
    home = stage.launch(stage.cast.instructor)
    linked.running()
    lose(linked)
    assert fresh(home).state != State.TERMINATED
    assert held(home) > 0


# ---------------------------------------------------------------- the closing
def test_a_closing_that_waited_for_it_ends_and_its_statement_says_so(linked: Linked, settings: Settings) -> None:
    settings.CLOSING_NOTICE_DAYS = 1
    stage, row = linked.stage, linked.running()
    who = stage.cast.instructor.user
    assert who
    closing.announce(stage.cast.course, last_day=date(2019, 5, 17), keep_days=7, who=who, now=stage.now)
    stage.now = Closing.objects.get().closes_at - timedelta(hours=5)
    shut_for(linked, timedelta(days=8))
    for _round in range(5):
        stage.later(60)
        sweeps.closings(stage.cloud, stage.now)
        sweeps.meter(stage.now)
    assert (fresh(row).state, Closing.objects.get().finished_at) == (State.STOPPING, None)
    linked.minute()
    assert give_up(linked)
    write_off(linked)
    sweeps.closings(stage.cloud, stage.now)
    row_of = Closing.objects.get()
    assert row_of.finished_at == stage.now
    [lost] = row_of.statement["lost"]
    assert (lost["machines"], lost["copies"], NUMBER in lost["account"]) == (1, 0, True)
    told_staff = Letter.objects.get(key__contains="/finished/")
    assert "given up as lost: machines: 1" in told_staff.body
    check_books()


# ---------------------------------------------------------------- dying anywhere, and twice
class Dies(BaseException):
    """A process that is gone at once: nothing of ours catches it."""


def writes_until(left: int) -> Callable[..., Any]:
    before = count()

    def execute_or_die(execute: Any, sql: str, *more: Any) -> Any:
        if sql.startswith(("INSERT", "UPDATE", "DELETE")) and next(before) == left:
            raise Dies
        return execute(sql, *more)

    return execute_or_die


def test_it_may_die_before_each_row_that_it_writes_and_the_next_round_ends_it(linked: Linked) -> None:
    stage, row = linked.stage, linked.running()
    copy = copy_of(linked, row)
    shut_for(linked)
    deaths = 0
    for number in count():
        with transaction.atomic():
            died = True
            with suppress(Dies), connection.execute_wrapper(writes_until(number)):
                give_up(linked)
                sweeps.write_off(read(linked.account), stage.now)
                died = False
            deaths += died
            if read(linked.account).lost_at is None:  # the decision itself was not written: nothing else was
                assert (fresh(row).state, Letter.objects.count()) == (State.RUNNING, 0), number
                give_up(linked)
            linked.look()
            sweeps.meter(stage.now)
            copy.refresh_from_db()
            ends = fresh(row).state, copy.standing, open_holds(), Letter.objects.count()
            assert ends == (State.TERMINATED, Standing.LOST, 0, 1), number
            assert len([one for one in events(row, "moved") if one.facts.get("lost")]) == 1, number
            check_books()
            transaction.set_rollback(True)
        if not died:
            break
    assert deaths >= 8  # of the decision, the machine with its run, and the copy


def test_said_again_it_changes_nothing(linked: Linked) -> None:
    row = linked.running()
    lose(linked)
    before = len(events(row)), charged(), Letter.objects.count()
    assert not give_up(linked)
    write_off(linked)
    linked.minute(2)
    assert (len(events(row)), charged(), Letter.objects.count()) == before


# ---------------------------------------------------------------- it answers again
def test_if_it_answers_again_its_machines_are_strays_stopped_told_and_never_charged_twice(linked: Linked) -> None:
    stage, row = linked.stage, linked.running()
    lose(linked)
    before = charged()
    linked.there.start([row.cloud_id])  # somebody in that account did
    stage.later(300)
    linked.open()
    linked.minute(65)
    assert linked.there.machines[row.cloud_id].state == "stopped"
    assert (fresh(row).state, charged(), open_holds()) == (State.TERMINATED, before, 0)
    stray = StrayMachine.objects.get()
    assert stray.cloud_id == row.cloud_id
    [trouble] = [one for one in events(row, "trouble") if "found" in one.facts]
    assert "answers again" in trouble.reason
    assert trouble.mail_to
    assert read(linked.account).found_at
    check_books()


def test_what_is_found_stopped_is_shown_too(linked: Linked) -> None:
    row = linked.running()
    lose(linked)
    linked.open()
    linked.minute(2)
    assert StrayMachine.objects.get().cloud_state == "stopped"
    assert linked.there.machines[row.cloud_id].state == "stopped"


def test_a_copy_that_was_lost_is_not_deleted_as_a_double_when_its_account_is_linked_anew(linked: Linked) -> None:
    stage, row = linked.stage, linked.running()
    stage.stop(row)
    linked.minute(2)
    lost = copy_of(linked, row)
    lose(linked)
    account_edits.remove(linked.account, who=stage.cast.instructor.user, now=stage.now)
    again = link(stage)
    row = again.running()
    stage.stop(row)
    again.minute(2)
    copy_of(again, row)
    again.minute(3)
    assert lost.cloud_id in again.there.disks.kept


def test_the_portal_goes_on_knocking_and_asks_for_no_daily_check(linked: Linked) -> None:
    linked.running()
    lose(linked)
    entered = linked.stage.cloud.count("enter")
    linked.stage.later(3 * 24 * 3600)
    linked.minute(2)
    assert linked.stage.cloud.count("enter") == entered
