"""A course that is on today, with budgets, one preset, one batch of codes, and the cloud in memory."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django.fixtures import Settings

from courses.models import User
from credits.models import CodeBatch
from instances.models import Instance, Preset, SweepBeat
from portal.guards import SWEEPS
from spend.models import Level
from spend.opening import create_budget, open_budgets
from tests.conftest import Cast
from tests.credits.conftest import make_batch
from tests.instances.conftest import HOUR, Stage
from tests.spend.rooms import room  # noqa: F401 - the fixture


@pytest.fixture(autouse=True)
def _plain_static_files(settings: Settings) -> None:
    plain = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STORAGES = {**settings.STORAGES, "staticfiles": plain}


def signed_in(user: User | None) -> Client:
    client = Client()
    assert user
    client.force_login(user)
    return client


def heard_of(row: Instance, *, minutes_ago: float = 0, **more: object) -> None:
    """Its agent reported just now, and somebody used it so many minutes ago."""
    now = timezone.now()
    used = now - timedelta(minutes=minutes_ago)
    row.runs.update(started_at=used)
    Instance.objects.filter(pk=row.pk).update(last_report_at=now, last_active_at=used, **more)


@pytest.fixture
def today(cast: Cast) -> Stage:
    """As in the machines' tests, but the course is on now: pages ask the real clock."""
    now = timezone.now()
    course = cast.course
    course.starts_on, course.ends_on = (now - timedelta(days=30)).date(), (now + timedelta(days=30)).date()
    course.contact = "staff@demo.edu"
    course.save()
    sponsor = create_budget(
        Level.SPONSOR, name="AWS", amount_usd=Decimal(10000), parent=None, why="gift", who=None, now=now
    )
    open_budgets(
        course,
        course_usd=Decimal(5000),
        team_usd=Decimal(200),
        person_usd=Decimal(100),
        sponsor=sponsor,
        why="start of term",
        who=cast.instructor.user,
        now=now,
    )
    preset = Preset.objects.create(
        course=course,
        slug="homework",
        name="Homework: T4 16 GB",
        purpose="Every homework runs on this.",
        instance_types=["g4dn.xlarge", "g6.xlarge"],
        image_id="ami-course",
        disk_gb=64,
        lease_seconds=4 * HOUR,
        ceiling_usd_hour=Decimal("1.00"),
        per_person=1,
    )
    for name in SWEEPS:
        SweepBeat.objects.create(name=name, finished_at=now, seconds=0.1)
    return Stage(cast, preset, now=now - timedelta(minutes=20))


@pytest.fixture
def batch(cast: Cast) -> CodeBatch:
    return make_batch(cast.course, name="Welcome credit", expires_on=date(2027, 9, 30))
