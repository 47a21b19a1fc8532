"""One fault at a time, wherever the outside is called: afterwards there are the machines that there should be, nothing
is held that should not be, and the books say the seconds that it ran.

The calls are found by the test itself: a story is first told without faults, and then again once for each call in it,
with that call failing before its effect, after its effect, or with the process dying there.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from cloud.base import Transient
from instances import services, sweeps
from instances.models import Instance, Preset
from instances.resizing import request_resize
from instances.states import ENDED
from tests.instances.conftest import Stage, check_books, compute_seconds, fresh, held

ORDERS = (
    "run", "start", "stop", "terminate", "change_type", "schedule_stop", "cancel_scheduled_stop", "zones_offering",
)  # fmt: skip
READS = ("describe_all", "find_by_token")


class Died(BaseException):
    """The process is gone: nothing after this line runs, no `except Exception` sees it."""


Story = Callable[[Stage], Instance]


def launched(stage: Stage) -> Instance:
    row = stage.click_launch()
    _safely(lambda: services.launch(row.pk, cloud=stage.cloud, now=stage.now))
    _rounds(stage, 4)
    return row


def stopped(stage: Stage) -> Instance:
    row = launched(stage)
    services.request_stop(fresh(row), reason="enough", who=None, now=stage.now)
    _safely(lambda: services.stop([row.pk], cloud=stage.cloud, now=stage.now))
    _rounds(stage, 4)
    return row


def started_again(stage: Stage) -> Instance:
    row = stopped(stage)
    services.request_start(fresh(row), who=None, now=stage.now)
    _safely(lambda: services.start(row.pk, cloud=stage.cloud, now=stage.now))
    _rounds(stage, 4)
    return row


def started_as_another(stage: Stage) -> Instance:
    row = stopped(stage)
    facts = {"instance_types": ["g5.xlarge"], "disk_gb": 64, "lease_seconds": 7200, "ceiling_usd_hour": 2}
    other = Preset.objects.get_or_create(course=row.course, slug="project", name="Project", defaults=facts)[0]
    request_resize(fresh(row), other, who=None, now=stage.now)
    services.request_start(fresh(row), who=None, now=stage.now)
    _safely(lambda: services.start(row.pk, cloud=stage.cloud, now=stage.now))
    _rounds(stage, 4)
    return row


def terminated(stage: Stage) -> Instance:
    row = launched(stage)
    services.request_terminate(fresh(row), who=None, now=stage.now)
    _safely(lambda: services.terminate([row.pk], cloud=stage.cloud, now=stage.now))
    _rounds(stage, 4)
    return row


def _safely(act: Callable[[], object]) -> None:
    """A process of its own: it may die without ours."""
    try:
        act()
    except Died:
        pass
    except Transient:
        pass  # a task that fails is a task that is over


def _rounds(stage: Stage, minutes: int) -> None:
    for _minute in range(minutes):
        stage.later(60)
        _safely(stage.repair)
    sweeps.meter(stage.now)


@dataclass(frozen=True)
class Fault:
    op: str
    nth: int  # which of its calls
    how: str

    def __str__(self) -> str:
        return f"{self.op}-{self.nth}-{self.how}"

    def plan(self, stage: Stage) -> list[int]:
        """The calls that are left until it strikes: 0 or less when it has."""
        left = [self.nth]

        def now(*_args: object) -> bool:
            left[0] -= 1
            return left[0] == 0

        plan = stage.cloud.break_after if "after" in self.how else stage.cloud.break_before
        plan(self.op, Died() if "died" in self.how else Transient("lost"), when=now)
        return left


def _calls(stage: Stage, story: Story) -> Iterator[tuple[str, int]]:
    story(stage)
    for op in ORDERS:
        yield from ((op, n + 1) for n in range(stage.cloud.count(op)))
    yield from ((op, n + 1) for op in READS for n in range(min(3, stage.cloud.count(op))))


EXPECTED: dict[Story, str] = {
    launched: "running",
    stopped: "stopped",
    started_again: "running",
    started_as_another: "running",
    terminated: "terminated",
}
HOWS = ("before", "after", "died-before", "died-after")


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("story", EXPECTED, ids=lambda s: s.__name__)
def test_any_one_fault_is_mended(stage: Stage, story: Story, how: str) -> None:
    faults = [Fault(op, nth, how) for op, nth in _calls(stage, story)]
    assert {fault.op for fault in faults} >= {"run", "schedule_stop", "describe_all"}
    for fault in faults:
        _end_all(stage)
        left = fault.plan(stage)
        row = story(stage)
        assert left[0] <= 0, f"{fault} never struck"
        stage.cloud.heal()
        _rounds(stage, 6)
        _judge(stage, row, EXPECTED[story], fault)


def _judge(stage: Stage, row: Instance, expected: str, fault: Fault) -> None:
    row = fresh(row)
    assert row.state == expected, f"{fault}: {row.reason}"
    mine = [m for m in stage.cloud.machines.values() if m.spec.name == row.slug]
    assert len(mine) == 1, fault
    if expected == "running":
        [run] = [r for r in row.runs.all() if r.ended_at is None]
        assert run.started_at == mine[0].stretches[-1].start, fault
        assert run.instance_type == row.instance_type == mine[0].instance_type, fault
        assert mine[0].stops_at == row.guard_until, fault
        assert held(row) > 0
    else:
        assert compute_seconds(row) == stage.cloud.ran_seconds(row.cloud_id), fault
        assert (held(row) == 0) == (row.state in ENDED), fault
    check_books()


def _end_all(stage: Stage) -> None:
    for row in Instance.objects.exclude(state__in=ENDED):
        services.request_terminate(row, who=None, now=stage.now)
    _rounds(stage, 3)
    assert not stage.alive()
    assert not Instance.objects.exclude(state__in=ENDED).exists()
