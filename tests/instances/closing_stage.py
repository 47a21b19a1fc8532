"""The stage of a closing: a course near its last day, one stopped machine, and rounds that carry the closing out."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from cloud.base import Transient
from instances import closing, course_images, sweeps
from instances.closing_records import Closing
from instances.models import DiskSnapshot, Instance
from instances.states import State
from tests.instances.conftest import Stage, fresh

Why = DiskSnapshot.Why
LAST = date(2019, 5, 17)
END = datetime(2019, 5, 18, tzinfo=UTC)
LOST = Transient("connection closed")


def announce(stage: Stage, **other: Any) -> Closing:
    who = stage.cast.instructor.user
    assert who
    said = {"last_day": LAST, "keep_days": 5, **other}
    return closing.announce(stage.cast.course, **said, who=who, now=stage.now)


def rounds(stage: Stage, minutes: int = 1) -> None:
    for _minute in range(minutes):
        stage.later(60)
        stage.repair()
        sweeps.disks(stage.cloud, stage.now)
        course_images.images(stage.cloud, stage.now)
        sweeps.closings(stage.cloud, stage.now)
        sweeps.meter(stage.now)


def stopped(stage: Stage, who: Any = None) -> Instance:
    row = stage.stop(stage.running(who))
    stage.repair()
    assert fresh(row).state == State.STOPPED
    return fresh(row)


def at_the_end(stage: Stage, **other: Any) -> Instance:
    """One stopped machine, and the closing's moment."""
    stage.now = END - timedelta(hours=30)
    row = stopped(stage)
    announce(stage, **other)
    stage.now = END
    return row


def archive_of(row: Instance) -> DiskSnapshot:
    return DiskSnapshot.objects.filter(instance=row, why=Why.CLOSING).latest("pk")


@pytest.fixture(autouse=True)
def short_notice(settings: Settings) -> None:
    """Days of charges are nothing to wait for."""
    settings.CLOSING_NOTICE_DAYS = 1
