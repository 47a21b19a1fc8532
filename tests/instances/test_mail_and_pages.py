"""Mails that go out once and are never lost, and what pages ask: steps, accrued money, the published bound."""

import socket
from datetime import timedelta
from decimal import Decimal
from smtplib import SMTPRecipientsRefused

import pytest
from django.core import mail
from django.core.mail import EmailMessage
from django.core.mail.backends.locmem import EmailBackend
from pytest_django.fixtures import Settings

from instances import bounds, queries, sweeps
from instances.models import InstanceEvent
from instances.moves import tell
from instances.sweeps import mailing
from tests.instances.conftest import HOUR, NOON, Stage, fresh


def due(stage: Stage, text: str = "It will be stopped at 18:40.") -> InstanceEvent:
    row = stage.launch()
    return tell(row, InstanceEvent.Kind.WARNED, reason=text, now=stage.now, mail_to=row.owner.email)


def test_a_mail_says_what_the_page_says_and_where_to_go(stage: Stage) -> None:
    event = due(stage)
    sweeps.notices(stage.now)
    [letter] = mail.outbox
    assert letter.subject == "Your machine will be stopped: Homework: T4 16 GB"
    assert "It will be stopped at 18:40." in letter.body
    assert f"/machines/{event.instance.slug}/" in letter.body
    sweeps.notices(stage.now)
    assert len(mail.outbox) == 1


