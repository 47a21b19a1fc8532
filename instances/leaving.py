"""A person's click on "stop": the machine saves first, and is stopped when that is done or its time is over.

A second click stops at once. The clock decides, never the machine: what hangs on it delays nothing further.
"""

from datetime import datetime, timedelta
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from courses.models import User
from instances.clock import clock
from instances.facts import rules_of
from instances.models import Instance, InstanceEvent, Policy
from instances.moves import tell
from instances.report_form import Report
from instances.states import State
from instances.stopping import request_stop

TABS_SECONDS = 15  # open tabs save before the script runs: agent/saving.py
SPARE_SECONDS = 10
SAVES_SINCE = 2  # agents of this version can be told to save


def leave(machine: Instance, *, reason: str, who: User, now: datetime, mail: bool) -> datetime | None:
    """By when it is stopped (UTC). None: there is nobody on it who could save, or it was clicked twice: stop it now."""
    if machine.state != State.RUNNING or machine.leaving_at or machine.proving or not _hears(machine, now):
        return None
    until = now + timedelta(seconds=_report_seconds(machine) + TABS_SECONDS + rules_of(machine).save_seconds)
    until += timedelta(seconds=SPARE_SECONDS)
    until = min(until, machine.lease_until or until)
    leaving = {"who": who.pk, "reason": reason, "since": now.isoformat(), "mail": mail}
    same = Instance.objects.filter(pk=machine.pk, state=State.RUNNING, leaving_at=None, run_number=machine.run_number)
    with transaction.atomic():
        if not same.update(leaving_at=until, leaving=leaving):
            return None
        said = _("%(why)s: saves first, off by %(time)s") % {"why": reason, "time": clock(machine.course, until, now)}
        tell(machine, InstanceEvent.Kind.AWAITED, reason=said, who=who, now=now)
    machine.leaving_at, machine.leaving = until, leaving
    return until


def stop_if_due(machine: Instance, *, now: datetime) -> bool:
    """Saved, or out of time: now it is stopped, by whoever clicked."""
    if machine.state != State.RUNNING or machine.leaving_at is None or machine.leaving_at > now:
        return False
    left = machine.leaving
    who = User.objects.filter(pk=left.get("who")).first()
    reason = left.get("reason") or _("Stopped by its owner")
    return request_stop(machine, reason=reason, who=who, now=now, mail=bool(left.get("mail")), same=("leaving_at",))


def from_report(machine: Instance, report: Report, now: datetime) -> dict[str, Any]:
    """It has saved since the click."""
    if machine.leaving_at is None or report.saved is None or machine.leaving_at <= now:
        return {}
    since = datetime.fromisoformat(machine.leaving["since"])
    return {"leaving_at": now} if now - timedelta(seconds=report.saved.age_s) >= since else {}


def _report_seconds(machine: Instance) -> int:
    return Policy.of(machine.course).report_seconds


def _hears(machine: Instance, now: datetime) -> bool:
    """Its agent asked lately, and will ask again before the time is over."""
    last, version = machine.last_report_at, str(machine.last_report.get("agent_version", ""))
    # What is reported may be anything: a stop must not fail on it.
    is_number = version.isascii() and version.isdigit() and len(version) < 6
    if last is None or last < machine.state_since or not is_number or int(version) < SAVES_SINCE:
        return False
    return now - last <= timedelta(seconds=2 * _report_seconds(machine) + SPARE_SECONDS)
