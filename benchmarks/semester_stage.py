"""The course of the semester: people, teams, budgets and presets as rows, and the whole of it played through."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from benchmarks.semester import Outcome
from benchmarks.semester_clock import Clock, Outage
from benchmarks.semester_crowd import Crowd
from benchmarks.semester_judge import Stops, most_over_cap, off_minutes, spent_in_books, truth, wasted
from benchmarks.semester_people import DEAREST, TIMEZONE, ZONE, Semester
from benchmarks.semester_world import World
from cloud.prices import price_of
from courses.models import Course, Enrollment, Team, User
from instances import services
from instances.books import address_usd_hour
from instances.halting import STOPPABLE
from instances.models import Instance, Preset
from instances.states import ENDED
from spend.checks import check_books
from spend.models import Level
from spend.opening import create_budget, open_budgets

COURSE_USD, TEAM_USD, PERSON_USD = Decimal(30_000), Decimal(1_500), Decimal(300)
TEAM_SIZE = 5
LEASE_SECONDS = 4 * 3600
PRESETS = {
    "homework": (["g4dn.xlarge"], 64, 1),
    "homework-plus": (["g6.xlarge", "g5.xlarge"], 64, 1),
    "project": (["g5.xlarge"], 100, 8),
    "project-large": (["g6e.xlarge"], 150, 1),
    DEAREST: (["g4dn.12xlarge"], 200, 1),
}


def _local(month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2019, month, day, hour, minute, tzinfo=ZONE).astimezone(UTC)


# Two evenings before the final presentations, and the hours before HW7 is due.
PORTAL_AWAY = Outage(_local(5, 7, 18), _local(5, 8, 0))
AWS_THROTTLES = Outage(_local(4, 8, 21), _local(4, 8, 22))


def make_course(plan: Semester) -> tuple[Course, list[Enrollment], dict[str, Preset]]:
    calendar = plan.calendar
    course = Course.objects.create(
        slug="semester", name="Semester", timezone=TIMEZONE, starts_on=calendar.starts_on, ends_on=calendar.ends_on
    )
    teams = [Team.objects.create(course=course, name=f"Team {n:03d}") for n in range(-(-len(plan.people) // TEAM_SIZE))]
    lines = [_enroll(course, person.number, teams[person.number // TEAM_SIZE]) for person in plan.people]
    sponsor = create_budget(
        Level.SPONSOR, name="Grant", amount_usd=COURSE_USD, parent=None, why="grant", who=None, now=plan.starts_at
    )
    open_budgets(
        course, course_usd=COURSE_USD, team_usd=TEAM_USD, person_usd=PERSON_USD, sponsor=sponsor, why="start", who=None,
        now=plan.starts_at,
    )  # fmt: skip
    return course, lines, {slug: _preset(course, slug) for slug in PRESETS}


def _enroll(course: Course, number: int, team: Team) -> Enrollment:
    email = f"s{number}@semester.edu"
    user = User.objects.create(email=email, full_name=f"Student {number}", password="!")
    return Enrollment.objects.create(course=course, user=user, email=email, name=user.full_name, team=team)


def _preset(course: Course, slug: str) -> Preset:
    types, disk_gb, per_person = PRESETS[slug]
    return Preset.objects.create(
        course=course,
        slug=slug,
        name=slug,
        instance_types=types,
        image_id="ami-course",
        disk_gb=disk_gb,
        lease_seconds=LEASE_SECONDS,
        ceiling_usd_hour=max(price_of(one) or Decimal(0) for one in types),
        per_person=per_person,
    )


def replay(
    plan: Semester,
    seed: int,
    *,
    thin: bool = True,
    away: Outage = PORTAL_AWAY,
    throttled: Outage = AWS_THROTTLES,
    progress: Callable[[int], object] = lambda _week: None,
) -> Outcome:
    """From the first day to the last, and until everything is deleted and booked."""
    course, lines, presets = make_course(plan)
    world = World(course, Clock(plan.starts_at, [away]), thin=thin, throttled=[throttled])
    stops, crowd = Stops(world), Crowd(world, plan, lines, presets, seed)
    week = 0
    while world.now < plan.ends_at:
        world.run(min(world.now + timedelta(weeks=1), plan.ends_at))
        progress(week := week + 1)
    _close(world, course)
    return _outcome(world, course, stops, crowd)


def _close(world: World, course: Course) -> None:
    """The term is over: everything is stopped and deleted, and the last hour is booked."""
    who = Enrollment.objects.filter(course=course)[0].user

    def stop() -> None:
        for row in Instance.objects.filter(course=course, state__in=STOPPABLE).select_related("owner"):
            services.request_stop(row, reason="The term is over", who=who, now=world.now)

    def delete() -> None:
        for row in Instance.objects.filter(course=course).exclude(state__in=ENDED).select_related("owner"):
            services.request_terminate(row, who=who, now=world.now)

    for act in (stop, delete):
        world.changed = True
        world.clock.at(world.now + timedelta(seconds=10), act)
        world.run(world.now + timedelta(minutes=10))


def _outcome(world: World, course: Course, stops: Stops, crowd: Crowd) -> Outcome:
    real = truth(world, course, world.now)
    hosts = [*world.agents.past, *world.agents.hosts.values()]
    idle, cheat = wasted(hosts, world)
    return Outcome(
        spent=float(spent_in_books(course)),
        true_spent=float(sum(real.by_person.values(), Decimal(0))),
        wasted=float(idle),
        wasted_by_cheat=float(cheat),
        max_over_cap=float(most_over_cap(course, real.by_person)),
        stops=stops.found,
        off=off_minutes(stops.found),
        hours=real.machine_seconds / 3600,
        warnings=crowd.counts.pop("warnings", 0),
        refused=dict(crowd.refused),
        counts=dict(crowd.counts),
        books=[str(one) for one in check_books()] + world.unended(),
        ticks=world.ticks,
        sweeps=world.sweeps_run,
        usd_hour={
            slug: float(max(price_of(one) or Decimal(0) for one in types[:1]) + address_usd_hour())
            for slug, (types, _disk, _n) in PRESETS.items()
        },
    )
