"""Opening budgets: where amounts come from. Each is a GRANT in the books; later changes are `services.set_amount`."""

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from django.db import transaction

from courses.models import NO_BUDGET_ROLES, Course, Enrollment, EnrollmentStatus, Team, User
from spend.models import Budget, Level, MoneyMove


def create_budget(
    level: Level,
    *,
    amount_usd: Decimal,
    parent: Budget | None,
    why: str,
    who: User | None,
    now: datetime,
    name: str = "",
    course: Course | None = None,
    team: Team | None = None,
    enrollment: Enrollment | None = None,
) -> Budget:
    """One budget below `parent`. A person's or team's takes course and name from its owner. Amount in USD."""
    owner = enrollment or team
    budget = Budget(
        level=level,
        parent=parent,
        name=name or str(owner or course),
        course=owner.course if owner else course,
        team=team,
        enrollment=enrollment,
        amount_usd=amount_usd,
    )
    return _grant([budget], why=why, who=who, now=now)[0]


def open_budgets(
    course: Course,
    *,
    course_usd: Decimal,
    team_usd: Decimal,
    person_usd: Decimal,
    why: str,
    who: User | None,
    now: datetime,
    sponsor: Budget | None = None,
) -> Budget:
    """The budgets that a course still lacks: its own, one per team, one per active member. Amounts in USD.

    What exists stays as it is, so the same call serves a roster that has grown. Returns the course's budget.
    """
    with transaction.atomic():
        root = Budget.objects.filter(course=course, level=Level.COURSE).first() or create_budget(
            Level.COURSE, amount_usd=course_usd, parent=sponsor, course=course, why=why, who=who, now=now
        )
        _grant(
            [
                Budget(level=Level.TEAM, parent=root, name=t.name, course=course, team=t, amount_usd=team_usd)
                for t in course.teams.filter(budget=None, closed_at=None)
            ],
            why=why,
            who=who,
            now=now,
        )
        by_team = {b.team_id: b for b in Budget.objects.filter(course=course, level=Level.TEAM)}
        _grant(
            [
                Budget(
                    level=Level.PERSON,
                    parent=by_team.get(e.team_id, root),
                    name=e.name,
                    course=course,
                    enrollment=e,
                    amount_usd=person_usd,
                )
                for e in _members_without(course)
            ],
            why=why,
            who=who,
            now=now,
        )
    return root


def _members_without(course: Course) -> Iterable[Enrollment]:
    """Who looks and does not launch gets none."""
    active = course.enrollments.filter(status=EnrollmentStatus.ACTIVE, budget=None)
    return active.exclude(role__in=NO_BUDGET_ROLES)


def _grant(budgets: list[Budget], *, why: str, who: User | None, now: datetime) -> list[Budget]:
    for budget in budgets:
        if budget.parent is not None and budget.parent.level >= budget.level:
            raise ValueError(f"{budget} cannot be below {budget.parent}: the order of locks is root first")
    with transaction.atomic():
        made = Budget.objects.bulk_create(budgets)
        MoneyMove.objects.bulk_create(
            MoneyMove(budget=b, kind=MoneyMove.Kind.GRANT, amount_usd=b.amount_usd, why=why, who=who, at=now)
            for b in made
        )
    return made
