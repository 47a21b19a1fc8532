"""The last call: whoever has an archive hears of the day on which it goes, days before, and once for each such day."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from courses.models import Enrollment
from credits.models import Letter
from instances import closing, sweeps
from instances.closing_records import Closing
from instances.disk_rules import Standing
from instances.limits import PersonLimits
from instances.models import DiskSnapshot, Instance
from instances.states import State
from instances.sweeps.closing import _last_call
from tests.instances.closing_stage import END, LAST, announce, at_the_end, rounds, short_notice, stopped  # noqa: F401
from tests.instances.conftest import Stage, fresh

DAY = timedelta(days=1)


def calls(to: Enrollment | None = None) -> list[str]:
    letters = Letter.objects.filter(key__contains="/last-call/").order_by("pk")
    return [one.subject for one in (letters.filter(to=to.email) if to else letters)]


def archived(stage: Stage, **other: object) -> Instance:
    row = at_the_end(stage, **other)
    rounds(stage, 4)
    assert fresh(row).state == State.TERMINATED
    return row


def round_at(stage: Stage, moment: object) -> None:
    stage.now = moment  # type: ignore[assignment]
    rounds(stage)


def keep_for(stage: Stage, days: int) -> None:
    who, row = stage.cast.instructor.user, Closing.objects.get()
    assert who
    assert closing.change(row, last_day=row.last_day, keep_days=days, who=who, now=stage.now)


def test_it_is_told_three_days_before_and_once(stage: Stage) -> None:
    row = archived(stage)
    round_at(stage, END + 2 * DAY - timedelta(minutes=2))
    assert calls() == []
    rounds(stage, 5)
    assert calls() == calls(row.owner) == ["Your archive of Deep Learning is deleted after 22 May 2019"]


def test_kept_for_longer_after_the_call_they_are_called_again_before_the_new_day(stage: Stage) -> None:
    row = archived(stage)
    round_at(stage, END + 2 * DAY)
    keep_for(stage, 30)
    round_at(stage, END + 5 * DAY)
    round_at(stage, END + 27 * DAY - timedelta(minutes=2))
    assert len(calls()) == 1
    rounds(stage, 3)
    assert calls(row.owner)[1:] == ["Your archive of Deep Learning is deleted after 16 June 2019"]
    assert DiskSnapshot.objects.get().standing == Standing.KEPT


def test_who_has_a_later_last_day_is_called_before_their_own_archive_goes(stage: Stage) -> None:
    other = stage.cast.other_student
    stage.now = END - timedelta(hours=30)
    stopped(stage)
    theirs = stopped(stage, other)
    PersonLimits.objects.create(enrollment=other, ends_on=LAST + 3 * DAY)
    announce(stage)
    round_at(stage, END)
    rounds(stage, 4)
    round_at(stage, END + 2 * DAY)
    assert len(calls()) == 1
    assert calls(other) == []
    round_at(stage, END + 3 * DAY)
    rounds(stage, 5)
    assert fresh(theirs).state == State.TERMINATED
    assert calls(other) == []
    round_at(stage, END + 5 * DAY)
    assert calls(other) == ["Your archive of Deep Learning is deleted after 25 May 2019"]
    round_at(stage, END + 8 * DAY)
    rounds(stage, 3)
    assert not DiskSnapshot.objects.filter(standing=Standing.KEPT).exists()
    assert len(calls()) == 2


def test_a_later_last_day_that_was_given_once_it_was_archived_counts_too(stage: Stage) -> None:
    """The row still has the old day; the archive is not deleted on it."""
    row = archived(stage)
    PersonLimits.objects.create(enrollment=row.owner, ends_on=LAST + 9 * DAY)
    round_at(stage, END + 2 * DAY)
    assert calls() == []
    round_at(stage, END + 9 * DAY)
    round_at(stage, END + 11 * DAY)
    assert calls() == ["Your archive of Deep Learning is deleted after 31 May 2019"]


def test_called_off_nobody_is_called(stage: Stage) -> None:
    archived(stage)
    stage.now = END + 2 * DAY
    row = Closing.objects.get()
    assert closing.call_off(row, who=stage.cast.instructor.user, now=stage.now)  # type: ignore[arg-type]
    _last_call(row, stage.cloud, stage.now)
    assert calls() == []


@pytest.mark.parametrize("owners", [1, 3])
def test_a_round_asks_as_much_for_many_as_for_one(stage: Stage, owners: int) -> None:
    archived(stage)
    like = DiskSnapshot.objects.get()
    lines = Enrollment.objects.filter(course=like.course).exclude(pk=like.owner_id)
    for n, line in enumerate(lines[: owners - 1]):
        like.pk, like.owner, like.slug, like.cloud_id = None, line, f"s{n}", f"snap-{n}"
        like.save()
    stage.now = END + 2 * DAY
    sweeps.closings(stage.cloud, stage.now)
    assert len(calls()) == owners
    with CaptureQueriesContext(
        connection,
    ) as asked:
        _last_call(Closing.objects.get(), stage.cloud, stage.now)
    assert len([one for one in asked if one["sql"].startswith("SELECT")]) == 4
    assert not [one for one in asked if one["sql"].startswith(("INSERT", "UPDATE"))]
