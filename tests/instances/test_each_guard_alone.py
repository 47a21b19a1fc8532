"""Each guard with the other two gone: a forgotten machine is off within the stated bound, each time of two hundred.

Virtual time, chance moments. The machine's own guard runs as real processes in `tests/machine/test_room.py`, and all of
it without the portal in `tests/walk/test_without_portal.py`.
"""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from benchmarks.semester_host import Host
from benchmarks.semester_people import Does
from cloud.base import LaunchSpec
from instances import guard, sweeps
from instances.boot import margin_seconds
from instances.idle import Limits
from instances.models import Instance, Run
from instances.states import State
from tests.instances.conftest import NOON, Stage

TIMES = 200
MINUTE = timedelta(minutes=1)
HEALTHY, SILENT, OWN = 32.5, 26.5, 38.0  # minutes: docs/guards.md
AN_HOUR = timedelta(hours=1)


@dataclass
class Crowd:
    """Two hundred machines that run, each forgotten at a moment of its own; AWS's timers are gone."""

    stage: Stage
    last_use: dict[str, datetime] = field(default_factory=dict)
    last_report: dict[str, datetime] = field(default_factory=dict)
    skew: timedelta = timedelta(0)  # of the portal's clock

    def __post_init__(self) -> None:
        rng, stage = random.Random(1), self.stage
        rows = []
        for number in range(TIMES):
            spec = LaunchSpec(f"m{number}-1", f"m{number}", "g4dn.xlarge", "us-east-1a", "ami-1", 8, "", {})
            view = stage.cloud.run(spec)
            used = stage.now + rng.random() * 20 * MINUTE
            self.last_use[view.cloud_id] = used
            self.last_report[view.cloud_id] = used + rng.random() * MINUTE
            rows.append(self._row(spec.name, view.cloud_id))
        made = Instance.objects.bulk_create(rows)
        Run.objects.bulk_create(
            Run(
                instance=row, number=1, instance_type="g4dn.xlarge", price_usd_hour=1, address_usd_hour=0,
                started_at=stage.now - 3 * AN_HOUR,
            )
            for row in made
        )  # fmt: skip

    def _row(self, slug: str, cloud_id: str) -> Instance:
        stage, now = self.stage, self.stage.now
        return Instance(
            slug=slug, owner=stage.cast.student, course=stage.cast.course, preset=stage.preset, state=State.RUNNING,
            state_since=now, image_id="ami-1", disk_gb=8, lease_seconds=4 * 3600, price_usd_hour=1, cloud_id=cloud_id,
            lease_until=now + timedelta(hours=9), last_active_at=now, notebook_token="",
            agent_secret="", agent_digest="", created_at=now,
        )  # fmt: skip

    def pass_minutes(self, minutes: int, *, agents_live: bool) -> None:
        """What the reports of each minute leave on the rows, then the idle round: the only guard that is left."""
        for _n in range(minutes):
            self.stage.later(60)
            self._report(agents_live)
            sweeps.idle(self.stage.cloud, self.stage.now + self.skew)

    def _report(self, agents_live: bool) -> None:
        now, running = self.stage.now, Instance.objects.filter(state=State.RUNNING)
        if agents_live:
            running.update(last_report_at=now + self.skew)
        # As `reports` does after a clock was set back: what was used later than now was used now.
        running.filter(last_active_at__gt=now + self.skew).update(last_active_at=now + self.skew)
        for one, used in self.last_use.items():
            if now - MINUTE < used <= now:
                running.filter(cloud_id=one).update(last_active_at=used + self.skew)
            if not agents_live and now - MINUTE < self.last_report[one] <= now:
                running.filter(cloud_id=one).update(last_report_at=self.last_report[one])

    def minutes_to_off(self, since: dict[str, datetime], at_least: datetime | None = None) -> list[float]:
        ends = {cloud_id: machine.stretches[-1].end for cloud_id, machine in self.stage.cloud.machines.items()}
        assert all(ends.values()), f"{sum(end is None for end in ends.values())} still run"
        floor = at_least or NOON
        return [(ends[one] - max(since[one], floor)) / MINUTE for one in since]


@pytest.mark.slow
def test_the_sweeps_alone_stop_two_hundred_forgotten_machines_in_time(stage: Stage) -> None:
    crowd = Crowd(stage)
    crowd.pass_minutes(20 + 33, agents_live=True)
    found = crowd.minutes_to_off(crowd.last_use)
    assert max(found) <= HEALTHY
    assert min(found) >= 30


@pytest.mark.slow
def test_the_sweeps_alone_stop_them_when_every_agent_was_killed(stage: Stage) -> None:
    crowd = Crowd(stage)
    crowd.pass_minutes(21 + 27, agents_live=False)
    assert max(crowd.minutes_to_off(crowd.last_report)) <= SILENT


@pytest.mark.slow
@pytest.mark.parametrize("jump", [AN_HOUR, -AN_HOUR], ids=["forward", "back"])
def test_an_hour_on_the_portals_clock_stops_nobody_early_and_costs_one_quiet_time_at_most(
    stage: Stage, jump: timedelta
) -> None:
    """Of machines that were started before; a start that lies ahead of a clock that was set back is waited for."""
    crowd = Crowd(stage)
    crowd.pass_minutes(15, agents_live=True)
    jumped = stage.now
    crowd.skew = jump
    crowd.pass_minutes(5 + 33, agents_live=True)
    found = crowd.minutes_to_off(crowd.last_use, at_least=jumped)
    assert max(found) <= HEALTHY
    early = [end for end in crowd.minutes_to_off(crowd.last_use) if end < 10]
    assert early == []


def test_the_machine_alone_is_off_in_time_with_portal_broker_and_schedule_gone() -> None:
    """Its uptime is its clock: no jump of any other reaches it. Used until a chance moment, reports or not."""
    rng = random.Random(2)
    for _n in range(TIMES):
        host = Host("m1", "i-1", 1, NOON, Limits())
        host.switch(Does.CELLS, NOON + MINUTE)
        work = rng.uniform(2, 300) * MINUTE
        at = NOON
        phase = rng.random() * MINUTE
        while at < NOON + work:
            at += MINUTE
            host.judge(at + phase)
        host.switch(rng.choice((Does.NOTHING, Does.TAB)), max(NOON + work, host.judged_at))
        last_use = host.last_use(host.stretches[-1].start)
        host.judge(host.judged_at + MINUTE)
        off = host.powers_off_at(host.judged_at)
        assert off is not None
        assert 30 <= (off - last_use) / MINUTE <= OWN
        assert margin_seconds() < 300


def test_aws_alone_stops_every_machine_at_the_end_of_its_lease_whatever_died_when(stage: Stage) -> None:
    """Armed at a chance moment with a chance lease; then nobody lives but AWS. Within the margin that is held for."""
    rng = random.Random(3)
    row = stage.running()
    stage.reporting.clear()
    machine = stage.machine(row)
    for _n in range(TIMES):
        stage.later(rng.uniform(60, 3600))
        if machine.state != "running":
            stage.cloud.start([row.cloud_id])
        stage.later(rng.uniform(0, 90))
        lease_until = stage.now + timedelta(seconds=rng.uniform(30, 4 * 3600))
        row.lease_until, row.guard_until = lease_until, None
        assert guard.arm(row, cloud=stage.cloud, now=stage.now)
        stage.now = lease_until + timedelta(seconds=300)  # the stop margin
        end = stage.machine(row).stretches[-1].end
        assert end is not None
        assert lease_until <= end <= lease_until + timedelta(seconds=300)
