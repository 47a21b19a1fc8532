"""The portal's side of `bench-sweep`: a course with one running machine per person, written in bulk."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal

from courses.models import Course, Enrollment, User
from instances import guard
from instances.models import Instance, InstanceEvent, Preset, Run
from instances.states import State

_AT_ONCE = 1000
LEASE = timedelta(hours=4)


def seed(cloud_ids: Sequence[str], now: datetime) -> Course:
    """A row for each machine; `reset` says what is so at the moment."""
    today = now.date()
    drop(Instance.objects.values_list("cloud_id", flat=True))
    known = Course.objects.count()
    course = Course.objects.create(
        slug=f"bench{known}", name="Benchmark", starts_on=today, ends_on=today + timedelta(days=100)
    )
    preset = Preset.objects.create(
        course=course,
        slug="homework",
        name="Homework",
        instance_types=["g4dn.xlarge"],
        image_id="ami-bench",
        ceiling_usd_hour=1,
    )
    owners = people(course, len(cloud_ids))
    machines = [_machine(course, preset, *pair, now) for pair in zip(owners, cloud_ids, strict=True)]
    Instance.objects.bulk_create(machines, batch_size=_AT_ONCE)
    Run.objects.bulk_create([_run(machine, now) for machine in machines], batch_size=_AT_ONCE)
    return course


def people(course: Course, count: int) -> list[Enrollment]:
    """So many students, each on the roster and signed in once."""
    emails = [f"s{n}@{course.slug}.edu" for n in range(count)]
    users = User.objects.bulk_create(
        [User(email=email, full_name=email, password="!") for email in emails], batch_size=_AT_ONCE
    )
    lines = [Enrollment(course=course, user=user, email=user.email, name=user.full_name) for user in users]
    return Enrollment.objects.bulk_create(lines, batch_size=_AT_ONCE)


def _machine(course: Course, preset: Preset, owner: Enrollment, cloud_id: str, now: datetime) -> Instance:
    return Instance(
        owner=owner,
        course=course,
        preset=preset,
        state=State.RUNNING,
        state_since=now,
        attempt=1,
        instance_type="g4dn.xlarge",
        zone="us-east-1a",
        image_id="ami-bench",
        disk_gb=64,
        price_usd_hour=Decimal("0.526"),
        lease_seconds=int(LEASE.total_seconds()),
        notebook_token="-",
        agent_digest="-",
        agent_secret="-",
        cloud_id=cloud_id,
        private_ip="10.0.0.1",
        notebook_ready_at=now,
        disk_since=now,
        created_at=now,
    )


def _run(machine: Instance, now: datetime) -> Run:
    return Run(
        instance=machine,
        number=1,
        instance_type=machine.instance_type,
        price_usd_hour=Decimal("0.526"),
        address_usd_hour=Decimal(0),
        started_at=now,
    )


def reset(idle: Collection[str], now: datetime) -> None:
    """All run, report, have a fresh lease and AWS's timer; nothing is to be posted; `idle` are quiet and warned."""
    Instance.objects.update(
        state=State.RUNNING,
        state_since=now - timedelta(hours=1),
        last_active_at=now,
        last_report_at=now,
        warned_at=None,
        stop_asked_at=None,
        stop_tries=0,
        absent_since=None,
        lease_until=now + LEASE,
        disk_metered_until=now + LEASE,
    )
    guarded = guard.wanted(Instance(lease_until=now + LEASE))
    Instance.objects.update(guard_until=guarded)
    Instance.objects.filter(cloud_id__in=idle).update(
        last_active_at=now - timedelta(minutes=50), warned_at=now - timedelta(minutes=20)
    )
    Run.objects.update(ended_at=None, started_at=now - timedelta(hours=1), metered_until=now + LEASE)
    InstanceEvent.objects.all().delete()


def drop(cloud_ids: Iterable[str]) -> None:
    cloud_ids = list(cloud_ids)
    Run.objects.filter(instance__cloud_id__in=cloud_ids).delete()
    InstanceEvent.objects.filter(instance__cloud_id__in=cloud_ids).delete()
    Instance.objects.filter(cloud_id__in=cloud_ids).delete()
