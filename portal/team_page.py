"""What the staff's page of teams shows: each team with its size, money and what its members used. Reads only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Sum

from courses.models import Course, Enrollment, EnrollmentStatus, Role, Team
from spend.models import ZERO, Budget, Level
from spend.totals import PersonTotal


@dataclass(frozen=True, slots=True)
class Member:
    """USD, posted: what they spent while they were in this team, and what is held for their machines now."""

    line: Enrollment
    spent_usd: Decimal
    held_usd: Decimal


@dataclass(frozen=True, slots=True)
class TeamShown:
    """`members` are active; what those who have left spent is in the team's own figure."""

    team: Team
    members: Sequence[Member]
    budget: Budget | None
    least: int
    most: int

    @property
    def size(self) -> int:
        return len(self.members)

    @property
    def fits(self) -> bool:
        return self.least <= self.size <= self.most


@dataclass(frozen=True, slots=True)
class TeamsShown:
    teams: Sequence[TeamShown]
    closed: Sequence[TeamShown]
    alone: Sequence[Enrollment]  # active students without a team

    @property
    def odd(self) -> int:
        return sum(not team.fits for team in self.teams)


def teams_shown(course: Course) -> TeamsShown:
    """The same number of queries for any number of teams and people."""
    people = list(
        course.enrollments.filter(role=Role.STUDENT, status=EnrollmentStatus.ACTIVE)
        .select_related("budget")
        .order_by("name", "pk")
    )
    used = _used(course)
    budgets = {b.team_id: b for b in Budget.objects.filter(course=course, level=Level.TEAM)}
    shown = [
        TeamShown(team, _members(team, people, used), budgets.get(team.pk), course.team_min, course.team_max)
        for team in course.teams.all()
    ]
    return TeamsShown(
        teams=[one for one in shown if one.team.closed_at is None],
        closed=[one for one in shown if one.team.closed_at is not None],
        alone=[line for line in people if line.team_id is None],
    )


def _used(course: Course) -> dict[tuple[int | None, int], Decimal]:
    """By team and person."""
    rows = PersonTotal.objects.filter(enrollment__course=course).order_by()
    sums = rows.values_list("team", "enrollment").annotate(usd=Sum("amount_usd"))
    return {(team, person): usd for team, person, usd in sums}


def _members(team: Team, people: Sequence[Enrollment], used: Mapping[tuple[int | None, int], Decimal]) -> list[Member]:
    mine = [line for line in people if line.team_id == team.pk]
    return [Member(line, used.get((team.pk, line.pk), ZERO), _held(line)) for line in mine]


def _held(line: Enrollment) -> Decimal:
    budget: Budget | None = getattr(line, "budget", None)
    return budget.held_usd if budget else ZERO
