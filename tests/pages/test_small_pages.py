"""The start page, the mailbox, the health check, the error pages: and the headers that every page carries."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.mail import send_mail
from django.db import DatabaseError
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django.fixtures import Settings

from instances.models import Instance, SweepBeat
from portal.guards import SWEEPS
from tests.conftest import Cast
from tests.instances.conftest import Stage
from tests.pages.conftest import signed_in
from tests.pages.test_course_home import text_of


@pytest.fixture
def provider(settings: Settings) -> None:
    app = {"provider_id": "uni", "name": "Some University", "client_id": "lamplighter", "secret": "s", "settings": {}}
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}


# ------------------------------------------------------------------ start
def test_the_start_page_says_what_this_is_and_how_to_come_in(client: Client, db: None, provider: None) -> None:
    html = client.get("/").content.decode()
    assert "Your course’s GPUs, one click away." in html
    assert "Sign in with Some University" in html
    assert '<form method="post" action="/accounts/oidc/uni/login/?process=login">' in html
    assert "csrfmiddlewaretoken" in html
    assert "In the demo, Demo University lets you in" in text_of(html)


def test_outside_the_demo_nothing_speaks_of_it(client: Client, db: None, provider: None, settings: Settings) -> None:
    settings.DEMO = False
    text = text_of(client.get("/").content.decode()).lower()
    assert "demo" not in text
    assert client.get(reverse("mailbox")).status_code == 404


def test_without_a_provider_the_page_says_what_is_missing(client: Client, db: None, settings: Settings) -> None:
    settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": []}}
    assert "LAMPLIGHTER_OIDC_PROVIDERS" in client.get("/").content.decode()


def test_sign_in_takes_one_back_to_the_page_that_was_asked_for(client: Client, db: None, provider: None) -> None:
    html = client.get("/accounts/login/?next=/machines/mabc/notebook").content.decode()
    assert "next=%2Fmachines%2Fmabc%2Fnotebook" in html


def test_each_goes_on_to_their_own_first_page(today: Stage, cast: Cast) -> None:
    assert signed_in(cast.student.user).get("/")["Location"] == "/c/dl19/"
    assert signed_in(cast.ta.user).get("/")["Location"] == "/c/dl19/staff/"
    assert signed_in(cast.instructor.user).get("/")["Location"] == "/c/dl19/staff/"


def test_who_is_on_no_roster_reads_which_address_was_seen_and_whom_to_ask(today: Stage, cast: Cast) -> None:
    answer = signed_in(cast.stranger).get("/")
    text = text_of(answer.content.decode())
    assert "stranger@demo.edu" in text
    assert "Deep Learning staff@demo.edu" in text


# ------------------------------------------------------------------ mailbox
def test_the_mailbox_shows_what_was_sent(client: Client, db: None, settings: Settings, tmp_path: Path) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
    settings.EMAIL_FILE_PATH = tmp_path
    assert "No mail yet" in client.get(reverse("mailbox")).content.decode()
    send_mail("First <b>", "It stops at 18:40.\nhttp://127.0.0.1:8000/machines/mabc/", None, ["ada@demo.edu"])
    send_mail("Sécond", "Später " * 40, None, ["ben@demo.edu"])
    html = client.get(reverse("mailbox")).content.decode()
    assert html.count("<article") == 2
    assert "First &lt;b&gt;" in html
    assert '<a href="http://127.0.0.1:8000/machines/mabc/"' in html
    assert "To ada@demo.edu" in text_of(html)
    assert "Später Später" in html


def test_the_newest_mail_lies_on_top(client: Client, db: None, settings: Settings, tmp_path: Path) -> None:
    settings.EMAIL_FILE_PATH = tmp_path
    for name, hour in (("b", 9), ("a", 11), ("c", 10)):
        head = f"Subject: of {hour}\nTo: x@demo.edu\nDate: Mon, 23 Nov 2026 {hour:02}:00:00 -0000"
        (tmp_path / f"20261123-{name}.log").write_text(f"{head}\n\nHello\n{'-' * 79}\n")
    html = client.get(reverse("mailbox")).content.decode()
    assert re.findall(r"of (\d+)</h2>", html) == ["11", "10", "9"]


def test_rounds_that_had_nothing_to_send_do_not_push_mails_out_of_the_mailbox(
    client: Client, db: None, settings: Settings, tmp_path: Path
) -> None:
    settings.EMAIL_FILE_PATH = tmp_path
    (tmp_path / "20261123-090000-1.log").write_text(f"Subject: Warned\nTo: x@demo.edu\n\nHello\n{'-' * 79}\n")
    for n in range(120):
        (tmp_path / f"20261123-100000-{n}.log").touch()
    assert client.get(reverse("mailbox")).content.decode().count("<article") == 1


# ------------------------------------------------------------------ health
def test_all_is_well(client: Client, today: Stage) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    assert answer.json()["ok"] is True
    assert set(answer.json()["sweeps"]) == set(SWEEPS)


@pytest.mark.parametrize("name", SWEEPS)
def test_a_late_sweep_is_an_outage(client: Client, today: Stage, name: str, settings: Settings) -> None:
    late = timedelta(seconds=5 * settings.SWEEP_SECONDS + 5)
    SweepBeat.objects.filter(name=name).update(finished_at=timezone.now() - late)
    answer = client.get("/health")
    assert answer.status_code == 503
    assert [n for n, sweep in answer.json()["sweeps"].items() if sweep["late"]] == [name]


def test_a_sweep_that_never_ended_is_an_outage(client: Client, db: None) -> None:
    assert client.get("/health").status_code == 503


def test_a_start_after_a_night_off_wakes_nobody_until_there_was_time_for_a_round(
    client: Client, today: Stage, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    SweepBeat.objects.update(finished_at=timezone.now() - timedelta(hours=9))
    patience = timedelta(seconds=5 * settings.SWEEP_SECONDS)
    monkeypatch.setattr("portal.guards.STARTED_AT", timezone.now() - patience + timedelta(seconds=30))
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["ok"], answer.json()["starting"]) == (200, True, True)
    assert answer.json()["sweeps"]["idle"]["age_seconds"] > 8 * 3600  # the truth stays in sight
    monkeypatch.setattr("portal.guards.STARTED_AT", timezone.now() - patience - timedelta(seconds=1))
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["starting"]) == (503, False)


def test_a_new_installation_wakes_nobody_either(client: Client, db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.guards.STARTED_AT", timezone.now())
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["starting"]) == (200, True)
    assert answer.json()["sweeps"]["repair"] == {"age_seconds": None, "late": False}


def test_once_every_sweep_has_ended_nothing_is_starting_any_more(
    client: Client, today: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portal.guards.STARTED_AT", timezone.now() - timedelta(seconds=20))
    SweepBeat.objects.update(finished_at=timezone.now())
    assert client.get("/health").json()["starting"] is False


def test_a_silent_database_is_an_outage_and_not_an_error_page(
    client: Client, db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def silent(*_args: object) -> None:
        raise DatabaseError("gone")

    monkeypatch.setattr("portal.views_health.guards", silent)
    answer = client.get("/health")
    assert answer.status_code == 503
    assert answer.json() == {"ok": False, "database": False, "sweeps": {}}


# ------------------------------------------------------------------ errors and headers
def test_the_page_that_is_not_there_says_what_to_do(client: Client, db: None) -> None:
    answer = client.get("/nowhere")
    assert answer.status_code == 404
    assert "To my course" in answer.content.decode()


def test_the_error_page_needs_nothing_that_may_be_broken(
    today: Stage, cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is drawn without context: no user, no database, no course."""

    def broken(*_args: object, **_kwargs: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr("portal.views_home.desk", broken)
    client = signed_in(cast.student.user)
    client.raise_request_exception = False
    answer = client.get("/c/dl19/")
    assert answer.status_code == 500
    assert "Something broke on our side" in answer.content.decode()
    assert "still stop when they should" in answer.content.decode()


@pytest.mark.parametrize("url", ["/", "/c/dl19/", "/c/dl19/staff/", "/nowhere"])
def test_no_page_runs_or_fetches_anything_foreign(today: Stage, cast: Cast, url: str) -> None:
    answer = signed_in(cast.instructor.user).get(url, follow=True)
    html = answer.content.decode()
    assert "script-src 'self'" in answer["Content-Security-Policy"]
    assert all("src=" in tag or "application/json" in tag for tag in re.findall(r"<script[^>]*>", html))
    assert " onclick=" not in html
    assert 'src="http' not in html
    assert 'href="http' not in html


def test_times_are_in_the_viewers_zone(today: Stage, cast: Cast) -> None:
    row = today.running()
    client = signed_in(cast.student.user)
    shown = set()
    for zone in ("UTC", "Asia/Shanghai", "../../etc/passwd"):
        client.cookies["tz"] = zone
        html = client.get(reverse("machine", args=[row.slug])).content.decode()
        event = row.events.order_by("at").first()
        assert event
        shown.add(html.split(f'<time datetime="{event.at.isoformat()}"')[1].split(">")[1].split("<")[0])
    assert len(shown) == 2  # nonsense falls back to UTC


def test_when_none_of_several_peoples_machines_reports_it_is_an_outage(client: Client, today: Stage) -> None:
    rows = today.running(today.cast.student), today.running(today.cast.ta)
    SweepBeat.objects.update(finished_at=timezone.now())
    silent = timezone.now() - timedelta(minutes=5, seconds=5)
    Instance.objects.filter(pk__in=[row.pk for row in rows]).update(last_report_at=silent)
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["ok"]) == (503, False)
    assert answer.json()["reports"]["silent"] is True
    assert answer.json()["reports"]["newest_age_seconds"] >= 305
    Instance.objects.filter(pk=rows[0].pk).update(last_report_at=timezone.now())
    answer = client.get("/health")
    assert (answer.status_code, answer.json()["reports"]["silent"]) == (200, False)