def test_two_workers_at_once_send_it_once(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    due(stage)
    plain = mailing.message

    def meanwhile(event: InstanceEvent) -> tuple[str, str]:
        monkeypatch.setattr(mailing, "message", plain)
        sweeps.notices(stage.now)
        return plain(event)

    monkeypatch.setattr(mailing, "message", meanwhile)
    sweeps.notices(stage.now)
    assert len(mail.outbox) == 1


def test_a_mail_server_that_is_down_loses_none(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    event = due(stage)
    with monkeypatch.context() as down:
        down.setattr(EmailBackend, "send_messages", lambda *_a: (_ for _ in ()).throw(ConnectionRefusedError()))
        sweeps.notices(stage.now)
    assert mail.outbox == []
    stage.later(60)
    sweeps.notices(stage.now)
    assert len(mail.outbox) == 1
    event.refresh_from_db()
    assert timedelta(0) <= event.mailed_at - stage.now < timedelta(seconds=5)


def test_a_mail_server_that_takes_calls_and_says_nothing_is_waited_for_once_a_round(
    stage: Stage, settings: Settings
) -> None:
    """Forty time-outs, a round each minute: no process would be left to stop machines."""
    row = stage.running()
    for n in range(40):
        tell(row, InstanceEvent.Kind.TROUBLE, reason=f"{n}", now=stage.now, mail_to=f"s{n}@demo.edu")
    with socket.create_server(("127.0.0.1", 0), backlog=50) as silent:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = silent.getsockname()
        settings.EMAIL_TIMEOUT = 0.2
        sweeps.notices(stage.now)
        silent.settimeout(0)
        silent.accept()
        with pytest.raises(BlockingIOError):  # nobody called a second time
            silent.accept()
    settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
    stage.later(60)
    sweeps.notices(stage.now)
    assert len({letter.to[0] for letter in mail.outbox if letter.to[0].endswith("@demo.edu")}) == 40


def test_an_address_that_is_refused_keeps_nobody_elses_mail_and_is_tried_again_after_minutes(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, tries = stage.running(), []
    for to in ("gone@demo.edu", "there@demo.edu"):
        tell(row, InstanceEvent.Kind.TROUBLE, reason="x", now=stage.now, mail_to=to)
    plain = EmailBackend.send_messages

    def picky(backend: EmailBackend, messages: list[EmailMessage]) -> int:
        if messages[0].to == ["gone@demo.edu"]:
            tries.append(stage.now)
            raise SMTPRecipientsRefused({"gone@demo.edu": (550, b"no such user")})
        return plain(backend, messages)

    monkeypatch.setattr(EmailBackend, "send_messages", picky)
    first = stage.now
    for _minute in range(7):
        sweeps.notices(stage.now)
        stage.later(60)
    assert [letter.to for letter in mail.outbox].count(["there@demo.edu"]) == 1
    assert [round((at - first) / timedelta(minutes=1)) for at in tries] in ([0, 5], [0, 6])


def test_a_worker_that_died_while_sending_leaves_it_to_another(stage: Stage) -> None:
    event = due(stage)
    InstanceEvent.objects.filter(pk=event.pk).update(mail_claimed_at=stage.now)
    sweeps.notices(stage.now + timedelta(minutes=4))
    assert mail.outbox == []
    sweeps.notices(stage.now + timedelta(minutes=5))
    assert len(mail.outbox) == 1


def test_a_warning_of_long_ago_is_not_sent_any_more(stage: Stage) -> None:
    due(stage)
    sweeps.notices(stage.now + timedelta(days=3))
    assert mail.outbox == []


def test_what_is_used_and_not_booked_is_accrued_second_by_second(stage: Stage) -> None:
    row = stage.running()
    stage.later(90 * 60)
    stage.sweep()
    stage.later(600)
    disk = row.disk_usd_hour * Decimal(40 * 60) / HOUR  # one hour of it is booked
    expected = row.usd_hour * Decimal(40 * 60) / HOUR + disk
    assert queries.accrued_of(row.owner, stage.now) == pytest.approx(expected, abs=Decimal("0.000001"))
    assert queries.accrued_in(row.course, stage.now) == {row.owner_id: queries.accrued_of(row.owner, stage.now)}


def test_the_published_bound_is_what_forgetting_everything_may_still_cost(stage: Stage) -> None:
    row = stage.running()
    stage.later(30 * 60)
    bound = bounds.bound(row.course, stage.now)
    assert bound.at == NOON + timedelta(hours=4, seconds=300)
    assert bound.usd == pytest.approx(row.usd_hour * Decimal(4 * HOUR + 300 - 1800) / HOUR, abs=Decimal("0.00001"))
    stage.later(24 * HOUR)  # everybody forgets everything, the portal too
    stage.sweep()
    stage.sweep()
    after = bounds.bound(row.course, stage.now)
    assert (after.usd, after.at) == (0, None)
    disk = row.disk_usd_hour * Decimal(24 * HOUR) / HOUR
    assert bound.disks_usd - after.disks_usd == pytest.approx(disk, abs=Decimal("0.00001"))  # nobody deleted it
    assert after.disks_usd > 0
    spent_since = row.usd_hour * Decimal(stage.cloud.ran_seconds(row.cloud_id) - 1800) / HOUR
    assert spent_since <= bound.usd


def test_a_lease_that_ran_out_of_time_is_never_longer_than_the_hold(stage: Stage) -> None:
    """The timer is inside the margin that is held for."""
    row = stage.running()
    assert row.lease_until < row.guard_until < row.lease_until + timedelta(seconds=300)


def test_ready_is_told_once_and_only_when_the_notebook_answers(stage: Stage) -> None:
    stage.notebook_answers = False
    row = stage.launch()
    stage.wait(2)
    assert fresh(row).state == "running"
    assert fresh(row).notebook_ready_at is None
    stage.notebook_answers = True
    stage.wait(2)
    assert fresh(row).notebook_ready_at == NOON + timedelta(minutes=3)
    assert InstanceEvent.objects.filter(instance=row, kind="ready").count() == 1


def test_where_notebooks_cannot_be_reached_from_here_the_agents_word_is_enough(stage: Stage) -> None:
    stage.notebook_answers = False
    row = stage.launch()
    stage.reporting.add(row.slug)
    stage.wait(5)
    assert fresh(row).notebook_ready_at is not None
