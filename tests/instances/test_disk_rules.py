"""When a disk is copied and archived, and what follows from what is known of a copy. Pure."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud.disks import SnapshotState, SnapshotView
from instances.disk_rules import (
    Archive,
    Do,
    Row,
    Standing,
    decide_archive,
    decide_snapshot,
    night_before,
    nightly_due,
    surplus,
)

NOW = datetime(2019, 3, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def view(state: SnapshotState) -> SnapshotView:
    return SnapshotView("snap-1", "s1", state, 64, None, NOW)


PENDING, DONE, BROKEN = (view(state) for state in SnapshotState)


@pytest.mark.parametrize(
    ("standing", "asked", "calling", "absent", "listed", "expected"),
    [
        (Standing.WANTED, None, None, None, None, Do.TAKE),
        (Standing.WANTED, ago(5), ago(-80), None, None, None),  # somebody is asking
        (Standing.WANTED, ago(60), None, None, None, None),  # it may be there and not be listed yet
        (Standing.WANTED, ago(300), None, None, None, Do.TAKE),
        (Standing.WANTED, ago(60), None, None, PENDING, Do.ADOPT),
        (Standing.PENDING, ago(60), None, None, PENDING, None),
        (Standing.PENDING, ago(60), None, None, DONE, Do.KEEP),
        (Standing.PENDING, ago(60), None, None, BROKEN, Do.FAIL),
        (Standing.PENDING, ago(60), None, None, None, None),
        (Standing.PENDING, ago(900), None, ago(300), None, Do.VANISHED),
        (Standing.KEPT, ago(900), None, None, DONE, None),
        (Standing.KEPT, ago(900), None, ago(300), DONE, None),  # it is back
        (Standing.KEPT, ago(9000), None, None, None, None),  # the first look that misses it, an hour after the last
        (Standing.KEPT, ago(9000), None, ago(240), None, None),
        (Standing.KEPT, ago(9000), None, ago(300), None, Do.VANISHED),
        (Standing.DELETING, ago(9000), None, None, DONE, Do.DELETE),
        (Standing.DELETED, ago(9000), None, None, None, None),
        (Standing.FAILED, ago(9000), None, None, None, None),
    ],
)
def test_what_to_do(
    standing: Standing,
    asked: datetime | None,
    calling: datetime | None,
    absent: datetime | None,
    listed: SnapshotView | None,
    expected: Do | None,
) -> None:
    assert decide_snapshot(Row(standing, asked, calling, absent), listed, NOW) is expected


@pytest.mark.parametrize(
    ("last_try", "changed", "due"),
    [
        (None, None, False),  # it never ran
        (None, ago(9000), True),
        (NOW - DAY, ago(9000), True),
        (NOW - DAY, NOW - 2 * DAY, False),  # nothing changed since
        (NOW, ago(9000), False),  # once a night
    ],
)
def test_one_copy_a_night_and_only_of_what_changed(
    last_try: datetime | None, changed: datetime | None, due: bool
) -> None:
    assert nightly_due(last_try, changed, night_before(NOW, "UTC")) is due


def test_the_night_is_the_courses_own() -> None:
    assert night_before(NOW, "UTC") == datetime(2019, 3, 5, 3, tzinfo=UTC)
    assert night_before(NOW, "America/Los_Angeles") == datetime(2019, 3, 5, 11, tzinfo=UTC)
    assert night_before(NOW - timedelta(hours=2), "America/Los_Angeles") == datetime(2019, 3, 4, 11, tzinfo=UTC)


def test_the_oldest_copies_are_too_many() -> None:
    assert surplus([1, 2, 3], 2) == [1]
    assert surplus([1], 2) == []


@given(st.integers(0, 60), st.integers(1, 30), st.integers(1, 30))
def test_no_disk_is_archived_unwarned_or_earlier_than_was_said(unused: int, after: int, warn: int) -> None:
    stopped = NOW - unused * DAY
    limits = (timedelta(days=after), timedelta(days=warn))
    warned = None
    for day in range(40):
        now = NOW + day * DAY
        decision = decide_archive(stopped, warned, *limits, now)
        if decision is Archive.WARN:
            assert warned is None
            warned = now
        if decision is Archive.NOW:
            assert warned is not None
            assert now - warned >= limits[1]
            assert now - stopped >= limits[0]


def test_a_warning_of_before_the_last_start_counts_no_more() -> None:
    assert decide_archive(NOW - DAY, NOW - 9 * DAY, DAY, DAY, NOW) is Archive.WARN
