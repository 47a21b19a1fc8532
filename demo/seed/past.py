"""The plan of the past as rows: machines that are all gone, their runs and their timelines."""

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from cloud.prices import price_of
from courses.models import Course, Enrollment
from demo.seed.habits import WARNED_AFTER, Ending, PlannedMachine, PlannedRun
from demo.seed.story import DELETED, LEASE, Teller, paid_until
from instances import books
from instances.drill_records import GuardProof
from instances.guard_names import Guard
from instances.models import Instance, InstanceEvent, Preset, Run
from instances.savings import GuardStop
from instances.states import State
from instances.trace import GPU, KEPT, PERSON, Span

_ZONES = ("us-east-1a", "us-east-1b", "us-east-1c")
_CHUNK = 2000
_SENT_A_SECOND = 2_500  # bytes: notebooks' output, and now and then a checkpoint that is taken home


@dataclass(frozen=True, slots=True)
class Lived:
    """A machine's row with its runs as rows and as they were planned, all in order of time."""

    machine: Instance
    planned: PlannedMachine
    runs: list[Run]


def live(
    rng: random.Random,
    course: Course,
    people: Mapping[int, Enrollment],
    presets: Mapping[str, Preset],
    plan: Sequence[PlannedMachine],
) -> list[Lived]:
    machines = [_machine(rng, course, people[planned.person], presets[planned.preset], planned) for planned in plan]
    Instance.objects.bulk_create(machines, batch_size=_CHUNK)
    lived = [
        Lived(machine, planned, list(_runs(machine, planned))) for machine, planned in zip(machines, plan, strict=True)
    ]
    Run.objects.bulk_create((run for one in lived for run in one.runs), batch_size=_CHUNK)
    InstanceEvent.objects.bulk_create((event for one in lived for event in _events(course, one)), batch_size=_CHUNK)
    GuardStop.objects.bulk_create((stop for one in lived for stop in _guard_stops(one)), batch_size=_CHUNK)
    _prove_the_sweeps(course, lived)
    return lived


def _guard_stops(lived: Lived) -> Iterator[GuardStop]:
    """What the portal would have written when it stopped an unused machine; counted by its own sweep."""
    machine = lived.machine
    for run, planned in zip(lived.runs, lived.planned.runs, strict=True):
        if _ended_by(planned):
            yield GuardStop(
                instance=machine, owner=machine.owner, course=machine.course, at=planned.ended_at, usd_hour=run.usd_hour
            )


def _prove_the_sweeps(course: Course, lived: Sequence[Lived]) -> None:
    """The portal's rounds have stopped machines all through the term; nobody needed the other guards yet."""
    stops = [(run.ended_at, one.machine) for one in lived for run in one.planned.runs if _ended_by(run)]
    at, machine = max(stops, key=lambda stop: stop[0])
    GuardProof.objects.create(course=course, guard=Guard.SWEEPS, at=at, instance=machine)


def _ended_by(run: PlannedRun) -> str:
    return "" if run.ending is Ending.BY_HAND else Guard.SWEEPS


def _machine(
    rng: random.Random, course: Course, owner: Enrollment, preset: Preset, planned: PlannedMachine
) -> Instance:
    """Ended, with its books closed: nothing of it is left for any sweep. It keeps no secrets."""
    kind, last = _kind(rng, preset), planned.runs[-1]
    return Instance(
        owner=owner,
        course=course,
        preset=preset,
        state=State.TERMINATED,
        state_since=planned.deleted_at,
        reason=DELETED,
        attempt=1,
        instance_type=kind,
        zone=rng.choice(_ZONES),
        image_id=preset.image_id,
        disk_gb=preset.disk_gb,
        price_usd_hour=price_of(kind),
        address_usd_hour=books.address_usd_hour(),
        disk_usd_hour=books.disk_usd_hour(preset.disk_gb),
        lease_seconds=int(LEASE.total_seconds()),
        run_number=len(planned.runs),
        asked_at=last.asked_at,
        cloud_id=f"i-{rng.getrandbits(68):017x}",
        seen_at=planned.deleted_at,
        notebook_ready_at=last.ready_at,
        disk_since=planned.runs[0].started_at,
        disk_until=planned.deleted_at,
        disk_metered_until=planned.deleted_at,
        disk_settled_at=planned.deleted_at,
        lease_until=paid_until(last),
        last_active_at=last.last_active_at,
        last_report_at=last.ended_at,
        created_at=planned.runs[0].asked_at,
    )


def _kind(rng: random.Random, preset: Preset) -> str:
    """Now and then AWS had none of the first choice."""
    first, *others = preset.instance_types
    return rng.choice(others) if others and rng.random() < 0.06 else first


def _runs(machine: Instance, planned: PlannedMachine) -> Iterator[Run]:
    for number, run in enumerate(planned.runs, start=1):
        yield Run(
            instance=machine,
            number=number,
            instance_type=machine.instance_type,
            price_usd_hour=machine.price_usd_hour or Decimal(0),
            address_usd_hour=machine.address_usd_hour,
            started_at=run.started_at,
            ended_at=run.ended_at,
            ended_by=_ended_by(run),
            metered_until=run.ended_at,
            settled_at=run.ended_at,
            trace=_trace(run),
            sent_bytes=int((run.ended_at - run.started_at).total_seconds() * _SENT_A_SECOND),
        )


def _trace(run: PlannedRun) -> list[Span]:
    """As its reports would have told it: at work but for the pauses that a warning was given in."""
    began, used = run.started_at, list[Span]()
    here = run.ready_at
    for warned in [*run.false_alarms, *([run.kept_at] if run.kept_at else [])]:
        left = max(here, warned - WARNED_AFTER)
        used.append([round((here - began).total_seconds()), round((left - began).total_seconds()), GPU + PERSON])
        here = warned
    last = max(here, run.last_active_at)
    used.append([round((here - began).total_seconds()), round((last - began).total_seconds()), GPU + PERSON])
    if run.kept_at:
        kept = run.kept_at + timedelta(hours=run.kept_hours)
        used.append([round((last - began).total_seconds()), round((kept - began).total_seconds()), KEPT])
    return [span for span in used if float(span[1]) > float(span[0])]


def _events(course: Course, lived: Lived) -> Iterator[InstanceEvent]:
    owner = lived.machine.owner
    teller = Teller(lived.machine, course, owner.user, owner.email)
    yield from teller.machine_events(lived.planned.runs, lived.planned.deleted_at)
