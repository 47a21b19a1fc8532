"""The real thing as an operator runs it: PostgreSQL, Redis, several web workers, two Celery workers and a beat."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
import redis
import requests

from tests.loopback import free_port
from tests.production.conftest import HOST, ROOT, Environment, production, run

pytestmark = [pytest.mark.postgres, pytest.mark.redis, pytest.mark.slow, pytest.mark.timeout(600)]
WEB_WORKERS = 3


@dataclass(frozen=True)
class Running:
    port: int
    environment: Environment
    logs: Path
    groups: dict[str, int]

    def get(self, path: str, **headers: str) -> requests.Response:
        proxy = {"Host": HOST, "X-Forwarded-Proto": "https", **headers}
        return requests.get(f"http://127.0.0.1:{self.port}{path}", headers=proxy, timeout=10, allow_redirects=False)


def eventually(found: Callable[[], object], seconds: float = 120) -> object:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if answer := found():
                return answer
        except (requests.ConnectionError, psycopg.Error):
            pass
        time.sleep(0.2)
    pytest.fail("it did not happen")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory, database_url: str) -> Iterator[Running]:
    var, port = tmp_path_factory.mktemp("production"), free_port()
    queue = os.environ["LAMPLIGHTER_TEST_REDIS_URL"]
    redis.Redis.from_url(queue).flushdb()
    extra = {"DATABASE_URL": database_url, "LAMPLIGHTER_BROKER_URL": queue, "LAMPLIGHTER_SWEEP_SECONDS": "3"}
    environment = production(var) | extra
    for step in (["migrate", "--no-input"], ["collectstatic", "--no-input", "-v", "0"]):
        done = run(environment, "manage.py", *step)
        assert done.returncode == 0, done.stdout
    celery = ["celery", "-A", "portal"]
    web = ["granian", "--interface", "wsgi", "--workers", str(WEB_WORKERS), "--port", str(port)]
    commands = {
        "web": [*web, "portal.wsgi:application"],
        "worker-1": [*celery, "worker", "-n", "one@%h", "--concurrency", "1", "--loglevel", "INFO"],
        "worker-2": [*celery, "worker", "-n", "two@%h", "--concurrency", "1", "--loglevel", "INFO"],
        "beat": [*celery, "beat", "--schedule", str(var / "beat"), "--pidfile", ""],
    }
    children = {name: start(command, environment, var / f"{name}.log") for name, command in commands.items()}
    found = Running(port, environment, var, {name: child.pid for name, child in children.items()})
    try:
        eventually(lambda: found.get("/accounts/login/").status_code == 200)
        yield found
    finally:
        end(list(children.values()))


def start(command: list[str], environment: Environment, log: Path) -> "subprocess.Popen[bytes]":
    with log.open("wb") as out:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=environment,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def end(children: "list[subprocess.Popen[bytes]]") -> None:
    """Asked twice, as an operator would: Celery's beat ends by an exception, and Python drops one that is raised while
    some object is being finalized, which a beat of twenty-seven messages a second does much of the time."""
    for _asked in range(2):
        for child in children:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while any(child.poll() is None for child in children) and time.monotonic() < deadline:
            time.sleep(0.1)
    assert [child.args for child in children if child.poll() is None] == []


def test_the_sign_in_page_answers_from_several_processes_with_locked_cookies(running: Running) -> None:
    answer = running.get("/accounts/login/")
    assert answer.status_code == 200
    assert "The University" in answer.text
    assert answer.headers["Strict-Transport-Security"].startswith("max-age=31536000")
    assert "Secure" in answer.headers["Set-Cookie"]
    members = subprocess.run(["pgrep", "-c", "-g", str(running.groups["web"])], capture_output=True, text=True)
    assert int(members.stdout) >= WEB_WORKERS


def test_another_host_name_is_turned_away(running: Running) -> None:
    assert running.get("/accounts/login/", Host="evil.example.org").status_code == 400


def test_an_error_shows_nothing_of_the_settings(running: Running) -> None:
    answer = running.get("/there-is-no-such-page/")
    assert answer.status_code == 404
    assert "urlpatterns" not in answer.text
    assert "DEBUG" not in answer.text


def test_static_files_are_served_by_their_hashed_names_for_ever(running: Running) -> None:
    page = running.get("/accounts/login/").text
    sheet = page.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert sheet.startswith("/static/css/")
    answer = running.get(sheet)
    assert answer.status_code == 200
    assert "immutable" in answer.headers["Cache-Control"]


def test_beat_and_both_workers_do_the_sweeps_through_redis(running: Running) -> None:
    def last_sweeps() -> set[str]:
        with psycopg.connect(running.environment["DATABASE_URL"]) as db:
            return {name for (name,) in db.execute("SELECT name FROM instances_sweepbeat")}

    eventually(lambda: {"idle", "lease", "notices"} <= last_sweeps())
    for name in ("worker-1", "worker-2"):
        eventually(lambda name=name: "succeeded" in (running.logs / f"{name}.log").read_text())


def test_the_deploy_check_has_nothing_to_say(running: Running) -> None:
    found = run(running.environment, "manage.py", "check", "--deploy", "--fail-level", "WARNING")
    assert found.returncode == 0, found.stdout


def test_no_log_holds_a_secret(running: Running) -> None:
    eventually(lambda: "succeeded" in (running.logs / "worker-1.log").read_text())
    logs = "".join(path.read_text() for path in running.logs.glob("*.log"))
    for name in ("LAMPLIGHTER_SECRET_KEY", "LAMPLIGHTER_CODE_KEYS", "LAMPLIGHTER_CODE_HASH_KEY"):
        assert running.environment[name] not in logs
