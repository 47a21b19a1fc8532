"""The kill switch: stops a course, or everything, and keeps it stopped until it is undone; undo restarts the same set.

The row comes first, and is looked at inside every launch and start; then machines are stopped one by one. Calls no
cloud: the caller and the halts round do.
"""

from datetime import datetime, timedelta

from django.db import IntegrityError, transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from courses.models import Course, User
from instances.halted import open_halts, words
from instances.halts import Halt, HaltedMachine
from instances.idle import Cause
from instances.models import Instance
from instances.refusals import LaunchRefused
from instances.requesting import request_start
from instances.states import State
from instances.stopping import request_stop
from instances.sweeps.idling import decision_for, judged
from spend.models import Budget, Level
from spend.services import BudgetRefused, lock_path

STOPPABLE = (State.REQUESTED, State.LAUNCHING, State.RUNNING)
_OFF = (State.STOPPING, State.STOPPED)
_IDLE = (Cause.QUIET, Cause.BLIND)
_TRY_RESTART_FOR = timedelta(hours=1)  # one that does not stop for so long, or may not start, is left to its owner


class HaltRefused(Exception):
    """`str()` is a sentence for whoever pressed."""


def halt(course: Course | None, *, reach: str, why: str, who: User, now: datetime) -> Halt:
    """Write it down: from here on nothing is launched or started. Raises HaltRefused when one is on already."""
    try:
        with transaction.atomic():
            made = Halt.objects.create(course=course, reach=reach, why=why.strip()[:200], who=who, at=now)
    except IntegrityError:
        raise HaltRefused(_("It is pulled already. Undo it first, or look who did it and why.")) from None
    for one in [course] if course is not None else Course.objects.all():
        wait_for_launches(one)
    return made


def wait_for_launches(course: Course) -> None:
    """A launch holds the budgets last and then looks for a halt. Whoever gets them after us sees ours; whoever had
    them before us has ended, and its machine is among those that we stop."""
    root = Budget.objects.filter(course=course, level=Level.COURSE).first()
    if root is not None:
        with transaction.atomic():
            lock_path(root)


def enforce(row: Halt, *, who: User | None, now: datetime) -> list[int]:
    """Ask everything that it reaches to stop, each in a transaction of its own; the keys of what was asked."""
    machines = Instance.objects.filter(state__in=STOPPABLE)
    if row.course_id is not None:
        machines = machines.filter(course=row.course_id)
    asked = []
    for machine in judged(machines):
        if row.reach == Halt.Reach.IDLE and not is_idle(machine, now):
            continue
        if _stop(row, machine, who, now):
            asked.append(machine.pk)
    return asked


def is_idle(machine: Instance, now: datetime) -> bool:
    """`machine` comes from `judged`."""
    return machine.state == State.RUNNING and decision_for(machine, now).cause in _IDLE


def _stop(row: Halt, machine: Instance, who: User | None, now: datetime) -> bool:
    reason = words(row)
    with transaction.atomic():
        stopped = request_stop(machine, reason=reason, who=who or row.who, now=now, mail=True)
        if stopped:
            HaltedMachine.objects.get_or_create(halt=row, instance=machine, defaults={"at": now})
    return stopped


# ------------------------------------------------------------------ undo
def lift(row: Halt, *, restart: bool, who: User, now: datetime) -> bool:
    """Launching is allowed again; with `restart`, what it stopped runs again. False when somebody was faster."""
    open_row = Halt.objects.filter(pk=row.pk, lifted_at=None)
    return bool(open_row.update(lifted_at=now, lifted_by=who, restart=restart))


def restart_due(now: datetime) -> list[int]:
    """Ask the machines of halts that were undone to run again, as money and rules allow; the keys of what was asked.

    One that is still stopping, or that another halt keeps off, is asked at a later round. Each is tried until it runs,
    is refused or its time is over, and told so.
    """
    wanted = _wanted().select_related("halt__lifted_by", "instance__owner", "instance__course")
    return [one.instance_id for one in wanted.order_by("pk") if _restart(one, now)]


def restarts_by(row: Halt) -> datetime:
    """Later nothing that it stopped starts by itself: nobody sits before the page any more, and a machine would run for
    nobody, at a time that no bound could tell."""
    return (row.lifted_at or row.at) + _TRY_RESTART_FOR


def pending(course: Course, now: datetime) -> list[HaltedMachine]:
    """What may still start again by itself, each machine once, with what its run will be. One query."""
    off = _wanted().filter(instance__state__in=_OFF, instance__course=course, instance__proving="")
    rows = off.select_related("halt", "instance__owner__limits", "instance__preset", "instance__course__machine_policy")
    in_time = [one for one in rows.order_by("halt__lifted_at") if now < restarts_by(one.halt)]
    return list({one.instance_id: one for one in in_time}.values())


def _wanted() -> QuerySet[HaltedMachine]:
    return HaltedMachine.objects.filter(halt__restart=True, halt__lifted_at__isnull=False, done_at=None)


def _restart(one: HaltedMachine, now: datetime) -> bool:
    machine, problem, late = one.instance, "", now >= restarts_by(one.halt)
    if not late and (machine.state == State.STOPPING or open_halts(machine.course).exists()):
        return False
    started = False
    with transaction.atomic():
        mine = HaltedMachine.objects.filter(pk=one.pk, done_at=None)
        if not mine.update(done_at=now):
            return False
        if late and machine.state in _OFF:
            problem = _("It could not be started within an hour of the undo. Start it from its page.")
        elif machine.state == State.STOPPED:
            try:
                request_start(machine, who=one.halt.lifted_by, now=now)
                started = True
            except (LaunchRefused, BudgetRefused) as refused:
                problem = str(refused)
        elif machine.state not in STOPPABLE:
            problem = _("It was not running yet, or is deleted: launch it again.")
        if problem:
            mine_again = HaltedMachine.objects.filter(pk=one.pk)
            mine_again.update(problem=problem[:300])
    return started
