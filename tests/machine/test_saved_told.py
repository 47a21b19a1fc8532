"""What was saved before an end stands on the timeline; what root only claims fills no table."""

from dataclasses import replace
from datetime import timedelta

import pytest

from instances.models import Instance, InstanceEvent
from instances.report_form import Saved
from instances.reports import Report, take_report
from tests.machine.conftest import at

REPORT = Report("boot-1", 0, 0, 0, 0, 0, None, 0, "3")


def told(machine: Instance) -> int:
    return InstanceEvent.objects.filter(instance=machine, kind=InstanceEvent.Kind.SAVED).count()


def report(machine: Instance, uptime: float, n: int, **more: float) -> None:
    saved = Saved(n, exit=0, seconds=2, age_s=1)
    fresh = Instance.objects.get(pk=machine.pk)
    take_report(fresh, replace(REPORT, uptime_s=uptime, saved=saved, **more), now=at(uptime))


@pytest.mark.parametrize(
    "end",
    [{"warned_at": at(50)}, {"unfunded_at": at(50)}, {"leaving_at": at(180)}, {"awaited": {"task": "gpu"}}],
    ids=lambda end: next(iter(end)),
)
def test_a_saving_before_an_announced_end_is_told_once(machine: Instance, end: dict[str, object]) -> None:
    leaving = {"since": at(50).isoformat()} if "leaving_at" in end else {}
    Instance.objects.filter(pk=machine.pk).update(**end, leaving=leaving)
    for uptime in (60, 120, 180):
        report(machine, uptime, 1)
    assert told(machine) == 1


def test_so_is_one_that_comes_with_awss_notice(machine: Instance) -> None:
    report(machine, 60, 1, reclaim_s=90)
    assert told(machine) == 1


def test_without_an_end_nothing_is_told(machine: Instance) -> None:
    for n in range(1, 9):
        report(machine, 60 * n, n)
    assert told(machine) == 0


def test_root_gets_one_line_a_minute_at_most(machine: Instance) -> None:
    Instance.objects.filter(pk=machine.pk).update(warned_at=at(1))
    for n in range(1, 120):
        report(machine, 60 + n, n)
    assert told(machine) == (timedelta(seconds=120) // timedelta(minutes=1))
