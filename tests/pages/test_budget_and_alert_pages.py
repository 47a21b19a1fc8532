"""Budgets with releases, and alerts with chat rooms: previews, refusals beside the field, and what is never shown."""

from datetime import timedelta
from decimal import Decimal

import pytest
from django.core import mail
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from courses.models import AuditNote
from spend.models import Alarm, AlertPolicy, BudgetRelease, ChatChannel
from spend.services import budget_of
from tests.instances.conftest import Stage
from tests.pages.conftest import signed_in
from tests.spend.rooms import Room

BUDGETS, ALERTS = "/c/dl19/staff/budgets/", "/c/dl19/staff/alerts/"


@pytest.fixture
def staff(today: Stage) -> Client:
    return signed_in(today.cast.instructor.user)


def asked(**more: str) -> dict[str, str]:
    return {"whose": "4-person", "act": "add", "usd": "25", "why": "midterm", "at": "", **more}


def test_amounts_are_shown_before_they_change(today: Stage, staff: Client) -> None:
    page = staff.post(BUDGETS, asked()).content.decode()
    assert "What would change" in page
    assert "$125.00" in page
    assert budget_of(today.cast.student).amount_usd == 100
    assert staff.post(BUDGETS, asked(sure="yes")).status_code == 302
    assert budget_of(today.cast.student).amount_usd == 125


def test_a_release_is_planned_listed_and_cancelled(today: Stage, staff: Client) -> None:
    at = (timezone.now() + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M")
    staff.post(BUDGETS, asked(act="release", at=at, sure="yes"))
    planned = BudgetRelease.objects.filter(cancelled_at=None)
    assert {one.amount_usd for one in planned} == {Decimal(25)}
    page = staff.get(BUDGETS).content.decode()
    assert "midterm (Ines Structor)" in page
    assert budget_of(today.cast.student).amount_usd == 100
    staff.post(reverse("release_cancel", args=["dl19", planned[0].together]))
    assert not BudgetRelease.objects.filter(cancelled_at=None).exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"usd": "-1"}, "greater than or equal to 0"),
        ({"usd": "0"}, "Nothing to add"),
        ({"act": "release"}, "Say when it is to be added"),
        ({"act": "release", "at": "2019-01-01T10:00"}, "has passed"),
        ({"why": " "}, "required"),
        ({"whose": "17"}, "valid choice"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field(
    today: Stage, staff: Client, change: dict[str, str], said: str
) -> None:
    answer = staff.post(BUDGETS, asked(sure="yes", **change))
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert budget_of(today.cast.student).amount_usd == 100


def test_less_than_is_spent_is_refused_with_the_name(today: Stage, staff: Client) -> None:
    today.running()
    answer = staff.post(BUDGETS, asked(act="set", usd="0", sure="yes"))
    assert answer.status_code == 422
    assert "The budget of Ada Student cannot be less than" in answer.content.decode()


# ------------------------------------------------------------------ alerts
def limits(**more: str) -> dict[str, str]:
    policy = AlertPolicy()
    names = ("forecast_days", "pace_factor", "median_factor", "idle_usd", "disk_days", "credit_days")
    same = {name: str(getattr(policy, name)) for name in (*names, "group_minutes", "quiet_from", "quiet_to")}
    return {**same, "percents": "60, 90 %", **more}


def test_limits_are_the_instructors_to_set(today: Stage, staff: Client) -> None:
    assert staff.post(ALERTS, limits()).status_code == 302
    held = AlertPolicy.objects.get()
    assert (held.percents, held.tell_students) == ([60, 90], False)
    assert "60, 90" in staff.get(ALERTS).content.decode()


@pytest.mark.parametrize(
    "wrong",
    [{"percents": "often"}, {"percents": "120"}, {"quiet_to": "24"}, {"pace_factor": "0"}, {"group_minutes": "0"}],
)
def test_limits_that_make_no_sense_are_refused(today: Stage, staff: Client, wrong: dict[str, str]) -> None:
    assert staff.post(ALERTS, limits(**wrong)).status_code == 422
    assert not AlertPolicy.objects.exists()


def test_a_room_is_added_tested_and_removed_and_its_address_shown_nowhere(
    today: Stage, staff: Client, room: Room
) -> None:
    asked = {"act": "room", "name": "staff room", "url": room.url, "least": "2"}
    assert staff.post(ALERTS, asked).status_code == 302
    made = ChatChannel.objects.get()
    page = staff.post(reverse("alert_room_test", args=["dl19", made.pk]), follow=True).content.decode()
    assert "staff room: it arrived." in page
    assert "hook-token" not in page
    room.is_down = True
    page = staff.post(reverse("alert_room_test", args=["dl19", made.pk]), follow=True).content.decode()
    assert "Matrix did not take the message." in page
    staff.post(reverse("alert_room_drop", args=["dl19", made.pk]))
    assert not ChatChannel.objects.exists()
    assert {one.what for one in AuditNote.objects.all()} >= {"room_added", "room_dropped"}
    assert "hook-token" not in str(list(AuditNote.objects.values()))


def test_an_address_that_is_none_is_refused_without_repeating_it(today: Stage, staff: Client) -> None:
    answer = staff.post(ALERTS, {"act": "room", "name": "x", "url": "json://secret.example/x", "least": "1"})
    assert answer.status_code == 422
    assert "This is no webhook address" in answer.content.decode()
    assert "secret.example" not in answer.content.decode()
    url = "workflows://x.logic.azure.com/id/secret-sig/?template=http://169.254.169.254/"
    answer = staff.post(ALERTS, {"act": "room", "name": "x", "url": url, "least": "1"})
    assert answer.status_code == 422
    assert "This address carries settings" in answer.content.decode()
    assert "secret-sig" not in answer.content.decode()


def test_an_alarm_is_taken_by_the_first_and_mail_is_tested(today: Stage, staff: Client) -> None:
    facts = {"kind": "pace", "key": "pace/x", "title": "Fast day", "text": "Look.", "raised_at": timezone.now()}
    alarm = Alarm.objects.create(course=today.cast.course, **facts)
    assert "Fast day" in staff.get(ALERTS).content.decode()
    assistant = signed_in(today.cast.ta.user)
    assistant.post(reverse("alert_seen", args=["dl19", alarm.pk]), {"note": "calling them"})
    page = staff.get(ALERTS).content.decode()
    assert "Tess Assistant looks after it" in page
    assert "calling them" in page
    assistant.post(reverse("alert_mail_test", args=["dl19"]))
    assert mail.outbox[-1].to == ["tess@demo.edu"]
