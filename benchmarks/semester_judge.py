"""What a semester came to, held against the truth of the cloud and of the people, not against the portal's own word."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from benchmarks.semester_host import Host
from benchmarks.semester_people import ZONE, Does
from benchmarks.semester_world import World
from cloud.fake_machine import FakeMachine
from courses.models import Course, Enrollment
from instances.models import Instance, InstanceEvent
from instances.states import State
from spend.models import Budget, Charge

ZERO = Decimal(0)
HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Stop:
    """One end of a run. `last_use`: of work, or the end of a keeping that was asked for."""

    slug: str
    person: int
    at: datetime
    last_use: datetime
    cause: str
    worked: bool  # somebody's work was going on
    portal_up: bool

    @property
    def minutes(self) -> float:
        return (self.at - self.last_use).total_seconds() / 60


@dataclass
class Stops:
    """Notes each end of a run as it is seen."""

    world: World
    found: list[Stop] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.world.agents.on_down.append(self._note)

    def _note(self, machine: Instance, host: Host) -> None:
        at = host.ended_at or self.world.now
        kept = machine.kept_until
        used = host.last_use(at)
        last_use = max(used, min(kept, at)) if kept else used
        just_before = at - timedelta(seconds=1)
        self.found.append(
            Stop(
                machine.slug, machine.owner_id, at, last_use, self._cause(machine, at), host.worked_at(just_before),
                self.world.clock.portal_up(at),
            )
        )  # fmt: skip

    def _cause(self, machine: Instance, at: datetime) -> str:
        ends = (State.STOPPING, State.STOPPED, State.TERMINATING, State.TERMINATED)
        told = InstanceEvent.objects.filter(instance=machine, kind="moved", old_state=State.RUNNING, new_state__in=ends)
        event = told.order_by("-at", "-pk").first()
        if event and event.who_id:
            return "by hand"
        if machine.lease_until and at >= machine.lease_until - timedelta(seconds=1):
            return "paid time over"
        if event and "switched itself off" in event.reason:
            return "own watch"
        return "idle rule"


@dataclass(frozen=True, slots=True)
class Truth:
    """USD by enrollment, as the cloud would bill it."""

    by_person: dict[int, Decimal]
    machine_seconds: float


def truth(world: World, course: Course, until: datetime) -> Truth:
    rows = {m.slug: m for m in Instance.objects.filter(course=course)}
    by_person: Counter[int] = Counter()
    seconds = 0.0
    for machine in world.cloud.machines.values():
        row = rows[machine.spec.name]
        by_person[row.owner_id] += _cost(machine, row, until)
        seconds += machine.ran_seconds(until)
    return Truth(dict(by_person), seconds)


def _cost(machine: FakeMachine, row: Instance, until: datetime) -> Decimal:
    total = ZERO
    for stretch in machine.stretches:
        seconds = Decimal(str(stretch.seconds(until)))
        total += (row.price_usd_hour or ZERO) * max(seconds, Decimal(60)) / 3600 + row.address_usd_hour * seconds / 3600
    end = machine.terminated_at or until
    return total + row.disk_usd_hour * Decimal(str((end - machine.created_at).total_seconds())) / 3600


def most_over_cap(course: Course, by_person: dict[int, Decimal]) -> Decimal:
    """USD by which the truth is above any budget of the four levels; the truth only grows, so the end is the worst."""
    people = Enrollment.objects.filter(course=course).values_list("pk", "team_id")
    teams: Counter[int | None] = Counter()
    for pk, team in people:
        teams[team] += by_person.get(pk, ZERO)
    everything = sum(by_person.values(), ZERO)
    worst = ZERO
    for budget in Budget.objects.all():
        spent = (
            by_person.get(budget.enrollment_id, ZERO) if budget.enrollment_id
            else teams[budget.team_id] if budget.team_id else everything
        )  # fmt: skip
        worst = max(worst, spent - budget.amount_usd, budget.overrun_usd)
    return worst


def wasted(hosts: Iterable[Host], world: World) -> tuple[Decimal, Decimal]:
    """USD of machine time in which nobody's work went on: all of it, and the cheat's part."""
    rows = {m.slug: m.price_usd_hour + m.address_usd_hour for m in Instance.objects.exclude(price_usd_hour=None)}
    total = cheat = ZERO
    for host in hosts:
        on = (host.ended_at or world.now) - host.boot_at
        idle = Decimal(str(on.total_seconds() - host.work_seconds())) / 3600 * rows[host.slug]
        total += idle
        if any(stretch.does is Does.CHEATS for stretch in host.stretches):
            cheat += idle
    return total, cheat


def spent_in_books(course: Course) -> Decimal:
    return sum(Charge.objects.filter(course=course).values_list("amount_usd", flat=True), ZERO)


def off_minutes(stops: Iterable[Stop]) -> list[float]:
    """From the last use to off, where no person stopped it and no budget did."""
    return sorted(stop.minutes for stop in stops if stop.cause in ("idle rule", "own watch"))


def percentile(values: list[float], share: float) -> float:
    return values[min(len(values) - 1, int(share * len(values)))] if values else 0.0


def told_of(stop: Stop) -> str:
    return (
        f"{stop.at.astimezone(ZONE):%a %d %b %H:%M} {stop.slug} {stop.cause}, {stop.minutes:.1f} min after its last use"
    )
