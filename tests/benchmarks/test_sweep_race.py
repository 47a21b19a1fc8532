"""The rounds lock many machines at once. On PostgreSQL, with real processes: none of them may wait for each other."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet

from benchmarks import crowd_rows
from cloud.base import CloudState, MachineView
from cloud.fake import FakeCloud
from instances import sweeps
from instances.models import Instance, Policy
from instances.sweeps import repairing, rounds
from tests.race import race

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]
NOW = datetime.now(UTC)


@pytest.fixture
def cloud_ids() -> list[str]:
    """Of running machines whose rows lie in the table the other way round than their keys."""
    ids = [f"i-{n:017x}" for n in range(150)]
    Policy.objects.create(course=crowd_rows.seed(ids, NOW), quiet_seconds=240, warn_seconds=60)
    crowd_rows.reset([], NOW)
    for key in Instance.objects.order_by("-pk").values_list("pk", flat=True):
        Instance.objects.filter(pk=key).update(attempt=2)
    return ids


@pytest.fixture(autouse=True)
def every_row_takes_its_time() -> Iterator[None]:
    """A change of all rows lasts, so that the other processes fall into its middle on any machine."""
    table = Instance._meta.db_table
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE FUNCTION take_time() RETURNS trigger LANGUAGE plpgsql AS"
            " 'BEGIN PERFORM pg_sleep(0.001); RETURN NEW; END'"
        )
        cursor.execute(f"CREATE TRIGGER take_time BEFORE UPDATE ON {table} FOR EACH ROW EXECUTE FUNCTION take_time()")
    yield
    with connection.cursor() as cursor:
        cursor.execute("DROP FUNCTION take_time CASCADE")


def find_deadlocks_at_once() -> None:
    """PostgreSQL looks for one after a second, unless told: with hundreds of them that is the whole test."""
    with connection.cursor() as cursor:
        cursor.execute("SET deadlock_timeout = '20ms'")


def judge(times: int) -> int:
    """Warns all after three of four quiet minutes, and takes it back; returns the groups that failed."""
    find_deadlocks_at_once()
    failed: list[object] = []
    rounds.logger.exception = lambda *about: failed.append(about)  # type: ignore[method-assign]
    cloud = FakeCloud(lambda: NOW)
    for _n in range(times):
        sweeps.idle(cloud, NOW + timedelta(seconds=200))
        sweeps.idle(cloud, NOW)
    return len(failed)


def look(cloud_ids: list[str], times: int) -> int:
    find_deadlocks_at_once()
    views = [
        MachineView(one, "", "", CloudState.RUNNING, "g4dn.xlarge", "us-east-1a", "ami", None, NOW, None)
        for one in cloud_ids
    ]
    failed = 0
    for n in range(2 * times):
        try:
            repairing._note_sightings([], views, NOW + timedelta(seconds=n), looked_at=NOW + timedelta(seconds=n))
        except DatabaseError:
            failed += 1
    return failed


def failures(cloud_ids: list[str], times: int) -> int:
    looking = partial(look, cloud_ids, times)
    outcomes = race([partial(judge, times), looking, looking], seconds=240)
    assert all(outcome.ok for outcome in outcomes), outcomes
    return sum(outcome.value for outcome in outcomes)


def test_idle_and_repair_at_once_never_wait_for_each_other(cloud_ids: list[str]) -> None:
    assert failures(cloud_ids, times=5) == 0


def test_control_in_another_order_they_do(cloud_ids: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an order PostgreSQL chooses one, now and then the same as ours: here it is always the worst one."""

    def backwards(rows: QuerySet[Any], **values: object) -> None:
        with transaction.atomic():
            for key in rows.order_by("-pk").values_list("pk", flat=True):
                rows.model.objects.filter(pk=key).update(**values)

    monkeypatch.setattr(repairing, "_change", backwards)
    assert any(failures(cloud_ids, times=2) for _again in range(10))
