"""The course's last day becomes a later one: disks and copies are held for to then, or the day stays as it was."""

import multiprocessing
import time
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from courses import course_settings
from courses.models import Enrollment
from instances import books, longer, requesting, services, snapshots
from instances.called_off import unanswered
from instances.launch_rules import course_end
from instances.limits import Limits
from instances.longer import hold_course_longer
from instances.models import DiskSnapshot, Instance
from instances.overriding import set_limits
from spend.models import Budget, Hold
from spend.services import BudgetRefused, budget_of, hold_together, lock_path, set_amount
from tests.instances.conftest import Stage, check_books, fresh
from tests.race import PAUSE, SOON, Outcome, after, race


def make_longer(stage: Stage, days: int = 28) -> None:
    who = stage.cast.instructor.user
    with transaction.atomic():
        last = stage.cast.course.ends_on + timedelta(days=days)
        course_settings.change(stage.cast.course, {"ends_on": last}, who=who, now=stage.now)
        hold_course_longer(stage.cast.course, who=who, now=stage.now)


def reaches(key: str, usd_hour: Decimal, paid_until: datetime) -> timedelta:
    return timedelta(hours=float(Hold.objects.get(key=key, closed_at=None).amount_usd / usd_hour)) - (
        course_end(books.dates_of(Instance.objects.first().course)) - paid_until
    )


def disk_reaches(row: Instance) -> timedelta:
    row = fresh(row)
    return reaches(row.disk_key, row.disk_usd_hour, row.disk_metered_until or row.disk_since or row.created_at)


def is_whole(found: timedelta) -> bool:
    return timedelta(0) <= found < timedelta(minutes=5)


