"""The facts of alarms as machines and money make them, and the whole round from a running machine to a mail."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext

from cloud.fake_billing import FakeBilling
from credits import letters
from instances.alarm_facts import course_facts
from instances.sweeps import alerts
from spend.metering import ChargeLine
from spend.models import AccountCredit, Alarm, PlanPoint
from spend.planning import planned_on
from spend.services import budget_of, post
from spend.trueing import note_credits
from tests.instances.conftest import Stage


def test_what_open_machines_used_counts_on_every_level(stage: Stage) -> None:
    stage.running()
    stage.later(1800)
    found = {one.level: one.used_usd for one in course_facts(stage.cast.course, stage.now).budgets}
    assert found["sponsor"] == found["course"] >= found["team"] > Decimal("0.2")


def test_from_a_charge_to_one_mail(stage: Stage) -> None:
    hour = stage.now.replace(minute=0)
    line = ChargeLine("compute", hour, 3600, Decimal(85))
    post(budget_of(stage.cast.student), "machine/mold/run/1", [line], stage.now)
    for _n in range(4):
        alerts(stage.now)
        stage.later(16 * 60)
    mail.outbox.clear()
    letters.send_due(stage.now)
    told = {one.to[0]: one.subject for one in mail.outbox}
    assert told["ada@demo.edu"] == "Deep Learning: 80 % of your budget is used"
    assert Alarm.objects.filter(kind="threshold", about=stage.cast.student).count() == 2
    assert len(told) == len(mail.outbox)


def test_a_stopped_disk_is_forgotten_after_a_fortnight(stage: Stage) -> None:
    row = stage.stop(stage.running())
    stage.wait(3)
    stage.later(15 * 86_400)
    [disk] = course_facts(stage.cast.course, stage.now).disks
    assert (disk.key, disk.enrollment) == (row.slug, row.owner_id)
    assert disk.usd_month == pytest.approx(Decimal("5.12"), abs=Decimal("0.01"))
    alerts(stage.now)
    assert Alarm.objects.filter(kind="disk").get().about == stage.cast.student


def test_credit_of_the_account_is_noted_daily_and_rings_before_it_ends(stage: Stage) -> None:
    account = FakeBilling(clock=lambda: stage.now)
    account.grant(Decimal(500), ends=stage.now + timedelta(days=10), name="Spring grant")
    account.grant(Decimal(500), ends=stage.now + timedelta(days=100))
    assert note_credits(account, stage.now) == 2
    alerts(stage.now)
    alarm = Alarm.objects.get(kind="credit", course=stage.cast.course)
    assert alarm.title == "$500.00 of AWS credit expires on 15 March"
    account.hidden = True
    note_credits(account, stage.now + timedelta(days=1))
    assert AccountCredit.objects.count() == 0


def test_the_plan_is_even_unless_points_say_otherwise(stage: Stage) -> None:
    course, day = stage.cast.course, stage.now.date()
    assert planned_on(course, day) == pytest.approx(Decimal(500) / 116)
    PlanPoint.objects.create(course=course, day=day - timedelta(days=1), usd=Decimal(10))
    PlanPoint.objects.create(course=course, day=day + timedelta(days=1), usd=Decimal(50))
    assert planned_on(course, day) == 20
    assert planned_on(course, day + timedelta(days=30)) == 0


def test_the_round_asks_no_more_for_more_machines(stage: Stage) -> None:
    def asked() -> int:
        with CaptureQueriesContext(connection) as found:
            alerts(stage.now)
        return len(found)

    asked()
    before = asked()
    for who in (stage.cast.student, stage.cast.other_student, stage.cast.ta):
        stage.running(who)
    assert asked() == before
