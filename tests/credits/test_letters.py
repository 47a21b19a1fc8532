"""The outbox: each letter goes out once, whoever sends; a mail server that is down costs time and no letter."""

import os
import signal
import smtplib
import time
from datetime import timedelta
from functools import partial

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend

from credits import letters, mail_round, outbox
from credits.letters import Letter, send_due, write
from credits.outbox import LEASE, TOO_LATE
from tests.credits.conftest import NOW
from tests.race import race

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)


def _write(*numbers: int, to: str = "ada@demo.edu") -> None:
    for number in numbers:
        write(f"test/{number}", to=to, subject=f"Letter {number}", body="Come and see.", now=NOW)


def _arrived() -> list[str]:
    return [message.subject for message in mail.outbox]


def test_each_letter_is_sent_once_and_written_once() -> None:
    _write(1, 2, 1)
    assert send_due(NOW) == 2
    assert send_due(NOW + 10 * MINUTE) == 0
    assert _arrived() == ["Letter 1", "Letter 2"]
    assert Letter.objects.filter(sent_at__gte=NOW).count() == 2


def test_a_line_break_in_a_name_does_not_break_the_subject() -> None:
    write("test/1", to="ada@demo.edu", subject="Credit:\nWelcome\r\nBcc: all@demo.edu", body="", now=NOW)
    assert send_due(NOW) == 1
    assert _arrived() == ["Credit: Welcome Bcc: all@demo.edu"]


class DeadServer(EmailBackend):
    def open(self) -> None:
        raise ConnectionRefusedError("nobody listens")


class DiesAfterOne(EmailBackend):
    def send_messages(self, messages: list) -> int:
        if mail.outbox:
            raise smtplib.SMTPServerDisconnected("gone")
        return super().send_messages(messages)


class RefusesOne(EmailBackend):
    def send_messages(self, messages: list) -> int:
        if messages[0].to == ["nobody@demo.edu"]:
            raise smtplib.SMTPRecipientsRefused({"nobody@demo.edu": (550, b"no such user")})
        return super().send_messages(messages)


def _backend(settings, backend: type) -> None:
    settings.EMAIL_BACKEND = f"{__name__}.{backend.__name__}"


def test_a_dead_mail_server_loses_nothing(settings) -> None:
    working = settings.EMAIL_BACKEND
    _write(1, 2)
    _backend(settings, DeadServer)
    assert send_due(NOW) == 0
    assert send_due(NOW + MINUTE) == 0
    settings.EMAIL_BACKEND = working
    assert send_due(NOW + 2 * MINUTE) == 2


def test_a_server_that_dies_in_the_middle_gets_the_rest_later_and_nothing_twice(settings) -> None:
    working = settings.EMAIL_BACKEND
    _write(1, 2, 3)
    _backend(settings, DiesAfterOne)
    assert send_due(NOW) == 1
    settings.EMAIL_BACKEND = working
    send_due(NOW + MINUTE)
    send_due(NOW + 10 * MINUTE)
    assert sorted(_arrived()) == ["Letter 1", "Letter 2", "Letter 3"]


def test_an_address_that_is_refused_does_not_stop_the_others_and_is_tried_less_and_less(settings) -> None:
    _backend(settings, RefusesOne)
    _write(1, to="nobody@demo.edu")
    _write(2, 3)
    assert send_due(NOW) == 2
    for minutes in range(1, 60):
        send_due(NOW + minutes * MINUTE)
    assert Letter.objects.get(key="test/1").attempts in range(4, 8)
    assert _arrived() == ["Letter 2", "Letter 3"]


def test_what_a_dead_worker_had_taken_is_sent_when_its_lease_is_over() -> None:
    _write(1)
    assert outbox.take(Letter.objects.get(), NOW)
    assert send_due(NOW + LEASE - MINUTE) == 0
    assert send_due(NOW + LEASE) == 1


def test_nobody_gets_a_letter_from_weeks_ago() -> None:
    _write(1)
    assert send_due(NOW + TOO_LATE + MINUTE) == 0


# ------------------------------------------------------------------ two workers
def _two_rounds(folder: str) -> list[str]:
    """Two workers send at the same moment; the keys of what arrived."""

    class Slow(EmailBackend):
        def send_messages(self, messages: list) -> int:
            time.sleep(0.02)
            with open(f"{folder}/arrived", "a") as arrived:
                arrived.write("".join(f"{message.subject}\n" for message in messages))
            return len(messages)

    def work(get_connection) -> int:
        mail_round.get_connection = get_connection
        return send_due(NOW)

    done = race([partial(work, Slow)] * 2)
    assert all(one.ok for one in done), [one.error for one in done]
    with open(f"{folder}/arrived") as arrived:
        return arrived.read().splitlines()


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_two_workers_send_each_letter_once(tmp_path) -> None:
    _write(*range(40))
    arrived = _two_rounds(str(tmp_path))
    assert len(arrived) == len(set(arrived)) == 40


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_control_without_the_lease_they_send_some_twice(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "take", lambda _letter, _now: True)
    _write(*range(40))
    assert len(_two_rounds(str(tmp_path))) > 40


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_a_worker_killed_before_it_sends_loses_no_letter(tmp_path) -> None:
    _write(1)

    def killed_while_sending() -> None:
        class Dies(EmailBackend):
            def send_messages(self, messages: list) -> int:
                os.kill(os.getpid(), signal.SIGKILL)
                time.sleep(5)
                return 0

        mail_round.get_connection = Dies
        send_due(NOW)

    [died] = race([killed_while_sending])
    assert not died.ok
    assert send_due(NOW) == 0
    assert send_due(NOW + LEASE + MINUTE) == 1


def test_a_round_with_nothing_due_leaves_the_mail_server_alone(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def connect() -> None:
        raise AssertionError("nobody has written anything")

    monkeypatch.setattr(mail_round, "get_connection", connect)
    assert letters.send_due(NOW) == 0
