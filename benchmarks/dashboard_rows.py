"""A synthetic semester in bulk, for `bench-dashboard`: N students, so many charges, and all that pages read.

Two courses of different size have the same people, teams, days and running machines: only the hours differ.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import Model

from courses.models import Course, Enrollment, Milestone, Role, Team, User
from instances.models import Instance, Preset, Run
from instances.savings import GuardSaving
from instances.states import State
from instances.sweeps.counting import counting
from spend.models import Budget, Charge, Drift, Level, ProviderCost, ProviderDay
from spend.opening import create_budget, open_budgets
from spend.rebuild import rebuild_totals
from spend.totals import PersonTotal

DAYS = 112
PRESETS = (("homework", "0.526"), ("homework-plus", "0.805"), ("project", "1.006"), ("large", "1.861"))
ADDRESS, DISK = Decimal("0.005"), Decimal("0.007014")
_AT_ONCE = 1000
_HOUR = timedelta(hours=1)
TEAM, RUNNING = 4, 40
COLUMNS = (
    "key",
    "kind",
    "hour",
    "budget_id",
    "course_id",
    "team_id",
    "enrollment_id",
    "group",
    "seconds",
    "idle_seconds",
    "amount_usd",
    "idle_usd",
    "posted_at",
)

PROVIDER_COLUMNS = (
    "source",
    "kind",
    "day",
    "machine",
    "usage_usd",
    "credit_usd",
    "refund_usd",
    "quantity",
    "as_of",
)
DRIFT_COLUMNS = (
    "source",
    "kind",
    "day",
    "machine",
    "ours_usd",
    "corrected_usd",
    "provider_usd",
    "cause",
    "course_id",
    "enrollment_id",
    "as_of",
)


@dataclass(frozen=True)
class Semester:
    course: Course
    students: list[Enrollment]
    instructor: Enrollment
    sponsor: Enrollment
    rows: int


@dataclass(frozen=True)
class Hours:
    """Of one student: rows = disk + 2 × running, as a machine has an address."""

    disk: int
    running: int

    @classmethod
    def for_rows(cls, rows: int) -> "Hours":
        running = max(1, rows // 6)
        return cls(max(0, rows - 2 * running), running)


def seed(slug: str, *, students: int, rows: int, now: datetime) -> Semester:
    """The course has been on for DAYS days. `rows` is met as far as it divides by the students."""
    first_day = (now - timedelta(days=DAYS)).replace(hour=0, minute=0, second=0, microsecond=0)
    with transaction.atomic():
        course = _course(slug, first_day)
        people = _people(course, students)
        staff = [_one(course, role) for role in (Role.INSTRUCTOR, Role.SPONSOR)]
        presets = _presets(course)
        _budgets(course, students, now)
    budgets = dict(Budget.objects.filter(course=course, level=Level.PERSON).values_list("enrollment", "pk"))
    hours = Hours.for_rows(rows // students)
    machines = _machines(course, people, presets, hours, first_day, now)
    load(Charge, COLUMNS, _charges(course, people, budgets, machines, hours, first_day, now))
    analyse()  # else the sums below are planned as for an empty table
    rebuild_totals(course)
    _total_up(course)
    _bill(course, people, machines, hours, first_day, now)
    analyse()
    GuardSaving.objects.bulk_create(
        [GuardSaving(owner=one, course=course, stops=3, seconds=90_000, saved_usd=Decimal(20)) for one in people],
        batch_size=_AT_ONCE,
    )
    counting(now)
    return Semester(course, people, *staff, Charge.objects.filter(course=course).count())


# ------------------------------------------------------------------ people, budgets, machines
def _course(slug: str, first_day: datetime) -> Course:
    starts_on = first_day.date()
    course = Course.objects.create(
        slug=slug, name=f"Semester {slug}", starts_on=starts_on, ends_on=starts_on + timedelta(days=DAYS + 20)
    )
    Milestone.objects.bulk_create(
        Milestone(
            course=course,
            name=f"HW{n}",
            handed_out_on=starts_on + timedelta(days=7 * n),
            due_on=starts_on + timedelta(days=7 * n + 7),
        )
        for n in range(DAYS // 7)
    )
    return course


def _people(course: Course, count: int) -> list[Enrollment]:
    names = [f"Student {n:04d} of {course.slug}" for n in range(count)]
    teams = Team.objects.bulk_create(Team(course=course, name=f"Team {n:03d}") for n in range(-(-count // TEAM)))
    emails = [f"s{n}@{course.slug}.edu" for n in range(count)]
    users = User.objects.bulk_create(
        [User(email=email, full_name=name, password="!") for email, name in zip(emails, names, strict=True)],
        batch_size=_AT_ONCE,
    )
    return Enrollment.objects.bulk_create(
        [
            Enrollment(course=course, user=user, email=user.email, name=user.full_name, team=teams[n // TEAM])
            for n, user in enumerate(users)
        ],
        batch_size=_AT_ONCE,
    )


def _one(course: Course, role: Role) -> Enrollment:
    email = f"{role.value}@{course.slug}.edu"
    user = User.objects.create_user(email, full_name=f"The {role.label}")
    return Enrollment.objects.create(course=course, user=user, email=email, name=user.full_name, role=role)


def _presets(course: Course) -> list[Preset]:
    return Preset.objects.bulk_create(
        Preset(
            course=course,
            slug=slug,
            name=slug.title(),
            instance_types=["g4dn.xlarge"],
            image_id="ami-bench",
            ceiling_usd_hour=Decimal(usd),
            position=n,
        )
        for n, (slug, usd) in enumerate(PRESETS)
    )


def _budgets(course: Course, students: int, now: datetime) -> None:
    plenty = Decimal(3000)
    whole = plenty * (students + 1)
    said = {"why": "benchmark", "who": None, "now": now}
    grant = create_budget(Level.SPONSOR, amount_usd=whole, parent=None, name=f"Grant for {course.slug}", **said)
    open_budgets(course, course_usd=whole, team_usd=plenty * TEAM, person_usd=plenty, sponsor=grant, **said)


def _total_up(course: Course) -> None:
    """What the budgets of all levels have spent, by the totals."""
    spent: dict[int, Decimal] = {}
    for person, usd in PersonTotal.objects.filter(course=course).values_list("enrollment", "amount_usd"):
        spent[person] = spent.get(person, Decimal(0)) + usd
    above: dict[int | None, Decimal] = {}
    for level in (Level.PERSON, Level.TEAM, Level.COURSE):
        changed = list(Budget.objects.filter(course=course, level=level))
        for budget in changed:
            budget.spent_usd = spent.get(budget.enrollment_id or 0, above.get(budget.pk, Decimal(0)))
            above[budget.parent_id] = above.get(budget.parent_id, Decimal(0)) + budget.spent_usd
        Budget.objects.bulk_update(changed, ["spent_usd"], batch_size=500)
    root = Budget.objects.select_related("parent").get(course=course, level=Level.COURSE)
    Budget.objects.filter(pk=root.parent_id).update(spent_usd=root.spent_usd)


def session_hours(hours: Hours) -> int:
    return 5 if hours.running >= 50 else 1


def _machines(
    course: Course, people: list[Enrollment], presets: list[Preset], hours: Hours, first_day: datetime, now: datetime
) -> list[Instance]:
    """One machine per student; the first RUNNING of them run now. All earlier sessions are runs that are settled."""
    machines = [
        _machine(course, one, presets[n % len(presets)], first_day, now, runs=n < RUNNING)
        for n, one in enumerate(people)
    ]
    Instance.objects.bulk_create(machines, batch_size=_AT_ONCE)
    Run.objects.bulk_create(
        [run for n, machine in enumerate(machines) for run in _runs(machine, n, hours, first_day, now)],
        batch_size=_AT_ONCE,
    )
    return machines


def _machine(
    course: Course, owner: Enrollment, preset: Preset, first_day: datetime, now: datetime, *, runs: bool
) -> Instance:
    return Instance(
        owner=owner,
        course=course,
        preset=preset,
        state=State.RUNNING if runs else State.TERMINATED,
        state_since=now - _HOUR,
        instance_type="g4dn.xlarge",
        image_id="ami-bench",
        disk_gb=64,
        price_usd_hour=preset.ceiling_usd_hour,
        address_usd_hour=ADDRESS,
        disk_usd_hour=DISK,
        lease_seconds=4 * 3600,
        run_number=10_000,
        notebook_token="-",
        agent_digest="-",
        agent_secret="-",
        disk_since=first_day,
        disk_until=None if runs else now - _HOUR,
        disk_metered_until=now - _HOUR,
        disk_settled_at=None if runs else now,
        last_active_at=now,
        last_report_at=now,
        lease_until=now + 2 * _HOUR,
        created_at=first_day,
    )


def _starts(number: int, hours: Hours, first_day: datetime) -> list[datetime]:
    """When the sessions of a student begin: spread over the semester, in the afternoon."""
    count = max(1, hours.running // session_hours(hours))
    return [
        first_day + timedelta(days=(n * DAYS // count + number) % DAYS, hours=14 + number % 3) for n in range(count)
    ]


def _runs(machine: Instance, number: int, hours: Hours, first_day: datetime, now: datetime) -> Iterator[Run]:
    same = {
        "instance": machine,
        "instance_type": machine.instance_type,
        "price_usd_hour": machine.price_usd_hour,
        "address_usd_hour": ADDRESS,
    }
    for n, start in enumerate(sorted(_starts(number, hours, first_day)), start=1):
        end = start + session_hours(hours) * _HOUR
        yield Run(number=n, started_at=start, ended_at=end, metered_until=end, settled_at=end, **same)
    if machine.state == State.RUNNING:
        yield Run(number=10_000, started_at=now - _HOUR / 2, seen_at=now, **same)


# ------------------------------------------------------------------ charges
Row = tuple[object, ...]


def _charges(
    course: Course,
    people: list[Enrollment],
    budgets: dict[int, int],
    machines: list[Instance],
    hours: Hours,
    first_day: datetime,
    now: datetime,
) -> Iterator[Row]:
    for number, (person, machine) in enumerate(zip(people, machines, strict=True)):
        group = machine.preset.slug
        whose = (budgets[person.pk], course.pk, person.team_id, person.pk, group)
        price = machine.price_usd_hour or Decimal(0)
        for n, start in enumerate(sorted(_starts(number, hours, first_day)), start=1):
            key = f"machine/{machine.slug}/run/{n}"
            for step in range(session_hours(hours)):
                hour = start + step * _HOUR
                idle = 1800 if step == session_hours(hours) - 1 else 0
                yield (key, "compute", hour, *whose, 3600, idle, price, price * idle / 3600, now)
                yield (key, "address", hour, *whose, 3600, 0, ADDRESS, Decimal(0), now)
        stride = max(1, DAYS * 24 // max(1, hours.disk))
        for n in range(hours.disk):
            hour = first_day + (n * stride % (DAYS * 24)) * _HOUR
            yield (machine.disk_key, "disk", hour, *whose, 3600, 0, DISK, Decimal(0), now)


def _bill(
    course: Course, people: list[Enrollment], machines: list[Instance], hours: Hours, first_day: datetime, now: datetime
) -> None:
    """What the provider told of the days: as many lines as charges have days."""
    days = max(1, min(DAYS, hours.disk // 12))
    told = [(first_day.date() + timedelta(days=n), person, machine) for n in range(days)
            for person, machine in zip(people, machines, strict=True)]  # fmt: skip
    same, nothing = ("export", "disk"), Decimal(0)
    load(ProviderCost, PROVIDER_COLUMNS, ((*same, day, m.slug, DISK, nothing, nothing, 1, now) for day, _p, m in told))
    load(
        Drift,
        DRIFT_COLUMNS,
        ((*same, day, m.slug, DISK, nothing, DISK, "none", course.pk, p.pk, now) for day, p, m in told),
    )
    # One look at the account tells of both courses; the larger is seeded first.
    ProviderDay.objects.bulk_create(
        (
            ProviderDay(source="export", day=day, usage_usd=DISK * len(people), as_of=now)
            for day in sorted({day for day, _p, _m in told})
        ),
        ignore_conflicts=True,
    )


def load(model: type[Model], columns: tuple[str, ...], rows: Iterator[Row]) -> None:
    """COPY on PostgreSQL, prepared statements on SQLite: an ORM row for each would take most of an hour."""
    names, table = ", ".join(f'"{name}"' for name in columns), model._meta.db_table
    with transaction.atomic(), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            with cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row(row)
            return
        marks = ", ".join("?" for _name in columns)
        cursor.cursor.connection.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", map(_for_sqlite, rows))


def _for_sqlite(row: Row) -> list[object]:
    """As Django writes them there."""
    return [_plain(value) for value in row]


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, date):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def analyse() -> None:
    """The planner's statistics, as autovacuum would have them by then."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
