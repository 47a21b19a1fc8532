"""A process is killed at each line that it executes, of launch, start, stop, delete, keep and of the repair itself.

Afterwards, whatever the line: one machine per launch, no money held for what is not there, and the books say exactly
the seconds that it ran. Of lines between which the outside sees nothing happen, one is taken; all of them with
LAMPLIGHTER_TEST_EVERY_LINE=1.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from courses.models import Enrollment
from instances import services, sweeps
from instances.models import Instance, Preset
from instances.resizing import request_resize
from instances.states import ENDED
from spend.models import Budget
from tests.instances.conftest import NOON, Stage, check_books, compute_seconds, fresh, held
from tests.instances.dying import dies_at_line, lines_of, living_cloud

pytestmark = [pytest.mark.postgres, pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.django_db(transaction=True)]
EVERY_LINE = os.environ.get("LAMPLIGHTER_TEST_EVERY_LINE") == "1"


@dataclass
class Desk:
    cloud: Any
    owner: Enrollment
    preset: Preset
    now: datetime = NOON

    def rounds(self, minutes: int) -> None:
        for _minute in range(minutes):
            self.now = self.cloud.later(60)
            sweeps.repair(self.cloud, self.now, probe=lambda places: [True] * len(places))
        sweeps.meter(self.now)

    def the_machine(self) -> Instance:
        return Instance.objects.exclude(state__in=ENDED).get()

    def launch(self) -> Instance:
        row = services.request_launch(self.owner, self.preset, who=self.owner.user, now=self.now)
        services.launch(row.pk, cloud=self.cloud, now=self.now)
        return row

    def running(self) -> Instance:
        row = self.launch()
        self.rounds(1)
        return fresh(row)

    def stopped(self) -> Instance:
        row = self.running()
        self.stop(row)
        self.rounds(2)
        return fresh(row)

    def stop(self, row: Instance) -> None:
        services.request_stop(fresh(row), reason="enough", who=None, now=self.now)
        services.stop([row.pk], cloud=self.cloud, now=self.now)

    def start(self, row: Instance) -> None:
        services.request_start(row, who=row.owner.user, now=self.now)
        services.start(row.pk, cloud=self.cloud, now=self.now)

    def terminate(self, row: Instance) -> None:
        services.request_terminate(fresh(row), who=None, now=self.now)
        services.terminate([row.pk], cloud=self.cloud, now=self.now)

    def repair(self) -> None:
        sweeps.repair(self.cloud, self.now, probe=lambda places: [True] * len(places))

    def clear(self) -> None:
        for row in Instance.objects.exclude(state__in=ENDED):
            self.terminate(row)
        self.rounds(2)

    def check(self, row: Instance | None, states: tuple[str, ...]) -> None:
        """`row` is None when its launch died before it was written."""
        check_books()
        truth = self.cloud.truth()
        alive = [name for name, state, _seconds in truth.values() if state in ("pending", "running")]
        if row is None:
            assert alive == []
            return
        row = fresh(row)
        assert row.state in states, (row.state, row.reason)
        mine = [(state, seconds) for name, state, seconds in truth.values() if name == row.slug]
        assert len(mine) == 1
        assert alive == ([row.slug] if row.state == "running" else [])
        if row.state == "running":
            [run] = row.runs.filter(ended_at=None)
            [view] = [one for one in self.cloud.describe_all() if one.cloud_id == row.cloud_id]
            assert run.instance_type == row.instance_type == view.instance_type
            assert row.guard_until is not None
        else:
            assert compute_seconds(row) == mine[0][1]
            assert (held(row) == 0) == (row.state in ENDED)


@pytest.fixture
def desk(stage: Stage) -> Iterator[Desk]:
    Budget.objects.update(amount_usd=1_000_000)
    with living_cloud(NOON) as cloud:
        yield Desk(cloud, stage.cast.student, stage.preset)


def every_death(desk: Desk, prepare: Callable[[], Instance | None], act: Callable[..., object], *states: str) -> int:
    """Kill `act` at one line after the other; each time let the rounds mend it, and judge. Returns how many died."""

    def once(row: Instance | None) -> Callable[[], object]:
        return (lambda: act(row)) if row else act

    once(prepare())()  # so that what is read once per process is read: every child then runs the same lines
    desk.clear()
    lines = lines_of(once(prepare()), every=EVERY_LINE)
    desk.clear()
    for line in lines:
        row = prepare()
        assert dies_at_line(line, once(row))
        desk.rounds(4)
        row = row or Instance.objects.exclude(state__in=ENDED).first()
        try:
            desk.check(row, states)
        except AssertionError as error:
            raise AssertionError(f"killed at line {line}: {error}") from error
        desk.clear()
    return len(lines)


def test_of_a_launch(desk: Desk) -> None:
    assert every_death(desk, lambda: None, desk.launch, "running") > 15


def test_of_a_stop(desk: Desk) -> None:
    assert every_death(desk, desk.running, desk.stop, "running", "stopped") > 4


def test_of_a_start(desk: Desk) -> None:
    assert every_death(desk, desk.stopped, desk.start, "stopped", "running") > 10


def test_of_a_start_as_another_kind(desk: Desk) -> None:
    facts = {"instance_types": ["g5.xlarge"], "disk_gb": 64, "lease_seconds": 7200, "ceiling_usd_hour": 2}
    other = Preset.objects.create(course=desk.preset.course, slug="project", name="Project", **facts)

    def prepare() -> Instance:
        return request_resize(desk.stopped(), other, who=None, now=desk.now)

    assert every_death(desk, prepare, desk.start, "stopped", "running") > 12


def test_of_deleting(desk: Desk) -> None:
    assert every_death(desk, desk.running, desk.terminate, "running", "terminated") > 4


def test_of_keeping(desk: Desk) -> None:
    def keep(row: Instance) -> None:
        services.keep_alive(row, hours=8, who=row.owner.user, now=desk.now)

    every_death(desk, desk.running, keep, "running")


@pytest.mark.parametrize("what", ["a lost request", "a lost answer", "a machine that came up", "a stop", "a deletion"])
def test_of_the_repair_itself(desk: Desk, what: str) -> None:
    def prepare() -> Instance:
        if what == "a lost request":
            row = services.request_launch(desk.owner, desk.preset, who=None, now=desk.now)
            desk.now = desk.cloud.later(60)
        elif what == "a lost answer":
            row = desk.launch()
            Instance.objects.filter(pk=row.pk).update(cloud_id="", lease_until=None, guard_until=None, disk_since=None)
        elif what == "a machine that came up":
            row = desk.launch()
        elif what == "a stop":
            row = desk.running()
            desk.stop(row)
        else:
            row = desk.running()
            desk.terminate(row)
        return row

    end = {"a stop": "stopped", "a deletion": "terminated"}.get(what, "running")
    every_death(desk, prepare, lambda _row: desk.repair(), end)


def test_of_the_meter(desk: Desk) -> None:
    def prepare() -> Instance:
        row = desk.running()
        desk.now = desk.cloud.later(timedelta(hours=3).total_seconds())
        desk.repair()
        desk.stop(row)
        desk.now = desk.cloud.later(60)
        desk.repair()
        return row

    every_death(desk, prepare, lambda _row: sweeps.meter(desk.now), "stopped")
