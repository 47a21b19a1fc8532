"""The machines of the semester: which are up, what their agents report through the product's own door, and their own
watch. With `thin`, of a machine that goes on as it was only the trace of its last report is written.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from benchmarks.semester_clock import Clock, last_report, next_report
from benchmarks.semester_host import AGENT_AFTER, MINUTE, NOTEBOOK_AFTER, Host
from benchmarks.semester_people import Does
from cloud.base import CloudState
from cloud.fake import FakeCloud
from instances.agent_views import REPORTING
from instances.boot import margin_seconds
from instances.idle import Limits
from instances.models import Instance
from instances.reaching import NOTEBOOK_PORT
from instances.reports import answer, parse, take_report

REPORTED = (
    "state", "last_active_at", "last_human_at", "hung_since", "last_report_at", "last_report", "idle_hours", "trace"
)  # fmt: skip


@dataclass
class Agents:
    clock: Clock
    cloud: FakeCloud
    limits: Limits
    thin: bool
    hosts: dict[str, Host] = field(default_factory=dict)  # that run, by slug
    past: list[Host] = field(default_factory=list)
    rows: dict[str, Instance] = field(default_factory=dict)  # of machines that are there, by slug, as seen last
    touched: set[int] = field(default_factory=set)  # reported since the last look
    on_boot: list[Callable[[Instance, Host], None]] = field(default_factory=list)
    on_down: list[Callable[[Instance, Host], None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._flagged: dict[datetime, set[str]] = {}

    # -------------------------------------------------------------- up and down
    def follow(self, machine: Instance) -> Host | None:
        """Its row is as told: up, down, or as it was."""
        host = self.hosts.get(machine.slug)
        if machine.state == "running" and host is None:
            return self._boot(machine)
        if host and (ended := self._ended(machine)):
            self._down(machine, host, ended)
        return host

    def _boot(self, machine: Instance) -> Host:
        stretch = self.cloud.runs(machine.cloud_id)[-1]
        host = Host(machine.slug, machine.cloud_id, machine.owner_id, stretch.start, self.limits)
        host.deadline = stretch.start + timedelta(seconds=machine.lease_seconds + margin_seconds())
        self.hosts[machine.slug] = host
        self._watch_deadline(host)
        host.reports_from = next_report(max(self.clock.now, host.boot_at + AGENT_AFTER))
        self.flag(host, host.reports_from - MINUTE)
        for act in self.on_boot:
            act(machine, host)
        return host

    def _ended(self, machine: Instance) -> datetime | None:
        runs = self.cloud.runs(machine.cloud_id)
        return runs[-1].end if runs else None

    def _down(self, machine: Instance, host: Host, at: datetime) -> None:
        host.end(at)
        self.past.append(self.hosts.pop(machine.slug))
        for act in self.on_down:
            act(machine, host)

    def is_off(self, cloud_id: str) -> bool:
        machine = self.cloud._machines[cloud_id]  # `machines` would look at all of them
        machine.settle(self.clock.now)
        return machine.state is not CloudState.RUNNING

    def answers(self, addresses: Sequence[str]) -> list[bool]:
        up = {
            f"{machine.private_ip}:{NOTEBOOK_PORT}"
            for machine in self.rows.values()
            if machine.slug in self.hosts and self.hosts[machine.slug].boot_at + NOTEBOOK_AFTER <= self.clock.now
        }
        return [address in up for address in addresses]

    def goes_away(self) -> None:
        """What the machines have said until now stands on the rows."""
        if self.thin:
            for host in self.hosts.values():
                self._skip_to(host, last_report(self.clock.now))

    # -------------------------------------------------------------- reports
    def reports(self, host: Host, at: datetime) -> bool:
        return at >= host.reports_from and host.ended_at is None

    def flag(self, host: Host, after: datetime) -> None:
        """Its next two reports are to be real ones: something changed on it, or for it."""
        first = max(next_report(after), host.reports_from)
        for moment in (first, first + MINUTE):
            self._flag_at(host, moment)

    def _flag_at(self, host: Host, moment: datetime) -> None:
        self._flagged.setdefault(moment, set()).add(host.slug)
        self.clock.push("report", moment)

    def switch(self, host: Host, does: Any) -> None:
        """Something else goes on there from now on. What the reports before this told is on the row."""
        if self.thin:
            self._skip_to(host, last_report(self.clock.now))
        host.switch(does, self.clock.now)
        self.flag(host, self.clock.now)
        if host.does not in (Does.NOTHING, Does.TAB) and self.clock.portal_up():
            self._pass_the_gateway(host)

    def _pass_the_gateway(self, host: Host) -> None:
        """What somebody begins (a cell, a training, typing) passes the gateway, which notes it at once
        (`gateway/activity.py`)."""
        row = self._row(host)
        if row:
            row.last_active_at = row.last_human_at = self.clock.now
            row.save(update_fields=("last_active_at", "last_human_at"))
            self.touched.add(row.pk)

    def report(self, at: datetime) -> None:
        flagged = self._flagged.pop(at, set())
        for host in list(self.hosts.values()):
            if self.is_down(host):
                continue
            if self.reports(host, at) and (host.slug in flagged or not self.thin):
                self._report_one(host, at)

    def is_down(self, host: Host) -> bool:
        return self.is_off(host.cloud_id)

    def _report_one(self, host: Host, at: datetime) -> None:
        row = self._row(host) if self.clock.portal_up(at) else None
        if self.thin:
            self._skip_to(host, at - MINUTE, row)
        host.judge(at)
        if row:
            take_report(row, parse(host.report(at)), now=at)
            self._obey(host, answer(row, now=at), at)
            self.touched.add(row.pk)
        self._watch(host, at)

    def _row(self, host: Host) -> Instance | None:
        """As it stands now; the rest of it as it was looked at last."""
        row = self.rows.get(host.slug)
        if row is None or row.state not in REPORTING:
            return None
        row.refresh_from_db(fields=REPORTED)
        return row

    def _skip_to(self, host: Host, at: datetime, row: Instance | None = None) -> None:
        """Thin: as if it had reported each minute up to `at`."""
        if at <= host.judged_at or at < host.reports_from or self.is_down(host):
            return
        host.skip_to(at)
        row = (row or self._row(host)) if self.clock.portal_up(at) else None
        if row:
            row.last_active_at, row.last_report_at = self.steady(host, row.last_active_at, at)
            row.last_report = {
                **asdict(parse(host.report(at))),
                "earlier_boots": row.last_report.get("earlier_boots", []),
            }
            row.save(update_fields=("last_active_at", "last_report_at", "last_report"))

    def leave_traces(self, at: datetime) -> None:
        """Thin: the times that the last reports of all machines that go on as they were have left on their rows."""
        by_use: dict[datetime | None, list[str]] = {}
        for host in self.hosts.values():
            if self.reports(host, at - MINUTE) and host.judged_at < at and not self.is_down(host):
                by_use.setdefault(host.active_at(at), []).append(host.slug)
        for used, slugs in by_use.items():
            more = {} if used is None else {"last_active_at": used}
            Instance.objects.filter(slug__in=slugs, state__in=REPORTING).update(last_report_at=at, **more)

    def steady(self, host: Host, used: datetime | None, at: datetime) -> tuple[datetime | None, datetime]:
        active = host.active_at(at)
        return (used if active is None else max(active, used or active)), at

    # -------------------------------------------------------------- the machine's own guard
    def _obey(self, host: Host, told: dict[str, Any], at: datetime) -> None:
        kept = told["kept_seconds_left"]
        until = at.timestamp() + kept if kept > 0 else host.facts.kept_until
        if until != host.facts.kept_until:
            host.keep_until(until)
        left = told["lease_seconds_left"]
        if left is not None:
            deadline = at + timedelta(seconds=left + margin_seconds())
            if deadline != host.deadline:
                host.deadline = deadline
                self._watch_deadline(host)

    def _watch_deadline(self, host: Host) -> None:
        deadline = host.deadline
        if deadline and host.watched:
            self.clock.at(deadline, lambda: self._power_off(host) if host.deadline == deadline else None)

    def _watch(self, host: Host, at: datetime) -> None:
        """Plan what its own watch does if nothing changes; whatever changes makes another plan."""
        host.version += 1
        version = host.version
        moment = host.powers_off_at(at)
        if moment:
            self.clock.at(moment, lambda: self._power_off(host) if host.version == version else None)

    def _power_off(self, host: Host) -> None:
        if host.watched and host.ended_at is None and not self.is_down(host):
            self.cloud.power_off(host.cloud_id)
            self.clock.push("repair", self.clock.now)
