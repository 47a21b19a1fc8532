"""The dead-man ping: a sign of life while all sweeps are on time, another address when one is late. Never a harm."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from django.utils import timezone
from pytest_django.fixtures import Settings

from instances.models import Instance, SweepBeat
from portal.guards import SWEEPS
from portal.heartbeat import ping
from portal.tasks import sweep_heartbeat
from tests.instances.conftest import Stage


class Monitor:
    def __init__(self) -> None:
        heard: list[str] = []
        self.heard = heard

        class Door(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                heard.append(self.path)
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Door)
        self.url = f"http://127.0.0.1:{self.server.server_port}/ping/abc"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


@pytest.fixture
def monitor() -> Iterator[Monitor]:
    found = Monitor()
    yield found
    found.server.shutdown()
    found.server.server_close()


def all_sweeps_ended(minutes_ago: float = 0) -> None:
    at = timezone.now() - timedelta(minutes=minutes_ago)
    for name in SWEEPS:
        SweepBeat.objects.update_or_create(name=name, defaults={"finished_at": at, "seconds": 0.1})


@pytest.mark.django_db
def test_while_every_sweep_is_on_time_the_monitor_hears_so(monitor: Monitor, settings: Settings) -> None:
    settings.HEARTBEAT_URL = monitor.url
    all_sweeps_ended()
    sweep_heartbeat()
    assert monitor.heard == ["/ping/abc"]


@pytest.mark.django_db
def test_a_late_sweep_is_told_at_the_address_for_failures(monitor: Monitor) -> None:
    all_sweeps_ended(minutes_ago=30)
    assert ping(monitor.url, timezone.now(), 60)
    assert monitor.heard == ["/ping/abc/fail"]


@pytest.mark.django_db
@pytest.mark.parametrize("url", ["http://127.0.0.1:9/nobody", "not an address", ""])
def test_nobody_there_is_no_error(url: str) -> None:
    all_sweeps_ended()
    assert ping(url, timezone.now(), 60) is False


@pytest.mark.django_db
def test_right_after_a_start_nothing_is_said_neither_well_nor_ill(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies again and again before its sweeps end must fall silent: that is the alarm."""
    all_sweeps_ended(minutes_ago=600)
    monkeypatch.setattr("portal.guards.STARTED_AT", timezone.now() - timedelta(minutes=1))
    assert not ping(monitor.url, timezone.now(), 60)
    assert monitor.heard == []
    all_sweeps_ended()
    assert ping(monitor.url, timezone.now(), 60)
    assert monitor.heard == ["/ping/abc"]


def test_machines_that_cannot_be_heard_are_told_at_the_address_for_failures(monitor: Monitor, today: Stage) -> None:
    rows = today.running(today.cast.student), today.running(today.cast.ta)
    silent = timezone.now() - timedelta(minutes=6)
    Instance.objects.filter(pk__in=[row.pk for row in rows]).update(last_report_at=silent)
    all_sweeps_ended()
    assert ping(monitor.url, timezone.now(), 60)
    assert monitor.heard == ["/ping/abc/fail"]
