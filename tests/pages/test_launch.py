"""Launching: the cost stands before the click, a refusal stands where the click was, and nothing is half-done."""

import re
from decimal import Decimal

import pytest
from celery import Celery
from django.urls import reverse
from django.utils import timezone

from instances import services
from instances.dispatch import send_after_commit
from instances.models import Instance
from instances.quotes import quotes_for
from spend.models import Budget, Hold, Level
from tests.instances.conftest import Stage, held
from tests.pages.conftest import signed_in
from tests.pages.test_course_home import text_of

LAUNCH = "/c/dl19/launch/homework"


def test_the_price_on_the_page_is_what_is_held(today: Stage) -> None:
    student, now = today.cast.student, timezone.now()
    [quote] = quotes_for(student, [today.preset], now)
    page = text_of(signed_in(student.user).get(LAUNCH).content.decode())
    lines = re.search(r"for stopping \$([\d.]+) .* comes back \$([\d.]+) Set aside now \$([\d.]+)", page)
    assert lines
    run, disk, total = map(Decimal, lines.groups())
    assert run + disk == total
    assert abs(total - quote.total_usd) <= Decimal("0.01")
    row = services.request_launch(student, today.preset, who=student.user, now=now)
    assert held(row) == quote.total_usd
    assert Hold.objects.get(key=row.disk_key).amount_usd == quote.disk_usd


def test_the_page_says_what_stays_for_oneself_the_team_and_the_course_but_not_who_sponsors_it(today: Stage) -> None:
    page = text_of(signed_in(today.cast.student.user).get(LAUNCH).content.decode())
    left = {
        name: Decimal(usd.replace(",", ""))
        for name, usd in re.findall(r"(Your own budget|Team 1|Deep Learning) \$([\d,.]+)", page)
    }
    assert left["Your own budget"] < 100
    assert left["Team 1"] - left["Your own budget"] == 100
    assert left["Deep Learning"] - left["Team 1"] == 4800
    assert "AWS $" not in page


def test_looking_at_the_price_starts_nothing(today: Stage) -> None:
    signed_in(today.cast.student.user).get(LAUNCH)
    assert not Instance.objects.exists()
    assert not Hold.objects.exists()


def test_the_click_leads_to_the_page_of_the_new_machine(today: Stage) -> None:
    client = signed_in(today.cast.student.user)
    answer = client.post(LAUNCH)
    row = Instance.objects.get()
    assert answer["Location"] == reverse("machine", args=[row.slug])
    page = client.get(answer["Location"]).content.decode()
    assert 'hx-trigger="every 1s' in page
    assert 'class="doing"' in page


def test_a_second_machine_of_the_same_preset_is_refused_in_words_where_the_click_was(today: Stage) -> None:
    client = signed_in(today.cast.student.user)
    client.post(LAUNCH)
    answer = client.post(LAUNCH)
    assert answer.status_code == 409
    page = text_of(answer.content.decode())
    assert "Not launched." in page
    assert "You already have 1 of “Homework: T4 16 GB”" in page
    assert "Nothing was set aside or charged." in page
    assert Instance.objects.count() == 1


def test_whoever_has_a_stopped_one_with_their_files_is_led_to_it_before_launching_an_empty_one(today: Stage) -> None:
    client = signed_in(today.cast.student.user)
    assert 'id="mine"' not in client.get(LAUNCH).content.decode()
    row = today.running()
    Instance.objects.filter(pk=row.pk).update(state="stopped")
    page = client.get(LAUNCH).content.decode()
    assert "A new one begins with an empty disk." in page
    assert f'id="mine" href="{reverse("machine", args=[row.slug])}"' in page
    assert "disabled" not in page
    other = signed_in(today.cast.other_student.user).get(LAUNCH).content.decode()
    assert 'id="mine"' not in other


def test_a_refused_second_one_links_to_the_first(today: Stage) -> None:
    client = signed_in(today.cast.student.user)
    client.post(LAUNCH)
    assert f'href="{reverse("machine", args=[Instance.objects.get().slug])}"' in client.post(LAUNCH).content.decode()


def test_before_a_type_is_chosen_the_page_shows_the_dearest_price_not_none(today: Stage) -> None:
    client = signed_in(today.cast.student.user)
    page = text_of(client.get(client.post(LAUNCH)["Location"]).content.decode())
    assert "saves $0.81 an hour" in page or "saves $0.8098 an hour" in page


def test_a_preset_that_may_come_cheaper_says_at_most(today: Stage) -> None:
    client = signed_in(today.cast.student.user)
    assert "an hour at most" in text_of(client.get("/c/dl19/").content.decode())
    today.preset.instance_types = ["g4dn.xlarge"]
    today.preset.save()
    assert "an hour at most" not in text_of(client.get("/c/dl19/").content.decode())


@pytest.mark.parametrize(
    ("level", "words"),
    [
        (Level.PERSON, "Your own budget cannot pay for this"),
        (Level.TEAM, "The budget of your team (Team 1) cannot pay for this"),
        (Level.COURSE, "The budget of the course (Deep Learning) cannot pay for this"),
        (Level.SPONSOR, "The sponsor's budget (AWS) cannot pay for this"),
    ],
)
def test_the_budget_that_cannot_pay_is_named_and_nothing_is_written(today: Stage, level: Level, words: str) -> None:
    Budget.objects.filter(level=level).update(amount_usd=Decimal(1))
    client = signed_in(today.cast.student.user)
    assert "disabled" in client.get(LAUNCH).content.decode()
    answer = client.post(LAUNCH)
    assert answer.status_code == 409
    assert words in text_of(answer.content.decode()).replace("&#x27;", "'")
    assert not Instance.objects.exists()
    assert not Hold.objects.exists()


def test_before_the_course_begins_the_page_says_so(today: Stage) -> None:
    course = today.cast.course
    course.starts_on = course.ends_on
    course.save()
    page = text_of(signed_in(today.cast.student.user).get(LAUNCH).content.decode())
    assert "The course has not begun yet." in page


def test_a_dead_broker_costs_the_click_nothing(
    today: Stage, django_capture_on_commit_callbacks: object, caplog: pytest.LogCaptureFixture
) -> None:
    """A real Celery with nobody listening where its broker should be: the row is there, the sweep will find it."""
    app = Celery(broker="redis://127.0.0.1:21599/0", set_as_current=False)
    app.conf.task_publish_retry = False

    @app.task(name="instances.tasks.launch")
    def task(_pk: int) -> None: ...

    with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]
        send_after_commit(task, 1)
    assert "broker unreachable" in caplog.text
