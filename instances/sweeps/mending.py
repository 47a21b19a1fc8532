"""Does what `repair.py` decided for one machine. Every change is conditional on the row being as it was read."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from cloud.base import Cloud, MachineView
from instances import books, guard
from instances.accounts import door_for
from instances.guard_proofs import ended_by, note_proof
from instances.launching import adopt, launch
from instances.models import Instance, InstanceEvent
from instances.moves import move, tell
from instances.notices import staff_address
from instances.repair import Do, Intent, Why
from instances.starting import start
from instances.states import State
from instances.stopping import request_stop

Kind = InstanceEvent.Kind


@dataclass(slots=True)
class Round:
    """One round's cloud and moment; stops and deletions are gathered, to be said in one call each."""

    cloud: Cloud
    now: datetime
    to_stop: list[int] = field(default_factory=list)
    to_terminate: list[int] = field(default_factory=list)


def mend(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    _ACTS[intent.do](machine, view, intent, work)


# ------------------------------------------------------------------ asking again
def _launch(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    launch(machine.pk, cloud=work.cloud, now=work.now)


def _start(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    start(machine.pk, cloud=work.cloud, now=work.now)


def _stop(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    work.to_stop.append(machine.pk)


def _terminate(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    work.to_terminate.append(machine.pk)


def _adopt(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    if view:
        adopt(machine, view, cloud=work.cloud, now=work.now)


def _guard(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    guard.arm(machine, cloud=work.cloud, now=work.now)


def _request_stop(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    if intent.why is Why.UNGUARDED and machine.guard_until is not None:
        return  # set just now
    reason = why_words(intent.why, machine, view)
    if request_stop(machine, reason=reason, who=None, now=work.now, mail=True):
        work.to_stop.append(machine.pk)


def _stop_again(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    """It runs although it was stopped here: somebody started it elsewhere. Nothing is held for that."""
    error = door_for(work.cloud, machine).stop([machine.cloud_id])[0].error
    if not machine.person_called:  # type: ignore[attr-defined]
        reason = _("This machine ran at AWS although it was stopped here. It is stopped again.")
        tell(machine, Kind.TROUBLE, reason=reason, now=work.now, facts={"error": str(error or "")})


# ------------------------------------------------------------------ what became of it
def _runs(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    if view is None:
        return
    lease_until = books.lease_end(machine, view.launched_at)
    fields: dict[str, Any] = {
        "private_ip": view.private_ip,
        "lease_until": lease_until,
        "calling_until": None,
    }
    with transaction.atomic():
        if move(machine, State.RUNNING, reason=_("Booting"), who=None, now=work.now, **fields):
            run = books.open_run(machine, view.launched_at)
            run.seen_at = max(work.now, run.started_at)
            run.save(update_fields=("seen_at",))
            books.trim_hold(run, lease_until, now=work.now)


def _ending(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    """Something else stops it already: nothing is to be asked, only to be verified."""
    by = ended_by(intent.why, machine, work.now)
    asked: dict[str, Any] = {"stop_asked_at": work.now, "stop_tries": 0, "ending_by": by}
    reason = why_words(intent.why, machine, view)
    move(machine, State.STOPPING, reason=reason, who=None, now=work.now, mail=not machine.proving, **asked)


def _stopped(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    told = machine.state == State.STOPPING
    reason = machine.reason if told else why_words(intent.why, machine, view)
    by = machine.ending_by if told else ended_by(intent.why, machine, work.now)
    mail = not told and not machine.proving
    with transaction.atomic():
        if move(machine, State.STOPPED, reason=reason, who=None, now=work.now, mail=mail, ending_by=by):
            _close(machine, view, intent.at, work.now)
            note_proof(machine, _end(machine, intent.at, work.now))


def _terminated(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    asked = machine.state == State.TERMINATING
    reason = machine.reason if asked else why_words(intent.why, machine, view)
    at = _end(machine, intent.at, work.now)
    with transaction.atomic():
        if not move(machine, State.TERMINATED, reason=reason, who=None, now=work.now, mail=not asked, disk_until=at):
            return
        _close(machine, view, _ran_until(machine, at), work.now)
    guard.disarm(machine, cloud=work.cloud)


def _failed(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    """There is no machine, and nothing is charged."""
    asked = machine.state in (State.STOPPING, State.TERMINATING)
    reason = machine.reason if asked else why_words(intent.why, machine, view)
    end = State.TERMINATED if machine.state == State.TERMINATING else State.FAILED
    with transaction.atomic():
        if move(machine, end, reason=reason, who=None, now=work.now, disk_since=None, calling_until=None):
            books.drop_holds(machine, now=work.now)


def _book(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    """A run that nobody saw while it was on. Nothing was held for it: what it cost is taken from what is left."""
    if view is None:
        return
    with transaction.atomic():
        number = machine.run_number + 1
        same = Instance.objects.filter(pk=machine.pk, state=State.STOPPED, run_number=machine.run_number)
        if same.update(run_number=number):
            machine.run_number = number
            books.open_run(machine, view.launched_at, _end(machine, intent.at, work.now))


# ------------------------------------------------------------------ machines that are not listed
def _absent(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    Instance.objects.filter(pk=machine.pk, absent_since=None).update(absent_since=work.now)


def _gone(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    """Asked once more in another way; then the books end at the last sign of life."""
    if door_for(work.cloud, machine).find_by_token(machine.token):
        return
    reason = _("AWS does not know this machine any more. It was counted until it was last seen.")
    run = books.last_run(machine)
    seen = [t for t in (run and (run.seen_at or run.started_at), machine.last_report_at) if t]
    at = max(seen) if seen else work.now
    fields: dict[str, Any] = {"disk_until": machine.seen_at or machine.disk_since}
    with transaction.atomic():
        if move(machine, State.TERMINATED, reason=reason, who=None, now=work.now, mail=True, **fields):
            books.close_run(machine, started_at=None, ended_at=at, now=work.now)
            to = staff_address(machine.course)
            tell(
                machine, Kind.TROUBLE, reason=reason, now=work.now, mail_to=to, facts={"counted_until": at.isoformat()}
            )


def _never_was(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    found = door_for(work.cloud, machine).find_by_token(machine.token)
    if found:
        adopt(machine, found, cloud=work.cloud, now=work.now)
    else:
        _failed(machine, None, intent, work)


def _call_person(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    usd = f"{machine.usd_hour / 60:.4f}"
    values = {"machine": machine.slug, "id": machine.cloud_id, "n": machine.stop_tries, "usd": usd}
    reason = (
        _("%(machine)s (%(id)s) does not stop: AWS was asked %(n)s times. It may cost $%(usd)s per minute.") % values
    )
    tell(machine, Kind.TROUBLE, reason=reason, now=work.now, mail_to=staff_address(machine.course))


def _close(machine: Instance, view: MachineView | None, ended_at: datetime | None, now: datetime) -> None:
    began = view.launched_at if view else None
    books.close_run(machine, started_at=began, ended_at=_end(machine, ended_at, now), now=now)


def _end(machine: Instance, ended_at: datetime | None, now: datetime) -> datetime:
    """AWS does not always tell when. Then it is taken to have run as long as it can have: up to its own timer."""
    return ended_at or (min(now, machine.guard_until) if machine.guard_until else now)


def _ran_until(machine: Instance, deleted_at: datetime) -> datetime:
    """Of a deleted machine AWS tells only when it was deleted. If that was after AWS's own timer, the timer stopped it
    before, unless it was seen to run on."""
    run = books.last_run(machine)
    seen = run.seen_at if run and run.ended_at is None else None
    wanted = guard.wanted(machine)
    if machine.guard_until is None or wanted is None:
        return deleted_at
    timer = max(machine.guard_until, wanted)  # it may have been moved without our hearing of it
    return deleted_at if seen and seen > timer else min(deleted_at, timer)


def why_words(why: Why, machine: Instance, view: MachineView | None) -> str:
    if why is Why.UNGUARDED:
        return guard.unguarded_words()
    if why is Why.FROM_INSIDE:
        return _("The machine switched itself off: by its own watch, or by somebody on it.")
    if why is Why.LEASE_TIMER:
        return _("AWS's own timer stopped it at the end of its paid time.")
    if view and "SpotInstance" in view.state_reason:
        return _("AWS took this Spot machine back. Its disk is kept: “Go on elsewhere” makes it another machine.")
    if why is Why.NO_ANSWER:
        return _("AWS gave no clear answer, so this was given up. Nothing was charged.")
    said = view.state_reason if view and view.state_reason else _("no reason given")
    return _("AWS ended it: %(text)s") % {"text": said}


_ACTS: dict[Do, Callable[[Instance, MachineView | None, Intent, Round], None]] = {
    Do.LAUNCH: _launch,
    Do.START: _start,
    Do.STOP: _stop,
    Do.TERMINATE: _terminate,
    Do.ADOPT: _adopt,
    Do.GUARD: _guard,
    Do.RUNS: _runs,
    Do.ENDING: _ending,
    Do.STOPPED: _stopped,
    Do.TERMINATED: _terminated,
    Do.FAILED: _failed,
    Do.REQUEST_STOP: _request_stop,
    Do.STOP_AGAIN: _stop_again,
    Do.BOOK: _book,
    Do.ABSENT: _absent,
    Do.GONE: _gone,
    Do.NEVER_WAS: _never_was,
    Do.CALL_PERSON: _call_person,
}
