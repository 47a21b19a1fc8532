"""Does what `repair.py` decided for one machine. Every change is conditional on the row being as it was read."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils.translation import gettext as _

from cloud.base import Cloud, CloudState, MachineView
from instances import books, guard
from instances.accounts import door_for
from instances.called_off import close_unborn, given_up_words, stopped_words, unanswered
from instances.guard_proofs import ended_by, note_proof
from instances.launching import adopt, launch
from instances.models import Instance, InstanceEvent, Run
from instances.moves import move, tell
from instances.notices import staff_address
from instances.repair import Do, Intent, Why
from instances.starting import start
from instances.states import State
from instances.stopping import request_stop, stop, terminate
from instances.sweeps.rounds import for_each
from instances.sweeps.spot import price_run, prices_for

Kind = InstanceEvent.Kind
_TO_END = (State.STOPPING, State.TERMINATING)


ASKING_SECONDS = 20  # of one round, for launches and starts whose messages are late: other rounds wait as well


@dataclass(slots=True)
class Round:
    """One round's cloud and moment. Stops and deletions are gathered, to be said in one call each; launches and starts,
    to be said last: after a crowd's clicks, or while AWS is slow, they would take longer than all else."""

    cloud: Cloud
    now: datetime
    to_stop: list[int] = field(default_factory=list)
    to_terminate: list[int] = field(default_factory=list)
    to_ask: list[tuple[datetime, int, Callable[..., None]]] = field(default_factory=list)  # since when, who, how

    def say_ends(self) -> None:
        stop(self.to_stop, cloud=self.cloud, now=self.now)
        terminate(self.to_terminate, cloud=self.cloud, now=self.now)

    def ask_late(self) -> None:
        """Who waits longest first, one at least; who is left is the next round's, if no message comes before."""
        began = time.monotonic()
        for _since, key, ask in sorted(self.to_ask, key=lambda one: one[:2]):
            for_each("repair", [key], partial(ask, cloud=self.cloud, now=self.now))
            if time.monotonic() - began >= ASKING_SECONDS:
                return


