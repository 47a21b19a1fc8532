"""Warned, a student keeps the machine on with one click of a mail's link; or lets it stop when a training ends."""

import re
from datetime import datetime, timedelta

import pytest
from django.core import mail, signing
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from instances import keep_links, services, sweeps
from instances.models import Instance, InstanceEvent
from spend.services import budget_of
from tests.instances.conftest import Stage, check_books, events, fresh, held
from tests.pages.conftest import heard_of, signed_in

DOINGS = [
    {"id": "k:abc", "name": "kernel 3", "busy": True, "cpu": 97, "gpu": True},
    {"id": "p:4711:99", "name": "python3 (4711)", "busy": True, "cpu": 3, "gpu": False},
    {"id": "k:def", "name": "kernel 1", "busy": False, "cpu": 0, "gpu": False},
]


def text(answer: object) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.content.decode()).split())


def warned(today: Stage) -> tuple[Instance, str]:
    """A machine whose student has just been warned, and the link in that mail."""
    row = today.running()
    today.later(21 * 60)
    heard_of(row, minutes_ago=21)
    mail.outbox.clear()
    now = timezone.now()
    sweeps.idle(today.cloud, now)
    sweeps.notices(now)
    [letter] = mail.outbox
    link = re.search(r"https?://\S+/keep/\S+", letter.body)
    assert link, letter.body
    return fresh(row), link[0].removeprefix("http://testserver").partition("/keep/")[2]


def url(token: str) -> str:
    return "/keep/" + token


# ------------------------------------------------------------------ the link in the mail
def test_the_link_keeps_the_machine_on_without_a_sign_in_and_pays_by_hold(today: Stage) -> None:
    row, token = warned(today)
    before = held(row)
    stranger = Client(enforce_csrf_checks=True)
    page = stranger.get(url(token))
    assert page.status_code == 200
    assert "Keep it 4 h at most $" in text(page)
    csrf = {"csrfmiddlewaretoken": page.context["csrf_token"]}
    answer = stranger.post(url(token), {"hours": "8", **csrf})
    assert "Kept on until" in text(answer)
    row = fresh(row)
    assert row.warned_at is None
    assert row.kept_until - timezone.now() > timedelta(hours=7.9)
    assert held(row) > before
    [kept] = events(row, "kept")
    assert kept.who is None
    assert "by the link in the mail" in kept.reason
    check_books()


def test_looking_changes_nothing_because_mail_programs_look_at_every_link(today: Stage) -> None:
    row, token = warned(today)
    for method in ("get", "head"):
        getattr(Client(), method)(url(token))
    assert fresh(row).kept_until is None
    assert fresh(row).warned_at is not None


def test_it_is_for_that_machine_and_that_act_only(today: Stage) -> None:
    row, token = warned(today)
    other = Client()
    other.post(url(token), {"hours": "1"})
    for name in ("machine", "machine_stop", "machine_terminate", "notebook"):
        assert other.get(reverse(name, args=[row.slug])).status_code in (302, 405)
    assert "_auth_user_id" not in other.session
    assert other.get(url(token[:-4] + "abc/")).status_code == 404
    elsewhere = signing.dumps([row.slug, row.run_number], salt="another purpose")
    assert other.get(url(elsewhere) + "/").status_code == 404


