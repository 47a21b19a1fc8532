"""A machine that reports each minute, for tests: its counters are kept as the agent keeps them."""

from dataclasses import dataclass, replace

import pytest

from instances.models import Instance
from instances.reports import Report, take_report
from tests.machine.conftest import at

BOOT = Report("boot-1", 0, 0, 0, 0, 0, None, 0, "1")


@dataclass
class Story:
    """A machine that reports each minute; its counters are kept here as the agent keeps them."""

    machine: Instance
    now: float = 0.0
    report: Report = BOOT

    def minute(self, seconds: float = 60, *, lost: bool = False, **more: float) -> Report:
        self.now += seconds
        grown = {name: getattr(self.report, name) + value for name, value in more.items()}
        self.report = replace(self.report, uptime_s=self.report.uptime_s + seconds, **grown)
        if not lost:
            self.send(self.report)
        return self.report

    def send(self, report: Report) -> None:
        take_report(self.machine, report, now=at(self.now))
        self.machine = Instance.objects.get(pk=self.machine.pk)

    @property
    def active(self) -> float | None:
        last = self.machine.last_active_at
        return None if last is None else (last - at(0)).total_seconds()

    @property
    def seen(self) -> float | None:
        last = self.machine.last_report_at
        return None if last is None else (last - at(0)).total_seconds()


@pytest.fixture
def story(machine: Instance) -> Story:
    return Story(machine)
