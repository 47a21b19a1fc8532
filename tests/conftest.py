"""The cast and the stage that every test uses: the same people in the same course, and a cloud that breaks on command.

What a machine lacks (PostgreSQL, Redis, Chromium) makes the tests that need it skip, and the run says so at its
end; with LAMPLIGHTER_NO_SKIPS=1, as in CI, a skip is a failure.
"""

import glob
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from django.conf import settings

from courses.models import Course, Enrollment, Role, Team, User
from portal import guards
from tests import emptying
from tests.neighbours import file_of, group_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser

if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # A file, not memory: the threads and server processes that a test starts must see the same rows.
    _folder = tempfile.TemporaryDirectory(prefix="lamplighter-test-")
    settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = f"{_folder.name}/test.sqlite3"
else:
    emptying.install()

# As if this process had always run: a sweep that is late in a test is late, however young the run is.
guards.STARTED_AT = datetime.min.replace(tzinfo=UTC)

# `make identity-provider` brings it.
OIDC_PROVIDER = Path(__file__).resolve().parent.parent / "var" / "identity-provider" / "node_modules" / "oidc-provider"
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
USERS = next(iter(glob.glob("/usr/lib*/*/libnss_wrapper.so") + glob.glob("/usr/lib*/libnss_wrapper.so")), "")
REAL_SERVERS = tuple(f"tests/{folder}/" for folder in ("demo", "gateway", "production", "tunnel", "walk"))
NO_SKIPS = os.environ.get("LAMPLIGHTER_NO_SKIPS") == "1"
# New examples are looked for at each desk; what decides over a landing is asked the same of every state.
hypothesis.settings.register_profile("repeatable", derandomize=True, print_blob=True)
if NO_SKIPS:
    hypothesis.settings.load_profile("repeatable")


def _missing(marker: str) -> str | None:
    """Why a test with this marker cannot run here, or None."""
    if marker == "postgres" and "postgresql" not in settings.DATABASES["default"]["ENGINE"]:
        return "PostgreSQL: set DATABASE_URL"
    if marker == "redis" and not os.environ.get("LAMPLIGHTER_TEST_REDIS_URL"):
        return "Redis: set LAMPLIGHTER_TEST_REDIS_URL"
    if marker == "browser":
        from tests.browser import chromium_path  # here, so that a run without browser tests needs no Playwright

        return None if chromium_path() else "Chromium: install it"
    if marker == "saml_idp" and not (shutil.which("php") and Path("/usr/share/simplesamlphp").is_dir()):
        return "SimpleSAMLphp: install simplesamlphp and php-cli"
    if marker == "ssh" and not shutil.which("ssh"):
        return "the SSH client: install openssh-client"
    if marker == "sshd" and not (SSHD and USERS):
        return "an SSH server to start (install openssh-server), with users of its own (libnss-wrapper)"
    if marker == "oidc_idp" and not (shutil.which("node") and OIDC_PROVIDER.is_dir()):
        return "a certified OpenID provider: make identity-provider (needs node)"
    return None


def _times_asked_again(item: pytest.Item) -> int:
    """Real browsers, servers and machines are late now and then on a busy machine: those are asked twice. A control
    waits for processes to meet: once is enough. The report names them. No rule about money or work is asked again."""
    if "control" in item.name:
        return 4
    by_the_clock = item.get_closest_marker("browser") or item.get_closest_marker("alone")
    return int(bool(by_the_clock or item.nodeid.startswith(REAL_SERVERS)))


@pytest.hookimpl(wrapper=True)  # around the others: one of them sorts by how the database is used
def pytest_collection_modifyitems(items: list[pytest.Item]) -> Iterator[None]:
    if os.environ.get("LAMPLIGHTER_TEST_NGINX") != "1":  # `make test-tls` asks for them: they need a web server
        items[:] = [item for item in items if not item.get_closest_marker("nginx")]
    for item in items:
        for marker in ("postgres", "redis", "browser", "saml_idp", "oidc_idp", "ssh", "sshd"):
            why = _missing(marker) if item.get_closest_marker(marker) else None
            if why:
                item.add_marker(pytest.mark.skip(reason=f"needs {why}"))
        if again := _times_asked_again(item):
            item.add_marker(pytest.mark.flaky(reruns=again))
    yield
    # What takes long begins first, so that at the end nobody waits for one file.
    slow = {group_of(file_of(item.nodeid)) for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: group_of(file_of(item.nodeid)) not in slow)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"ASKED AGAIN: {report.nodeid}, in {report.when}")
        terminalreporter.write_line("\n".join(report.longreprtext.splitlines()[-40:]))
    skipped = terminalreporter.stats.get("skipped", [])
    if skipped:
        reasons = sorted({report.longrepr[2] if isinstance(report.longrepr, tuple) else "" for report in skipped})
        terminalreporter.write_line(f"NOT RUN: {len(skipped)} tests. " + "; ".join(reasons))


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if NO_SKIPS and exitstatus == 0 and reporter and reporter.stats.get("skipped"):
        session.exitstatus = 1


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    from tests.browser import chromium  # here, for the same reason

    with chromium() as opened:
        yield opened


@dataclass(frozen=True)
class Cast:
    """Who asks, in every access test: the same seven, and nobody."""

    course: Course
    other_course: Course
    team: Team
    student: Enrollment
    other_student: Enrollment
    ta: Enrollment
    instructor: Enrollment
    foreign_instructor: Enrollment
    stranger: User  # signed in, on no roster


def _enroll(course: Course, name: str, role: Role, team: Team | None = None) -> Enrollment:
    email = f"{name.split()[0].lower()}@demo.edu"
    user = User.objects.create_user(email, full_name=name)
    return Enrollment.objects.create(course=course, user=user, email=email, name=name, role=role, team=team)


@pytest.fixture
def cast(db: None) -> Cast:
    course = Course.objects.create(
        slug="dl19", name="Deep Learning", term="Spring 2019", starts_on=date(2019, 1, 22), ends_on=date(2019, 5, 17)
    )
    other = Course.objects.create(
        slug="cv19", name="Computer Vision", starts_on=date(2019, 1, 22), ends_on=date(2019, 5, 17)
    )
    team = Team.objects.create(course=course, name="Team 1")
    return Cast(
        course=course,
        other_course=other,
        team=team,
        student=_enroll(course, "Ada Student", Role.STUDENT, team),
        other_student=_enroll(course, "Ben Other", Role.STUDENT, team),
        ta=_enroll(course, "Tess Assistant", Role.TA),
        instructor=_enroll(course, "Ines Structor", Role.INSTRUCTOR),
        foreign_instructor=_enroll(other, "Finn Foreign", Role.INSTRUCTOR),
        stranger=User.objects.create_user("stranger@demo.edu", full_name="Sam Stranger"),
    )