def test_it_expires(today: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    _row, token = warned(today)
    monkeypatch.setattr(keep_links, "MOST_AGE", -1)
    assert Client().get(url(token)).status_code == 404


def test_it_ends_with_the_run_and_a_new_run_does_not_bring_it_back(today: Stage) -> None:
    row, token = warned(today)
    today.stop(row)
    today.later(60)
    today.repair()
    assert Client().post(url(token), {"hours": "1"}).status_code == 410
    services.request_start(fresh(row), who=row.owner.user, now=today.now)
    Instance.objects.filter(pk=row.pk).update(state="running")
    assert Client().get(url(token)).status_code == 410


@pytest.mark.parametrize("hours", ["13", "-1", "nan", "soon", "", "1e9"])
def test_the_policy_bounds_it(today: Stage, hours: str) -> None:
    row, token = warned(today)
    answer = Client().post(url(token), {"hours": hours})
    assert answer.status_code == 409
    assert "12 hours at most" in text(answer)
    assert fresh(row).kept_until is None


def test_the_cap_bounds_it_and_says_the_last_minute(today: Stage) -> None:
    row, token = warned(today)
    budget = budget_of(row.owner)
    type(budget).objects.filter(pk=budget.pk).update(amount_usd=budget.spent_usd + budget.held_usd)
    answer = Client().post(url(token), {"hours": "12"})
    assert answer.status_code == 409
    assert "cannot pay" in text(answer)
    assert fresh(row).kept_until is None


# ------------------------------------------------------------------ what it does right now
def test_its_page_says_what_uses_it(today: Stage) -> None:
    row = today.running()
    heard_of(row, last_report={"doings": DOINGS, "gpu_percent": 64})
    page = text(signed_in(row.owner.user).get(reverse("machine", args=[row.slug])))
    assert "Busy: kernel 3 uses the GPU at 64 %." in page
    home = text(signed_in(row.owner.user).get("/c/dl19/"))
    assert "Busy: kernel 3 uses the GPU at 64 %." in home
    heard_of(row, last_report={"doings": DOINGS, "gpu_percent": 0})
    page = text(signed_in(row.owner.user).get(reverse("machine", args=[row.slug])))
    assert "Busy: kernel 3 uses 97 % of a CPU core." in page


def test_its_page_says_how_long_it_has_been_quiet(today: Stage) -> None:
    row = today.running()
    heard_of(row, minutes_ago=12)
    page = text(signed_in(row.owner.user).get(reverse("machine", args=[row.slug])))
    assert "Quiet for 12 min." in page
    assert "If nobody uses it, it stops at" in page


def test_its_page_says_how_far_each_budget_reaches(today: Stage) -> None:
    row = today.running()
    heard_of(row)
    page = text(signed_in(row.owner.user).get(reverse("machine", args=[row.slug])))
    assert "Your budget reaches until" in page
    assert "“Team 1” reaches until" in page


# ------------------------------------------------------------------ stop when this ends
def choose(row: Instance, task: str) -> str:
    client = signed_in(row.owner.user)
    return text(client.post(reverse("machine_await", args=[row.slug]), {"task": task}, follow=True))


def test_a_student_chooses_what_to_wait_for_and_thinks_better_of_it(today: Stage) -> None:
    row = today.running()
    heard_of(row, last_report={"doings": DOINGS, "gpu_percent": 0})
    page = signed_in(row.owner.user).get(reverse("machine", args=[row.slug])).content.decode()
    offered = re.findall(r'name="task" value="([^"]*)"', page)
    assert offered == ["k:abc", "p:4711:99", "gpu"]  # an idle kernel has nothing to end
    assert "It stops when this ends: python3 (4711)." in choose(row, "p:4711:99")
    assert fresh(row).awaited["task"] == "p:4711:99"
    assert "It waits for nothing" in choose(row, "")
    assert fresh(row).awaited == {}
    assert [e.who for e in events(row, "awaited")] == [row.owner.user] * 2


def test_it_says_that_a_restart_calls_that_off_and_what_only_packs_goes_on(today: Stage) -> None:
    row = today.running()
    heard_of(row, last_report={"doings": DOINGS, "gpu_percent": 0})
    assert "A restart calls that off." in choose(row, "p:4711:99")
    Instance.objects.filter(pk=row.pk).update(awaited={"task": "home", "name": "packing"})
    page = text(signed_in(row.owner.user).get(reverse("machine", args=[row.slug])))
    assert "Unless you use it meanwhile" in page
    assert "A restart calls that off." not in page


def test_once_somebody_came_back_after_the_end_its_page_offers_the_choice_again(today: Stage) -> None:
    row = today.running()
    heard_of(row, last_report={"doings": DOINGS, "gpu_percent": 0})
    choose(row, "p:4711:99")
    now = timezone.now()
    Instance.objects.filter(pk=row.pk).update(done_at=now - timedelta(seconds=40), last_human_at=now)
    page = signed_in(row.owner.user).get(reverse("machine", args=[row.slug])).content.decode()
    assert "It stops when this has ended" not in page
    assert 'value="p:4711:99"' in page


def test_what_does_not_run_cannot_be_waited_for(today: Stage) -> None:
    row = today.running()
    heard_of(row, last_report={"doings": DOINGS, "gpu_percent": 0})
    assert "That has ended already" in choose(row, "p:1:1")
    assert fresh(row).awaited == {}


def waits_and_is_kept(today: Stage) -> tuple[Instance, datetime]:
    row, now = today.running(), timezone.now()
    heard_of(row, last_report={"doings": DOINGS, "gpu_percent": 0})
    choose(row, "p:4711:99")
    services.keep_alive(fresh(row), hours=8, who=row.owner.user, now=now)
    return row, now


def test_the_end_stops_it_with_the_reason_though_it_was_kept(today: Stage) -> None:
    row, now = waits_and_is_kept(today)
    Instance.objects.filter(pk=row.pk).update(done_at=now + timedelta(seconds=10))
    sweeps.idle(today.cloud, now + timedelta(seconds=30))
    row = fresh(row)
    assert row.state == "stopping"
    assert row.reason.startswith("Stopped, as asked: python3 (4711) ended at")


def test_who_keeps_it_on_after_the_end_is_believed(today: Stage) -> None:
    """Its agent saves before it tells of the end: a minute or more in which its page still waits."""
    row, now = waits_and_is_kept(today)
    Instance.objects.filter(pk=row.pk).update(done_at=now - timedelta(seconds=40))
    sweeps.idle(today.cloud, now + timedelta(seconds=30))
    assert fresh(row).state == "running"
    page = signed_in(row.owner.user).get(reverse("machine", args=[row.slug])).content.decode()
    assert "It stops when this has ended" not in page


def test_the_mail_of_a_stop_says_the_reason_the_money_and_how_to_start_again(today: Stage) -> None:
    row, _token = warned(today)
    mail.outbox.clear()
    now = timezone.now() + timedelta(minutes=12)
    Instance.objects.filter(pk=row.pk).update(last_report_at=now)
    sweeps.idle(today.cloud, now)
    sweeps.notices(now)
    [letter] = mail.outbox
    assert letter.subject == "Your machine has stopped: Homework: T4 16 GB"
    assert "Stopped: Nothing has used this machine since" in letter.body
    assert "Off it costs $0.007 an hour (its disk, with your files), on it was $0.538." in letter.body
    assert re.search(r"It had not been used for 3[23] min, which cost \$0\.\d\d\.", letter.body)
    assert "Start it again at the address below" in letter.body
    assert InstanceEvent.objects.filter(instance=row, new_state="stopping").count() == 1
