"""The stage of a machine's life: a course with budgets, one preset, the cloud in memory, and a clock that is ours."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from cloud.fake import FakeCloud
from cloud.fake_machine import FakeMachine
from courses.models import Enrollment
from instances import services, sweeps
from instances.disk_rules import COSTS, Standing
from instances.models import DiskSnapshot, Instance, InstanceEvent, Preset, Run
from instances.states import ENDED, State
from spend.models import Budget, Charge, Hold, Level
from spend.opening import create_budget, open_budgets
from tests.conftest import Cast
from tests.spend.rooms import room  # noqa: F401 - the fixture

NOON = datetime(2019, 3, 5, 12, tzinfo=UTC)
HOUR = 3600


@dataclass
class Stage:
    """`now` is the moment; `wait` lets time pass as the beat would: every sweep each minute, or each `step`."""

    cast: Cast
    preset: Preset
    now: datetime = NOON
    notebook_answers: bool = True
    reporting: set[str] = field(default_factory=set)  # slugs whose agent reports
    active: set[str] = field(default_factory=set)  # slugs that somebody uses
    cloud: FakeCloud = field(init=False)

    def __post_init__(self) -> None:
        self.cloud = FakeCloud(lambda: self.now)

    # -------------------------------------------------------------- time
    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def repair(self) -> None:
        sweeps.repair(self.cloud, self.now, probe=lambda places: [self.notebook_answers] * len(places))

    def sweep(self) -> None:
        self.agents_report()
        self.repair()
        sweeps.idle(self.cloud, self.now)
        sweeps.lease(self.cloud, self.now)
        sweeps.disks(self.cloud, self.now)
        sweeps.spot(self.cloud, self.now)
        sweeps.meter(self.now)
        sweeps.notices(self.now)

    def wait(self, minutes: float, *, until: Callable[[], bool] | None = None, step: float = 1) -> bool:
        end = self.now + timedelta(minutes=minutes)
        while self.now < end:
            self.later(60 * step)
            self.sweep()
            if until and until():
                return True
        return until is None

    def agents_report(self) -> None:
        """What the agents' reports of the last minute have left on the rows."""
        for slug in self.reporting:
            row = Instance.objects.filter(slug=slug, state=State.RUNNING).first()
            if row and row.cloud_id in self.cloud.machines and self.machine_by_id(row.cloud_id).state == "running":
                used = {"last_active_at": self.now} if slug in self.active else {}
                Instance.objects.filter(pk=row.pk).update(last_report_at=self.now, **used)

    # -------------------------------------------------------------- what people do
    def click_launch(self, who: Enrollment | None = None) -> Instance:
        owner = who or self.cast.student
        return services.request_launch(owner, self.preset, who=owner.user, now=self.now)

    def launch(self, who: Enrollment | None = None) -> Instance:
        row = self.click_launch(who)
        services.launch(row.pk, cloud=self.cloud, now=self.now)
        return fresh(row)

    def running(self, who: Enrollment | None = None) -> Instance:
        """A machine that runs, reports and is ready."""
        row = self.launch(who)
        self.reporting.add(row.slug)
        self.sweep()
        row = fresh(row)
        assert row.state == State.RUNNING, (row.state, row.reason)
        return row

    def stop(self, row: Instance) -> Instance:
        assert services.request_stop(fresh(row), reason="enough", who=row.owner.user, now=self.now)
        services.stop([row.pk], cloud=self.cloud, now=self.now)
        return fresh(row)

    # -------------------------------------------------------------- what is so
    def machine(self, row: Instance) -> FakeMachine:
        return self.cloud.machines[fresh(row).cloud_id]

    def machine_by_id(self, cloud_id: str) -> FakeMachine:
        return self.cloud.machines[cloud_id]

    def alive(self) -> list[FakeMachine]:
        return [m for m in self.cloud.machines.values() if m.state in ("pending", "running")]

    def kept(self) -> list[FakeMachine]:
        """Machines that still cost something."""
        return [m for m in self.cloud.machines.values() if m.state not in ("shutting-down", "terminated")]


def fresh(row: Instance) -> Instance:
    return Instance.objects.select_related("owner__user", "course", "preset").get(pk=row.pk)


def events(row: Instance, kind: str | None = None) -> list[InstanceEvent]:
    found = InstanceEvent.objects.filter(instance=row)
    return list(found.filter(kind=kind) if kind else found)


def path(row: Instance) -> list[str]:
    return [e.new_state for e in events(row, "moved")]


def compute_seconds(row: Instance) -> int:
    """Seconds that the books say it ran."""
    return sum(c.seconds for c in Charge.objects.filter(kind="compute", key__startswith=f"machine/{row.slug}/run/"))


def held(row: Instance) -> Decimal:
    """For its run and its disk; copies outlive a machine."""
    holds = Hold.objects.filter(key__startswith=f"machine/{row.slug}/", closed_at=None).exclude(
        key__contains="/snapshot/"
    )
    return sum((h.amount_usd for h in holds), Decimal(0))


def check_books(*, metered: bool = True) -> None:
    """The law, and every running total against the rows that it sums. `metered`: the meter has been there since."""
    for budget in Budget.objects.all():
        assert budget.spent_usd + budget.held_usd <= budget.amount_usd + budget.overrun_usd
        assert budget.overrun_usd == 0
    top = Budget.objects.get(parent=None)
    assert top.held_usd == sum((h.amount_usd for h in Hold.objects.filter(closed_at=None)), Decimal(0))
    assert top.spent_usd == sum((c.amount_usd for c in Charge.objects.all()), Decimal(0))
    for row in Instance.objects.filter(state__in=ENDED) if metered else ():
        assert held(row) == 0, f"{row} ended and still holds"
        assert not Run.objects.filter(instance=row, settled_at=None).exists()
    for copy in DiskSnapshot.objects.exclude(standing__in=COSTS | {Standing.WANTED}):
        assert not Hold.objects.filter(key=copy.key, closed_at=None).exists(), f"{copy} is gone and still holds"


@pytest.fixture
def stage(cast: Cast) -> Stage:
    sponsor = create_budget(
        Level.SPONSOR, name="AWS", amount_usd=Decimal(1000), parent=None, why="gift", who=None, now=NOON
    )
    open_budgets(
        cast.course,
        course_usd=Decimal(500),
        team_usd=Decimal(200),
        person_usd=Decimal(100),
        sponsor=sponsor,
        why="start of term",
        who=cast.instructor.user,
        now=NOON,
    )
    preset = Preset.objects.create(
        course=cast.course,
        slug="homework",
        name="Homework: T4 16 GB",
        instance_types=["g4dn.xlarge", "g6.xlarge"],
        image_id="ami-course",
        disk_gb=64,
        lease_seconds=4 * HOUR,
        ceiling_usd_hour=Decimal("1.00"),
        per_person=1,
    )
    return Stage(cast, preset)