def test_disks_of_all_states_and_their_copies_are_held_for_to_the_new_last_day(stage: Stage) -> None:
    asked = stage.click_launch(stage.cast.ta)
    runs, rests = stage.running(), stage.stop(stage.running(stage.cast.other_student))
    copy = snapshots.request_snapshot(runs, why=DiskSnapshot.Why.ASKED, who=None, now=stage.now)
    snapshots.take(copy.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(130, step=10)
    make_longer(stage)
    assert [is_whole(disk_reaches(row)) for row in (asked, runs, rests)] == [True] * 3
    copy.refresh_from_db()
    assert is_whole(reaches(copy.key, copy.usd_hour, copy.metered_until))
    check_books()


def test_a_launch_that_was_called_off_before_aws_answered_may_leave_a_disk(stage: Stage) -> None:
    row = stage.click_launch()
    Instance.objects.filter(pk=row.pk).update(state="launching", asked_at=stage.now)
    assert services.request_stop(fresh(row), reason="not now", who=row.owner.user, now=stage.now)
    assert unanswered(fresh(row))
    make_longer(stage)
    assert is_whole(disk_reaches(row))


def test_a_later_last_day_of_one_person_holds_their_copies_longer_too(stage: Stage) -> None:
    row = stage.running()
    copy = snapshots.request_snapshot(row, why=DiskSnapshot.Why.ASKED, who=None, now=stage.now)
    before = Hold.objects.get(key=copy.key).amount_usd
    later = Limits(ends_on=stage.cast.course.ends_on + timedelta(days=60))
    set_limits(row.owner, later, why="thesis", who=stage.cast.instructor.user, now=stage.now)
    assert Hold.objects.get(key=copy.key).amount_usd > before


def test_who_cannot_pay_is_named_and_the_day_stays_for_everybody(stage: Stage) -> None:
    poor, rich = stage.running(), stage.running(stage.cast.other_student)
    mine = budget_of(poor.owner)
    set_amount(mine, mine.spent_usd + mine.held_usd, why="no more", who=None, now=stage.now)
    held = list(Hold.objects.order_by("pk").values_list("amount_usd", flat=True))
    last = stage.cast.course.ends_on
    with pytest.raises(BudgetRefused) as refused:
        make_longer(stage)
    assert mine.name in str(refused.value)
    assert rich.owner.name not in str(refused.value)
    assert list(Hold.objects.order_by("pk").values_list("amount_usd", flat=True)) == held
    stage.cast.course.refresh_from_db()
    assert stage.cast.course.ends_on == last


def test_a_shared_budget_is_named_once_with_what_all_who_share_it_need(stage: Stage) -> None:
    rows = [stage.running(), stage.running(stage.cast.other_student)]
    root = Budget.objects.get(parent=None)
    course = Budget.objects.get(course=stage.cast.course, level="2-course")
    set_amount(course, course.spent_usd + course.held_usd, why="no more", who=None, now=stage.now)
    with pytest.raises(BudgetRefused) as refused:
        make_longer(stage)
    assert str(refused.value).count(course.name) == 1
    extra = sum(row.disk_usd_hour * 24 * 28 for row in rows)
    assert f"${extra:.2f}"[:-1] in str(refused.value)
    assert root.name not in str(refused.value)


def test_an_archive_of_a_closing_that_was_called_off_is_held_for_longer_too(stage: Stage) -> None:
    row = stage.stop(stage.running())
    stage.repair()
    until = course_end(books.dates_of(row.course)) + timedelta(days=6)
    who, why = stage.cast.instructor.user, DiskSnapshot.Why.CLOSING
    copy = snapshots.request_snapshot(fresh(row), why=why, who=who, now=stage.now, keep_until=until)
    snapshots.take(copy.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(130, step=10)
    before = Hold.objects.get(key=copy.key).amount_usd
    make_longer(stage, days=3)
    assert Hold.objects.get(key=copy.key, closed_at=None).amount_usd == before  # it is kept for longer anyway
    make_longer(stage, days=90)
    copy.refresh_from_db()
    assert is_whole(reaches(copy.key, copy.usd_hour, copy.metered_until))


def test_a_copy_that_a_closing_keeps_and_nobody_can_pay_for_hinders_no_later_day(stage: Stage) -> None:
    row = stage.running()
    copy = snapshots.request_snapshot(row, why=DiskSnapshot.Why.ASKED, who=None, now=stage.now)
    snapshots.take(copy.pk, cloud=stage.cloud, now=stage.now)
    stage.wait(130, step=10)
    until = course_end(books.dates_of(row.course)) + timedelta(days=30)
    DiskSnapshot.objects.filter(pk=copy.pk).update(keep_until=until)
    services.request_terminate(fresh(row), who=row.owner.user, now=stage.now)
    stage.wait(3)
    mine = budget_of(row.owner)
    mine.refresh_from_db()
    set_amount(mine, mine.spent_usd + mine.held_usd, why="no more", who=None, now=stage.now)
    make_longer(stage, days=2)
    with pytest.raises(BudgetRefused):
        make_longer(stage, days=60)


# ------------------------------------------------------------------ at the same moment
def launched_while_it_becomes_longer(stage: Stage) -> timedelta:
    def longer() -> None:
        with transaction.atomic():
            make_longer(stage)
            time.sleep(1)

    def click() -> int:
        time.sleep(0.3)
        return stage.click_launch().pk

    longer_, clicked = race([longer, click])
    assert (longer_.error, clicked.error) == (None, None)
    return disk_reaches(Instance.objects.get(pk=clicked.value))


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_launch_that_waited_for_it_holds_to_the_new_last_day(stage: Stage) -> None:
    assert is_whole(launched_while_it_becomes_longer(stage))


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_control_read_together_with_the_lock_the_day_is_the_old_one(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def joined(enrollment: Enrollment) -> Enrollment:
        rows = Enrollment.objects.select_for_update(no_key=True, of=("self",))
        return rows.select_related("course", "limits", "team__bound_account__account").get(pk=enrollment.pk)

    monkeypatch.setattr(requesting, "locked", joined)
    assert launched_while_it_becomes_longer(stage) < -timedelta(days=27)


# ------------------------------------------------------------------ beside who has a machine and waits for the money
def keeps_while_it_becomes_longer(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[Outcome]:
    """The one whose machine comes last has it in hand, and waits for the sponsor's budget."""
    last = sorted((stage.running(), stage.running(stage.cast.other_student)), key=lambda row: row.owner_id)[-1]

    has_money = multiprocessing.get_context("fork").Event()

    def slowly(*args: Any, **named: Any) -> Any:
        held = hold_together(*args, **named)
        has_money.set()
        time.sleep(PAUSE)
        return held

    def meter() -> None:
        with transaction.atomic():
            Instance.objects.select_for_update(no_key=True).get(pk=last.pk)
            has_money.wait(3)
            lock_path(budget_of(last.owner))

    monkeypatch.setattr(longer, "hold_together", slowly)
    return race([partial(after, SOON, partial(make_longer, stage)), meter])


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_nobody_waits_for_it_in_a_circle(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = keeps_while_it_becomes_longer(stage, monkeypatch)
    assert [one.error for one in outcomes] == [None, None]


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_control_with_one_owner_after_the_other_they_do(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def unlocked(rows: Any) -> list[int]:
        return list(rows.values_list("owner_id", flat=True))

    monkeypatch.setattr(longer, "_owners_of", unlocked)
    outcomes = keeps_while_it_becomes_longer(stage, monkeypatch)
    assert any("deadlock" in str(one.error) for one in outcomes)
