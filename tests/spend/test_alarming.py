"""Alarms as rows: once per crossing, again after it was undone, one message per person and period; a storm."""

import os
import re
import socket
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from email import message_from_bytes
from email.message import Message
from functools import partial
from time import sleep
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from django.core import mail
from pytest_django.fixtures import Settings

from courses.models import Course, Enrollment, Role
from credits import letters
from spend import alarming
from spend.alarming import acknowledge, evaluate, put_due
from spend.alerts import BudgetFacts, CourseFacts, PersonFacts
from spend.models import Alarm, AlarmNote, AlertPolicy
from tests.conftest import Cast
from tests.race import race

NOON = datetime(2019, 3, 5, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def facts(*budgets: BudgetFacts, people: tuple[PersonFacts, ...] = ()) -> CourseFacts:
    return CourseFacts(date(2019, 3, 5), date(2019, 5, 17), Decimal(0), budgets=budgets, people=people)


def used(line: Enrollment, percent: int) -> BudgetFacts:
    return BudgetFacts(line.pk, "person", line.name, Decimal(100), Decimal(percent), Decimal(0), enrollment=line.pk)


def course_used(percent: int) -> BudgetFacts:
    return BudgetFacts(0, "course", "Deep Learning", Decimal(100), Decimal(percent), Decimal(0))


def deliver(now: datetime) -> Counter[str]:
    """What the rounds at `now` send; by address."""
    mail.outbox.clear()
    put_due(now)
    letters.send_due(now)
    return Counter(one.to[0] for one in mail.outbox)


def test_a_crossing_is_told_once_however_often_it_is_looked_at(cast: Cast) -> None:
    for n in range(5):
        evaluate(cast.course, facts(used(cast.student, 85)), now=NOON + n * MINUTE)
    assert deliver(NOON + 5 * MINUTE) == {}
    assert deliver(NOON + 15 * MINUTE) == {"ada@demo.edu": 1}
    assert "80 % of your budget is used" in mail.outbox[0].subject
    assert deliver(NOON + 60 * MINUTE) == {}


def test_each_higher_percentage_is_told_and_after_it_was_undone_again(cast: Cast) -> None:
    course = cast.course
    for n, percent in enumerate((55, 85, 40, 85)):
        at = NOON + n * 60 * MINUTE
        evaluate(course, facts(used(cast.student, percent)), now=at)
        sent = deliver(at + 20 * MINUTE)
        assert sent == ({} if percent == 40 else {"ada@demo.edu": 1})
    assert Alarm.objects.filter(key__endswith="/80").count() == 2
    assert Alarm.objects.filter(key__endswith="/80", cleared_at=None).count() == 1


def test_all_that_happens_in_a_period_is_one_message_per_person(cast: Cast) -> None:
    people = tuple(PersonFacts(line.pk, Decimal(0), Decimal(9)) for line in (cast.student, cast.other_student))
    evaluate(cast.course, facts(used(cast.student, 85), course_used(85)), now=NOON)
    evaluate(cast.course, facts(used(cast.student, 85), course_used(85), people=people), now=NOON + 5 * MINUTE)
    sent = deliver(NOON + 16 * MINUTE)
    assert sent == {"ada@demo.edu": 1, "ben@demo.edu": 1, "tess@demo.edu": 1, "ines@demo.edu": 1}
    [to_ada] = [one for one in mail.outbox if one.to == ["ada@demo.edu"]]
    assert "and 1 more" in to_ada.subject
    assert "80 % of your budget" in to_ada.body
    assert "$9.00 in seven days for machines that nobody used" in to_ada.body
    [to_tess] = [one for one in mail.outbox if one.to == ["tess@demo.edu"]]
    assert (
        "Ben Other: $9.00 in seven days for machines that nobody used" in to_tess.body
    )  # staff can help, and hear who
    assert "of your budget" not in to_tess.body


def test_the_gravest_is_told_at_night_and_everything_else_in_the_morning(cast: Cast) -> None:
    night = NOON.replace(hour=2)
    evaluate(cast.course, facts(used(cast.student, 100), course_used(100)), now=night)
    assert deliver(night) == {"tess@demo.edu": 1, "ines@demo.edu": 1}
    assert deliver(night.replace(hour=6, minute=59)) == {}
    assert deliver(night.replace(hour=7)) == {"ada@demo.edu": 1}


def test_sponsors_hear_of_budgets_and_never_of_persons(cast: Cast) -> None:
    line = Enrollment.objects.create(course=cast.course, email="sam@aws.example", name="Sam", role=Role.SPONSOR)
    people = tuple(PersonFacts(n, Decimal(1), Decimal(0)) for n in (cast.ta.pk, cast.instructor.pk, 901, 902, 903))
    odd = PersonFacts(cast.student.pk, Decimal(50), Decimal(0))
    evaluate(cast.course, facts(course_used(55), people=(*people, odd)), now=NOON)
    assert deliver(NOON + 16 * MINUTE)["sam@aws.example"] == 1
    [to_sponsor] = [one for one in mail.outbox if one.to == [line.email]]
    assert "Ada" not in to_sponsor.subject + to_sponsor.body
    [to_ta] = [one for one in mail.outbox if one.to == ["tess@demo.edu"]]
    assert "Ada Student spends far more than others today" in to_ta.body


def test_where_the_course_says_so_students_hear_nothing_and_their_staff_still_do(cast: Cast) -> None:
    AlertPolicy.objects.create(course=cast.course, tell_students=False)
    course = Course.objects.select_related("alert_policy").get(pk=cast.course.pk)
    evaluate(course, facts(used(cast.student, 100), course_used(85)), now=NOON)
    assert set(deliver(NOON + 16 * MINUTE)) == {"tess@demo.edu", "ines@demo.edu"}


def test_who_left_the_course_hears_nothing(cast: Cast) -> None:
    cast.student.status = "dropped"
    cast.student.save()
    evaluate(cast.course, facts(used(cast.student, 100)), now=NOON)
    assert deliver(NOON + 16 * MINUTE) == {}


def test_an_alarm_is_acknowledged_by_the_first_who_says_so(cast: Cast) -> None:
    [alarm] = evaluate(cast.course, facts(course_used(55)), now=NOON)
    assert cast.ta.user
    assert cast.instructor.user
    assert acknowledge(alarm, who=cast.ta.user, note=" on it ", now=NOON)
    assert not acknowledge(alarm, who=cast.instructor.user, note="me", now=NOON)
    alarm.refresh_from_db()
    assert (alarm.seen_by, alarm.seen_note, alarm.cleared_at) == (cast.ta.user, "on it", None)


# ------------------------------------------------------------------ many at once
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_six_rounds_at_once_raise_and_tell_each_alarm_once(cast: Cast) -> None:
    now = facts(used(cast.student, 85), used(cast.other_student, 85), course_used(100))
    outcomes = race([partial(raise_and_put, cast.course, now) for _n in range(6)])
    assert [one.error for one in outcomes] == [None] * 6
    assert Alarm.objects.count() == 7
    assert Counter(letters.Letter.objects.values_list("to", flat=True)) == {
        "ada@demo.edu": 1,
        "ben@demo.edu": 1,
        "tess@demo.edu": 1,
        "ines@demo.edu": 1,
    }


def raise_and_put(course: Course, now: CourseFacts) -> None:
    evaluate(course, now, now=NOON)
    put_due(NOON + 16 * MINUTE)


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_control_without_the_lock_on_notes_they_are_told_more_than_once(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate(cast.course, facts(*(used(cast.student, 85) for _n in range(1)), course_used(85)), now=NOON)
    real = AlarmNote.objects.all().__class__.select_for_update
    monkeypatch.setattr(AlarmNote.objects.all().__class__, "select_for_update", lambda rows, **_how: rows)
    write = alarming._write
    # Long enough for all six to have read before the first has written, on a busy computer too.
    monkeypatch.setattr(alarming, "_write", lambda notes, now: (sleep(1), write(notes, now)))
    outcomes = race([partial(put_and_count, NOON + 16 * MINUTE) for _n in range(6)])
    monkeypatch.setattr(AlarmNote.objects.all().__class__, "select_for_update", real)
    assert sum(one.value or 0 for one in outcomes) > 3


def put_and_count(now: datetime) -> int:
    """How many messages this round believes to have put."""
    return put_due(now)


# ------------------------------------------------------------------ the storm
class Post:
    """A real mail server that keeps what it takes."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        said: Message = message_from_bytes(envelope.content)
        self.taken += [(address, str(said["Subject"])) for address in envelope.rcpt_tos]
        return "250 OK"


@pytest.fixture
def post_office(settings: Settings) -> Iterator[tuple[Post, Controller]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_TIMEOUT = "127.0.0.1", port, 5
    post = Post()
    controller = Controller(post, hostname="127.0.0.1", port=port)
    yield post, controller
    if controller._thread is not None:
        controller.stop()


STUDENTS = int(os.environ.get("STORM_STUDENTS", "150"))  # `make storm` takes the thousand


def test_a_crowd_crosses_80_percent_in_a_minute_while_mail_is_down_and_each_hears_it_once(
    cast: Cast, post_office: tuple[Post, Controller]
) -> None:
    post, server = post_office
    crowd = Enrollment.objects.bulk_create(
        Enrollment(course=cast.course, email=f"s{n}@demo.edu", name=f"Student {n}") for n in range(STUDENTS)
    )
    for n in range(4):  # all within a minute, a look each quarter of it
        crossed = crowd[: STUDENTS * (n + 1) // 4]
        evaluate(cast.course, facts(*(used(line, 82) for line in crossed), course_used(82)), now=NOON + n * MINUTE / 4)
    at = NOON
    while at < NOON + 26 * MINUTE:  # the messages are due after 15 minutes, and mail is down for ten more
        at += MINUTE
        put_due(at)
        assert letters.send_due(at) == 0
    assert post.taken == []
    server.start()
    rounds = 0
    while letters.Letter.objects.filter(sent_at=None).exists():
        at, rounds = at + MINUTE, rounds + 1
        put_due(at)
        letters.send_due(at)
        assert rounds < 30
    letters.send_due(at + 60 * MINUTE)
    got = Counter(address for address, _subject in post.taken)
    assert got == {**{line.email: 1 for line in crowd}, "tess@demo.edu": 1, "ines@demo.edu": 1}
    assert all(re.search("80 % of", subject) for _address, subject in post.taken)
    assert alarming.put_due(at) == 0
