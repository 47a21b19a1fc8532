"""Money that ends is announced with its minute, at each level; and no lease cuts short the time that a warning gave."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db.models import F

from instances import services
from instances.models import Instance
from spend.models import Budget, Level
from tests.instances.conftest import Stage, check_books, events, fresh, held

LEVELS = [Level.PERSON, Level.TEAM, Level.COURSE, Level.SPONSOR]


def leave(level: Level, usd: str) -> None:
    path = Budget.objects.filter(level=level)
    path.update(amount_usd=F("spent_usd") + F("held_usd") + Decimal(usd))


@pytest.mark.parametrize("level", LEVELS)
def test_the_last_minute_is_told_hours_before_whichever_level_cannot_pay(stage: Stage, level: Level) -> None:
    row = stage.running()
    stage.active.add(row.slug)
    leave(level, "0.10")
    stage.wait(125, step=5)
    [told] = events(row, "money")
    assert "This machine stops at 16:0" in told.reason
    assert told.mail_to == row.owner.email
    assert fresh(row).lease_until - told.at > timedelta(minutes=100)
    stage.wait(120, step=5)
    row = fresh(row)
    assert row.state == "stopped"
    assert stage.machine(row).state == "stopped"  # and not terminated: its disk is kept
    check_books()


def test_no_lease_ends_before_the_stop_that_was_announced(stage: Stage) -> None:
    row = stage.running()
    assert stage.wait(30, until=lambda: bool(events(row, "warned")))
    Instance.objects.filter(pk=row.pk).update(lease_until=stage.now + timedelta(minutes=4))
    stage.wait(6)
    assert fresh(row).state == "running"
    assert held(row) >= row.usd_hour * 4 / 60
    assert stage.machine(row).stops_at > fresh(row).lease_until  # AWS's own timer went along
    stage.wait(6)
    row = fresh(row)
    assert row.reason.startswith("Stopped: Nothing has used this machine since")
    check_books()


def test_started_by_hand_a_minute_after_a_stop_it_is_stopped_again_in_time(stage: Stage) -> None:
    row = stage.running()
    assert stage.wait(45, until=lambda: fresh(row).state == "stopped")
    stage.later(60)
    services.request_start(fresh(row), who=row.owner.user, now=stage.now)
    services.start(row.pk, cloud=stage.cloud, now=stage.now)
    began = stage.now
    assert stage.wait(45, until=lambda: fresh(row).state == "stopped")
    assert timedelta(minutes=29) < stage.now - began <= timedelta(minutes=33)
    assert len(events(row, "warned")) == 2
    check_books()