def mend(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    _ACTS[intent.do](machine, view, intent, work)


def _unchanged(machine: Instance, *names: str) -> bool:
    """Whether the row still is as it was read. That was before the look, which may have taken a minute: since then it
    may have been started, and what the look shows is that start."""
    same = {name: getattr(machine, name) for name in ("state", "state_since", "run_number", *names)}
    return Instance.objects.filter(pk=machine.pk, **same).exists()


# ------------------------------------------------------------------ asking again
def _launch(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    work.to_ask.append((machine.state_since, machine.pk, launch))


def _start(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    work.to_ask.append((machine.state_since, machine.pk, start))


def _stop(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    work.to_stop.append(machine.pk)


def _terminate(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    work.to_terminate.append(machine.pk)


def _adopt(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    if view is None:
        return
    adopt(machine, view, cloud=work.cloud, now=work.now)
    if machine.cloud_id != view.cloud_id:
        return
    # At once: it may have run long after a timer that nobody had set, and no look after this one may see it run.
    if view.state is CloudState.RUNNING:
        (_runs if machine.state == State.LAUNCHING else _runs_on)(machine, view, intent, work)
    # Called off meanwhile: by the next round it would have run, and cost, a minute more.
    if machine.state == State.STOPPING:
        work.to_stop.append(machine.pk)
    elif machine.state == State.TERMINATING:
        work.to_terminate.append(machine.pk)


def _guard(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    if _unchanged(machine, "lease_until"):  # else to where an earlier lease said
        guard.arm(machine, cloud=work.cloud, now=work.now)


# What a stop for each reason stands on: neither if the timer stands since the look, nor if AWS is being asked again.
_STANDS_ON = {Why.UNGUARDED: ("lease_until", "guard_until"), Why.NO_ANSWER: ("asked_at", "cloud_id")}


def _request_stop(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    if intent.why is Why.UNGUARDED and machine.guard_until is not None:
        return  # set just now
    reason = why_words(intent.why, machine, view)
    same = _STANDS_ON.get(intent.why, ())
    given_up = intent.why is Why.NO_ANSWER
    if request_stop(machine, reason=reason, who=None, now=work.now, mail=True, same=same, given_up=given_up):
        work.to_stop.append(machine.pk)


def _stop_again(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    """It runs although it was stopped here: somebody started it elsewhere. Nothing is held for that."""
    if not _unchanged(machine):
        return
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
    if view.instance_type != machine.instance_type:
        _runs_as_another(machine, view, work, fields)
        return
    with transaction.atomic():
        if move(machine, State.RUNNING, reason=_("Booting"), who=None, now=work.now, **fields):
            run = books.open_run(machine, view.launched_at, ran_as=view.instance_type)
            run.seen_at = max(work.now, run.started_at)
            run.save(update_fields=("seen_at",))
            books.trim_hold(run, lease_until, now=work.now)


def _runs_as_another(machine: Instance, view: MachineView, work: Round, fields: dict[str, Any]) -> None:
    """Nobody chose this type, and what is held is for another: it is stopped, and charged as what it is. A call that
    changes the type came through late, or somebody else made it. The next start asks for the row's type again."""
    values = {"machine": machine.slug, "wanted": machine.instance_type, "type": view.instance_type}
    reason = _(
        "AWS's machine came up as %(type)s, not as the %(wanted)s that was asked for. It is stopped; what it ran is "
        "charged as what it was. Start it again to have the %(wanted)s."
    )
    staffs = _("%(machine)s came up as %(type)s at AWS, where %(wanted)s was asked for. It is stopped.") % values
    told: dict[str, Any] = {"who": None, "now": work.now, "mail": not machine.proving}
    with transaction.atomic():
        if not move(machine, State.STOPPING, reason=reason % values, **told, **fields, cloud_type=""):
            return
        run = books.open_run(machine, view.launched_at, ran_as=view.instance_type)
        run.seen_at = max(work.now, run.started_at)
        run.save(update_fields=("seen_at",))
        books.hold_while_it_stops(run, now=work.now)
        tell(machine, Kind.TROUBLE, reason=staffs, now=work.now, mail_to=staff_address(machine.course))
    work.to_stop.append(machine.pk)


def _runs_on(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    """It is to end, and runs meanwhile. Its state stays: what is opened here is closed when it has ended. A click on
    "delete" since the row was read changes nothing of that."""
    if view is None:
        return
    with transaction.atomic():
        to_end = Instance.objects.filter(pk=machine.pk, state__in=_TO_END, run_number=machine.run_number)
        known = machine.runs.filter(Q(ended_at=None) | Q(started_at__gte=view.launched_at))
        if to_end.select_for_update(no_key=True).exists() and not known.exists():
            books.take_number(machine)
            run = books.open_run(machine, view.launched_at, ran_as=view.instance_type)
            if view.state is CloudState.RUNNING:
                run.seen_at = max(work.now, run.started_at)
                run.save(update_fields=("seen_at",))


def _off(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    """Once it is deleted, AWS tells when that was, and no longer when it was stopped."""
    at = intent.at or work.now
    machine.runs.filter(ended_at=None, stopping_at=None, started_at__lte=at).update(stopping_at=at)


def _ending(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    """Something else stops it already: nothing is to be asked, only to be verified."""
    by = ended_by(intent.why, machine, work.now)
    asked: dict[str, Any] = {"stop_asked_at": work.now, "stop_tries": 0, "ending_by": by}
    reason = why_words(intent.why, machine, view)
    move(machine, State.STOPPING, reason=reason, who=None, now=work.now, mail=not machine.proving, **asked)


def _stopped(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    told = machine.state == State.STOPPING
    reason = stopped_words(machine, view) if told else why_words(intent.why, machine, view)
    by = machine.ending_by if told else ended_by(intent.why, machine, work.now)
    mail = not told and not machine.proving
    with transaction.atomic():
        if move(machine, State.STOPPED, reason=reason, who=None, now=work.now, mail=mail, ending_by=by):
            _close(machine, view, intent.at, work.now)
            note_proof(machine, _end(machine, intent.at, work.now))


def _terminated(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    asked = machine.state == State.TERMINATING
    reason = machine.reason if asked else why_words(intent.why, machine, view)
    gone_at = intent.at or work.now
    at = _ran_until(machine, _end(machine, intent.at, work.now))
    told: dict[str, Any] = {"who": None, "now": work.now, "mail": not asked, "disk_until": gone_at}
    with transaction.atomic():
        if not move(machine, State.TERMINATED, reason=reason, **told):
            return
        _close(machine, view, at, work.now)
    guard.disarm(machine, cloud=work.cloud)


def _failed(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    """There is no machine, and nothing is charged."""
    if unanswered(machine):
        close_unborn(machine, now=work.now)
        return
    reason = why_words(intent.why, machine, view)
    with transaction.atomic():
        if move(machine, State.FAILED, reason=reason, who=None, now=work.now, disk_since=None, calling_until=None):
            books.drop_holds(machine, now=work.now)


def _book(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    """A run that nobody saw while it was on. Nothing was held for it: what it cost is taken from what is left."""
    if view is None:
        return
    # The meter may come before Spot's round.
    prices = prices_for(machine, view.instance_type, view.launched_at, cloud=work.cloud)
    with transaction.atomic():
        number = machine.run_number + 1
        same = Instance.objects.filter(pk=machine.pk, state=State.STOPPED, run_number=machine.run_number)
        if same.update(run_number=number):
            machine.run_number = number
            ended_at = _end(machine, intent.at, work.now)
            run = books.open_run(machine, view.launched_at, ended_at, ran_as=view.instance_type)
            price_run(run, prices)


# ------------------------------------------------------------------ machines that are not listed
def _absent(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    Instance.objects.filter(pk=machine.pk, absent_since=None).update(absent_since=work.now)


def _gone(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    """Asked once more in another way; then the books end at the last sign of life."""
    if door_for(work.cloud, machine).find_by_token(machine.token):
        return
    reason = _("AWS does not know this machine any more. It was counted until it was last seen.")
    run = books.last_run(machine)
    # Without a run nobody saw it run, and nobody knows that it did not: it counts while it was listed.
    seen = (run.seen_at or run.started_at) if run else (machine.seen_at or machine.disk_since)
    # Seen to stop, it is paid for until then, whatever an agent says later.
    at = _off_at(run) or max((t for t in (seen, machine.last_report_at) if t), default=work.now)
    fields: dict[str, Any] = {"disk_until": machine.seen_at or machine.disk_since}
    with transaction.atomic():
        if move(machine, State.TERMINATED, reason=reason, who=None, now=work.now, mail=True, **fields):
            books.close_run(machine, started_at=None if run else machine.disk_since, ended_at=at, now=work.now)
            to = staff_address(machine.course)
            tell(
                machine, Kind.TROUBLE, reason=reason, now=work.now, mail_to=to, facts={"counted_until": at.isoformat()}
            )


def _never_was(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    found = door_for(work.cloud, machine).find_by_token(machine.token)
    if found:
        _adopt(machine, found, intent, work)
    else:
        _failed(machine, None, intent, work)


def _call_person(machine: Instance, view: MachineView | None, intent: Intent, work: Round) -> None:
    if not _unchanged(machine):
        return
    usd = f"{machine.usd_hour / 60:.4f}"
    values = {"machine": machine.slug, "id": machine.cloud_id, "n": machine.stop_tries, "usd": usd}
    reason = (
        _("%(machine)s (%(id)s) does not stop: AWS was asked %(n)s times. It may cost $%(usd)s per minute.") % values
    )
    tell(machine, Kind.TROUBLE, reason=reason, now=work.now, mail_to=staff_address(machine.course))


def _close(machine: Instance, view: MachineView | None, ended_at: datetime | None, now: datetime) -> None:
    began, ran_as = (view.launched_at, view.instance_type) if view else (None, "")
    books.close_run(machine, started_at=began, ended_at=_end(machine, ended_at, now), now=now, ran_as=ran_as)


def _end(machine: Instance, ended_at: datetime | None, now: datetime) -> datetime:
    """AWS does not always tell when. Then it is taken to have run as long as it can have: up to the first look that
    saw it stop, or its own timer."""
    return ended_at or min(at for at in (now, machine.guard_until, _off_at(books.last_run(machine))) if at)


def _off_at(run: Run | None) -> datetime | None:
    """When the open run was first seen to stop. Two looks at once may tell it in either order."""
    if run is None or run.ended_at is not None or run.stopping_at is None:
        return None
    return max(run.stopping_at, run.seen_at or run.stopping_at)


def _ran_until(machine: Instance, deleted_at: datetime) -> datetime:
    """Of a deleted machine AWS tells only when it was deleted. It may have stopped before: as was seen; or, if that was
    after AWS's own timer, by the timer, unless it was seen to run on."""
    run = books.last_run(machine)
    deleted_at = min(deleted_at, _off_at(run) or deleted_at)
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
        return given_up_words(machine)
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
    Do.RUNS_ON: _runs_on,
    Do.OFF: _off,
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
